"""Scores of estimates: exact on signals whose answer is known, refusals that say why."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import fields

import numpy as np
import pytest
import scenes
from hypothesis import given, settings
from hypothesis import strategies as st

import audiosep
from audiosep.errors import ParameterError, UsageError
from audiosep.evaluation import MEASURES, Evaluation, evaluate, sdr, si_sdr
from audiosep.ratios import LIMIT_DB, oracle_si_sdr, ratios_of
from audiosep.transform import istft, stft
from audiosep.types import Audio

SR = 8000


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape or (SR,))


def orthogonal(n, length=SR):
    """Rows of one length that have nothing in common."""
    q, _ = np.linalg.qr(noise(0, length, n))
    return q.T


# --- the two functions -----------------------------------------------------------------------


@pytest.mark.parametrize("ratio_db", [-20.0, 0.0, 15.0, 60.0, 140.0])
def test_si_sdr_is_the_ratio_of_wanted_to_rest(ratio_db):
    wanted, rest = orthogonal(2)
    estimate = wanted + 10 ** (-ratio_db / 20) * rest
    assert si_sdr(wanted, estimate) == pytest.approx(ratio_db, abs=1e-6)
    assert sdr(wanted, estimate) == pytest.approx(ratio_db, abs=1e-6)


@pytest.mark.parametrize("gain", [1e-12, 0.5, 7.0, 1e12])
def test_a_gain_is_nothing_to_si_sdr_and_much_to_sdr(gain):
    wanted, rest = orthogonal(2)
    estimate = gain * (wanted + 0.1 * rest)
    assert si_sdr(wanted, estimate) == pytest.approx(20.0, abs=1e-6)
    assert si_sdr(gain * wanted, estimate) == pytest.approx(20.0, abs=1e-6)
    own = 10 * math.log10(1 / ((gain - 1) ** 2 + (0.1 * gain) ** 2))
    assert sdr(wanted, estimate) == pytest.approx(own, abs=1e-6)


def test_the_wrong_sign_is_heard_by_sdr_alone():
    wanted, rest = orthogonal(2)
    assert si_sdr(wanted, -(wanted + 0.1 * rest)) == pytest.approx(20.0, abs=1e-6)
    assert sdr(wanted, -wanted) == pytest.approx(-6.02, abs=0.01)


def test_channels_count_together():
    wanted, rest = noise(1, 2, SR), noise(2, 2, SR)
    joined = si_sdr(wanted.ravel(), (wanted + rest).ravel())
    assert si_sdr(wanted, wanted + rest) == pytest.approx(joined)
    swapped = wanted[::-1]
    assert si_sdr(wanted, swapped) < 0.0


def test_the_ends_of_the_scale():
    wanted = noise(1)
    assert si_sdr(wanted, wanted) == sdr(wanted, wanted) == LIMIT_DB
    assert si_sdr(wanted, 0 * wanted) == -LIMIT_DB
    assert sdr(wanted, 0 * wanted) == pytest.approx(0.0)
    assert si_sdr(0 * wanted, wanted) is None
    assert sdr(0 * wanted, wanted) is None


def test_whole_numbers_are_samples_too():
    wanted = np.arange(-50, 50)
    assert si_sdr(wanted, 2 * wanted) == LIMIT_DB
    assert si_sdr(wanted.tolist(), wanted.tolist()) == LIMIT_DB


@pytest.mark.parametrize("function", [si_sdr, sdr])
@pytest.mark.parametrize(
    ("reference", "estimate", "words"),
    [
        ([1.0, 2.0], [1.0], "shape"),
        ([1.0, math.nan], [1.0, 1.0], "reference holds samples that are NaN"),
        ([1.0, 1.0], [math.inf, 1.0], "estimate holds samples that are NaN"),
        ([], [], "real numbers"),
        (np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), "real numbers"),
        ([1j, 1.0], [1.0, 1.0], "real numbers"),
        (["a"], [1.0], "real numbers"),
        (3.0, 3.0, "real numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused(function, reference, estimate, words):
    with pytest.raises(ParameterError, match=words):
        function(reference, estimate)


def test_blocks_change_nothing(monkeypatch):
    import audiosep.ratios

    references, estimate = [noise(i, 2, 1000) for i in range(3)], noise(9, 2, 1000)
    whole = ratios_of(references, 1, estimate)
    monkeypatch.setattr(audiosep.ratios, "_BLOCK_SAMPLES", 77)
    parts = ratios_of(references, 1, estimate)
    for field in fields(whole):
        assert getattr(parts, field.name) == pytest.approx(getattr(whole, field.name), abs=1e-9)


# --- interference and artefacts --------------------------------------------------------------


def test_interference_and_artefacts_are_told_apart():
    own, other, new = orthogonal(3)
    measured = ratios_of([own[None], other[None]], 0, (own + 0.1 * other + 0.01 * new)[None])
    assert measured.si_sir_db == pytest.approx(20.0, abs=1e-6)
    assert measured.si_sar_db == pytest.approx(40.0, abs=1e-6)
    assert measured.si_sdr_db == pytest.approx(-10 * math.log10(0.01 + 0.0001), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 4),
    st.floats(-60, 60),
    st.floats(1e-6, 1e6),
)
def test_errors_add_up(seed, n, other_db, level):
    """Le Roux et al. (2019): interference and artefacts are orthogonal, and all of the error."""
    references = [noise(seed + i, 1, 500) for i in range(n)]
    references[-1] *= 10 ** (other_db / 20)
    estimate = level * (references[0] + 0.3 * references[-1] + 0.1 * noise(seed + n, 1, 500))
    measured = ratios_of(references, 0, estimate)
    powers = [10 ** (-value / 10) for value in (measured.si_sir_db, measured.si_sar_db)]
    assert 10 ** (-measured.si_sdr_db / 10) == pytest.approx(sum(powers), rel=1e-6)


def test_the_projection_is_the_least_squares_one():
    references = [noise(i, 1, 300) for i in range(3)]
    references[1] += 0.5 * references[0]  # not orthogonal
    estimate = references[0] + 0.2 * references[1] + 0.1 * noise(7, 1, 300)
    A = np.concatenate(references).T
    within = A @ np.linalg.lstsq(A, estimate[0], rcond=None)[0]
    own = references[0][0]
    target = (estimate[0] @ own) / (own @ own) * own
    measured = ratios_of(references, 0, estimate)

    def db(x, y):
        return 10 * np.log10((x @ x) / (y @ y))

    assert measured.si_sir_db == pytest.approx(db(target, within - target))
    assert measured.si_sar_db == pytest.approx(db(target, estimate[0] - within))


def test_a_reference_that_is_silent_or_there_twice_does_not_upset_the_others():
    own, other, new = (row[None] for row in orthogonal(3))
    estimate = own + 0.1 * other + 0.01 * new
    plain = ratios_of([own, other], 0, estimate)
    for references in ([own, other, 0 * own], [own, other, 3 * other], [own, other, 1e-9 * other]):
        assert ratios_of(references, 0, estimate).si_sir_db == pytest.approx(plain.si_sir_db)
        assert ratios_of(references, 0, estimate).si_sar_db == pytest.approx(plain.si_sar_db)


def test_a_quiet_reference_interferes_too():
    own, other = (row[None] for row in orthogonal(2))
    measured = ratios_of([own, 1e-5 * other], 0, own + 0.1 * other)
    assert measured.si_sir_db == pytest.approx(20.0, abs=1e-6)
    assert measured.si_sar_db > 100.0


# --- evaluate --------------------------------------------------------------------------------


def band():
    stems = {name: samples[None] for name, samples in scenes.band(sr=SR, duration=2.0).items()}
    return stems, sum(stems.values())


def test_every_stem_gets_its_scores():
    stems, mixture = band()
    estimates = {name: s + 0.1 * mixture for name, s in stems.items()}
    scores = evaluate(stems, estimates, sr=SR, mixture=mixture)
    assert [stem.name for stem in scores.stems] == list(stems)
    for stem in scores.stems:
        assert stem.si_sdr_db == pytest.approx(si_sdr(stems[stem.name], estimates[stem.name]))
        assert stem.sdr_db == pytest.approx(sdr(stems[stem.name], estimates[stem.name]))
        undone = si_sdr(stems[stem.name], mixture)
        assert stem.improvement_db == pytest.approx(stem.si_sdr_db - undone, abs=1e-6)
        assert stem.oracle_db > undone + 3.0
        assert not stem.reference_is_silent
        assert stem.bsseval is None
    assert scores.mean("si_sdr_db") == pytest.approx(np.mean([s.si_sdr_db for s in scores.stems]))


def test_doing_nothing_improves_nothing():
    stems, mixture = band()
    scores = evaluate(stems, dict.fromkeys(stems, mixture), sr=SR, mixture=mixture)
    for stem in scores.stems:
        assert stem.improvement_db == pytest.approx(0.0, abs=1e-9)
        assert stem.si_sar_db > 100.0  # the mixture holds nothing but sources


def test_stems_of_a_separation_can_be_given_as_they_are():
    stems, mixture = band()
    result = audiosep.separate(mixture, SR, preset="harmonic-percussive", n_threads=1)
    references = {"percussive": stems["drums"], "harmonic": stems["bass"] + stems["chords"]}
    scores = evaluate(references, result.stems, sr=SR, mixture=result.mixture)
    assert scores.mean("improvement_db") > 2.0
    assert scores.mean("si_sdr_db") < scores.mean("oracle_db")


def test_references_without_an_estimate_interfere_all_the_same():
    own, other = (row[None] for row in orthogonal(2))
    estimate = {"own": own + 0.1 * other}
    both = evaluate({"own": own, "other": other}, estimate, sr=SR)
    assert [stem.name for stem in both.stems] == ["own"]
    assert both.stems[0].si_sir_db == pytest.approx(20.0, abs=1e-4)
    alone = evaluate({"own": own}, estimate, sr=SR).stems[0]
    assert (alone.si_sir_db, alone.si_sar_db) == (None, None)
    assert alone.si_sdr_db == pytest.approx(20.0, abs=1e-4)


def test_what_the_references_leave_of_the_mixture_is_one_more_source():
    stems, mixture = band()
    estimate = {"drums": stems["drums"] + 0.1 * stems["bass"] + 0.05 * stems["chords"]}
    whole = evaluate(stems, estimate, sr=SR, mixture=mixture)
    alone = evaluate({"drums": stems["drums"]}, estimate, sr=SR, mixture=mixture)
    assert whole.rest_db is None
    rest = stems["bass"] + stems["chords"]
    assert alone.rest_db == pytest.approx(10 * np.log10(np.sum(rest**2) / np.sum(mixture**2)), 1e-4)
    all_of_it, own = whole.stems[0], alone.stems[0]
    assert own.oracle_db == pytest.approx(all_of_it.oracle_db, abs=2.0)
    assert own.si_sir_db == pytest.approx(all_of_it.si_sir_db, abs=2.0)
    assert own.improvement_db == all_of_it.improvement_db
    done = audiosep.separate(mixture, SR, preset="stems", n_threads=1).stems["drums"]
    score = evaluate({"drums": stems["drums"]}, {"drums": done}, sr=SR, mixture=mixture).stems[0]
    assert score.oracle_db > score.si_sdr_db


@pytest.mark.parametrize("gain", [1e-6, 0.25, 3.0])
def test_a_mixture_at_another_level_has_no_further_source(gain):
    stems, mixture = band()
    scores = evaluate(stems, stems, sr=SR, mixture=gain * mixture)
    plain = evaluate(stems, stems, sr=SR, mixture=mixture)
    assert scores.rest_db is None
    for stem, like in zip(scores.stems, plain.stems, strict=True):
        assert stem.oracle_db == pytest.approx(like.oracle_db, abs=1e-3)


@pytest.mark.parametrize(("rest_db", "counts"), [(-45.0, False), (-35.0, True)])
def test_little_is_no_further_source(rest_db, counts):
    own, rest = orthogonal(2)
    mixture = own + 10 ** (rest_db / 20) * rest
    scores = evaluate({"own": own}, {"own": mixture}, sr=SR, mixture=mixture)
    assert (scores.rest_db is not None) == counts
    assert (scores.stems[0].si_sir_db is not None) == counts


def test_silent_references_of_a_mixture_that_sounds():
    silence = {"a": np.zeros(SR), "b": np.zeros(SR)}
    scores = evaluate(silence, silence, sr=SR, mixture=noise(0))
    assert scores.rest_db == pytest.approx(0.0)
    assert all(stem.reference_is_silent for stem in scores.stems)


def test_a_silent_reference_has_no_ratio_but_the_estimate_a_level():
    tone = 0.5 * np.sin(np.arange(SR))
    for silence in (0 * tone, 1e-5 * noise(0)):
        scores = evaluate(
            {"tone": tone, "silence": silence},
            {"tone": tone, "silence": 0.1 * np.ones(SR)},
            sr=SR,
            mixture=tone,
        )
        silent = scores.stems[1]
        assert silent.reference_is_silent
        assert silent.si_sdr_db is silent.improvement_db is silent.oracle_db is None
        assert silent.level_dbfs == pytest.approx(-20.0, abs=1e-4)
        assert scores.mean("si_sdr_db") == scores.stems[0].si_sdr_db == LIMIT_DB


def test_all_silent():
    scores = evaluate({"a": np.zeros(9)}, {"a": np.zeros(9)}, sr=SR, mixture=np.zeros(9))
    assert scores.stems[0].reference_is_silent
    assert scores.stems[0].level_dbfs is None
    assert all(scores.mean(measure) is None for measure in MEASURES)


@pytest.mark.parametrize("level", [1e-12, 1e12])
@pytest.mark.parametrize("n_samples", [1, 50, SR])
def test_any_level_and_length(level, n_samples):
    a, b = level * noise(0, 2, n_samples), level * noise(1, 2, n_samples)
    scores = evaluate({"a": a, "b": b}, {"a": a + 0.1 * b, "b": b}, sr=SR, mixture=a + b)
    for stem, measure in itertools.product(scores.stems, ("si_sdr_db", "sdr_db", "oracle_db")):
        assert -LIMIT_DB <= getattr(stem, measure) <= LIMIT_DB
    assert scores.stems[0].si_sdr_db > 5.0


def test_the_oracle_is_the_ratio_mask_of_the_whole_transform(monkeypatch):
    stems, _ = band()
    import audiosep.ratios

    monkeypatch.setattr(audiosep.ratios, "_BLOCK_FRAMES", 7)
    rows = [np.repeat(s, 2, axis=0) * [[1.0], [0.5]] for s in stems.values()]
    rows = [row.astype(np.float32) for row in rows]
    mixed = sum(rows)
    magnitudes = [np.abs(stft(Audio(samples=row, sr=SR)).values) for row in rows]
    measured = oracle_si_sdr(mixed, rows, SR)
    for row, magnitude, value in zip(rows, magnitudes, measured, strict=True):
        mask = magnitude / np.maximum(sum(magnitudes), 1e-30)
        masked = istft(stft(Audio(samples=mixed, sr=SR)), mask=mask).samples
        assert value == pytest.approx(si_sdr(row, masked), abs=1e-3)


def test_where_nothing_sounds_every_source_has_the_same_share():
    silence = np.zeros((1, 24_000), np.float32)
    own, mixture = silence.copy(), noise(0, 1, 24_000).astype(np.float32)
    own[:, 12_000:] = mixture[:, 12_000:]
    halved = mixture.copy()
    halved[:, :12_000] *= 0.5
    measured = oracle_si_sdr(mixture, [own, silence], SR)
    # A window that begins to hear the source gives it all: a little more than half remains.
    assert measured[0] == pytest.approx(si_sdr(own, halved), abs=1.0)
    assert measured[1] is None


def test_the_oracle_of_a_single_source_is_the_mixture_itself():
    only = noise(0, 2, 3000).astype(np.float32)
    assert 100.0 < oracle_si_sdr(only, [only], SR)[0] <= 150.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"estimates": {"x": np.ones(9)}}, "no name is both among the references .a. and the"),
        ({"estimates": {}}, "estimates .none."),
        ({"estimates": {"a": np.ones(8)}}, "8 samples"),
        ({"estimates": {"a": np.ones((2, 9))}}, "2 channel"),
        ({"mixture": np.ones(8)}, "mixture is 8000 Hz, 1 channel.s., 8 samples"),
        ({"mixture": Audio(samples=np.ones((1, 9), np.float32), sr=99999)}, "99999 Hz"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    given = {"references": {"a": np.ones(9)}, "estimates": {"a": np.ones(9)}, "sr": SR} | change
    with pytest.raises(ParameterError, match=words):
        evaluate(given.pop("references"), given.pop("estimates"), **given)


def test_arrays_need_a_rate():
    with pytest.raises(UsageError, match="give sr"):
        evaluate({"a": np.ones(9)}, {"a": np.ones(9)})


def test_samples_that_are_no_number_are_refused():
    with pytest.raises(audiosep.AudiosepError, match="nan"):
        evaluate({"a": np.full(9, math.nan)}, {"a": np.ones(9)}, sr=SR)


def test_an_unknown_measure_is_refused():
    with pytest.raises(ParameterError, match="si_sdr_db, sdr_db"):
        Evaluation(stems=()).mean("sdr")


def test_nothing_given_is_changed():
    stems, mixture = band()
    copies = {name: samples.copy() for name, samples in stems.items()}
    evaluate(stems, stems, sr=SR, mixture=mixture)
    for name, samples in stems.items():
        np.testing.assert_array_equal(samples, copies[name])


# --- BSSEval ---------------------------------------------------------------------------------


def test_bsseval_is_that_of_museval():
    from audiosep.bsseval import _museval

    stems = {name: band()[0][name][:, :6000] for name in ("bass", "drums")}
    stereo = {name: np.concatenate([s, 0.7 * s]) for name, s in stems.items()}
    leak = 0.1 * stems["bass"] + 0.2 * stems["drums"]
    estimates = {name: s + leak + 0.01 * noise(0, *s.shape) for name, s in stereo.items()}
    scores = evaluate(stereo, estimates, sr=3000, bsseval=True)
    sdrs, isrs, sirs, sars, _ = _museval()(
        np.array([s.T for s in stereo.values()]),
        np.array([s.T.astype(np.float32) for s in estimates.values()], dtype=np.float64),
        window=3000,
        hop=3000,
    )
    assert sdrs.shape == (2, 2)
    for row, stem in enumerate(scores.stems):
        measured = [getattr(stem.bsseval, f"{ratio}_db") for ratio in ("sdr", "isr", "sir", "sar")]
        expected = [np.median(values[row]) for values in (sdrs, isrs, sirs, sars)]
        np.testing.assert_allclose(measured, expected, rtol=1e-6)
    assert scores.mean("bsseval.sdr_db") == pytest.approx(np.median(sdrs, axis=1).mean(), rel=1e-6)


def test_bsseval_forgives_a_filter_and_hears_interference():
    stems = {name: band()[0][name] for name in ("bass", "chords")}
    delayed = {name: np.roll(samples, 20, axis=1) for name, samples in stems.items()}
    stem = evaluate(stems, delayed, sr=SR, bsseval=True).stems[0]
    assert stem.si_sdr_db < 10.0
    assert stem.bsseval.sir_db > 30.0
    noisy = {name: s + 0.1 * stems["chords"] for name, s in stems.items()}
    worse = evaluate(stems, noisy, sr=SR, bsseval=True).stems[0]
    assert worse.bsseval.sir_db < stem.bsseval.sir_db - 3.0


def test_bsseval_passes_over_what_is_silent():
    stems = {name: band()[0][name] for name in ("bass", "drums")}
    references = {**stems, "nothing": 0 * stems["bass"]}
    estimates = {"bass": stems["bass"], "drums": 0 * stems["bass"], "nothing": stems["bass"]}
    scores = evaluate(references, estimates, sr=SR, bsseval=True)
    assert {stem.name: stem.bsseval is not None for stem in scores.stems} == {
        "bass": True,
        "drums": False,
        "nothing": False,
    }


def test_bsseval_of_silence_only():
    scores = evaluate({"a": np.ones(SR)}, {"a": np.zeros(SR)}, sr=SR, bsseval=True)
    assert scores.stems[0].bsseval is None


def test_without_museval_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "museval", None)
    with pytest.raises(UsageError, match=r"pip install 'audiosep\[evaluate\]'"):
        evaluate({"a": noise(0)}, {"a": noise(0)}, sr=SR, bsseval=True)
    assert evaluate({"a": noise(0)}, {"a": noise(0)}, sr=SR).stems[0].bsseval is None
