"""Separation by place: on scenes whose pans are known."""

import numpy as np
import pytest
from scenes import band, hits, notes

import audiosep
from audiosep.errors import InputError, ParameterError
from audiosep.methods import MethodSettings, _stereo_fit, _stereo_parts, stereo
from audiosep.methods._stereo_layout import MOST_PLACES
from audiosep.methods._stereo_names import describe_gains, place_names, sound_names
from audiosep.methods._stereo_timbre import sounds_per_place
from audiosep.types import ignore_progress

SR = 16000
BAND_DEG = {"bass": 20.0, "chords": 45.0, "drums": 75.0}
FLOOR_EACH_DB, FLOOR_MEAN_DB = 28.0, 30.5
FLOOR_SHARED_DB, FLOOR_MANY_DB = 28.0, 50.0
"""About 1 dB below what is measured."""


def panned(stems, degrees):
    """Images (sources, 2, samples) at angles from 0 (left) to 90 (right)."""
    angles = np.radians([degrees[name] for name in stems])
    gains = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (gains[:, :, None] * np.stack(list(stems.values()))[:, None]).astype(np.float32)


def improvements(images, stems):
    """SI-SDR improvement of each stem, in the order of the images."""
    mixture = images.sum(axis=0)
    return [
        audiosep.si_sdr(image, stem.samples) - audiosep.si_sdr(image, mixture)
        for image, stem in zip(images, stems, strict=True)
    ]


@pytest.fixture(scope="module")
def band_images():
    return panned(band(SR, 4.0), BAND_DEG)


@pytest.fixture(scope="module")
def band_separation(band_images):
    return audiosep.separate(band_images.sum(axis=0), SR, preset="stereo")


def test_places_are_found_named_and_told_apart(band_images, band_separation):
    assert list(band_separation.stems) == ["left", "centre", "right"]
    assert "3 places were found: left (pan -5" in band_separation.record["notes"][0]
    gains = improvements(band_images, band_separation.stems.values())
    assert min(gains) > FLOOR_EACH_DB
    assert np.mean(gains) > FLOOR_MEAN_DB


def test_beyond_the_best_mask(band_images, band_separation):
    mixture = audiosep.stft(audiosep.Audio(samples=band_images.sum(axis=0), sr=SR))
    parts = np.stack(
        [audiosep.stft(audiosep.Audio(samples=image, sr=SR)).magnitude() for image in band_images]
    )
    masks = parts / np.maximum(parts.sum(axis=0), 1e-12)
    ours = [
        audiosep.si_sdr(image, stem.samples)
        for image, stem in zip(band_images, band_separation.stems.values(), strict=True)
    ]
    best = [
        audiosep.si_sdr(image, audiosep.istft(mixture, mask=mask[None]).samples)
        for image, mask in zip(band_images, masks, strict=True)
    ]
    assert np.mean(ours) > np.mean(best)


def test_stems_sum_to_the_mixture(band_images, band_separation):
    total = sum(stem.samples for stem in band_separation.stems.values())
    mixture = band_images.sum(axis=0)
    assert np.abs(total - mixture).max() <= 1e-6 * np.abs(mixture).max()


def test_threads_do_not_change_a_byte(band_images):
    mixture = band_images[:, :, : 2 * SR].sum(axis=0)
    one, two = (
        audiosep.separate(mixture, SR, preset="stereo", n_sources=4, n_threads=n) for n in (1, 2)
    )
    assert list(one.stems) == list(two.stems)
    for name, stem in one.stems.items():
        assert stem.samples.tobytes() == two.stems[name].samples.tobytes()


@pytest.mark.parametrize("level", [1e-12, 1e12])
def test_level_does_not_matter(band_images, level):
    mixture = band_images[:, :, : 2 * SR].sum(axis=0)
    wanted = audiosep.separate(mixture, SR, preset="stereo", max_iter=4).stems
    given = audiosep.separate(
        (mixture * np.float32(level)).astype(np.float32), SR, preset="stereo", max_iter=4
    ).stems
    assert list(given) == list(wanted)
    for name, stem in given.items():
        assert audiosep.si_sdr(wanted[name].samples, stem.samples) > 40


