"""Recordings in: every format, parts of files, and what is wrong with damaged ones."""

from __future__ import annotations

import os
import re
import struct

import files
import numpy as np
import pytest

import audiosep
from audiosep.errors import DamagedAudioError, InputError, ParameterError
from audiosep.io import header, info, open_recording, passes

FORMATS = [
    ("WAV", "PCM_U8", 24),
    ("WAV", "PCM_16", 16),
    ("WAV", "PCM_24", 24),
    ("WAV", "PCM_32", "float"),
    ("WAV", "FLOAT", "float"),
    ("WAV", "DOUBLE", "float"),
    ("WAV", "ULAW", 16),
    ("WAVEX", "PCM_16", 16),
    ("RF64", "PCM_16", 16),
    ("W64", "PCM_24", 24),
    ("AIFF", "PCM_16", 16),
    ("AIFF", "FLOAT", "float"),
    ("CAF", "PCM_24", 24),
    ("CAF", "ALAC_16", 16),
    ("FLAC", "PCM_16", 16),
    ("FLAC", "PCM_24", 24),
    ("AU", "PCM_16", 16),
    ("OGG", "VORBIS", 24),
    ("OGG", "OPUS", 24),
    ("MP3", "MPEG_LAYER_III", 24),
]


@pytest.mark.parametrize(("format_", "subtype", "bits"), FORMATS)
def test_every_format_keeps_samples_rate_channels_and_level(tmp_path, format_, subtype, bits):
    # The name says nothing: formats are recognised by content.
    path = files.write_sound(tmp_path / "recording", format=format_, subtype=subtype)
    recording = open_recording(path)
    assert recording.warnings == ()
    assert recording.audio.sr == 8000
    assert recording.audio.samples.shape == (2, 4000)
    # An MP3 decoder that was told to seek to the start rounds differently.
    tolerance = 1e-6 if format_ == "MP3" else 0.0
    np.testing.assert_allclose(recording.audio.samples, files.sounds(path), rtol=0, atol=tolerance)
    assert recording.info.bits == bits
    assert (recording.info.n_channels, recording.info.n_samples) == (2, 4000)
    assert recording.info.subtype == subtype


