"""The multichannel Wiener filter against its definition, bin by bin."""

import numpy as np
import pytest

import audiosep
from audiosep.errors import ParameterError
from audiosep.spatial import inverse_planes, multichannel_wiener, rounded
from audiosep.types import SourceModels


def filtered_slowly(frames, powers, covariances):
    """P_j R_j (sum_i P_i R_i)^-1 x, one bin after the other."""
    n_sources, n_bins = len(powers), frames.shape[2]
    covariances = np.broadcast_to(covariances, (n_sources, n_bins, *covariances.shape[2:]))
    images = np.zeros((n_sources, *frames.shape), complex)
    for n in range(frames.shape[1]):
        for f in range(n_bins):
            mixed = sum(powers[j, n, f] * covariances[j, f] for j in range(n_sources))
            white = np.linalg.solve(mixed, frames[:, n, f])
            for j in range(n_sources):
                images[j, :, n, f] = powers[j, n, f] * covariances[j, f] @ white
    return images


def some_frames(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def some_covariances(rng, n_sources, n_bins, n_channels, *, real):
    roots = rng.standard_normal((n_sources, n_bins, n_channels, 2))
    if not real:
        roots = roots + 1j * rng.standard_normal(roots.shape)
    return rounded(roots @ roots.conj().swapaxes(-1, -2), 0.05)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
@pytest.mark.parametrize("each_bin", [True, False])
def test_filter_is_its_definition(n_channels, real, each_bin):
    rng = np.random.default_rng(n_channels)
    frames = some_frames(rng, n_channels, 40, 7)  # more frames than one block
    powers = rng.random((3, 40, 7)).astype(np.float32)
    covariances = some_covariances(rng, 3, 7 if each_bin else 1, n_channels, real=real)
    images = multichannel_wiener(frames, powers, covariances)
    assert images.dtype == np.complex64
    np.testing.assert_allclose(
        images, filtered_slowly(frames, powers, covariances), atol=2e-4 * np.abs(frames).max()
    )


def test_inverses_of_many_matrices():
    rng = np.random.default_rng(0)
    matrices = some_covariances(rng, 6, 5, 4, real=False)
    planes = [[matrices[..., a, b] for b in range(a + 1)] for a in range(4)]
    inverse = inverse_planes(planes)
    true = np.linalg.inv(matrices)
    for a in range(4):
        for b in range(a + 1):
            np.testing.assert_allclose(inverse[a][b], true[..., a, b], rtol=1e-9, atol=1e-9)


def test_two_sources_in_one_bin_come_apart():
    rng = np.random.default_rng(1)
    gains = np.array([[0.9, 0.4], [0.5, 0.8]])
    sources = some_frames(rng, 2, 30, 9)
    images = gains[:, :, None, None] * sources[:, None]
    powers = (np.abs(sources) ** 2).astype(np.float32)
    covariances = rounded(gains[:, :, None] * gains[:, None], 1e-5)[:, None]
    estimates = multichannel_wiener(images.sum(axis=0), powers, covariances)
    shares = np.sqrt(powers / powers.sum(axis=0))
    masked = shares[:, None] * images.sum(axis=0)
    for image, estimate, other in zip(images, estimates, masked, strict=True):
        assert audiosep.si_sdr(_flat(image), _flat(estimate)) > 35
        assert audiosep.si_sdr(_flat(image), _flat(other)) < 10


def _flat(values):
    return np.concatenate([values.real.ravel(), values.imag.ravel()])


@pytest.mark.parametrize("level", [1e-12, 1.0, 1e12])
def test_estimates_sum_to_the_mixture(level):
    rng = np.random.default_rng(2)
    frames = some_frames(rng, 2, 20, 6) * np.float32(level)
    powers = (10.0 ** rng.uniform(-30, 8, (3, 20, 6))).astype(np.float32)
    powers[:, :3] = 0
    powers[1] = 0
    gains = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # singular wherever the second is silent
    covariances = (gains[:, :, None] * gains[:, None])[:, None]
    images = multichannel_wiener(frames, powers, covariances)
    assert np.isfinite(images).all()
    np.testing.assert_allclose(images.sum(axis=0), frames, atol=2e-6 * np.abs(frames).max())


def test_silent_bins_are_shared_evenly():
    frames = some_frames(np.random.default_rng(3), 2, 4, 3)
    even = np.broadcast_to(np.eye(2), (2, 1, 2, 2))
    images = multichannel_wiener(frames, np.zeros((2, 4, 3), np.float32), even)
    np.testing.assert_allclose(images, np.stack([frames, frames]) / 2, rtol=1e-5)


def test_rounded_covariances():
    matrices = rounded(np.array([[[4e200, 0.0], [0.0, 0.0]], np.zeros((2, 2))]), 0.1)
    np.testing.assert_allclose(matrices[0], [[0.95, 0.0], [0.0, 0.05]])
    np.testing.assert_allclose(matrices[1], 0.5 * np.eye(2))


def test_shapes_must_fit():
    frames = np.zeros((2, 4, 3), np.complex64)
    powers = np.zeros((2, 4, 3), np.float32)
    with pytest.raises(ParameterError, match="do not fit frames"):
        multichannel_wiener(frames, powers[:, :2], np.zeros((2, 1, 2, 2)))
    with pytest.raises(ParameterError, match="do not fit frames"):
        multichannel_wiener(frames, powers, np.zeros((2, 2, 2, 2)))
    with pytest.raises(ParameterError, match="covariances of shape"):
        SourceModels(
            models=np.zeros((2, 1, 3, 4), np.float32),
            names=("a", "b"),
            covariances=np.zeros((1, 1, 2, 2)),
        )
