"""Drums, bass and other: quality on a scene with known sources, and behaviour at the edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import audiosep
from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_builtin
from audiosep.errors import DictionaryError
from audiosep.methods._stems_bands import Bands
from audiosep.methods._stems_ensemble import _blocks, _split, estimate_masks
from audiosep.methods._stems_evidence import unpredicted, weigh_evidence
from audiosep.methods._stems_hits import find_onsets, fit_hits, hit_patches
from audiosep.methods._stems_width import centre_odds
from audiosep.methods.base import MethodSettings
from audiosep.methods.stems import model_stems
from audiosep.types import Audio, ignore_progress

ONE_THREAD = MethodSettings(n_threads=1)


def band(sr=22050, seconds=6.0, seed=0):
    """Kick and hi-hat over bass notes and a chord: {name: samples}."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(sr * seconds)) / sr
    drums, bass, other = (np.zeros_like(t) for _ in range(3))
    for beat in np.arange(0.1, seconds - 0.3, 0.5):
        s = np.maximum(t - beat, 0.0)
        # A kick: a tone that falls from about 210 to 50 Hz while it decays.
        phase = 2 * np.pi * (50 * s + 8 * (1 - np.exp(-20 * s)))
        drums += (s > 0) * 0.8 * np.exp(-14 * s) * np.sin(phase)
        s = np.maximum(t - beat - 0.25, 0.0)
        drums += (s > 0) * 0.2 * np.exp(-60 * s) * rng.standard_normal(len(t))
    for k, start in enumerate(np.arange(0.0, seconds, 1.5)):
        on = (t >= start) & (t < start + 1.4)
        bass += on * 0.3 * np.sin(2 * np.pi * (55.0, 73.4, 82.4)[k % 3] * t)
    for f in (440.0, 554.4, 659.3, 880.0):
        other += 0.08 * np.sin(2 * np.pi * f * t + f)
    return {"drums": drums, "bass": bass, "other": other}


def si_sdr(reference, estimate):
    part = (estimate @ reference) / (reference @ reference) * reference
    return 10 * np.log10((part @ part) / ((estimate - part) @ (estimate - part)))


def spectrogram(samples, sr):
    samples = np.atleast_2d(np.asarray(samples, dtype=np.float32))
    return audiosep.stft(Audio(samples=samples, sr=sr), n_threads=1)


@pytest.mark.parametrize("sr", [16000, 22050, 44100])
def test_every_stem_is_far_closer_to_its_source_than_the_mixture(sr):
    sources = band(sr)
    mixture = sum(sources.values())
    result = audiosep.Separator(preset="stems", n_threads=1).separate(
        mixture.astype(np.float32), sr
    )
    assert list(result.stems) == ["drums", "bass", "other"]
    for name, source in sources.items():
        gain = si_sdr(source, result.stems[name].samples[0].astype(float)) - si_sdr(source, mixture)
        floor = {"drums": 10.5, "bass": 9.3, "other": 30.0}[name]
        assert gain > floor, f"{name} at {sr} Hz: {gain:.1f} dB"


def masks_of(samples, sr, settings=ONE_THREAD):
    return model_stems(spectrogram(samples, sr), settings).values


@pytest.mark.parametrize("sr", [8000, 44100, 192000])
@pytest.mark.parametrize("n_samples", [1, 100, 5000])
def test_short_recordings_give_finite_masks_that_sum_to_one(sr, n_samples):
    samples = np.random.default_rng(0).standard_normal((2, n_samples))
    masks = masks_of(samples, sr)
    assert np.isfinite(masks).all()
    assert masks.min() >= 0.0
    np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)


def test_silence_gives_finite_masks_that_sum_to_one():
    masks = masks_of(np.zeros(20000), 22050)
    np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)


def test_silence_inside_a_recording():
    samples = np.concatenate([np.zeros(15000), sum(band(seconds=1.5).values()), np.zeros(15000)])
    masks = masks_of(samples, 22050)
    assert np.isfinite(masks).all()
    np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)