@pytest.mark.parametrize(("subtype", "n_bits"), [("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("format_", ["WAV", "FLAC", "AIFF", "W64", "RF64", "CAF"])
def test_integers_are_read_exactly(tmp_path, format_, subtype, n_bits):
    samples = files.integers(n_bits=n_bits)
    path = files.write_sound(tmp_path / "x", samples, format=format_, subtype=subtype)
    np.testing.assert_array_equal(audiosep.read(path).samples, samples)


def test_floats_beyond_full_scale_are_kept(tmp_path):
    samples = files.noise(peak=38.0)
    path = files.write_sound(tmp_path / "loud.wav", samples, subtype="FLOAT")
    assert audiosep.read(path).peak == 38.0


@pytest.mark.parametrize("name", ["lies.wav", "lies.mp3", "lies.txt", "lies"])
def test_wrong_extensions_do_not_matter(tmp_path, name):
    path = files.write_sound(tmp_path / name, format="FLAC")
    assert info(path).format == "FLAC"
    recording = open_recording(path)
    np.testing.assert_array_equal(recording.audio.samples, files.sounds(path))
    promised = name[-4:] in (".wav", ".mp3")
    assert [("but it is FLAC" in note) for note in recording.warnings] == [True] * promised
    assert not recording.is_damaged


@pytest.mark.parametrize("n_channels", range(1, 17))
def test_channels(tmp_path, n_channels):
    samples = files.integers(100, n_channels)
    path = files.write_sound(tmp_path / "x.wav", samples)
    np.testing.assert_array_equal(audiosep.read(path).samples, samples)


@pytest.mark.parametrize("sr", [100, 8000, 11025, 44100, 96000, 192000, 768000])
def test_rates(tmp_path, sr):
    path = files.write_sound(tmp_path / "x.wav", sr=sr)
    assert audiosep.read(path).sr == sr
    assert info(path).duration == 4000 / sr


@pytest.mark.parametrize("n_samples", [1, 2])
def test_very_short(tmp_path, n_samples):
    samples = files.integers(n_samples, 1)
    path = files.write_sound(tmp_path / "x.wav", samples)
    np.testing.assert_array_equal(audiosep.read(path).samples, samples)


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("format_", ["WAV", "FLAC", "OGG"])
def test_lengths_around_a_block(tmp_path, monkeypatch, format_, extra):
    monkeypatch.setattr(passes, "_BLOCK_SAMPLES", 1024)
    samples = files.noise(2 * 1024 + extra)
    subtype = "VORBIS" if format_ == "OGG" else "PCM_16"
    path = files.write_sound(tmp_path / "x", samples, format=format_, subtype=subtype)
    recording = open_recording(path)
    assert recording.warnings == ()
    np.testing.assert_array_equal(recording.audio.samples, files.sounds(path))


@pytest.mark.parametrize("format_", ["WAV", "FLAC"])
@pytest.mark.parametrize(
    ("start", "duration", "first", "last"),
    [
        (0.0, None, 0, 4000),
        (0.25, None, 2000, 4000),
        (0.0, 0.1, 0, 800),
        (0.25, 0.1, 2000, 2800),
        (0.25, 99.0, 2000, 4000),
        (0.499875, 1.0, 3999, 4000),
        (0.0, 1e-9, 0, 1),
    ],
)
def test_parts(tmp_path, format_, start, duration, first, last):
    path = files.write_sound(tmp_path / "x", format=format_)
    recording = open_recording(path, start=start, duration=duration)
    assert recording.warnings == ()
    np.testing.assert_array_equal(recording.audio.samples, files.sounds(path)[:, first:last])


@pytest.mark.parametrize("start", [0.5, 0.6, 1e9])
def test_start_behind_the_end(tmp_path, start):
    path = files.write_sound(tmp_path / "x.wav")
    with pytest.raises(InputError, match=r"x\.wav ends at 0\.50 s, before the start"):
        audiosep.read(path, start=start)


@pytest.mark.parametrize(
    "part",
    [
        {"start": -0.1},
        {"start": float("nan")},
        {"start": float("inf")},
        {"duration": 0.0},
        {"duration": -1.0},
        {"duration": float("nan")},
        {"duration": float("inf")},
    ],
)
def test_impossible_parts(tmp_path, part):
    path = files.write_sound(tmp_path / "x.wav")
    with pytest.raises(ParameterError, match="must not be negative"):
        open_recording(path, **part)


def test_cut_wav_says_how_much_is_missing(tmp_path):
    path = files.write_sound(tmp_path / "x.wav", files.noise(16000, 2))
    path.write_bytes(path.read_bytes()[: 44 + 4 * 10000])
    recording = open_recording(path)
    assert recording.audio.n_samples == 10000
    (warning,) = recording.warnings
    assert "ends early: 0.75 s" in warning
    with pytest.warns(UserWarning, match=r"x\.wav: the file ends early: 0\.75 s"):
        audiosep.read(path)


@pytest.mark.parametrize(("subtype", "size"), [("PCM_24", 3), ("FLOAT", 4), ("DOUBLE", 8)])
def test_cut_aiff_and_deep_wav_say_so_too(tmp_path, subtype, size):
    for format_ in ("WAV", "AIFF"):
        path = files.write_sound(
            tmp_path / format_, files.noise(16000, 1), format=format_, subtype=subtype
        )
        path.write_bytes(path.read_bytes()[: -8000 * size])
        recording = open_recording(path)
        assert 7900 < recording.audio.n_samples <= 8010
        assert any(w.startswith("the file ends early: 1.0") for w in recording.warnings)


def test_wav_of_unknown_length_is_whole(tmp_path):
    path = files.write_sound(tmp_path / "piped.wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    recording = open_recording(path)
    assert recording.warnings == ()
    assert recording.audio.n_samples == 4000


def test_cut_flac_is_damaged_and_the_good_part_can_be_read(tmp_path):
    samples = files.noise(5 * 44100, 1)
    path = files.write_sound(tmp_path / "x.flac", samples, 44100, format="FLAC")
    whole = files.sounds(path)
    files.cut(path, 0.6)
    with pytest.raises(DamagedAudioError, match=r"x\.flac is damaged after") as caught:
        audiosep.read(path)
    (position,) = re.findall(r"after (\d+\.\d\d) s", str(caught.value))
    assert 2.5 < float(position) <= 3.0
    advice = "'audiosep split --salvage' (in Python: ReadOptions(damaged=\"salvage\"))."
    assert str(caught.value).endswith(f"or take what can be read with {advice}")
    part = open_recording(path, duration=float(position)).audio
    np.testing.assert_array_equal(part.samples, whole[:, : part.n_samples])
    assert part.duration > 2.5
    # The position is that of the file, also where reading starts later.
    with pytest.raises(DamagedAudioError, match=rf"is damaged after ({position[0]}|3)\."):
        audiosep.read(path, start=1.0)


@pytest.mark.parametrize(
    ("format_", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_cut_lossy_files_warn(tmp_path, format_, subtype):
    path = files.write_sound(
        tmp_path / "x", files.noise(5 * 48000, 1), 48000, format=format_, subtype=subtype
    )
    files.cut(path, 0.6)
    recording = open_recording(path)
    assert 1.5 < recording.audio.duration < 3.5
    (warning,) = recording.warnings
    if format_ == "MP3":
        assert re.search(
            r"ends early: \d\.\d\d s of 5\.\d\d s \(\d+\.?\d* %\) are missing", warning
        )
    else:  # their length is found at their end
        assert "ends early: it has no end mark" in warning


def test_flac_that_lies_about_its_length_is_read_to_its_end(tmp_path):
    path = files.write_sound(tmp_path / "x.flac", format="FLAC")
    whole = files.sounds(path)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert info(path).n_samples == 2**36 - 1
    recording = open_recording(path)
    np.testing.assert_array_equal(recording.audio.samples, whole)
    assert "the file ends early" in recording.warnings[0]
    np.testing.assert_array_equal(open_recording(path, start=0.25).audio.samples, whole[:, 2000:])
    with pytest.raises(InputError, match="damaged or shorter than its header says"):
        open_recording(path, start=50.0)


def test_flac_without_a_length_is_whole(tmp_path):
    path = files.write_sound(tmp_path / "piped.flac", format="FLAC")
    whole = files.sounds(path)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    recording = open_recording(path)
    assert recording.info.n_samples == 0
    assert recording.warnings == ()
    np.testing.assert_array_equal(recording.audio.samples, whole)
    np.testing.assert_array_equal(open_recording(path, start=0.25).audio.samples, whole[:, 2000:])


def test_wav_header_that_promises_2_to_the_31_bytes(tmp_path):
    path = files.write_sound(tmp_path / "x.wav")
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    recording = open_recording(path)
    assert recording.audio.n_samples == 4000
    assert "ends early" in recording.warnings[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("index", "start"), [(0, 0.0), (20001, 0.0), (20001, 2.0)])
def test_not_finite(tmp_path, value, index, start):
    samples = files.noise(24000)
    samples[1, index] = value
    path = files.write_sound(tmp_path / "x.wav", samples, subtype="FLOAT")
    words = rf"x\.wav cannot be used: sample {index} of channel 2 \(at {index / 8000:.3f} s\) is "
    with pytest.raises(InputError, match=words + str(np.float32(value))):
        audiosep.read(path, start=start)


def test_both_infinities_in_one_sum_are_found(tmp_path):
    samples = files.noise(100)
    samples[0, 3], samples[0, 4] = np.inf, -np.inf
    path = files.write_sound(tmp_path / "x.wav", samples, subtype="FLOAT")
    with pytest.raises(InputError, match="sample 3 of channel 1"):
        audiosep.read(path)


def test_the_largest_floats_are_not_taken_for_infinity(tmp_path):
    samples = np.full((1, 1000), np.finfo(np.float32).max, dtype=np.float32)
    path = files.write_sound(tmp_path / "x.wav", samples, subtype="FLOAT")
    with pytest.raises(InputError, match=r"3\.40282e\+38 times full scale: that is no recording"):
        audiosep.read(path)
    path = files.write_sound(tmp_path / "y.wav", samples * np.float32(1e-9), subtype="FLOAT")
    assert audiosep.read(path).peak == np.float32(np.finfo(np.float32).max * np.float32(1e-9))


@pytest.mark.parametrize("sr", [1, 99, 4_000_001, 10_000_000])
def test_implausible_rates(tmp_path, sr):
    path = files.write_sound(tmp_path / "x.wav")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", sr)
    path.write_bytes(data)
    with pytest.raises(DamagedAudioError, match=f"implausible sample rate of {sr} Hz"):
        info(path)
    with pytest.raises(DamagedAudioError, match=f"implausible sample rate of {sr} Hz"):
        audiosep.read(path)


def test_missing_and_not_a_file(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to("nowhere.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "empty.wav").touch()
    for name, words in [
        ("absent.wav", "does not exist"),
        ("folder.wav", "is a directory"),
        ("dangling.wav", "is a link that points nowhere"),
        ("loop.wav", "cannot be opened: .*[Ll]inks"),
        ("empty.wav", r"is empty \(0 bytes\)"),
        ("n" * 300, "cannot be opened: .*too long"),
        ("nul\0.wav", "cannot be opened"),
    ]:
        with pytest.raises(InputError, match=words):
            open_recording(tmp_path / name)


def test_a_link_to_a_recording_is_followed(tmp_path):
    files.write_sound(tmp_path / "real.wav")
    (tmp_path / "link.wav").symlink_to("real.wav")
    assert audiosep.read(tmp_path / "link.wav").n_samples == 4000


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="is not a regular file"):
        open_recording(tmp_path / "pipe.wav")


@pytest.mark.timeout(20)
def test_devices_are_refused():
    with pytest.raises(InputError, match="is not a regular file"):
        open_recording("/dev/zero")


@pytest.mark.parametrize(
    ("n_bytes", "error", "words"),
    [
        (3, InputError, "is not audio"),
        (20, DamagedAudioError, "has a damaged header"),
        (44, DamagedAudioError, "is cut, and none of its sound can be decoded; restore it"),
    ],
)
def test_headers_without_sound(tmp_path, n_bytes, error, words):
    path = files.write_sound(tmp_path / "x.wav")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(error, match=words):
        open_recording(path)


@pytest.mark.parametrize(
    "content", [b"no sound at all\n" * 9, b"%PDF-1.7\n", bytes(5000), b"\x89PNG"]
)
def test_not_audio(tmp_path, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.wav is not audio that can be read"):
        audiosep.read(path)


def test_formats_that_need_another_decoder_are_named(tmp_path):
    path = tmp_path / "x.M4A"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(DamagedAudioError, match=r"is MP4 that cannot be opened .*; it may be cut"):
        open_recording(path)


def test_the_ending_raw_is_explained(tmp_path):
    path = files.write_sound(tmp_path / "x.raw")
    with pytest.raises(InputError, match=r"is named \.raw"):
        open_recording(path)


@pytest.mark.parametrize(
    "name",
    [
        "naïve 🎵.wav",
        "שלום.wav",
        "new\nline.wav",
        "esc\x1b[31m.wav",
        "-dash.wav",
        "n" * 251 + ".wav",
        os.fsdecode(b"latin-\xe9.wav"),
        "%s{0}.wav",
    ],
    ids=ascii,
)
def test_names(tmp_path, name):
    path = files.write_sound(tmp_path / name)
    assert audiosep.read(path).n_samples == 4000
    assert info(path).path == path
    assert header.sha256_of(path) == header.sha256_of(path)


@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_files_that_change_while_they_are_read(tmp_path, monkeypatch, change):
    path = files.write_sound(tmp_path / "x.wav")
    following = passes._next

    def meanwhile(*arguments):
        block = following(*arguments)
        if len(block):
            return block
        if change == "append":
            with path.open("ab") as file:
                file.write(bytes(100))
        elif change == "replace":
            path.write_bytes(path.read_bytes())
            os.utime(path, ns=(1, 1))
        else:
            path.unlink()
        return block

    monkeypatch.setattr(passes, "_next", meanwhile)
    with pytest.raises(InputError, match="changed while it was read; try again"):
        open_recording(path)


def test_errors_start_with_the_path(tmp_path):
    with pytest.raises(InputError) as caught:
        audiosep.read(tmp_path / "absent.wav")
    assert str(caught.value) == f"{tmp_path / 'absent.wav'} does not exist; check the name."


@files.needs_permissions
def test_no_permission(tmp_path):
    path = files.write_sound(tmp_path / "x.wav")
    path.chmod(0)
    with pytest.raises(InputError, match="may not be read: permission denied"):
        open_recording(path)


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "AIFF", "CAF", "W64", "RF64"])
def test_mutated_files_are_read_or_refused(tmp_path, format_):
    # Nothing but our own errors, whatever a damaged disk makes of a header.
    path = files.write_sound(tmp_path / "x", files.noise(500), format=format_)
    whole = path.read_bytes()
    rng = np.random.default_rng(7)
    n_read = n_refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(0, 120)] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data)
        try:
            recording = open_recording(path)
        except InputError:
            n_refused += 1
        else:
            n_read += 1
            assert np.isfinite(recording.audio.samples).all()
    assert n_read
    assert n_refused
