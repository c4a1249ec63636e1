"""Long recordings: chunk by chunk the same as at once, and nothing that grows with the length."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import some_slow

from audiosep import Separator, chunked, memory, methods, regroup, separate
from audiosep.chunked import Chunked
from audiosep.chunks import chunks_of
from audiosep.errors import InputError, RefusedError, UsageError
from audiosep.methods import Learnt, MethodSettings
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets, SourceModels, Stop

SR = 8000
LONG_SR = 2000
WINDOW_S = 0.064
HOP = 128


# Methods whose answer is known: a bin belongs to the low or to the high half.


def halves(spectrogram, settings, progress):
    values = np.zeros((2, 1, spectrogram.n_frames, spectrogram.n_bins), dtype=np.float32)
    middle = spectrogram.n_bins // 2
    values[0, ..., :middle] = values[1, ..., middle:] = 1.0
    progress("separate", 1.0)
    return SourceModels(
        models=values.swapaxes(2, 3), names=("low", "high"), losses=(3.0, 1.0), stop=Stop.MAX_ITER
    )


def heard(spectrogram, settings, progress):
    """One onset a second, a melody, and a factorization whose activations count the frames."""
    models = halves(spectrogram, settings, progress)
    n_frames, frame_s = spectrogram.n_frames, spectrogram.frame_s
    first = round(settings.start_s / frame_s)
    duration = spectrogram.n_samples / spectrogram.sr
    beats = np.arange(np.ceil(settings.start_s), settings.start_s + duration) - settings.start_s
    numbers = np.arange(first, first + n_frames, dtype=np.float32)
    times_s = np.arange(n_frames) * frame_s
    return dataclasses.replace(
        models,
        onsets=Onsets(times_s=beats, labels=("low",) * len(beats), strengths=np.ones(len(beats))),
        melody=Melody(times_s=times_s, f0_hz=numbers + 1.0, strengths=np.ones(n_frames)),
        factorization=Factorization(
            templates=np.ones((spectrogram.n_bins, 2), dtype=np.float32),
            activations=np.stack([numbers, numbers]),
            losses=np.array([3.0, 1.0]),
            n_iter=1,
            stop=Stop.MAX_ITER,
            beta=1.0,
            seed=0,
        ),
        grouping=Grouping(
            weights=np.eye(2, dtype=np.float32), names=models.names, confidence=np.ones(2)
        ),
        notes=("Heard.",),
    )


def fickle(spectrogram, settings, progress):
    models = halves(spectrogram, settings, progress)
    return dataclasses.replace(models, names=("a", "b") if settings.start_s else ("b", "a"))


def learn_tilt(spectrogram, settings, progress):
    return Learnt(facts=spectrogram.n_samples, notes=("Learnt.",), warnings=("Mind it.",))


def told(spectrogram, settings, progress):
    models = halves(spectrogram, settings, progress)
    return dataclasses.replace(models, notes=(f"Facts: {settings.learnt}.", "Heard."))


class Counter:
    """What listens to every chunk: it must hear each frame of its own once."""

    hears_s = np.inf

    def check(self, duration_s, settings):
        if duration_s > 1000:
            raise RefusedError("too long for it.")

    def listen(self, spectrogram, own, settings):
        first = round(settings.start_s / spectrogram.frame_s)
        return np.arange(first, first + spectrogram.n_frames)[own]

    def learn(self, heard, settings, progress):
        frames = np.concatenate(heard)
        np.testing.assert_array_equal(frames, np.arange(len(frames)))
        return Learnt(facts=len(frames))


@pytest.fixture(autouse=True)
def known(monkeypatch):
    for function in (halves, heard, fickle, told):
        monkeypatch.setitem(methods.METHODS, function.__name__, f"{__name__}:{function.__name__}")
    monkeypatch.setitem(methods.METHODS, "counted", f"{__name__}:told")
    monkeypatch.setitem(methods.LEARNERS, "told", f"{__name__}:learn_tilt")
    monkeypatch.setitem(methods.LISTENERS, "counted", f"{__name__}:Counter")
    monkeypatch.setitem(
        sys.modules, __name__, sys.modules[test_one_chunk_learns_nothing.__module__]
    )


def run(samples, method="halves", chunk_s=1.0, **how):
    how = {"settings": MethodSettings(), "window_s": WINDOW_S, "exponent": 1.0} | how
    run = Chunked(tape=Audio(samples=samples, sr=SR), method=method, chunk_s=chunk_s, **how)
    pieces = list(run.pieces())
    stems = {
        name: np.concatenate([piece.stems[name] for piece in pieces], axis=1)
        for name in pieces[0].stems
    }
    return stems, run.found(), pieces


@settings(max_examples=25, deadline=None)
@given(
    n_samples=st.integers(1, 5 * SR),
    chunk_s=st.floats(0.05, 3.0),
    level=st.sampled_from([1e-12, 1.0, 1e12]),
    n_channels=st.integers(1, 2),
)
def test_chunks_are_the_whole(n_samples, chunk_s, level, n_channels):
    samples = files.noise(n_samples, seed=n_samples)[:n_channels] * np.float32(level)
    stems, _, pieces = run(samples, chunk_s=chunk_s)
    whole, *_ = run(samples, chunk_s=100.0)
    for name, stem in stems.items():
        assert np.abs(stem - whole[name]).max() <= 2e-6 * level
    for piece in pieces:
        rest = piece.mixture - sum(piece.stems.values())
        assert np.abs(rest).max() <= 1e-6 * level
    np.testing.assert_array_equal(
        np.concatenate([piece.mixture for piece in pieces], axis=1), samples
    )


def test_silence_stays_silence():
    stems, found, _ = run(np.zeros((1, 3 * SR), dtype=np.float32))
    assert all(not stem.any() for stem in stems.values())
    assert found.names == ("low", "high")


def test_what_was_heard_is_joined_on_the_time_of_the_recording():
    n_samples = 7 * SR + 31
    _, found, pieces = run(files.noise(n_samples), "heard", chunk_s=1.5)
    _, whole, _ = run(files.noise(n_samples), "heard", chunk_s=100.0)
    assert len(pieces) == 5
    np.testing.assert_allclose(found.onsets.times_s, whole.onsets.times_s, atol=1e-9)
    np.testing.assert_allclose(found.melody.times_s, whole.melody.times_s, atol=1e-9)
    np.testing.assert_array_equal(found.melody.f0_hz, whole.melody.f0_hz)
    np.testing.assert_array_equal(found.factorization.activations, whole.factorization.activations)
    assert found.grouping is not None
    assert found.notes == ("Heard.",)  # once
    assert found.losses == (15.0, 5.0)  # sums


@settings(max_examples=60, deadline=None)
@given(
    sr=st.sampled_from([8000, 22_050, 44_100, 48_000, 96_000]),
    hop_length=st.sampled_from([128, 441, 512, 1024]),
    duration_s=st.floats(0.1, 700.0),
    chunk_s=st.floats(0.5, 100.0),
)
def test_frames_and_strokes_at_bounds_are_there_once(sr, hop_length, duration_s, chunk_s):
    """No time is lost or doubled by rounding, wherever the bounds are."""
    n_samples = round(duration_s * sr)
    chunks = chunks_of(n_samples, sr, hop_length, max(chunk_s, duration_s / 30))
    times_s, strokes_s, hit = [], [], []
    for chunk in chunks:
        n_frames = 1 + (chunk.last - chunk.first) // hop_length
        own = chunked._own_frames(chunk, hop_length, n_samples)
        ones = np.ones(n_frames)
        local = Melody(times_s=np.arange(n_frames) * (hop_length / sr), f0_hz=ones, strengths=ones)
        melody = chunked._melody_of(local, own, chunk.first, hop_length, sr)
        times_s.append(melody.times_s)
        # Strokes on every bound and beside it, as each chunk hears them.
        marks = np.array([b for c in chunks[1:] for b in (c.start - 1, c.start, c.start + 1)])
        marks = marks[(marks >= chunk.first) & (marks < chunk.last)]
        hit.append(marks)
        onsets = Onsets(
            times_s=(marks - chunk.first) / sr,
            labels=("kick",) * len(marks),
            strengths=np.ones(len(marks)),
        )
        strokes_s.append(chunked._onsets_of(onsets, chunk, sr).times_s)
    whole = np.arange(1 + n_samples // hop_length) * (hop_length / sr)
    np.testing.assert_array_equal(np.concatenate(times_s), whole)
    expected = np.unique(np.concatenate(hit))
    np.testing.assert_array_equal(np.rint(np.concatenate(strokes_s) * sr), expected)


def test_other_stems_in_another_chunk_are_a_bug():
    with pytest.raises(AssertionError, match="not"):
        run(files.noise(9 * SR), "fickle")


def test_one_chunk_learns_nothing():
    _, found, _ = run(files.noise(3 * SR), "told", chunk_s=3.0)
    assert found.notes == ("Facts: None.", "Heard.")
    assert found.warnings == ()


def test_what_was_learnt_is_told_to_every_chunk():
    _, found, _ = run(files.noise(20 * SR), "told", chunk_s=4.0)
    assert found.notes == ("Learnt.", f"Facts: {4 * SR}.", "Heard.")
    assert found.warnings == ("Mind it.",)


def test_a_listener_hears_every_frame_once():
    _, found, _ = run(files.noise(10 * SR + 77), "counted", chunk_s=1.7)
    assert found.notes[0] == f"Facts: {1 + (10 * SR + 77) // HOP}."


def test_a_listener_may_refuse_before_any_work():
    class Endless:
        sr, n_channels, n_samples, peak = SR, 1, 2000 * SR, 1.0

        def part(self, first, last):
            raise AssertionError("nothing may be read")

    endless = Chunked(
        tape=Endless(),
        method="counted",
        settings=MethodSettings(),
        window_s=WINDOW_S,
        exponent=1.0,
        chunk_s=100.0,
    )
    with pytest.raises(RefusedError, match="too long"):
        next(endless.pieces())


def test_progress_never_falls_back():
    said = []
    run(files.noise(5 * SR), progress=lambda stage, done: said.append((stage, done)))
    separate_only = [done for stage, done in said if stage == "separate"]
    assert separate_only == sorted(separate_only)
    assert {stage for stage, _ in said} <= {"read", "separate"}
    assert separate_only[-1] == pytest.approx(1.0)


def test_no_seam_is_heard():
    """A steady tone has the same level through all bounds."""
    t = np.arange(12 * SR) / SR
    tone = np.sin(2 * np.pi * 440 * t)[np.newaxis].astype(np.float32)
    stems, *_ = run(tone, chunk_s=2.0)
    level = np.square(stems["low"][0, SR:-SR]).reshape(-1, SR // 20).mean(axis=1)
    assert level.min() > 0.499
    assert level.max() < 0.501


# Through the front door


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """Longer than a chunk: two tones that take turns, and strokes."""
    path = tmp_path_factory.mktemp("long") / "night.flac"
    t = np.arange(131 * LONG_SR + 5) / LONG_SR
    tones = 0.1 * np.sin(2 * np.pi * np.where(t % 8 < 4, 330, 550) * t)
    strokes = 0.05 * np.random.default_rng(0).standard_normal(t.size) * np.exp(-30 * (t % 0.5))
    sf.write(path, np.stack([tones + strokes, tones - 0.5 * strokes]).T, LONG_SR, subtype="PCM_16")
    return path


@pytest.mark.parametrize("preset", some_slow(["components", "stems", "drums"], "drums"))
def test_to_a_folder_as_by_way_of_memory(long_recording, tmp_path, preset):
    separator = Separator(preset=preset, max_iter=4)
    how = {"one_shots": 2} if preset == "drums" else {}
    saved = separator.split(long_recording, tmp_path / "streamed", **how)
    assert saved.record["null_test_db"] == -300.0
    separator.separate(long_recording).save(tmp_path / "at-once", **how)
    trees = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("streamed", "at-once")
    ]
    records = [json.loads(tree.pop("audiosep.json")) for tree in trees]
    for record in records:
        del record["timings_s"]
    assert records[0] == records[1]
    assert trees[0] == trees[1]
    assert set(saved.paths) == set(records[0]["stems"])


def test_threads_do_not_change_a_bit(long_recording, tmp_path):
    for n_threads in (1, 2):
        Separator(preset="stems", n_threads=n_threads).split(
            long_recording, tmp_path / str(n_threads)
        )
    for name in ("drums.wav", "bass.wav", "other.wav"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_components_of_a_long_recording_can_be_regrouped(long_recording, tmp_path):
    saved = Separator(preset="components", n_sources=3, max_iter=10).split(
        long_recording, tmp_path / "night"
    )
    again = regroup(tmp_path / "night", rename={name: f"new-{name}" for name in saved.paths})
    for old, path in saved.paths.items():
        assert path.read_bytes() == again.paths[f"new-{old}"].read_bytes()


def test_a_stem_beyond_the_range_in_a_later_chunk(tmp_path, monkeypatch):
    """What was rounded before stays so; all files are floats, and still add up."""
    mixture = files.noise(4 * SR, seed=3)
    mixture[:, 3 * SR :] *= 1.9
    mixture = (np.round(mixture * 2**15) / 2**15).astype(np.float32)
    sf.write(tmp_path / "loud.wav", mixture.T, SR, subtype="PCM_16")
    monkeypatch.setattr(chunked, "render", twice_and_less(chunked.render))
    separator = Separator(preset="components", max_iter=2)
    monkeypatch.setattr(Separator, "chunk_s_within", lambda *_, **__: 1.0)
    saved = separator.split(tmp_path / "loud.wav", tmp_path / "out")
    assert saved.record["bits"] == "float"
    assert any("beyond the 16-bit range" in words for words in saved.record["warnings"])
    assert saved.record["null_test_db"] < -120
    stems = [sf.read(path, always_2d=True)[0].T for path in saved.paths.values()]
    assert np.abs(sum(stems) - mixture).max() < 1e-6
    early = stems[0][:, :SR] * 2**15
    np.testing.assert_array_equal(early, np.round(early))  # rounded, as when it was written
    assert not list((tmp_path / "out").glob("*.rounded"))


def twice_and_less(render):
    """Stems that add up, but leave the range where the mixture is loud."""

    def louder(mixture, models, *args):
        stems = render(mixture, models, *args)
        first, second = stems
        loud = Audio(samples=mixture.samples * np.float32(1.7), sr=mixture.sr)
        less = Audio(samples=mixture.samples - loud.samples, sr=mixture.sr)
        return {first: loud, second: less}

    return louder


def test_short_memory_makes_shorter_chunks_and_says_so(long_recording, tmp_path):
    separator = Separator(preset="stems")
    about = ("stems", 131 * LONG_SR + 5, 2, 3, LONG_SR)
    enough, few = memory.memory_of(*about), memory.memory_of(*about, chunk_s=50.0)
    assert few < enough
    saved = separator.split(long_recording, tmp_path / "short", max_memory=few)
    assert saved.record["analysis"]["chunk_s"] < 100
    assert any("--max-memory asks" in words for words in saved.record["warnings"])
    assert saved.record["null_test_db"] == -300.0


def test_too_little_memory_is_refused_before_any_work(long_recording, tmp_path):
    with pytest.raises(RefusedError, match=r"--max-memory"):
        Separator(preset="stems").split(long_recording, tmp_path / "out", max_memory=1000)
    assert not (tmp_path / "out").exists()


def test_stems_never_depend_on_what_is_free(long_recording, tmp_path, monkeypatch):
    """Too little is refused, with what to do; nobody gets other stems unasked."""
    separator = Separator(preset="stems")
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    monkeypatch.setattr(memory, "memory_of", lambda *_, **__: 2000)
    with pytest.raises(RefusedError, match=r"are free; free some, or .* --max-memory"):
        separator.split(long_recording, tmp_path / "out")
    monkeypatch.setattr(memory, "available_bytes", lambda: 2000)
    assert separator.chunk_s_within(None, 10**7, 2, LONG_SR) == 100.0


def test_a_long_recording_that_changes_is_no_broken_disk(tmp_path):
    t = np.arange(101 * LONG_SR) / LONG_SR
    tone = 0.2 * np.sin(2 * np.pi * 300 * t)
    path = tmp_path / "a.wav"
    sf.write(path, tone, LONG_SR, subtype="PCM_16")

    def meanwhile(stage, done):
        if stage == "separate" and done > 0.5:
            sf.write(path, tone[::-1], LONG_SR, subtype="PCM_16")

    with pytest.raises(InputError, match="changed while it was read"):
        Separator(preset="components", max_iter=2).split(path, tmp_path / "out", progress=meanwhile)
    assert not (tmp_path / "out").exists()


def test_one_shots_where_there_are_no_onsets(tmp_path):
    with pytest.raises(UsageError, match="drums"):
        Separator(preset="components", max_iter=2).split(
            files.noise(4000), tmp_path / "out", SR, one_shots=1
        )
    assert not (tmp_path / "out").exists()


def test_arrays_too(tmp_path):
    samples = files.noise(4000)
    saved = Separator(preset="components", max_iter=2).split(samples, tmp_path / "out", SR)
    result = separate(samples, SR, preset="components", max_iter=2)
    for name, path in saved.paths.items():
        np.testing.assert_array_equal(files.sounds(path), result.stems[name].samples)


PEAK = """
import resource, sys
import numpy as np
from audiosep import Separator

class Night:
    sr, n_channels, peak = 8000, 1, 1.0
    def __init__(self, seconds):
        self.n_samples = seconds * 8000

from audiosep.types import Audio
def part(self, first, last):
    t = np.arange(first, last) / 8000
    return Audio(samples=np.sin(3e3 * t)[None].astype(np.float32), sr=8000)
Night.part = part

from audiosep import methods
from audiosep.chunked import Chunked
from audiosep.methods import MethodSettings
sys.path[:0] = sys.argv[2:]
methods.METHODS["halves"] = "test_chunked:halves"
import audiosep.io.writing as writing, tempfile, pathlib
night = Night(int(sys.argv[1]))
run = Chunked(tape=night, method="halves", settings=MethodSettings(),
              window_s=0.093, exponent=1.0, chunk_s=30.0)
with tempfile.TemporaryDirectory() as folder:
    writing.write_pieces(pathlib.Path(folder), run.pieces(), night, bits=16, format_="wav")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_recording():
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(seconds), str(Path(__file__).parent)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seconds in (90, 900)
    ]
    assert peaks[1] < 1.05 * peaks[0]
