"""What holds for every recording, from the command's options to the files it leaves.

A few examples of each by default, the same ones each time; hundreds with ``-m reliability``.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

import audiosep
from audiosep import cli

TINY = {
    "components": ["--preset", "components", "--components", "3", "--iterations", "2"],
    "harmonic-percussive": ["--preset", "harmonic-percussive"],
    "stems": ["--preset", "stems", "--iterations", "2"],
    "drums": ["--preset", "drums", "--iterations", "2"],
}
"""Not ``stereo``, which refuses recordings whose sound comes from one place."""

few_and_many = pytest.mark.parametrize(
    "n_examples", [3, pytest.param(300, marks=[pytest.mark.reliability, pytest.mark.timeout(3600)])]
)


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A recording as it is written: integers that its depth holds, or floats."""

    samples: np.ndarray
    sr: int
    subtype: str

    @property
    def bits(self):
        return {"PCM_16": 16, "PCM_24": 24, "FLOAT": "float"}[self.subtype]

    def write(self, path):
        sf.write(path, self.samples.T, self.sr, subtype=self.subtype, format="WAV")


@st.composite
def sounds(draw, subtypes=("PCM_16", "PCM_24", "FLOAT"), n_channels=(1, 2, 3), least=1):
    """Noise, clicks or tones, or a bit of each, at any level, some of it silent."""
    channels = draw(st.sampled_from(n_channels))
    n_samples = draw(st.integers(least, 4000))
    sr = draw(st.sampled_from((8000, 11025, 44100)))
    subtype = draw(st.sampled_from(subtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from(("noise", "tone", "clicks")), unique=True))
    level = draw(st.sampled_from((1.0, 0.5, 0.01, 1e-4)))
    t = np.arange(n_samples) / sr
    samples = np.zeros((channels, n_samples))
    if "noise" in kinds:
        samples += rng.uniform(-1, 1, samples.shape)
    if "tone" in kinds:
        samples += np.sin(2 * np.pi * rng.uniform(50, sr / 3, (channels, 1)) * t)
    if "clicks" in kinds:
        samples[:, rng.integers(0, n_samples, 3)] += rng.uniform(-1, 1, (channels, 1))
    peak = np.abs(samples).max()
    samples *= level / peak if peak else 0.0
    if draw(st.booleans()):
        samples[:, : n_samples // 2] = 0.0
    steps = {"PCM_16": 2**15, "PCM_24": 2**23}.get(subtype)
    if steps:
        samples = np.clip(np.rint(samples * steps), -steps, steps - 1) / steps
    return Sound(samples=samples.astype(np.float32), sr=sr, subtype=subtype)


@pytest.fixture
def workshop(tmp_path, monkeypatch, capsys):
    """Folders that are gone when an example is done, and the command in this process."""

    @contextmanager
    def enter():
        with tempfile.TemporaryDirectory(dir=tmp_path) as name, monkeypatch.context() as patch:
            patch.chdir(name)
            yield Path(name)

    def split(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", "split", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == 0, said.err
        return said

    return enter, split


def stems(place):
    """Samples of every stem, and the record."""
    record = json.loads(Path(place, "audiosep.json").read_text())
    found = {}
    for name, stem in record["stems"].items():
        found[name], _ = sf.read(Path(place, stem["file"]), dtype="float64", always_2d=True)
    return found, record


def without_seconds(place):
    """Bytes of all files, records without what they tell of time."""
    found = files.tree(place)
    for name in [name for name in found if name.endswith("audiosep.json")]:
        record = json.loads(found[name])
        del record["timings_s"]
        found[name] = record
    return found


def check(n_examples, strategies, body):
    settings(max_examples=n_examples)(given(**strategies)(body))()


# One run


@few_and_many
def test_the_stems_add_up_to_the_recording(workshop, n_examples):
    enter, split = workshop

    def body(sound, data):
        preset = data.draw(st.sampled_from(sorted(TINY)))
        with enter():
            sound.write("a.wav")
            split("a.wav", *TINY[preset])
            found, record = stems("separated/a")
            mixture, _ = sf.read("a.wav", dtype="float64", always_2d=True)
            difference = np.abs(sum(found.values()) - mixture).max()
            exact = sound.bits != "float" and record["bits"] == sound.bits
            assert difference <= (0.0 if exact else 1e-6 * max(1.0, np.abs(mixture).max()))

    check(n_examples, {"sound": sounds(), "data": st.data()}, body)


@few_and_many
def test_rate_channels_length_and_depth_stay(workshop, n_examples):
    enter, split = workshop

    def body(sound, data):
        preset = data.draw(st.sampled_from(sorted(TINY)))
        with enter():
            sound.write("a.wav")
            split("a.wav", *TINY[preset])
            _, record = stems("separated/a")
            for stem in record["stems"].values():
                about = sf.info(Path("separated/a", stem["file"]))
                shape = (about.samplerate, about.channels, about.frames)
                assert shape == (sound.sr, *sound.samples.shape)
                deeper = "FLOAT" if record["bits"] == "float" else sound.subtype
                assert about.subtype == deeper
                assert record["bits"] in (sound.bits, "float")

    check(n_examples, {"sound": sounds(), "data": st.data()}, body)


@few_and_many
def test_silence_stays_silence(workshop, n_examples):
    enter, split = workshop

    def body(shape, sr, preset):
        with enter():
            Sound(samples=np.zeros(shape, np.float32), sr=sr, subtype="PCM_16").write("a.wav")
            split("a.wav", *TINY[preset])
            found, record = stems("separated/a")
            assert all(not stem.any() for stem in found.values())
            assert any("silent" in words for words in record["warnings"])

    shapes = st.tuples(st.integers(1, 3), st.integers(1, 4000))
    presets = st.sampled_from(sorted(TINY))
    check(
        n_examples, {"shape": shapes, "sr": st.sampled_from((8000, 44100)), "preset": presets}, body
    )


# Two runs


EVEN = ["components", "harmonic-percussive"]


@few_and_many
def test_a_louder_recording_has_louder_stems(workshop, n_examples):
    """By powers of two to the last bit, by any other gain as far as float32 goes."""
    enter, split = workshop

    def body(sound, preset, gain):
        exact = np.log2(gain) == round(np.log2(gain))
        louder = Sound(samples=sound.samples * np.float32(gain), sr=sound.sr, subtype="FLOAT")
        with enter():
            sound.write("a.wav")
            louder.write("b.wav")
            split("a.wav", "b.wav", *TINY[preset])
            first, second = stems("separated/a")[0], stems("separated/b")[0]
        assert first.keys() == second.keys()
        peak = gain * np.abs(sound.samples).max()
        for name in first:
            difference = np.abs(gain * first[name] - second[name]).max()
            assert difference <= (0.0 if exact else 1e-3 * peak), (name, difference / peak)

    gains = st.sampled_from((0.25, 0.5, 2.0, 4.0, 0.7, 1.3))
    strategies = {
        "sound": sounds(subtypes=("FLOAT",)),
        "preset": st.sampled_from(EVEN),
        "gain": gains,
    }
    check(n_examples, strategies, body)


@few_and_many
def test_swapped_channels_have_swapped_stems(workshop, n_examples):
    enter, split = workshop

    def body(sound, preset):
        swapped = Sound(samples=sound.samples[::-1], sr=sound.sr, subtype=sound.subtype)
        with enter():
            sound.write("a.wav")
            swapped.write("b.wav")
            split("a.wav", "b.wav", *TINY[preset])
            first, second = stems("separated/a")[0], stems("separated/b")[0]
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name][:, ::-1])

    strategies = {"sound": sounds(n_channels=(2,)), "preset": st.sampled_from([*EVEN, "stems"])}
    check(n_examples, strategies, body)