def test_long_recordings_are_cut_into_blocks_that_fade():
    samples = sum(band(8000, seconds=30.0).values())
    masks = masks_of(samples, 8000)
    assert np.isfinite(masks).all()
    np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**20])
def test_the_level_does_not_matter(scale):
    mixture = sum(band(8000, 3.0).values())
    np.testing.assert_allclose(
        masks_of(mixture, 8000), masks_of(mixture * scale, 8000), rtol=0, atol=2e-3
    )


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads():
    mixture = sum(band(8000, 3.0).values())
    first = masks_of(mixture, 8000, MethodSettings(seed=3, n_threads=1))
    again = masks_of(mixture, 8000, MethodSettings(seed=3, n_threads=2))
    other = masks_of(mixture, 8000, MethodSettings(seed=4, n_threads=1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "settings", [{"beta": 2.0}, {"n_components": 9}, {"max_iter": 1}, {"n_components": 3}]
)
def test_settings_act(settings):
    mixture = sum(band(8000, 3.0).values())
    changed = masks_of(mixture, 8000, MethodSettings(n_threads=1, **settings))
    assert np.isfinite(changed).all()
    assert not np.array_equal(changed, masks_of(mixture, 8000))


def test_channels_share_one_mask_and_their_order_does_not_matter():
    left, right = band(8000, 2.0)["drums"], band(8000, 2.0)["other"]
    masks = masks_of(np.stack([left, right]), 8000)
    assert masks.shape[:2] == (3, 1)
    np.testing.assert_allclose(masks, masks_of(np.stack([right, left]), 8000), atol=2e-3)


def test_it_says_what_it_decided_and_reports_progress():
    mixture = sum(band(8000, 3.0).values())
    seen = []
    model = model_stems(
        spectrogram(mixture, 8000), ONE_THREAD, lambda stage, part: seen.append((stage, part))
    )
    assert model.names == ("drums", "bass", "other")
    assert model.notes[0].startswith("Below 200 Hz")
    assert seen[0] == ("separate", 0.0)
    assert seen[-1] == ("separate", 1.0)
    assert [part for _, part in seen] == sorted(part for _, part in seen)


# --- the parts -----------------------------------------------------------------------------------


def test_without_phases_a_kick_is_what_rises_and_a_pad_what_stays():
    """A kick is narrow here: the median along frequency alone would hear a tone."""
    V = np.full((200, 400), 1e-3, np.float32)
    V[4:7, ::25] = V[4:7, 1::25] = V[4:7, 2::25] = 1.0
    hz = np.arange(200) * 10.77
    kick = weigh_evidence(V, hz, 0.0232)
    assert kick.kick_trust > 0.9
    assert kick.shares[0, 5, 100] > 0.9
    V[4:7] = 1.0
    pad = weigh_evidence(V, hz, 0.0232)
    assert pad.kick_trust < 0.1
    assert pad.shares[1, 5, 100] > 0.9


def evidence_of(samples, sr=22050):
    values = spectrogram(samples, sr)
    bands = Bands.of(values.n_bins, values.bin_hz)
    V = bands.pool(values.magnitude()) / bands.widths.astype(np.float32)[:, np.newaxis]
    return values, weigh_evidence(V, bands.centres_hz, values.frame_s, unpredicted(values))


def energy_share(values, share, below_hz=200.0):
    n_low = round(below_hz / values.bin_hz)
    energy = (np.abs(values.values[:, :n_low]) ** 2).sum(axis=0)
    return float((energy * share[:n_low]).sum() / energy.sum())


def test_kicks_are_drums_and_repeated_bass_notes_are_not():
    """Both rise and fall again and again below 200 Hz; only the tones are predictable."""
    sr, t = 22050, np.arange(6 * 22050) / 22050
    notes = sum(
        ((t >= at) & (t < at + 0.4)) * np.sin(2 * np.pi * hz * t)
        for at, hz in zip(np.arange(0.1, 5.5, 0.5), [55.0, 65.4, 82.4, 98.0] * 3, strict=False)
    )
    for samples, low, high in ((band(sr)["drums"], 0.9, 1.0), (notes, 0.0, 0.4)):
        values, evidence = evidence_of(samples, sr)
        assert low <= energy_share(values, evidence.shares[0]) <= high


def test_tones_are_predicted_and_strokes_are_not():
    sr, t = 16000, np.arange(3 * 16000) / 16000
    for hz in (60.0, 101.3, 180.0):
        tone = spectrogram(np.sin(2 * np.pi * hz * t), sr)
        assert energy_share(tone, unpredicted(tone)) < 0.1
    kicks = spectrogram(np.sin(2 * np.pi * 60 * t) * (t % 0.5 < 0.03), sr)
    assert energy_share(kicks, unpredicted(kicks)) > 0.5
    noise = spectrogram(np.random.default_rng(0).standard_normal(len(t)), sr)
    assert energy_share(noise, unpredicted(noise)) > 0.4


@pytest.mark.parametrize("n_samples", [1, 700, 9000])
def test_silence_is_neither_predicted_nor_not(n_samples):
    values = spectrogram(np.zeros((2, n_samples)), 16000)
    np.testing.assert_array_equal(unpredicted(values), np.float32(0.5))


def test_a_swelling_pad_without_drums_is_not_a_kick():
    t = np.arange(6 * 22050) / 22050
    pad = (0.6 + 0.4 * np.sin(2 * np.pi * 2.0 * t)) * np.sin(2 * np.pi * 65.4 * t)
    values, evidence = evidence_of(pad)
    assert evidence.kick_trust < 0.1
    assert energy_share(values, evidence.shares[0]) < 0.1


# --- the place among the channels ----------------------------------------------------------------


def places(gains, sr=8000, seconds=3.0):
    """The band with each source at its gains: (channels, samples)."""
    return sum(np.outer(gains[name], source) for name, source in band(sr, seconds).items())


def odds_of(samples, sr=8000):
    values = spectrogram(samples, sr)
    bands = Bands.of(values.n_bins, values.bin_hz)
    return bands, centre_odds(values, bands)


@pytest.mark.parametrize("middle", [(1.0, 1.0), (1.0, -1.0), (1.0, 0.0), (0.3, 1.0, 0.5)])
def test_what_stands_where_the_low_band_stands_stays_drums_or_bass(middle):
    away = np.roll(middle, 1) * np.array([-1.0, 1.0, 1.0][: len(middle)])
    bands, odds = odds_of(places({"drums": middle, "bass": middle, "other": away}))
    at_440, at_55 = (np.abs(bands.centres_hz - hz).argmin() for hz in (440.0, 55.0))
    assert odds[at_440].mean() < 0.3
    assert odds[at_55].mean() > 0.9
    assert odds.min() > 0.0
    assert odds.max() <= 1.0


def test_all_in_the_middle_decides_nothing():
    _, odds = odds_of(places(dict.fromkeys(("drums", "bass", "other"), (1.0, 0.7))))
    np.testing.assert_allclose(odds, 1.0, atol=1e-3)


@pytest.mark.parametrize("samples", [np.zeros((2, 9000)), np.ones((1, 9000))])
def test_silence_and_one_channel_have_no_odds(samples):
    assert odds_of(samples)[1] is None


def test_without_a_middle_next_to_nothing_is_decided():
    _, odds = odds_of(np.random.default_rng(0).standard_normal((2, 24000)))
    assert odds is None or odds.min() > 0.6


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e28])
def test_the_level_does_not_matter_to_places_and_phases(scale):
    samples = places({"drums": (1, 1), "bass": (1, 1), "other": (1, 0.2)}, seconds=1.5)
    _, odds = odds_of(samples)
    _, scaled = odds_of(samples * scale)
    np.testing.assert_allclose(scaled, odds, atol=1e-4)
    first, second = (spectrogram(samples * k, 8000) for k in (1.0, scale))
    np.testing.assert_allclose(unpredicted(second), unpredicted(first), atol=1e-3)