def shared_place():
    """Low long notes and high short ones in the middle, bursts on the right."""
    low = notes(SR, 4.0, (98.0, 130.8, 110.0), 0.8, amplitudes=(1.0, 0.8, 0.6, 0.5, 0.4, 0.3))
    high = notes(SR, 4.0, (1046.5, 1318.5, 1174.7), 0.5, start=0.2, length=0.3, amplitudes=(1.0,))
    burst = hits(SR, 4.0, 0.5, start=0.1, decay=40.0)
    stems = {"low": 0.2 * low, "high": 0.2 * high, "burst": 0.2 * burst}
    return panned(stems, {"low": 45.0, "high": 45.0, "burst": 75.0})


def test_sounds_of_one_place_are_told_apart_by_timbre():
    images = shared_place()
    result = audiosep.separate(images.sum(axis=0), SR, preset="stereo", n_sources=3)
    assert list(result.stems) == ["centre-low", "centre-high", "right"]
    assert "divided by timbre" in result.record["notes"][-1]
    assert min(improvements(images, result.stems.values())) > FLOOR_SHARED_DB


def test_fewer_stems_than_places(band_images):
    result = audiosep.separate(band_images.sum(axis=0), SR, preset="stereo", n_sources=2)
    assert len(result.stems) == 2


def test_more_channels_and_a_dead_one():
    sources = np.stack(list(band(SR, 2.0).values()))
    gains = np.array(
        [[0.9, 0.1, 0.3, 0.0, 0.2], [0.2, 0.8, 0.1, 0.0, 0.5], [0.1, 0.2, 0.2, 0.0, -0.9]]
    )
    images = (gains[:, :, None] * sources[:, None]).astype(np.float32)
    result = audiosep.separate(images.sum(axis=0), SR, preset="stereo")
    assert list(result.stems) == ["place-1", "place-2", "place-3"]
    assert min(improvements(images, result.stems.values())) > FLOOR_MANY_DB
    for stem in result.stems.values():
        assert not stem.samples[3].any()


def test_an_inverted_channel_changes_only_names(band_images):
    mixture = band_images.sum(axis=0)
    turned = mixture * np.array([[1], [-1]], np.float32)
    wanted = audiosep.separate(mixture, SR, preset="stereo")
    given = audiosep.separate(turned, SR, preset="stereo")
    assert sorted(given.stems) == ["centre-inverted", "left-inverted", "right-inverted"]
    assert any("opposite in sign" in note for note in given.record["notes"])
    for name, stem in wanted.stems.items():
        back = given.stems[f"{name}-inverted"].samples * np.array([[1], [-1]], np.float32)
        assert audiosep.si_sdr(stem.samples, back) > 20


@pytest.mark.parametrize(
    "gains",
    [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.8, -0.3), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)],
    ids=str,
)
def test_no_difference_is_said(band_images, gains):
    mono = band_images[:, :, :SR].sum(axis=(0, 1))
    nearly = np.outer(gains, mono)
    nearly[-1] += 1e-3 * np.roll(mono, 40)  # -60 dB
    with pytest.raises(InputError, match="no stereo difference"):
        audiosep.separate(nearly.astype(np.float32), SR, preset="stereo")


def test_one_channel_is_said(band_images):
    with pytest.raises(InputError, match="one channel only"):
        audiosep.separate(band_images[0, :1, :SR], SR, preset="stereo")


def test_silence_gives_silent_stems():
    result = audiosep.separate(np.zeros((2, 4000), np.float32), SR, preset="stereo", n_sources=3)
    assert list(result.stems) == ["centre-low", "centre-mid", "centre-high"]
    assert not any(stem.samples.any() for stem in result.stems.values())
    assert "silent" in result.record["notes"][0]