@few_and_many
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(workshop, n_examples):
    enter, split = workshop

    def body(sound, data, n_threads):
        preset = data.draw(st.sampled_from(sorted(TINY)))
        with enter():
            sound.write("a.wav")
            for out, threads in (("one", 1), ("many", n_threads), ("again", 1)):
                split("a.wav", "-o", out, "--threads", threads, *TINY[preset])
            one = without_seconds("one")
            assert without_seconds("many") == one
            assert without_seconds("again") == one

    strategies = {"sound": sounds(), "data": st.data(), "n_threads": st.integers(2, 5)}
    check(n_examples, strategies, body)


@few_and_many
def test_what_was_lost_is_made_again_as_it_was(workshop, n_examples):
    """Any files of any tracks may go: the same command brings back the same tree."""
    enter, split = workshop

    def body(tapes, data):
        with enter():
            Path("in").mkdir()
            for number, sound in enumerate(tapes):
                sound.write(f"in/{number}.wav")
            split("in", "-r", *TINY["components"])
            whole = without_seconds("separated")
            results = sorted(name for name in whole if not name.startswith(".audiosep/"))
            lost = data.draw(st.lists(st.sampled_from(results), min_size=1, unique=True))
            tracks = data.draw(st.lists(st.sampled_from(range(len(tapes))), unique=True))
            for number in tracks:
                shutil.rmtree(f"separated/{number}")
            for name in lost:
                path = Path("separated", name)
                # Stems whose record is gone are of unknown origin, and are not replaced.
                if path.name != "audiosep.json":
                    path.unlink(missing_ok=True)
            split("in", "-r", *TINY["components"])
            again = without_seconds("separated")
            assert {name: again[name] for name in results} == {
                name: whole[name] for name in results
            }
            assert {name for name in again if not name.startswith(".audiosep/")} == set(results)

    strategies = {"tapes": st.lists(sounds(), min_size=1, max_size=3), "data": st.data()}
    check(n_examples, strategies, body)


