"""Recordings read part by part: the same samples as read at once, wherever parts begin."""

from __future__ import annotations

import files
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from audiosep.errors import DamagedAudioError, InputError
from audiosep.io import open_recording
from audiosep.io.reading import scan_recording
from audiosep.io.tapes import FileTape
from audiosep.types import Audio

SR = 8000
N = 3 * SR + 17
FORMATS = [
    ("WAV", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
    ("CAF", "FLOAT"),
]


@pytest.fixture(scope="module", params=FORMATS, ids=[name for name, _ in FORMATS])
def recording(request, tmp_path_factory):
    format_, subtype = request.param
    path = tmp_path_factory.mktemp("tapes") / f"take.{format_.lower()}"
    sf.write(path, files.noise(N, seed=2).T, SR, format=format_, subtype=subtype)
    return path, open_recording(path).audio.samples


def tape_of(path, *, kept_s=12.0, **part):
    scan = scan_recording(path, **part)
    return FileTape(
        path, scan.info, first=scan.first, n_samples=scan.n_samples, peak=scan.peak, kept_s=kept_s
    )


@settings(max_examples=15, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.integers(0, N - 2), st.integers(1, SR)).map(lambda p: (p[0], sum(p))),
        min_size=1,
        max_size=6,
    ),
    kept_s=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_any_parts_in_any_order(recording, parts, kept_s):
    path, samples = recording
    n_samples = samples.shape[1]
    tape = tape_of(path, kept_s=kept_s)
    for first, last in parts:
        first, last = min(first, n_samples - 1), min(last, n_samples)
        np.testing.assert_array_equal(tape.part(first, last).samples, samples[:, first:last])
    tape.close()


def test_a_part_of_a_recording_counts_from_its_own_beginning(recording):
    path, samples = recording
    tape = tape_of(path, start=0.5, duration=1.0)
    assert (tape.n_samples, tape.n_channels, tape.sr) == (SR, 2, SR)
    mine = samples[:, SR // 2 : SR // 2 + SR]
    assert tape.peak == np.abs(mine).max()
    np.testing.assert_array_equal(tape.part(0, SR).samples, mine)
    np.testing.assert_array_equal(tape.part(7, 900).samples, mine[:, 7:900])


def test_an_audio_is_a_tape():
    audio = Audio(samples=files.noise(100), sr=SR)
    part = audio.part(10, 30)
    assert np.shares_memory(part.samples, audio.samples)
    np.testing.assert_array_equal(part.samples, audio.samples[:, 10:30])


def test_a_short_recording_is_kept_and_a_long_one_is_not(tmp_path):
    path = tmp_path / "take.wav"
    sf.write(path, files.noise(1000).T, SR, subtype="FLOAT")
    kept = scan_recording(path, n_kept=1000)
    np.testing.assert_array_equal(kept.audio.samples, files.noise(1000))
    dropped = scan_recording(path, n_kept=999)
    assert dropped.audio is None
    for scan in (kept, dropped):
        assert (scan.n_samples, scan.peak) == (1000, np.abs(files.noise(1000)).max())


def test_samples_that_are_no_recording_are_refused_at_any_length(tmp_path):
    path = tmp_path / "take.wav"
    samples = files.noise(1000)
    samples[1, 700] = 1e32
    sf.write(path, samples.T, SR, subtype="FLOAT")
    with pytest.raises(InputError, match="times full scale"):
        scan_recording(path)
    samples[1, 700] = np.nan
    sf.write(path, samples.T, SR, subtype="FLOAT")
    with pytest.raises(InputError, match="sample 700 of channel 2"):
        scan_recording(path)


def test_a_file_that_became_shorter(tmp_path):
    path = tmp_path / "take.wav"
    sf.write(path, files.noise(4000).T, SR)
    tape = tape_of(path)
    sf.write(path, files.noise(1000).T, SR)
    with pytest.raises(InputError, match=r"changed while it was read|cannot be read"):
        tape.part(0, 4000)


def test_a_file_that_is_gone(tmp_path):
    path = tmp_path / "take.flac"
    sf.write(path, files.noise(4000).T, SR)
    tape = tape_of(path)
    path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        tape.part(0, 100)


def test_damage_is_found_by_the_scan(tmp_path):
    path = tmp_path / "take.flac"
    sf.write(path, files.noise(40_000, seed=1).T, SR)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(DamagedAudioError, match="damaged after"):
        scan_recording(path)
