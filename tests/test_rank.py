"""How many components: known answers, the guarantees of the updates, and any kind of matrix."""

from __future__ import annotations

import naive
import naive_initialize
import numpy as np
import pytest
import scenes

from audiosep.errors import ParameterError
from audiosep.nmf import rank, relevance
from audiosep.nmf.rank import METHODS, suggest_rank
from audiosep.transform import stft
from audiosep.types import Audio

DTYPES = (np.float32, np.float64)
BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def known(K, seed, *, n_bins=60, n_frames=150, noise="poisson"):
    """A matrix of K components (n_bins, n_frames) with noise around it; mean one but for noise."""
    rng = np.random.default_rng([K, seed])
    W = rng.gamma(0.5, size=(n_bins, K))
    H = rng.gamma(0.3, size=(K, n_frames))
    M = (W / W.sum(axis=0)) @ (H / H.mean(axis=1, keepdims=True))
    M /= M.mean()
    if noise == "poisson":
        return rng.poisson(20 * M) / 20
    if noise == "gamma":
        return M * rng.gamma(1 / 0.2**2, 0.2**2, M.shape)
    return M


def notes(pitches_hz, sr=8000, n_fft=512, duration=6.0):
    """Magnitudes (n_bins, n_frames) of tones that come and go by themselves, three times each."""
    rng = np.random.default_rng(len(pitches_hz))
    t = scenes.time_axis(sr, duration)
    x = 1e-3 * rng.standard_normal(len(t))
    for hz in pitches_hz:
        for _ in range(3):
            since = t - rng.uniform(0.0, duration - 1.0)
            length = rng.uniform(0.3, 1.0)
            on = (since >= 0) & (since < length)
            fade = np.clip(np.minimum(since[on], length - since[on]) / 0.01, 0, 1)
            loud = rng.uniform(0.5, 1.0)
            x[on] += loud * fade * np.exp(-2 * since[on]) * scenes.tone(since[on], hz, sr=sr)
    audio = Audio(samples=x[np.newaxis].astype(np.float32), sr=sr)
    return np.abs(stft(audio, n_fft=n_fft, hop_length=n_fft // 4).values[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("K", [2, 4, 6])
def test_known_numbers_are_found(K, method):
    found = []
    for seed in range(3):
        suggestion = suggest_rank(known(K, seed), range(1, 11), method=method)
        found.append(suggestion.n_components)
        assert suggestion.method == method
        assert suggestion.curve.shape == (len(suggestion.candidates),)
        assert suggestion.n_components in suggestion.candidates
        assert suggestion.reason.endswith(".")
    assert sorted(found)[1] == K, found
    assert max(abs(n - K) for n in found) <= 1, found


@pytest.mark.parametrize(("beta", "noise"), [(0.0, "gamma"), (0.5, "gamma"), (2.0, "poisson")])
def test_relevance_knows_other_divergences(beta, noise):
    for K in (3, 5):
        V = known(K, 1, noise=noise)
        assert abs(suggest_rank(V, range(1, 13), beta=beta).n_components - K) <= 1


@pytest.mark.parametrize("method", ["ard", "agreement"])
def test_notes_of_a_recording_are_counted(method):
    for pitches in ((220.0, 311.1, 493.9), (196.0, 246.9, 329.6, 415.3, 622.3)):
        V = notes(pitches)
        found = suggest_rank(V, range(1, 13), method=method).n_components
        assert abs(found - len(pitches)) <= 1


def test_detail_decides_what_counts():
    V = notes((220.0, 311.1, 493.9))
    found = [suggest_rank(V, range(1, 16), detail=d).n_components for d in (0.02, 0.2, 1.0)]
    assert found[0] > found[1] >= found[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
def test_relevance_step_equals_the_obvious_twin(rng, beta, dtype):
    V = (known(3, 0, n_bins=9, n_frames=14, noise="gamma") + 0.01).astype(dtype)
    W = rng.uniform(0.1, 1.0, (4, 9)).astype(dtype)
    H = rng.uniform(0.1, 1.0, (14, 4)).astype(dtype)
    push = rng.uniform(0.1, 3.0, 4)
    copies = W.copy(), H.copy()
    got_W, got_H, loss = relevance.relevance_step(np.ascontiguousarray(V.T), W, H, beta, push)
    want_W, want_H = naive_initialize.relevance_step(
        V.astype(float), W.T.astype(float), H.T.astype(float), beta, push
    )
    tolerance = 2e-5 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(got_W, want_W.T, rtol=tolerance)
    np.testing.assert_allclose(got_H, want_H.T, rtol=tolerance)
    wide = (x.T.astype(float) for x in (W, H))
    assert loss == pytest.approx(
        naive.beta_divergence(V.astype(float), naive.model_of(*wide, beta), beta), rel=tolerance
    )
    for before, after in zip(copies, (W, H), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
def test_the_posterior_never_falls(rng, beta, dtype):
    V = np.ascontiguousarray((known(3, 0, n_bins=12, n_frames=20) + 0.01).T, dtype=dtype)
    W = rng.uniform(0.1, 1.0, (6, 12)).astype(dtype)
    H = rng.uniform(0.1, 1.0, (20, 6)).astype(dtype)
    prior = relevance.ScalePrior.of(V, 6)
    objective = []
    for _ in range(40):
        objective.append(
            naive_initialize.relevance_objective(
                V.T.astype(float), W.T.astype(float), H.T.astype(float), beta, 0.1, 3.0
            )
        )
        W, H, _ = relevance.relevance_step(V, W, H, beta, 0.1 / prior.scales(W, H))
    objective = np.array(objective)
    slack = 1e-5 if dtype is np.float32 else 1e-10
    assert (np.diff(objective) <= slack * np.abs(objective[:-1])).all()
    assert objective[-1] < objective[0]


def obvious_relevances(V, K, dispersion, seed, n_iter):
    """Plain updates for Kullback-Leibler, no extrapolation, nothing left out; V frames-major."""
    W, H = naive_initialize.random_start(V, K, np.random.default_rng(seed))
    for k in range(K):
        balance = np.sqrt(W[k].sum() / H[:, k].sum())
        W[k] /= balance
        H[:, k] *= balance
    b = np.sqrt(2 * V.mean() / K)
    c = sum(V.shape) + 4
    for _ in range(n_iter):
        push = dispersion * c / (W.sum(axis=1) + H.sum(axis=0) + b)
        H = H * ((V / (H @ W)) @ W.T) / (W.sum(axis=1) + push)
        W = W * (H.T @ (V / (H @ W))) / (H.sum(axis=0) + push)[:, np.newaxis]
    return np.sort((W.sum(axis=1) + H.sum(axis=0)) / b)[::-1]


@pytest.mark.parametrize("seed", range(4))
def test_extrapolation_ends_where_plain_updates_end(seed):
    V = np.ascontiguousarray(known(3, seed, n_bins=30, n_frames=40, noise="gamma").T) + 0.01
    got = relevance.relevances(V, 6, 1.0, 0.2, seed, lambda fraction: None)
    want = obvious_relevances(V, 6, 0.2, seed, 6000)
    kept = want[want > 1e-3]
    assert len(got) == len(kept) == 3
    np.testing.assert_allclose(got, kept, rtol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
def test_what_extrapolation_made_worse_is_undone(monkeypatch, beta, dtype):
    V = np.ascontiguousarray((known(3, 1, noise="gamma") + 0.01).T, dtype=dtype)
    seen = []
    original = relevance._step

    def recorded(*arguments):
        result = original(*arguments)
        seen.append(result[2])
        return result

    monkeypatch.setattr(relevance, "_step", recorded)
    relevance.relevances(V, 8, beta, 0.05, 0, lambda fraction: None)
    # Relative to how far it fell: the logarithms make the objective itself start anywhere. A
    # component that is left out at a thousandth of the floor's scale costs up to about that.
    slack = 1e-4 * (max(seen) - min(seen))
    last = np.inf
    for objective, following in zip(seen, [*seen[1:], -np.inf], strict=True):
        if objective > last + slack:
            assert following <= last + slack  # made again from where it was
        else:
            last = objective
    assert last < seen[0]


def test_unneeded_components_reach_the_floor_and_are_counted_out():
    V = np.ascontiguousarray(known(3, 0).T)
    left = relevance.relevances(V, 10, 1.0, 0.05, 0, lambda fraction: None)
    assert len(left) == 3
    assert (np.diff(left) <= 0).all()
    assert left[-1] > 10
    # Nothing is relevant where everything is noise.
    assert len(relevance.relevances(V, 10, 1.0, 1e6, 0, lambda fraction: None)) == 0


def test_dispersion_is_that_of_the_noise():
    def dispersion(V, beta, detail):
        question = rank._Question(
            V=np.ascontiguousarray(V.T),
            candidates=(8,),
            beta=beta,
            seed=0,
            detail=detail,
            n_threads=1,
            progress=lambda fraction: None,
        )
        return rank._dispersion(question)

    big = known(3, 0, n_bins=150, n_frames=300, noise="")
    rng = np.random.default_rng(0)
    # Poisson counts of 1/20: their variance is a twentieth of their mean.
    assert dispersion(rng.poisson(20 * (big + 1)) / 20, 1.0, 1e-3) == pytest.approx(0.05, rel=0.15)
    # Gamma noise of 20 %: the variance is 0.04 times the square of the mean.
    noisy = (big + 0.1) * rng.gamma(25, 1 / 25, big.shape)
    assert dispersion(noisy, 0.0, 1e-3) == pytest.approx(0.04, rel=0.15)
    # A detail above the noise decides instead.
    assert dispersion(noisy, 0.0, 0.5) == pytest.approx(0.25)


@pytest.mark.parametrize("method", METHODS)
def test_level_type_and_silent_parts_do_not_matter(method):
    V = known(3, 4)
    plain = suggest_rank(V, range(1, 7), method=method)
    for scale in (1e-12, 1e12):
        scaled = suggest_rank(V * scale, range(1, 7), method=method)
        assert scaled.n_components == plain.n_components
        np.testing.assert_allclose(scaled.curve, plain.curve, rtol=1e-3)
    padded = np.zeros((70, 170))
    padded[5:65, 10:160] = V
    assert suggest_rank(padded, range(1, 7), method=method).n_components == plain.n_components
    narrow = suggest_rank(V.astype(np.float32), range(1, 7), method=method)
    assert narrow.n_components == plain.n_components


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_answer_on_any_number_of_threads(method):
    V = known(3, 5).astype(np.float32)
    copy = V.copy()
    one, two = (
        suggest_rank(V, range(1, 6), method=method, seed=3, n_threads=n, max_frames=100)
        for n in (1, 2)
    )
    assert one.curve.tobytes() == two.curve.tobytes()
    assert one.reason == two.reason
    np.testing.assert_array_equal(V, copy)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("beta", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1), (2, 3), (5, 12)])
def test_any_shape_has_an_answer(rng, shape, beta, method):
    V = rng.gamma(0.5, size=shape) * 10.0 ** rng.integers(-12, 12)
    V[0, 0] += V.max() or 1.0
    for candidates in (None, (1, 3, 7)):
        suggestion = suggest_rank(V, candidates, method=method, beta=beta)
        assert suggestion.n_components in suggestion.candidates
        assert np.isfinite(suggestion.curve).all()
        if candidates is None:
            assert suggestion.candidates[-1] <= max(1, min(shape) - 1)


@pytest.mark.parametrize("method", METHODS)
def test_silence(method):
    suggestion = suggest_rank(np.zeros((5, 6)), method=method)
    assert suggestion.n_components == 1
    assert "all zero" in suggestion.reason
    assert suggest_rank(np.zeros((5, 6)), (4, 8), method=method).n_components == 4


def test_reasons_name_what_decided():
    V = known(4, 0)
    all_relevant = suggest_rank(V, range(1, 4))
    assert all_relevant.n_components == 3
    assert "All 3 components that were tried are relevant" in all_relevant.reason
    gap = suggest_rank(V, (1, 3, 9))
    assert gap.n_components == 3
    assert gap.reason.startswith("Of 9 components 4 stay relevant")
    assert gap.reason.endswith("The nearest candidate is 3.")
    np.testing.assert_array_equal(gap.curve > 0, [True, True, False])
    noise = suggest_rank(V, (2, 5), detail=1e4)
    assert noise.n_components == 2
    assert "No component stands out" in noise.reason
    held = suggest_rank(V, range(1, 5), method="held-out")
    assert "largest candidate, so there may be more" in held.reason
    agreed = suggest_rank(V, (1, 4), method="agreement")
    assert agreed.reason.startswith("Even at 4, the largest candidate")
    never = suggest_rank(V, (8, 9), method="agreement")
    assert never.reason.startswith("At no candidate are all components met again")


def test_the_search_ends_when_predictions_only_get_worse():
    suggestion = suggest_rank(known(3, 0), range(1, 30), method="held-out")
    assert len(suggestion.candidates) < 15
    best = suggestion.curve.argmin()
    assert len(suggestion.candidates) - 1 - best == 3
    assert "one standard error" in suggestion.reason or suggestion.n_components == best + 1


def test_held_out_patches_are_whole_and_of_equal_share(rng):
    folds = rank._patches((203, 161), rng)
    assert folds.shape == (203, 161)
    shares = np.bincount(folds.ravel()) / folds.size
    assert len(shares) == 10
    np.testing.assert_allclose(shares, 0.1, atol=0.01)
    for i in range(0, 200, 4):
        for j in range(0, 160, 8):
            assert len(np.unique(folds[i : i + 4, j : j + 8])) == 1


def test_a_long_matrix_is_sampled_in_every_part():
    V = np.arange(1.0, 1001.0)[np.newaxis] * np.ones((3, 1))
    sample = rank._sample(V, 1.0, 100, 0)
    assert sample.shape == (100, 3)
    frames = sample[:, 0] / sample[:, 0].mean()
    assert (np.diff(frames) > 0).all()
    places = np.sort(sample[:, 0]) / sample[:, 0].max() * 1000
    assert len(np.unique(places // 10.2)) > 80
    assert sample.mean() == pytest.approx(1.0)
    assert not np.array_equal(sample, rank._sample(V, 1.0, 100, 1))
    assert rank._sample(V, 1.0, 1000, 0).shape == (1000, 3)


@pytest.mark.parametrize("method", METHODS)
def test_progress(method):
    seen = []
    suggest_rank(known(2, 0), range(1, 5), method=method, progress=lambda *now: seen.append(now))
    assert {stage for stage, _ in seen} == {"suggest rank"}
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(fractions) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": []}, "candidates=.* must be increasing whole numbers, at least one"),
        ({"candidates": [2, 2]}, "must be increasing whole numbers"),
        ({"candidates": [3, 1]}, "must be increasing whole numbers"),
        ({"candidates": [0, 1]}, "a candidate=0 must be a whole number of at least 1"),
        ({"candidates": [1.5]}, "a candidate=1.5 must be a whole number"),
        ({"candidates": 5}, "candidates=5 must be increasing whole numbers"),
        ({"method": "luck"}, "method 'luck' is unknown; use ard, held-out, agreement"),
        ({"detail": 0.0}, "detail=0.0 must be a number above 0"),
        ({"detail": "fine"}, "detail='fine' must be a number above 0"),
        ({"detail": np.nan}, "detail=nan must be"),
        ({"detail": None}, "detail=None must be"),
        ({"detail": [1]}, r"detail=\[1\] must be"),
        ({"method": ["ard"]}, r"method \['ard'\] is unknown"),
        ({"beta": 7}, "beta 7 is unknown"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"max_frames": 1}, "max_frames=1 must be"),
        ({"n_threads": 0}, "n_threads=0 must be"),
        ({"V": np.array([[1.0, -1.0]])}, "V.*must be finite and non-negative"),
        ({"V": np.array([[1.0, np.nan]])}, "V.*must be finite and non-negative"),
        ({"V": np.ones(3)}, "expected a non-empty matrix"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        suggest_rank(**{"V": np.ones((4, 5)), **arguments})
