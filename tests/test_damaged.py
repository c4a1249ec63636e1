"""What files say of their own length and end, and what is found behind a damage."""

from __future__ import annotations

import itertools
import re
import struct
from contextlib import suppress

import files
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiosep import ReadOptions
from audiosep.errors import DamagedAudioError, InputError
from audiosep.io import info, open_recording
from audiosep.io.decoders import open_decoder
from audiosep.io.endings import ending_of
from audiosep.io.flac_frames import frame_starts, last_sample, stream_info
from audiosep.io.frames import walk_frames
from audiosep.io.mpeg_frames import counted, cut_frame_bytes, is_broken_inside
from audiosep.io.ogg_pages import last_page, walk_pages
from audiosep.io.patched import PatchedFile, ReheadedFile
from audiosep.io.raw_frames import RAW_FRAMES
from audiosep.io.reading import scan_recording
from audiosep.io.riff import audio_bytes
from audiosep.io.tapes import FileTape

SALVAGE = ReadOptions(damaged="salvage")

FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("AU", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize(("format_", "subtype"), FORMATS)
@pytest.mark.parametrize("n_samples", [1, 500, 20_000])
def test_whole_files_end_as_they_should(tmp_path, format_, subtype, n_samples):
    noise = files.noise(n_samples, 1)
    path = files.write_sound(tmp_path / "x", noise, format=format_, subtype=subtype)
    ending = ending_of(path, info(path))
    assert not ending.is_cut
    assert ending.words() == ""
    assert not open_recording(path).is_damaged


@pytest.mark.parametrize(("format_", "subtype"), FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_cut_files_do_not(tmp_path, format_, subtype, share):
    sr = 48000
    noise = files.noise(4 * sr, 1)
    path = files.write_sound(tmp_path / "x", noise, sr, format=format_, subtype=subtype)
    files.cut(path, share)
    ending = ending_of(path, info(path))
    assert ending.is_cut
    assert "the file ends early" in ending.words()
    if format_ == "OGG":
        assert ending.missing_s is None
    else:
        assert ending.missing_s == pytest.approx((1 - share) * 4, abs=0.2)
    assert open_recording(path, options=SALVAGE).is_damaged


def test_frames_of_a_flac(tmp_path):
    path = files.write_sound(tmp_path / "x.flac", files.noise(50_000), format="FLAC")
    about = stream_info(path)
    assert about.n_samples == 50_000
    assert about.block_samples == 4096
    assert frame_starts(path) == list(range(0, 50_000, 4096))
    assert last_sample(path, about) == 50_000
    # A tag in front of the stream, as some programs write it.
    path.write_bytes(b"ID3\3\0\0\0\0\1\5" + bytes(133) + path.read_bytes())
    assert stream_info(path).n_samples == 50_000


def test_mp3_with_and_without_a_count(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(30_000), 44100, format="MP3", subtype=None
    )
    count = counted(path)
    assert count.promised == count.held == path.stat().st_size
    assert count.n_samples >= 30_000
    data = path.read_bytes()
    bare = data[data.index(b"\xff\xfb", 10) :]  # without the first frame, which counts the others
    path.write_bytes(bare)
    assert counted(path) is None
    assert cut_frame_bytes(path) == 0
    assert not ending_of(path, info(path)).is_cut
    whole = open_recording(path)
    assert whole.warnings == ()
    assert whole.audio.n_samples >= 30_000  # its decoder alone guesses half of them
    path.write_bytes(bare + b"TAG" + bytes(125))
    assert cut_frame_bytes(path) == 0
    path.write_bytes(bare[:-100])
    assert cut_frame_bytes(path) == 100
    assert "it stops inside a frame" in ending_of(path, info(path)).words()


@pytest.mark.parametrize("options", [{}, {"write_xing": "0"}])
@pytest.mark.parametrize("codec", ["libmp3lame", "mp2"])
def test_an_mp3_of_any_encoder_is_whole(tmp_path, codec, options):
    """Without a count, the length in the header is a guess of its decoder's."""
    av = pytest.importorskip("av")
    name = "x.mp3" if codec == "libmp3lame" else "x.mp2"
    with av.open(str(tmp_path / name), "w", options=options) as file:
        stream = file.add_stream(codec, rate=44100, layout="stereo")
        stream.bit_rate = 128_000
        context = stream.codec_context
        frame = av.AudioFrame.from_ndarray(files.noise(300_000), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 0
        cut = av.AudioResampler(context.format, context.layout, 44100, context.frame_size)
        for piece in (*cut.resample(frame), *cut.resample(None)):
            file.mux(stream.encode(piece))
        file.mux(stream.encode())
    assert (counted(tmp_path / name) is None) == (codec == "mp2" or bool(options))
    recording = open_recording(tmp_path / name, options=STRICT)
    assert recording.warnings == ()
    assert recording.audio.n_samples >= 300_000 - 1152


def test_flac_in_ogg(tmp_path):
    containers = pytest.importorskip("containers")
    samples = np.round(files.noise(200_000) * 32768).astype(np.int16) / 32768
    path = containers.write_container(
        tmp_path / "x.oga", [samples.astype(np.float32)], 44100, codec="flac", form="s16"
    )
    recording = open_recording(path, options=STRICT)
    assert (recording.info.format, recording.warnings) == ("OGG FLAC", ())
    np.testing.assert_array_equal(recording.audio.samples, samples)
    data = path.read_bytes()
    path.write_bytes(data[:-3000])
    assert "the file ends early" in open_recording(path).warnings[0]
    half = data.index(b"OggS", len(data) // 3)
    path.write_bytes(data[:half] + data[data.index(b"OggS", half + 4) :])
    warnings = open_recording(path, options=SALVAGE).warnings
    assert any("the file is damaged inside" in words for words in warnings), warnings


def test_a_hole_in_an_mp3_is_told_from_a_cut(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(60_000), 44100, format="MP3", subtype=None
    )
    data = path.read_bytes()
    assert not is_broken_inside(path)
    n = len(data)
    for hole in (slice(n // 2, n // 2 + 1234), slice(n // 3, n - n // 5)):
        path.write_bytes(data[: hole.start] + data[hole.stop :])
        assert is_broken_inside(path)
        ending = ending_of(path, info(path))
        assert ending.missing_bytes == hole.stop - hole.start
        assert "damaged inside" in ending.words()
        (warning,) = open_recording(path).warnings
        assert "is damaged inside: 0." in warning
        assert "what follows comes too early" in warning
    for end in (n // 2, n - 10):
        path.write_bytes(data[:end])
        assert not is_broken_inside(path)
        assert "ends early" in ending_of(path, info(path)).words()
    path.write_bytes(data + b"TAG" + bytes(125))
    assert not is_broken_inside(path)


def test_a_count_of_fraunhofer(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(30_000), 44100, format="MP3", subtype=None
    )
    data = bytearray(path.read_bytes())
    header = b"VBRI" + struct.pack(">HHHII", 1, 0, 0, len(data), 30)
    data[4:200] = bytes(196)
    data[36 : 36 + len(header)] = header
    path.write_bytes(data)
    assert counted(path).promised == len(data)
    assert counted(path).n_samples == 30 * 1152
    path.write_bytes(data[:-1000])
    assert counted(path).held == len(data) - 1000


def test_last_page(tmp_path):
    path = files.write_sound(tmp_path / "x.ogg", files.noise(40_000), format="OGG", subtype=None)
    assert last_page(path).is_end
    whole = path.read_bytes()
    path.write_bytes(whole + b"something behind it")
    assert last_page(path).is_end
    path.write_bytes(whole[:-1])
    page = last_page(path)
    assert not page.is_end
    assert page.n_cut > 0
    path.write_bytes(whole[: whole.rindex(b"OggS")])  # between two pages
    assert (last_page(path).is_end, last_page(path).n_cut) == (False, 0)


@given(
    st.binary(max_size=300), st.sampled_from([b"fLaC", b"OggS", b"\xff\xfb\x90\x64", b"ID3", b""])
)
def test_any_bytes_have_some_ending(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + content)
    about = stream_info(path)
    assert about is None or last_sample(path, about) is None or about.n_samples >= 0
    assert frame_starts(path) == sorted(frame_starts(path))
    assert counted(path) is None or counted(path).held >= 0
    assert cut_frame_bytes(path) >= 0
    assert last_page(path) is None or last_page(path).n_cut >= 0
    assert audio_bytes(path) is None
    with suppress(InputError):
        open_decoder(path).close()


def test_a_patch_is_read_and_nothing_is_written(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    file = PatchedFile(path, 10, b"abcd")
    wanted = bytes(range(10)) + b"abcd" + bytes(range(14, 100))
    assert file.read() == wanted
    for first, n in [(0, 5), (8, 4), (11, 1), (12, 30), (14, 2), (99, 5)]:
        assert file.seek(first) == first
        assert file.read(n) == wanted[first : first + n]
    file.close()
    assert path.read_bytes() == bytes(range(100))


def damaged(path, *places, n_bytes=60):
    """A FLAC of ten seconds with damages at shares of its length; returns its samples."""
    samples = files.integers(10 * 44100, 1, seed=3)
    files.write_sound(path, samples, 44100, format="FLAC")
    data = bytearray(path.read_bytes())
    for place in places:
        at = int(place * len(data))
        data[at : at + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    return samples


@pytest.mark.parametrize("places", [(0.5,), (0.1, 0.15, 0.4, 0.9), (0.002,), (0.999,)])
def test_what_is_salvaged_is_what_was_there(tmp_path, places):
    path = tmp_path / "x.flac"
    samples = damaged(path, *places)
    scan = scan_recording(path, options=SALVAGE, n_kept=10**9)
    found = scan.audio.samples
    silent = np.zeros(scan.n_samples, dtype=bool)
    for first, last in scan.gaps:
        silent[first:last] = True
        assert last - first <= 2 * 4096
    np.testing.assert_array_equal(found[:, ~silent], samples[:, : scan.n_samples][:, ~silent])
    assert not found[:, silent].any()
    assert scan.n_samples >= 10 * 44100 - 4096
    assert len(scan.gaps) == len(places) - (places == (0.999,))
    # A tape gives the same, wherever it is asked.
    tape = FileTape.of(path, scan_recording(path, options=SALVAGE))
    rng = np.random.default_rng(0)
    for first in [0, scan.n_samples - 5, *rng.integers(0, scan.n_samples - 50_000, 8)]:
        last = min(scan.n_samples, int(first) + 50_000)
        np.testing.assert_array_equal(tape.part(int(first), last).samples, found[:, first:last])
    tape.close()


def test_a_part_of_what_is_salvaged(tmp_path):
    path = tmp_path / "x.flac"
    damaged(path, 0.5)
    whole = open_recording(path, options=SALVAGE).audio.samples
    part = open_recording(path, start=4.0, duration=3.0, options=SALVAGE)
    np.testing.assert_array_equal(part.audio.samples, whole[:, 4 * 44100 : 7 * 44100])
    assert open_recording(path, start=7.0).warnings == ()  # nothing is wrong with that part


@pytest.mark.timeout(60)
def test_rubbish_without_end_is_given_up(tmp_path):
    path = tmp_path / "x.flac"
    samples = damaged(path)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = np.random.default_rng(0).integers(0, 256, len(data) - half, "u1").tobytes()
    path.write_bytes(data)
    found = open_recording(path, options=SALVAGE)
    n = found.audio.n_samples
    assert 4.8 * 44100 < n < 5.1 * 44100
    np.testing.assert_array_equal(found.audio.samples, samples[:, :n])
    assert "nothing can be decoded after 4.9" in found.warnings[0]


def test_zeros_in_place_of_what_is_no_number_also_part_by_part(tmp_path):
    samples = files.noise(40_000)
    samples[0, 100], samples[1, 30_000] = np.nan, np.inf
    path = tmp_path / "x.wav"
    sf.write(path, samples.T, 8000, subtype="FLOAT")
    scan = scan_recording(path, options=ReadOptions(fix_nonfinite="zero"))
    part = FileTape.of(path, scan).part(29_000, 31_000)
    wanted = np.where(np.isfinite(samples), samples, 0)
    np.testing.assert_array_equal(part.samples, wanted[:, 29_000:31_000])
    assert scan.peak == np.abs(wanted).max()


def chunks(*pairs):
    body = b"".join(
        name + struct.pack("<I", len(data) if size is None else size) + data
        for name, data, size in pairs
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


FMT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16), None)


def test_an_empty_wav_with_tags_is_empty_and_its_tags_are_no_sound(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(chunks(FMT, (b"data", b"", None), (b"LIST", b"INFO" + bytes(400), None)))
    with pytest.raises(InputError, match="holds no audio"):
        open_recording(path)
    path.write_bytes(chunks(FMT, (b"data", b"\1\2" * 300, 0)))
    assert open_recording(path).audio.n_samples == 300


def test_a_length_that_sox_writes_into_a_pipe_is_unknown(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(chunks(FMT, (b"data", b"\1\2" * 300, 0x7FFFF000)))
    recording = open_recording(path)
    assert (recording.audio.n_samples, recording.warnings) == (300, ())


def test_an_mp3_that_counts_its_bytes_in_another_way_is_whole(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(30_000), 44100, format="MP3", subtype=None
    )
    data = bytearray(path.read_bytes())
    at = data.index(b"Xing" if b"Xing" in data[:200] else b"Info") + 12
    data[at : at + 4] = struct.pack(">I", len(data) + 2000)
    path.write_bytes(data)
    assert open_recording(path).warnings == ()


def test_another_head_is_read_and_nothing_is_written(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    file = ReheadedFile(path, 10, b"abcd")
    wanted = b"abcd" + bytes(range(10, 100))
    assert file.read() == wanted
    assert file.seek(0, 2) == len(wanted)
    for first, n in [(0, 3), (2, 4), (3, 1), (4, 30), (93, 5), (200, 5)]:
        assert file.seek(first) == first
        assert file.read(n) == wanted[first : first + n]
        assert file.tell() == min(first + n, max(first, len(wanted)))
    file.close()
    assert path.read_bytes() == bytes(range(100))


STRICT = ReadOptions(damaged="refuse")


def ogg(path, subtype="VORBIS", seconds=4):
    """An OGG of noise and where its pages begin."""
    files.write_sound(path, files.noise(seconds * 48000, 1), 48000, format="OGG", subtype=subtype)
    data = path.read_bytes()
    places = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    assert len(places) > 5
    return data, [*places, len(data)]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("how", ["cut out", "overwritten", "page cut out"])
@pytest.mark.parametrize("page", [2, 4])
def test_a_hole_in_an_ogg_is_told(tmp_path, subtype, how, page):
    path = tmp_path / "x.ogg"
    data, places = ogg(path, subtype)
    if how == "page cut out" and page == 2:
        page = 3  # without the first one it is a stream that was recorded from its middle on
    first, last = places[page], places[page + 1]
    if how == "cut out":
        path.write_bytes(data[: first + 1000] + data[first + 3000 :])
    elif how == "overwritten":
        path.write_bytes(data[: first + 1000] + b"rot!" * 50 + data[first + 1200 :])
    else:
        path.write_bytes(data[:first] + data[last:])
    recording = open_recording(path)
    (warning,) = recording.warnings
    lost = 4 - recording.audio.duration
    assert lost > 0.1
    assert warning.startswith(f"the file is damaged inside: {lost:.2f} s of 4.00 s (")
    assert warning.endswith("missing, so that what follows comes too early.")
    with pytest.raises(DamagedAudioError, match="is damaged, and --strict"):
        open_recording(path, options=STRICT)


def resealed(page):
    """A page with the checksum that it should have."""
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", crc) + page[26:]


def test_an_ogg_from_the_middle_of_a_stream_is_whole(tmp_path):
    path = tmp_path / "x.ogg"
    data, places = ogg(path)
    pages = [data[a:b] for a, b in itertools.pairwise(places)]
    moved = pages[:2]
    for page in pages[2:]:
        (granule,) = struct.unpack_from("<q", page, 6)
        (number,) = struct.unpack_from("<I", page, 18)
        granule, number = struct.pack("<q", granule + 10**9), struct.pack("<I", number + 500)
        moved.append(resealed(page[:6] + granule + page[14:18] + number + page[22:]))
    path.write_bytes(b"".join(moved))
    assert walk_pages(path).n_holes == 0
    assert open_recording(path, options=STRICT).warnings == ()


def test_an_ogg_whose_last_page_is_rotten_is_cut(tmp_path):
    path = tmp_path / "x.ogg"
    data, places = ogg(path)
    path.write_bytes(data[: places[-2] + 40] + bytes(10) + data[places[-2] + 50 :])
    (warning,) = open_recording(path).warnings
    assert "it has no end mark" in warning


def test_of_oggs_in_a_row_one_is_read_and_it_is_said(tmp_path):
    path = tmp_path / "x.ogg"
    data, _ = ogg(path)
    path.write_bytes(data + data)
    recording = open_recording(path)
    assert recording.audio.n_samples == 4 * 48000
    assert "2 recordings in a row, and only the first" in recording.warnings[0]


def test_an_mp3_that_lost_its_first_frame_is_read_and_told(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(60_000), 44100, format="MP3", subtype=None
    )
    data = path.read_bytes()
    path.write_bytes(bytes(64) + data[64:])
    recording = open_recording(path)
    assert recording.audio.n_samples >= 60_000
    assert "bytes are no sound: its beginning is damaged" in recording.warnings[0]
    with pytest.raises(DamagedAudioError, match="its beginning is damaged"):
        open_recording(path, options=STRICT)


def test_an_mp3_whose_first_frame_counts_too_few(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(60_000), 44100, format="MP3", subtype=None
    )
    path.write_bytes(path.read_bytes() * 2)
    (warning,) = open_recording(path).warnings
    assert warning.startswith("only 1.36 s of 2.")


def test_rubbish_in_an_mp3_is_a_hole(tmp_path):
    path = files.write_sound(
        tmp_path / "x.mp3", files.noise(4 * 44100), 44100, format="MP3", subtype=None
    )
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 6000] = np.random.default_rng(3).integers(0, 200, 6000, "u1").tobytes()
    path.write_bytes(data)
    scan = scan_recording(path, n_kept=10**9)
    assert 3.3 * 44100 < scan.n_samples < 3.95 * 44100
    assert "the file is damaged inside: 0." in scan.warnings[0]
    tape = FileTape.of(path, scan)
    for first in (0, 90_000, 10_000):
        wanted = scan.audio.samples[:, first : first + 50_001]
        np.testing.assert_array_equal(tape.part(first, first + 50_001).samples, wanted)
    tape.close()


def test_a_flac_whose_checksum_does_not_fit(tmp_path):
    path = files.write_sound(tmp_path / "x.flac", files.noise(50_000), format="FLAC")
    assert open_recording(path, options=STRICT).warnings == ()
    data = bytearray(path.read_bytes())
    data[30] ^= 0x55
    path.write_bytes(data)
    (warning,) = open_recording(path).warnings
    assert warning.startswith("its samples are not those that its checksum was made of")
    with pytest.raises(DamagedAudioError, match="checksum"):
        open_recording(path, options=STRICT)
    assert open_recording(path, duration=1.0, options=STRICT).warnings == ()  # not of a part


def test_next_to_nothing_is_refused(tmp_path):
    path = files.write_sound(tmp_path / "x.wav", files.noise(24_000, 1))
    data = path.read_bytes()
    path.write_bytes(data[:50])
    words = r"is cut: it holds only 3 samples \(0\.00038 s\) of 3\.00 s; restore it from a backup\."
    for options in (ReadOptions(), SALVAGE):
        with pytest.raises(DamagedAudioError, match="only 3 samples"):
            open_recording(path, options=options)
    with pytest.raises(DamagedAudioError, match=words):
        scan_recording(path)
    path.write_bytes(data[:2000])  # short, but some of it
    assert "is damaged" not in open_recording(path).warnings[0]
    whole = files.write_sound(tmp_path / "y.wav", files.noise(1, 1))
    assert open_recording(whole).warnings == ()


@pytest.mark.parametrize(
    ("n_cut", "words"),
    [
        (1, "1 sample of 3.00 s (less than 0.1 %) is missing."),
        (20, "10 samples of 3.00 s (less than 0.1 %) are missing."),
        (4800, "0.30 s of 3.00 s (10 %) are missing."),
        (47_000, "2.94 s of 3.00 s (97.9 %) are missing."),
    ],
)
def test_shares_are_not_rounded_to_all_or_nothing(tmp_path, n_cut, words):
    path = files.write_sound(tmp_path / "x.wav", files.noise(24_000, 1))
    path.write_bytes(path.read_bytes()[:-n_cut])
    assert open_recording(path).warnings == (f"the file ends early: {words}",)


def test_an_ogg_without_a_page_of_sound_is_cut(tmp_path):
    path = tmp_path / "x.ogg"
    data, places = ogg(path)
    path.write_bytes(data[: places[2] + 2000])
    words = "is cut, and none of its sound can be decoded; restore it from a backup"
    with pytest.raises(DamagedAudioError, match=words):
        open_recording(path)


def test_the_place_of_a_damage_is_true(tmp_path):
    path = tmp_path / "x.flac"
    samples = damaged(path, 0.5)
    ((first, _),) = scan_recording(path, options=SALVAGE).gaps
    with pytest.raises(DamagedAudioError, match=f"is damaged after {first / 44100:.2f} s"):
        open_recording(path)
    np.testing.assert_array_equal(
        open_recording(path, duration=first / 44100).audio.samples, samples[:, :first]
    )


def container(path, seconds=4, sr=44100, **kwargs):
    """Sound of a container that changes all the time, and what is decoded of it."""
    containers = pytest.importorskip("containers")
    sweep = np.sin(np.cumsum(np.linspace(0.01, 1.0, seconds * sr)))
    samples = np.tile(0.5 * sweep, (2, 1)).astype(np.float32)
    containers.write_container(path, [samples], sr, **kwargs)
    return open_recording(path, options=STRICT).audio.samples


def test_a_corrupted_m4a_is_read_on_both_sides(tmp_path):
    path = tmp_path / "x.m4a"
    whole = container(path)
    data = bytearray(path.read_bytes())
    half = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[half : half + 1000] = b"\xff" * 1000
    path.write_bytes(data)
    scan = scan_recording(path, options=SALVAGE, n_kept=10**9)
    found = scan.audio.samples
    assert scan.gaps
    assert "could not be decoded and are silent" in scan.warnings[0]
    (first, _), last = scan.gaps[0], scan.gaps[-1][1]
    assert 0 < last - first < 0.5 * 44100
    assert found.shape == whole.shape  # nothing moves in time
    np.testing.assert_array_equal(found[:, : first - 2048], whole[:, : first - 2048])
    np.testing.assert_allclose(found[:, last + 8192 :], whole[:, last + 8192 :], atol=0.02)
    assert not found[:, slice(*scan.gaps[0])].any()
    with pytest.raises(DamagedAudioError, match=f"is damaged after {first / 44100:.2f} s"):
        open_recording(path)
    tape = FileTape.of(path, scan_recording(path, options=SALVAGE))
    for begin in (0, first - 3000, last - 1000, 500):
        wanted = found[:, begin : begin + 30_000]
        np.testing.assert_array_equal(tape.part(begin, begin + wanted.shape[1]).samples, wanted)
    tape.close()


RAW = [("x.aac", "aac"), ("x.ac3", "ac3"), ("x.eac3", "eac3")]


@pytest.mark.parametrize(("name", "codec"), RAW)
def test_frames_alone_tell_that_they_were_cut(tmp_path, name, codec):
    path = tmp_path / name
    container(path, codec=codec)
    data = path.read_bytes()
    assert not ending_of(path, info(path)).is_cut
    path.write_bytes(data[: int(0.61 * len(data))])
    (warning,) = open_recording(path).warnings
    assert "it stops inside a frame" in warning
    with pytest.raises(DamagedAudioError, match="stops inside a frame"):
        open_recording(path, options=STRICT)


@pytest.mark.parametrize(("name", "codec"), RAW)
def test_frames_alone_tell_of_a_hole(tmp_path, name, codec):
    path = tmp_path / name
    container(path, codec=codec)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + data[half + 3000 :])
    warnings = open_recording(path, options=SALVAGE).warnings
    assert warnings[-1].startswith("the file is damaged inside")
    with pytest.raises(DamagedAudioError, match="is damaged"):
        open_recording(path, options=STRICT)


@pytest.mark.parametrize(("name", "sr"), [("x.eac3", 48000), ("x.ac3", 44100), ("x.ac3", 32000)])
def test_frames_are_as_long_as_they_say(tmp_path, name, sr):
    containers = pytest.importorskip("containers")
    codec = name.partition(".")[2]
    path = containers.write_container(tmp_path / name, [files.noise(2 * sr)], sr, codec=codec)
    walk = walk_frames(path, RAW_FRAMES["AC-3"])
    assert 0 <= walk.seconds - 2 <= 1536 / sr
    assert (walk.first, walk.n_holes, walk.n_bytes) == (0, 0, path.stat().st_size)


def test_frames_of_different_lengths_are_whole(tmp_path):
    containers = pytest.importorskip("containers")
    # The length of such a file can only be guessed by its first frames, and that is far off.
    samples = np.concatenate([np.zeros((2, 88_200), np.float32), files.noise(88_200)], axis=1)
    path = containers.write_container(tmp_path / "x.aac", [samples], 44100)
    recording = open_recording(path, options=STRICT)
    assert recording.warnings == ()
    assert recording.audio.n_samples >= 176_400


def test_sound_that_no_way_leads_to_is_not_said_to_be_cut_off(tmp_path):
    path = tmp_path / "x.mka"
    container(path)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = np.random.default_rng(5).integers(0, 256, len(data) - half, "u1").tobytes()
    path.write_bytes(data)
    warning = open_recording(path, options=SALVAGE).warnings[-1]
    assert re.search("ends early or is damaged|nothing can be decoded after", warning)