def test_a_low_note_away_from_the_middle_is_not_bass():
    """Below 250 Hz only its place can tell it from a bass."""
    sr, sources = 16000, band(16000, 4.0)
    sources["other"] = sources["other"] + 0.2 * np.sin(
        2 * np.pi * 185.0 * np.arange(len(sources["other"])) / sr
    )

    def bass_gain(pan):
        gains = {"drums": (1.0, 1.0), "bass": (1.0, 1.0), "other": pan}
        stereo = {name: np.outer(gains[name], source) for name, source in sources.items()}
        mixture = sum(stereo.values())
        stems = audiosep.separate(mixture, sr, preset="stems", n_threads=1).stems
        truth = stereo["bass"].ravel()
        estimate = stems["bass"].samples.ravel().astype(float)
        return si_sdr(truth, estimate) - si_sdr(truth, mixture.ravel())

    assert bass_gain((1.2, -0.7)) > bass_gain((1.0, 1.0)) + 3.0


# --- in a chain ----------------------------------------------------------------------------------


@pytest.mark.parametrize("left_over", [0.0, 1e-6])
def test_a_spectrogram_from_which_a_voice_was_taken(left_over):
    """Bins may be zero, or all but zero, as after ``values * (1 - voice mask)``."""
    values = spectrogram(places({"drums": (1, 1), "bass": (1, 1), "other": (1, 0.5)}), 8000)
    keep = np.random.default_rng(0).random((values.n_bins, values.n_frames)).astype(np.float32)
    keep[keep < 0.3] = left_over
    keep[:, 20:40] = left_over
    estimate = estimate_masks(
        replace(values, values=values.values * keep), ONE_THREAD, ignore_progress
    )
    assert np.isfinite(estimate.masks).all()
    assert estimate.masks.min() >= 0.0
    np.testing.assert_allclose(estimate.masks.sum(axis=0), 1.0, atol=1e-5)


