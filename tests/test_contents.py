"""Files that are no sound, or have no header that could be used: what is said of each is true."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.errors import DamagedAudioError, InputError, NotAudioError
from audiosep.io import info
from audiosep.io.reasons import plain_reason


def refusal(path, error=InputError):
    with pytest.raises(error) as caught:
        info(path)
    words = str(caught.value)
    assert words.endswith(".")
    assert not any(raw in words for raw in ("libsndfile", "Error", "rror :", "pipe", "SF_"))
    return words


def zipped():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "a" * 500)
    return held.getvalue()


NOISE = np.random.default_rng(0).bytes(5000)
GIT_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 132344\n"
XML = b'<?xml version="1.0"?>\n<score-partwise version="3.1"><part-list></part-list>'
NO_AUDIO = [
    ("x.wav", b"\xff\xd8\xff\xe0\0\x10JFIF" + NOISE, "it is a JPEG picture; if a recording was"),
    ("x.mp3", b"\xff\xd8\xff\xe0\0\x10JFIF" + NOISE, "it is a JPEG picture; if a recording was"),
    ("x.flac", b"\x89PNG\r\n\x1a\n" + NOISE, "it is a PNG picture"),
    ("x.wav", b"RIFF\x24\0\0\0WEBPVP8 " + NOISE, "it is a WebP picture"),
    ("x.wav", b"%PDF-1.7\n" + NOISE, "it is a PDF document"),
    ("x.wav", zipped(), "it is a ZIP archive; unpack it"),
    ("x.wav", b"\x1f\x8b\x08" + NOISE, "it is a gzip archive; unpack it"),
    (
        "x.mp3",
        b"\n<!DOCTYPE html><html>404</html>",
        "it is a web page; download the recording again",
    ),
    (
        "x.wav",
        GIT_LFS,
        "it is a Git LFS pointer, which stands for a file that was not fetched; run",
    ),
    ("x.wav", b"#!/bin/sh\nsox a b\n", "it is a script"),
    ("x.txt", b"#EXTM3U\na.mp3\n", "it is a playlist; take the recordings that it names"),
    ("x.flac", b"Side A: wedding, 1974\n" * 99, "it is plain text"),
    ("x.mp3", "Seite A: Präludium\n".encode() * 99, "it is plain text"),
    ("x.mp3", "Seite A: Präludium\n".encode("utf-16") * 1, "it is plain text"),
    (
        "x.mid",
        b"MThd\0\0\0\6" + NOISE,
        "it is a MIDI score, which holds no sound; give it with --score",
    ),
    ("x.xml", XML + b" " * 900, "it is a MusicXML score, which holds no sound; give it with --sco"),
    ("x.mxl", zipped(), "it is a MusicXML score"),
    (
        "m.csv",
        b"input,preset\na.wav,vocals\n",
        "a list of recordings; take them apart with 'audiosep",
    ),
    ("m.jsonl", b'{"input": "a.wav"}\n', "it is a list of recordings"),
    (
        "p.json",
        b'{\n "audiosep_project": 1,',
        "it is a project of audiosep; repeat what it says with",
    ),
    ("p.json", b'{\n "format": 1,', "it is plain text"),
    (
        "x.amr",
        b"#!AMR\n" + NOISE,
        "it is AMR audio, which is not supported; convert it to WAV or FLAC",
    ),
    (
        "x.shn",
        b"ajkg\2" + NOISE,
        "Shorten audio, which is not supported; convert it to WAV or FLAC",
    ),
    ("x.wav", bytes(70_000), "it holds only zeros, as a broken copy leaves it; copy it again"),
    ("x.mp3", bytes(70_000), "it holds only zeros, as a broken copy leaves it; copy it again"),
    ("x.au", bytes(70_000), "it holds only zeros, as a broken copy leaves it; copy it again"),
    (
        "x.wav",
        b"\0" * 600 + NOISE,
        "it has no header that is known; restore it from a backup, or impor",
    ),
    ("x.mp3", b"\0" * 600 + NOISE, "it has no header that is known; restore it from a backup."),
    ("x.mp4", b"\0" * 600 + NOISE, "it has no header that is known; restore it from a backup."),
    (
        "x.odd",
        b"\0" * 600 + NOISE,
        "no header that is known; if it is a recording, convert it to WAV",
    ),
    ("x.mp3", b"\xff\xfb\x90\x64" + bytes(46), "it holds only 50 bytes and no sound; restore it"),
    ("x.wav", b"RIF", "it holds only 3 bytes and no sound; restore it"),
]


@pytest.mark.parametrize(("name", "content", "wanted"), NO_AUDIO, ids=itertools.count())
def test_what_it_is_and_what_helps(tmp_path, name, content, wanted):
    path = tmp_path / name
    path.write_bytes(content)
    words = refusal(path, NotAudioError)
    assert words.startswith("is not audio that can be read: it ")
    assert wanted in words
    assert ("convert" in words) == ("convert" in wanted)


def test_a_text_whose_last_letter_is_cut_by_looking_at_its_beginning_only(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"a" * 511 + "é".encode() * 99)
    assert "it is plain text" in refusal(path, NotAudioError)


@pytest.mark.parametrize("format_", ["WAV", "AIFF", "CAF", "AU", "W64", "RF64"])
def test_a_header_of_zeros(tmp_path, format_):
    path = files.write_sound(tmp_path / f"x.{format_.lower()}", format=format_)
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    assert "or import it as raw data in an audio editor" in refusal(path, NotAudioError)


def test_junk_before_a_header(tmp_path):
    path = files.write_sound(tmp_path / "x.wav")
    path.write_bytes(b"\x01junk\x02" + path.read_bytes())
    assert "it has no header that is known" in refusal(path, NotAudioError)


@pytest.mark.parametrize("ending", ["au", "snd", "AU"])
@pytest.mark.parametrize("head", [bytes(24), NOISE[:24]], ids=["zeros", "noise"])
def test_no_noise_is_made_of_an_au_file_without_its_header(tmp_path, ending, head):
    """The library of sound files takes it for telephone sound of 8000 Hz."""
    path = files.write_sound(tmp_path / f"x.{ending}", format="AU")
    assert info(path).format == "AU"
    path.write_bytes(head + path.read_bytes()[24:])
    assert sf.info(path).format == "RAW"
    with pytest.raises(NotAudioError, match="it has no header that is known; restore it"):
        audiosep.read(path)


@pytest.mark.parametrize(("ending", "subtype"), [("vox", "VOX_ADPCM"), ("gsm", "GSM610")])
def test_telephone_sound_that_never_has_a_header_is_read(tmp_path, ending, subtype):
    path = tmp_path / f"x.{ending}"
    sf.write(path, files.noise(4000, 1).T, 8000, format="RAW", subtype=subtype)
    assert audiosep.read(path).n_samples >= 4000
    path.write_bytes(b"Side A: wedding, 1974\n" * 99)
    assert "it is plain text" in refusal(path, NotAudioError)
    path.write_bytes(bytes(5000))
    assert "it holds only zeros" in refusal(path, NotAudioError)


def rate_of_zero(data):
    return data[:24] + bytes(4) + data[28:]


def no_channels(data):
    return data[:22] + bytes(2) + data[24:]


def other_coding(data):
    return data[:20] + struct.pack("<H", 0x270) + data[22:]


def other_letters(data):
    return data.replace(b"data", b"junk", 1)


@pytest.mark.parametrize(
    ("format_", "change", "wanted"),
    [
        (
            "WAV",
            rate_of_zero,
            r"has a damaged header \(its sample rate or its channels cannot be\)",
        ),
        ("WAV", no_channels, r"has a damaged header \(it says 0 channels\)"),
        ("WAV", other_coding, "has a coding that is not known, or a damaged header; if other"),
        ("WAV", other_letters, r"has a damaged header \(the part with the samples is missing\)"),
        ("OGG", lambda data: data[:50], r"has a damaged header \(it is cut to 50 bytes\)"),
        ("FLAC", lambda data: data[:50], r"has a damaged header \(it is cut to 50 bytes\)"),
        ("OGG", lambda data: data[:40] + NOISE, "has a "),
        ("FLAC", lambda data: data[:30] + NOISE, "has a damaged header"),
        ("WAV", lambda data: b"RIFFnothing", r"has a damaged header \(it is cut to 11 bytes\)"),
    ],
)
def test_damaged_headers_in_plain_words(tmp_path, format_, change, wanted):
    path = files.write_sound(tmp_path / f"x.{format_.lower()}", format=format_, subtype=None)
    path.write_bytes(change(path.read_bytes()))
    if wanted.endswith("is missing\\)"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedAudioError, match=wanted):
        info(path)
    refusal(path)


def test_no_library_speaks_for_itself():
    texts = [sf._ffi.string(sf._snd.sf_error_number(n)).decode() for n in range(184)]
    for text in [*texts, "Error number -16976906 occurred", "[Errno 7] odd", ""]:
        words = plain_reason(text)
        assert words == words.strip(".")
        assert not any(c in words for c in "'()_:")
        assert words != text


@pytest.mark.parametrize(
    "start", [b"\xff\xf1\x50\x80\x02\x1f\xfc", b"\x0b\x77\x12\x34\x14\x40"], ids=["AAC", "AC-3"]
)
def test_streams_that_are_cut_before_any_sound(tmp_path, start):
    pytest.importorskip("av")
    path = tmp_path / "x.aac"
    path.write_bytes(start + NOISE[: 50 - len(start)])
    assert refusal(path, DamagedAudioError) == (
        "is cut to 50 bytes and holds no sound; restore it from a backup."
    )