# Python


@few_and_many
def test_streams_do_not_depend_on_their_blocks(n_examples):
    low = audiosep.learn([tone(220)], label="low")
    rough = audiosep.learn([audiosep.Audio(samples=files.noise(8000, 1), sr=8000)], label="rough")
    separator = audiosep.Separator(
        preset="by-example", examples={"low": low, "rough": rough}, quality="fast"
    )

    def body(sound, cuts):
        samples = sound.samples
        edges = sorted({0, samples.shape[1], *(c % samples.shape[1] for c in cuts)})
        blocks = [samples[:, a:b] for a, b in itertools.pairwise(edges)]
        whole = streamed(separator, [samples], sound.sr)
        parts = streamed(separator, blocks, sound.sr)
        assert parts.keys() == whole.keys()
        for name in whole:
            np.testing.assert_array_equal(parts[name], whole[name])

    strategies = {
        "sound": sounds(subtypes=("FLOAT",), least=2),
        "cuts": st.lists(st.integers(0, 10**6), max_size=5),
    }
    check(n_examples, strategies, body)


def tone(hz, sr=8000):
    t = np.arange(sr) / sr
    return audiosep.Audio(samples=np.float32(np.sin(2 * np.pi * hz * t))[np.newaxis], sr=sr)


def streamed(separator, blocks, sr):
    """All samples of each stem."""
    found = {}
    for given_out in separator.stream(iter(blocks), sr):
        for name, samples in given_out.items():
            found.setdefault(name, []).append(samples)
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


# Real processes


def test_the_same_bytes_with_any_number_of_processes(forked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        path = Path(f"in/{number % 2}/{number}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_sound(path, files.noise(3000, 1 + number % 2, seed=number))
    for out, more in (("one", []), ("two", ["--jobs", "2"])):
        ended = forked.run("split", "in", "-r", "-o", out, *TINY["components"], *more)
        assert ended.code == 0, ended.err
        shutil.rmtree(Path(out, ".audiosep"))
    assert without_seconds("one") == without_seconds("two")