# --- the dictionary ------------------------------------------------------------------------------


def test_another_dictionary_acts_and_must_know_all_three():
    mixture = sum(band(8000, 2.0).values())
    known = load_builtin("band")
    mirrored = replace(known, templates=known.templates[:, ::-1].copy())
    changed = masks_of(mixture, 8000, MethodSettings(n_threads=1, dictionary=mirrored))
    assert not np.array_equal(changed, masks_of(mixture, 8000))
    no_bass = Dictionary(
        templates=known.templates[:, :2],
        frequencies_hz=known.frequencies_hz,
        labels=("drums", "other"),
        provenance="part of the built-in one",
    )
    with pytest.raises(DictionaryError, match="does not fit: it has no templates labelled bass,"):
        masks_of(mixture, 8000, MethodSettings(n_threads=1, dictionary=no_bass))
    with pytest.raises(DictionaryError, match="labelled drums or bass or other, as the built-in"):
        masks_of(mixture, 8000, MethodSettings(n_threads=1, dictionary=load_builtin("drums")))


# --- bands, blocks, hits -------------------------------------------------------------------------


def test_bands_cover_every_bin_once_and_expand_back():
    bands = Bands.of(2049, 44100 / 4096)
    assert bands.widths.sum() == 2049
    assert bands.widths.min() == 1
    assert len(bands.starts) < 350
    V = np.random.default_rng(0).random((2049, 5)).astype(np.float32)
    pooled = bands.pool(V)
    np.testing.assert_allclose(pooled.sum(axis=0), V.sum(axis=0), rtol=1e-5)
    full = bands.frames(pooled[np.newaxis], 0, 5).swapaxes(2, 3)
    assert full.shape == (1, 1, 2049, 5)
    for band_index in (0, 100, len(bands.starts) - 1):
        first = bands.starts[band_index]
        np.testing.assert_array_equal(full[0, 0, first], pooled[band_index])
    np.testing.assert_array_equal(full[0, 0, -1], pooled[-1])
    lazy = bands.expand_lazily(pooled[np.newaxis])
    assert lazy.shape == full.shape
    np.testing.assert_array_equal(lazy.frames(1, 4).swapaxes(2, 3), full[..., 1:4])


