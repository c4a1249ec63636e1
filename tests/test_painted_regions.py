"""Regions as they are typed, as JSON, and as the tables of other programs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.exports.activity import Stretch
from audiosep.exports.texts import raven_table, stretch_labels
from audiosep.research.painted_regions import (
    MAX_REGIONS,
    PaintedRegion,
    read_regions,
    region_from_text,
)

EXAMPLE = PaintedRegion(stem="drums", start_s=10, end_s=12.5, low_hz=100, high_hz=500)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("drums=10-12.5,100-500hz", EXAMPLE),
        (" drums = 10 - 12.5 , 100 - 500 Hz ", EXAMPLE),
        ("drums=0:10-0:12.5,0.1k-0.5khz", EXAMPLE),
        ("drums=10-12.5,100-500", EXAMPLE),
        ("a=b=1-2", PaintedRegion(stem="a=b", start_s=1, end_s=2)),
        ("x=1-", PaintedRegion(stem="x", start_s=1)),
        ("x=1-2,500-", PaintedRegion(stem="x", start_s=1, end_s=2, low_hz=500)),
        ("not x=1:05-2:00", PaintedRegion(stem="x", start_s=65, end_s=120, belongs=False)),
    ],
)
def test_regions_are_read_as_they_are_typed(text, region):
    assert region_from_text(text) == region
    assert region_from_text(str(region)) == region


@pytest.mark.parametrize(
    "text",
    [
        *("", "drums", "drums=", "=1-2", "drums=1", "drums=a-b", "drums=1-2,x", "drums=1-2,5-4x"),
        *("drums=2-1", "drums=1-2,1..2-3", "../x=1-2", "drums=nan-2", "drums=1-inf"),
        *("drums=1-2,-5-100", "drums=1-2,100-500hz,1-2", "drums=1e3-2e3"),
    ],
)
def test_what_is_no_region_is_refused(text):
    with pytest.raises(UsageError):
        region_from_text(text)


def test_an_empty_band_is_refused_by_name():
    with pytest.raises(ParameterError, match="low_hz=500 and high_hz=100 is empty"):
        region_from_text("drums=1-2,500-100hz")


@given(
    start=st.floats(0, 1e6),
    length=st.floats(1e-3, 1e6),
    low=st.floats(0, 1e5),
    height=st.none() | st.floats(1, 1e5),
    belongs=st.booleans(),
)
def test_json_and_text_come_back(start, length, low, height, belongs):
    region = PaintedRegion(
        stem="a b",
        start_s=start,
        end_s=start + length,
        low_hz=low,
        high_hz=None if height is None else low + height,
        belongs=belongs,
    )
    assert PaintedRegion.from_json(json.loads(json.dumps(region.as_json()))) == region


@pytest.mark.parametrize(
    "value",
    [
        *(None, [], {}, {"stem": "a"}, {"start_s": 1}, {"stem": "a", "start_s": 1, "x": 2}),
        *({"stem": 1, "start_s": 1}, {"stem": "a", "start_s": "1"}, {"stem": "a", "start_s": True}),
        *({"stem": "a/b", "start_s": 0}, {"stem": "a", "start_s": -1}),
        *({"stem": "a", "start_s": 0, "belongs": 1}, {"stem": "a", "start_s": 1, "end_s": 1}),
        {"stem": "a", "start_s": float("nan")},
    ],
)
def test_json_that_is_no_region_is_refused(value):
    with pytest.raises(UsageError):
        PaintedRegion.from_json(value)


def stretch(label, start_s, end_s, low_hz, high_hz):
    return Stretch(
        kind="stem",
        label=label,
        start_s=start_s,
        end_s=end_s,
        low_hz=low_hz,
        high_hz=high_hz,
        channel=1,
    )


@pytest.mark.parametrize("write", [stretch_labels, raven_table])
def test_exports_are_read_back(tmp_path, write):
    path = tmp_path / "regions.txt"
    path.write_text(
        write([stretch("drums", 0.5, 1.25, 100, 500), stretch("not bass", 2, 3, 50, 4000)]),
        encoding="utf-8",
    )
    assert read_regions(path) == (
        PaintedRegion(stem="drums", start_s=0.5, end_s=1.25, low_hz=100, high_hz=500),
        PaintedRegion(stem="bass", start_s=2, end_s=3, low_hz=50, high_hz=4000, belongs=False),
    )


def test_labels_of_audacity_may_have_no_frequencies(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(
        b"\xef\xbb\xbf0,5\t1,5\tdrums\r\n1\t2\tbass\r\n\\\t-1.0\t300\r\n\r\n3\t4\tx\r\n\\\t200\t-1\r\n"
    )
    assert read_regions(path) == (
        PaintedRegion(stem="drums", start_s=0.5, end_s=1.5),
        PaintedRegion(stem="bass", start_s=1, end_s=2, high_hz=300),
        PaintedRegion(stem="x", start_s=3, end_s=4, low_hz=200),
    )


def test_of_raven_the_view_of_the_spectrogram_counts(tmp_path):
    path = tmp_path / "table.txt"
    columns = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)"]
    columns += ["High Freq (Hz)", "Annotation"]
    rows = [
        ["1", "Waveform 1", "1", "1", "2", "0", "8000", "bird"],
        ["1", "Spectrogram 1", "1", "1", "2", "3000", "8000", "bird"],
    ]
    path.write_text("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")
    assert read_regions(path) == (
        PaintedRegion(stem="bird", start_s=1, end_s=2, low_hz=3000, high_hz=8000),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no regions"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"hello\n", "line 1 is no label"),
        (b"1\t2\tdrums\n3\t3\tdrums\n", "line 2: .* is empty"),
        (b"1\t2\t\n", "line 1: the label ''"),
        (b"1\t2\t../x\n", "line 1: the label"),
        (b"1\tnan\tx\n", "line 1 is no label"),
        (b"1\t2\tx\n\\\t5\n", "line 2 is no label"),
        (b"Begin Time (s)\tEnd Time (s)\n1\t2\n", "no column 'Low Freq"),
        (b"0\t1\tx\n" * (MAX_REGIONS + 1), f"{MAX_REGIONS + 1} regions"),
        (b"0\t1\tx\n" * 200_000, "too large"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, content, words):
    path = tmp_path / "regions.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read_regions(path)
    assert "regions.txt" in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        read_regions(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_regions(tmp_path / "missing.txt")