HOSTILE = {
    "noise": lambda rng: rng.standard_normal((2, 6000)),
    "noise of many channels": lambda rng: rng.standard_normal((9, 3000)),
    "two impulses": lambda rng: np.eye(2, 3000),
    "few samples": lambda rng: rng.standard_normal((2, 5)),
    "offsets and a tone": lambda rng: np.stack([np.full(4000, 0.5), np.sin(np.arange(4000))]),
    "one loud sample": lambda rng: 1e-9 * rng.standard_normal((2, 4000)) + np.eye(2, 4000, 2000),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("sr", [8000, 96000])
def test_hostile_recordings(kind, sr):
    samples = HOSTILE[kind](np.random.default_rng(0)).astype(np.float32)
    result = audiosep.separate(samples, sr, preset="stereo", max_iter=2)
    total = sum(stem.samples for stem in result.stems.values())
    assert len(result.stems) >= 2
    assert np.abs(total - samples).max() <= 2e-6 * np.abs(samples).max()


@pytest.mark.filterwarnings("error")
def test_one_place_and_all_around():
    rng = np.random.default_rng(0)
    voice = notes(SR, 3.0, (440.0, 523.3, 392.0), 0.5)
    samples = 0.2 * np.stack([voice, voice]) + 0.01 * rng.standard_normal((2, voice.size))
    result = audiosep.separate(samples.astype(np.float32), SR, preset="stereo")
    assert list(result.stems) == ["centre", "around"]
    levels = [np.square(stem.samples).mean() for stem in result.stems.values()]
    assert levels[0] > 20 * levels[1]


def test_long_recordings_are_modelled_in_parts(band_images, monkeypatch):
    monkeypatch.setattr(_stereo_parts, "_CHUNK_S", 1.5)
    calls = []
    original = stereo.fit_places
    monkeypatch.setattr(
        stereo, "fit_places", lambda *args, **kw: calls.append(1) or original(*args, **kw)
    )
    seen = []
    result = audiosep.Separator(preset="stereo", n_sources=4).separate(
        band_images.sum(axis=0), SR, progress=lambda stage, part: seen.append((stage, part))
    )
    assert len(calls) == 3
    assert [part for stage, part in seen if stage == "factorize"][-1] == 1.0
    assert len(result.stems) == 4
    whole = [stem.samples for stem in result.stems.values()]
    assert np.abs(sum(whole) - band_images.sum(axis=0)).max() < 1e-5


def test_models_of_a_few_frames_are_those_of_all(band_images, monkeypatch):
    monkeypatch.setattr(_stereo_parts, "_CHUNK_S", 1.0)
    audio = audiosep.Audio(samples=band_images[:, :, : 2 * SR].sum(axis=0), sr=SR)
    models = stereo.model_stereo(audiosep.stft(audio), MethodSettings(max_iter=2), ignore_progress)
    whole = models.frames(0, models.shape[3])
    np.testing.assert_allclose(models.frames(20, 40), whole[:, :, 20:40], rtol=1e-5)
    assert whole.shape == (3, 1, models.shape[3], models.shape[2])


def test_too_many_sources_are_refused(band_images):
    spectrogram = audiosep.stft(audiosep.Audio(samples=band_images[:, :, :400].sum(0), sr=SR))
    with pytest.raises(ParameterError, match="cannot be told apart"):
        stereo.model_stereo(spectrogram, MethodSettings(n_sources=60), ignore_progress)
    with pytest.raises(ParameterError, match="use 1 to 64"):
        stereo.model_stereo(spectrogram, MethodSettings(n_sources=0), ignore_progress)
    with pytest.raises(ParameterError, match="are fewer than"):
        stereo.model_stereo(spectrogram, MethodSettings(n_components=1), ignore_progress)


# --- parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", [2, 3])
def test_statistics_are_their_definition(n_channels):
    rng = np.random.default_rng(n_channels)
    gains = rng.standard_normal((3, n_channels))
    gains /= np.linalg.norm(gains, axis=1, keepdims=True)
    roundness = np.array([0.1, 0.3, 1.0])
    shape = n_channels, 5, 4
    frames = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    powers = (0.1 + rng.random((3, 5, 4))).astype(np.float32)
    given = list(_stereo_fit._Model(gains, roundness, 0.0).statistics(frames, powers))
    even = np.eye(n_channels) / n_channels
    R = [(1 - r) * np.outer(a, a) + r * even for a, r in zip(gains, roundness, strict=True)]
    for n in range(5):
        for f in range(4):
            S = np.linalg.inv(sum(p * r for p, r in zip(powers[:, n, f], R, strict=True)))
            white = S @ frames[:, n, f]
            for place in range(3):
                above, below = given[place]
                wanted = (white.conj() @ R[place] @ white).real
                np.testing.assert_allclose(above[n, f], wanted, rtol=1e-3)
                np.testing.assert_allclose(below[n, f], np.trace(S @ R[place]), rtol=1e-3)


def test_updates_raise_the_likelihood():
    rng = np.random.default_rng(4)
    gains = np.array([[0.9, 0.436], [0.6, 0.8], [0.2, 0.98]])
    gains /= np.linalg.norm(gains, axis=1, keepdims=True)
    roundness = np.full(3, 0.05)
    shape = 2, 30, 12
    frames = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    W = rng.random((3, 2, 12)).astype(np.float32)
    W /= W.sum(axis=2, keepdims=True)
    H = rng.random((3, 30, 2)).astype(np.float32)
    model = _stereo_fit._Model(gains, roundness, 1e-6)

    def unlikelihood():
        R = 0.95 * gains[:, :, None] * gains[:, None] + 0.05 * np.eye(2) / 2
        mixed = np.einsum("jnf,jab->nfab", H @ W, R)
        x = frames.transpose(1, 2, 0)
        fit = np.einsum("nfa,nfab,nfb->nf", x.conj(), np.linalg.inv(mixed), x).real
        return float((fit + np.log(np.linalg.det(mixed))).sum())

    losses = [unlikelihood()]
    for _ in range(10):
        _stereo_fit._iterate(frames, model, W, H)
        losses.append(unlikelihood())
    assert all(np.diff(losses) < 0)
    np.testing.assert_allclose(W.sum(axis=2), 1, rtol=1e-5)


def unit(*degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_memory_is_reckoned_for_as_many_places_as_there_may_be():
    assert audiosep.Separator(preset="stereo").n_stems() == MOST_PLACES
    assert audiosep.Separator(preset="stereo", n_sources=3).n_stems() == 3


def test_names_of_places():
    assert place_names(unit(0, 45, 90)) == ("left", "centre", "right")
    assert place_names(unit(5, 20, 43, 80)) == ("left-1", "left-2", "centre", "right")
    assert place_names(unit(-45, 45)) == ("centre-inverted", "centre")
    assert place_names(np.eye(3)) == ("place-1", "place-2", "place-3")
    many = place_names(unit(*np.linspace(-80, 80, 30)))
    assert len(set(many)) == 30
    assert describe_gains(unit(90)[0]) == "pan +100 %"
    assert describe_gains(unit(-45)[0]) == "pan +0 % inverted"
    assert describe_gains(np.array([0.5, -1.0, 0.0])) == "gains -0.50, 1.00, -0.00"


def test_names_of_sounds():
    assert sound_names("left", 1) == ("left",)
    assert sound_names("left", 2) == ("left-low", "left-high")
    assert sound_names("left", 3) == ("left-low", "left-mid", "left-high")
    assert len(set(sound_names("left", 9))) == 9


def test_the_place_where_most_sounds_is_divided():
    assert sounds_per_place(np.array([1.0, 5.0, 2.0]), 3, 9) == [1, 1, 1]
    assert sounds_per_place(np.array([1.0, 5.0, 2.0]), 5, 9) == [1, 3, 1]
    assert sounds_per_place(np.array([1.0, 5.0, 2.0]), 6, 2) == [2, 2, 2]
