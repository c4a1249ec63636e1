"""Bytes that a header promises and the file does not hold."""

from __future__ import annotations

import struct

import files
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.io.riff import missing_bytes


def chunk(name, content, length=None, order="<"):
    size = len(content) if length is None else length
    return name + struct.pack(f"{order}I", size) + content + b"\0" * (len(content) % 2)


def riff(*chunks, name=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body)) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
SOUND = bytes(range(200))


@pytest.fixture
def missing(tmp_path):
    def measure(data):
        path = tmp_path / "x"
        path.write_bytes(data)
        return missing_bytes(path)

    return measure


@pytest.mark.parametrize("format_", ["WAV", "RF64", "W64", "AIFF", "CAF", "FLAC", "OGG", "MP3"])
def test_whole_files_miss_nothing(tmp_path, format_):
    path = tmp_path / "x"
    files.write_sound(path, format=format_, subtype=None)
    assert missing_bytes(path) == 0


@pytest.mark.parametrize("n", [1, 2, 100, 7999, 15000])
@pytest.mark.parametrize("format_", ["WAV", "RF64", "AIFF"])
def test_cut_files(tmp_path, format_, n):
    path = tmp_path / "x"
    files.write_sound(path, format=format_)
    path.write_bytes(path.read_bytes()[:-n])
    assert missing_bytes(path) == n


def test_other_chunks_are_passed_over(missing):
    junk = chunk(b"JUNK", b"odd")
    assert missing(riff(FMT, junk, chunk(b"data", SOUND), chunk(b"LIST", b"abcd"))) == 0
    assert missing(riff(junk, FMT, junk, chunk(b"data", SOUND))[:-30]) == 30


def test_unknown_length(missing):
    assert missing(riff(FMT, chunk(b"data", SOUND, 0xFFFFFFFF))) == 0


def test_rf64(missing):
    def rf64(promised, content):
        sizes = chunk(b"ds64", struct.pack("<QQQI", 0, promised, 0, 0))
        return riff(sizes, FMT, chunk(b"data", content, 0xFFFFFFFF), name=b"RF64")

    assert missing(rf64(200, SOUND)) == 0
    assert missing(rf64(2**33, SOUND)) == 2**33 - 200


@pytest.mark.parametrize("length", [0, 4, 15])
def test_a_size_chunk_too_short_does_not_turn_the_reader_back(missing, length):
    data = riff(chunk(b"ds64", bytes(length)), FMT, chunk(b"data", SOUND), name=b"RF64")
    assert missing(data) >= 0


@pytest.mark.parametrize("n", [0, 4, 11, 12, 19, 20, 30])
def test_files_that_end_in_their_header(missing, n):
    assert missing(riff(FMT, chunk(b"data", SOUND))[:n]) == 0


@pytest.mark.timeout(20)
def test_empty_chunks_without_end(missing):
    assert missing(riff(*[chunk(b"JUNK", b"")] * 5000, chunk(b"data", SOUND, 999))) == 0


@given(st.binary(max_size=200), st.sampled_from([b"RIFF", b"RF64", b"FORM"]), st.booleans())
def test_any_bytes(tmp_path_factory, content, name, big):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(name + content[:4].ljust(4) + (b"AIFF" if big else b"WAVE") + content[4:])
    assert missing_bytes(path) >= 0
