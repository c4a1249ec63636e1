"""Containers that libsndfile does not know are named by their first bytes."""

from __future__ import annotations

import pytest

from audiosep.io.containers import container_of

TS = b"\x47" + bytes(187) + b"\x47" + bytes(100)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"RIFF\x10\0\0\0AVI LIST", "AVI"),
        (b"RIFF\x10\0\0\0WAVEfmt ", ""),
        (TS, "MPEG-TS"),
        (TS[:188], ""),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc", "AAC"),
        (b"\xff\xfb\x90\x00\x00\x00\x00", ""),  # a frame of MP3
        (b"\xff\xf1", ""),
        (b"\x1a\x45\xdf\xa3 webm", "Matroska"),
        (b"\0\0\0\x18ftypM4A ", "MP4"),
        (b"", ""),
    ],
)
def test_first_bytes(tmp_path, start, name):
    path = tmp_path / "sound"
    path.write_bytes(start)
    assert container_of(path) == name