@pytest.mark.parametrize("n_bins", [1, 2, 9])
def test_bands_of_very_few_bins(n_bins):
    bands = Bands.of(n_bins, 5000.0)
    assert bands.widths.sum() == n_bins


@pytest.mark.parametrize("n_frames", [1, 500, 950, 2000, 7752])
def test_blocks_cover_everything_and_overlap(n_frames):
    blocks = _blocks(n_frames, 1024 / 44100)
    assert blocks[0][0] == 0
    assert blocks[-1][1] == n_frames
    assert all(b[0] < a[1] for a, b in pairwise(blocks))


def test_components_are_shared_out_in_proportion():
    assert _split(48, (15, 8, 25)) == (15, 8, 25)
    assert _split(1, (15, 8, 25)) == (1, 1, 1)


def clicks(n_frames=200, every=20):
    drums = np.full((60, n_frames), 1e-4, np.float32)
    for start in range(10, n_frames - 5, every):
        drums[:, start : start + 5] += np.float32(0.5) ** np.arange(5, dtype=np.float32)
    return drums


def test_onsets_are_where_the_hits_start():
    np.testing.assert_array_equal(find_onsets(clicks(), 0.023), np.arange(10, 195, 20))


@pytest.mark.parametrize("drums", [np.zeros((8, 50), np.float32), np.ones((8, 1), np.float32)])
def test_no_onsets_in_nothing(drums):
    assert len(find_onsets(drums, 0.023)) == 0
    assert hit_patches(drums, np.arange(8) * 100.0, 0.023, np.random.default_rng(0)) is None


def test_identical_hits_make_one_template_of_unit_energy():
    templates, activations = hit_patches(
        clicks(), np.arange(60) * 100.0, 0.023, np.random.default_rng(0)
    )
    assert templates.shape == (1, 60, 10)
    assert np.sqrt((templates**2).sum()) == pytest.approx(1.0, rel=1e-3)
    assert (activations.argmax(axis=1) + 1) % 20 == 10


def test_fitting_hits_lowers_the_divergence():
    rng = np.random.default_rng(0)
    V = clicks() + np.outer(rng.random(60), np.ones(200)).astype(np.float32)
    hits = hit_patches(clicks(), np.arange(60) * 100.0, 0.023, rng)
    W, H = rng.random((60, 2)).astype(np.float32), rng.random((2, 200)).astype(np.float32)

    def divergence(n_iter):
        fit = fit_hits(V, hits, W, H, n_iter)
        model = fit.drums + fit.templates @ fit.activations + 1e-9
        return float((V * np.log(V / model) - V + model).sum())

    values = [divergence(n) for n in (0, 1, 2, 5, 20)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2 * values[0]


def test_a_long_recording_is_the_same_with_any_number_of_threads():
    mixture = np.concatenate([sum(band(8000, 13.0).values())] * 2)
    results = [
        audiosep.separate(mixture, 8000, preset="stems", max_iter=3, n_threads=n) for n in (1, 2, 3)
    ]
    first = results[0]
    assert len(first.record["losses"]) == 4
    for other in results[1:]:
        for name, stem in first.stems.items():
            assert stem.samples.tobytes() == other.stems[name].samples.tobytes()
        assert first.record["losses"] == other.record["losses"]


def test_losses_are_absolute_and_louder_parts_count_more():
    loud = sum(band(8000, 25.0).values()).astype(np.float32)
    settings = {"preset": "stems", "max_iter": 3}

    def losses(samples):
        return np.array(audiosep.separate(samples, 8000, **settings).record["losses"])

    alone = losses(loud)
    assert (np.diff(alone) <= 1e-5 * alone[:-1]).all()
    np.testing.assert_allclose(losses(2 * loud), 2 * alone, rtol=1e-4)
    both = losses(np.concatenate([loud, loud * np.float32(1e-3)]))
    np.testing.assert_allclose(both, alone, rtol=0.2)
