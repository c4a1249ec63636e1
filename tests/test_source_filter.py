"""The filtered source beside free components: twin, monotone losses, and what stays zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.nmf.source_filter import _State, fit_source_filter, smooth_bumps

FLOOR = 1e-9


def problem(rng, n_bins=14, n_frames=9, n_excitations=6, n_candidates=3, dtype=np.float64):
    V = rng.random((n_bins, n_frames)).astype(dtype)
    combs = rng.random((n_bins, n_excitations)).astype(dtype)
    candidates = rng.integers(-1, n_excitations, (n_candidates, n_frames))
    # A candidate may not be named twice in a frame, or its gain would be split at random.
    for n in range(n_frames):
        seen = set()
        for c in range(n_candidates):
            if candidates[c, n] in seen:
                candidates[c, n] = -1
            seen.add(candidates[c, n])
    gains = rng.random(candidates.shape).astype(dtype)
    return V, combs, candidates, gains, smooth_bumps(n_bins, 4).astype(dtype)


def whole_gains(G, candidates, n_excitations):
    """The sparse matrix of gains, written out."""
    full = np.zeros((n_excitations, candidates.shape[1]))
    for c in range(candidates.shape[0]):
        for n in range(candidates.shape[1]):
            if candidates[c, n] >= 0:
                full[candidates[c, n], n] = G[c, n]
    return full


def naive_step(V, C, G, B, F, P, W, H):
    """One iteration with full matrices, every update from the model as it then is."""

    def ratio():
        return V / ((C @ G) * (B @ F @ P) + W @ H + FLOOR)

    Phi = B @ F @ P
    G = G * np.divide(C.T @ (ratio() * Phi), C.T @ Phi)
    E = C @ G
    P = P * ((B @ F).T @ (ratio() * E)) / ((B @ F).T @ E)
    F = F * (B.T @ (ratio() * E) @ P.T) / (B.T @ E @ P.T)
    size = F.sum(axis=0)
    F, P = F / size, P * size[:, np.newaxis]
    size = P.sum(axis=0)
    P, G = P / size, G * size
    H = H * (W.T @ ratio()) / W.sum(axis=0)[:, np.newaxis]
    W = W * (ratio() @ H.T) / H.sum(axis=1)
    size = W.sum(axis=0)
    return G, F, P, W / size, H * size[:, np.newaxis]


def kl(V, model):
    return float(np.sum(V * np.log(V / model) - V + model))


def test_a_step_is_that_of_full_matrices(rng):
    V, C, candidates, gains, B = problem(rng)
    state = _State(V, C, candidates, gains, B, 2, 3, 0)
    whole = whole_gains(state.G.T, candidates, C.shape[1])
    factors = (whole, state.F.copy(), state.P.T.copy(), state.W.T.copy(), state.H.T.copy())
    data = V / V.mean()
    model = (C @ factors[0]) * (B @ factors[1] @ factors[2]) + factors[3] @ factors[4] + FLOOR
    for _ in range(3):
        loss = state.step()
        assert loss == pytest.approx(kl(data, model), rel=1e-10)
        factors = naive_step(data, C, factors[0], B, *factors[1:])
        model = (C @ factors[0]) * (B @ factors[1] @ factors[2]) + factors[3] @ factors[4] + FLOOR
    ours = (
        whole_gains(state.G.T, candidates, C.shape[1]),
        state.F,
        state.P.T,
        state.W.T,
        state.H.T,
    )
    for mine, naive in zip(ours, factors, strict=True):
        np.testing.assert_allclose(mine, naive, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 50))
def test_losses_never_rise(seed):
    rng = np.random.default_rng(seed)
    V, C, candidates, gains, B = problem(rng)
    V[V < 0.3] = 0.0
    fit = fit_source_filter(
        V, C, candidates, gains, bumps=B, n_filters=2, n_components=3, max_iter=15, seed=seed
    )
    rises = np.diff(fit.losses)
    assert (rises <= 1e-9 * np.abs(fit.losses[:-1])).all()
    assert fit.losses[-1] < fit.losses[0]


def test_what_is_no_candidate_stays_silent(rng):
    V, C, candidates, gains, B = problem(rng)
    candidates[:, 4] = -1
    gains[1, 2] = 0.0
    fit = fit_source_filter(V, C, candidates, gains, bumps=B, n_filters=2, n_components=3)
    assert not fit.source[:, 4].any()
    assert fit.gains[1, 2] == 0.0


def test_a_filtered_source_is_found(rng):
    n_bins, n_frames = 120, 60
    combs = np.zeros((n_bins, 5))
    for k, period in enumerate((7, 9, 11, 13, 16)):
        combs[period::period, k] = 1.0
    which = rng.integers(0, 5, n_frames)
    bumps = smooth_bumps(n_bins, 10).astype(float)
    filters = bumps @ rng.random((10, 2))
    voice = combs[:, which] * (filters @ rng.random((2, n_frames)))
    rest = rng.random((n_bins, 2)) @ rng.random((2, n_frames))
    fit = fit_source_filter(
        voice + rest,
        combs,
        which[np.newaxis],
        np.ones((1, n_frames)),
        bumps=bumps,
        n_filters=2,
        n_components=2,
        max_iter=100,
    )
    error = np.sum((fit.source - voice) ** 2) / np.sum(voice**2)
    assert 10 * np.log10(error) < -15.0


def test_levels_scale_with_the_data(rng):
    V, C, candidates, gains, B = problem(rng, dtype=np.float32)
    one, loud = (
        fit_source_filter(V * gain, C, candidates, gains, bumps=B, n_filters=2, n_components=3)
        for gain in (1.0, np.float32(2.0**40))
    )
    assert one.source.dtype == np.float32
    np.testing.assert_allclose(loud.source, one.source * 2.0**40, rtol=1e-4)
    np.testing.assert_allclose(loud.losses, one.losses, rtol=1e-5)


def test_silence_gives_silence():
    V, C, candidates, gains, B = problem(np.random.default_rng(0))
    fit = fit_source_filter(0 * V, C, candidates, gains, bumps=B, n_filters=2, n_components=3)
    assert fit.source.max() < 1e-6
    assert fit.rest.max() < 1e-6
    assert np.isfinite(fit.losses).all()


def test_arguments_are_not_changed(rng):
    given_ = problem(rng, dtype=np.float32)
    before = [x.copy() for x in given_]
    V, C, candidates, gains, B = given_
    fit_source_filter(V, C, candidates, gains, bumps=B, n_filters=2, n_components=3, max_iter=3)
    for now, then in zip(given_, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    "wrong", ["V", "combs", "shape", "candidate", "float", "negative", "bumps"]
)
def test_unfit_arguments_are_refused(rng, wrong):
    V, C, candidates, gains, B = problem(rng)
    V = {"V": V[0], "negative": -V}.get(wrong, V)
    C = C[:-1] if wrong == "combs" else C
    candidates = {
        "shape": candidates[:, :-1],
        "candidate": candidates + C.shape[1],
        "float": candidates.astype(float),
    }.get(wrong, candidates)
    B = B[1:] if wrong == "bumps" else B
    with pytest.raises(ParameterError):
        fit_source_filter(V, C, candidates, gains, bumps=B)


@given(st.integers(1, 60), st.integers(1, 12))
def test_bumps_cover_every_bin(n_bins, n_bumps):
    bumps = smooth_bumps(n_bins, n_bumps)
    assert bumps.shape == (n_bins, n_bumps)
    assert (bumps.sum(axis=1) > 0).all()
    assert bumps.min() >= 0.0
    assert bumps.max() <= 1.0
