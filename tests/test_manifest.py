"""Manifests: rows with settings, hostile paths, and what is no manifest."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.cli.inside import within
from audiosep.cli.manifest import COLUMNS, Manifest
from audiosep.cli.split import SplitOptions
from audiosep.errors import InputError, UsageError
from audiosep.io.naming import TOP
from audiosep.io.urls import Url

OPTIONS = SplitOptions(
    out=Path("out"),
    preset="auto",
    n_sources=None,
    n_components=None,
    beta=None,
    max_iter=None,
    mask_exponent=None,
    seed=0,
    n_threads=None,
    format="wav",
    bits=None,
    exists="skip",
    dictionary=None,
    examples=(),
    score=None,
    rest=None,
    n_free=None,
    quality="high",
    one_shots=0,
    start=0.0,
    duration=None,
    dry_run=False,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(content, name="list.csv", **more):
    """Rows of a manifest with this content."""
    data = content if isinstance(content, bytes) else content.encode()
    Path(name).write_bytes(data)
    return list(Manifest(path=Path(name), options=OPTIONS, **more).rows())


def test_every_row_may_have_its_settings(here):
    content = (
        "input,preset,start,duration,out,seed,bits,one-shots,example\n"
        "a.wav,stems,1.5,2,one/a,7,24,3,voice=v.wav; noise=@0-3\n"
        "b/c.wav,,,,,,,,\n"
    )
    first, second = rows(content)
    assert (first.source, first.below, first.name) == (Path("a.wav"), PurePath("one"), "a")
    options = first.options
    assert (options.preset, options.start, options.duration) == ("stems", 1.5, 2.0)
    assert (options.seed, options.bits, options.one_shots) == (7, "24", 3)
    assert options.examples == ("voice=v.wav", "noise=@0-3")
    assert (second.source, second.below, second.name) == (Path("b/c.wav"), PurePath("b"), None)
    assert second.options == OPTIONS
    assert (first.line, second.line) == (2, 3)


def test_json_lines(here):
    values = [
        {"input": "a.wav", "sources": 3, "mask_exponent": 2, "example": {"voice": "v.wav"}},
        {
            "input": "b.wav",
            "example": ["x=@1-2"],
            "beta": 0.5,
            "components": "auto",
            "#taken": [1, 2],
        },
    ]
    text = "\n".join(json.dumps(value) for value in values)
    for name in ("list.jsonl", "list.txt"):
        first, second = rows(text, name)
        assert first.options.n_sources == 3
        assert first.options.mask_exponent == 2.0
        assert first.options.examples == ("voice=v.wav",)
        assert second.options.examples == ("x=@1-2",)
        assert (second.options.beta, second.options.n_components) == ("0.5", "auto")
        assert not first.problem + second.problem


def test_every_column_is_an_option():
    options = SplitOptions.__dataclass_fields__
    assert {name for name, _ in COLUMNS.values()} <= set(options)
    kept = {"out", "exists", "n_threads", "max_memory", "dry_run", "report"}
    assert {name for name, _ in COLUMNS.values()} == set(options) - kept


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffinput,seed\na.wav,1\n",
        "input,seed\r\na.wav,1\r\n",
        "\ufeffinput;seed\r\n\r\na.wav;1",
        "\n\nInput \tSEED\na.wav\t1\n",
        'input,seed\n"a.wav",1\n\n ,\n',
        "input,seed,#note\na.wav,1,kept by the archive\n",
        '\ufeff{"input": "a.wav", "seed": 1}\r\n',
    ],
)
def test_ways_to_write_it(here, content):
    (row,) = rows(content)
    assert (row.source, row.options.seed, row.problem) == (Path("a.wav"), 1, "")


def test_lines_are_counted_through_quotes(here):
    found = rows('input,rest\n"a\nb.wav",x\nno.wav,x,y\n\n../c.wav,x\n')
    assert [row.line for row in found] == [2, 4, 6]
    assert found[0].source == Path("a\nb.wav")
    assert found[1].problem == "list.csv, line 4 has 3 cells for 2 columns."
    assert found[2].problem.startswith("list.csv, line 6: '../c.wav' leads out of the folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"input\na.wav\n\xe9.wav\n", "list.csv, line 3: not UTF-8; save the manifest as UTF-8."),
        ("input\na.wav\n".encode("utf-16"), "list.csv is UTF-16; save it as UTF-8."),
        (b"", "has no column 'input'"),
        (b"a.wav\nb.wav\n", "has no column 'input'; its first line names the columns"),
        (b"input,input\n", "has two columns 'input'"),
        (b"input,presett\na.wav,stems\n", "there is no setting 'presett'; there are input, out, "),
        (b'input\n"a.wav\nb.wav\n', "list.csv, line 2: .*; check its quotes and line ends"),
        (b"input,com\rx,seed\na.wav,,\n", "list.csv, line 1: .*; check its quotes and line ends"),
        (b"input\n" + b"a" * 200_000, "list.csv, line 2: .*; check its quotes"),
        (bytes(range(1, 256)), "list.csv is no text, and so no manifest; give CSV or JSON lines"),
        (bytes(200), "list.csv is no text"),
        (b"RIFF\xff\xff\x00\x00WAVE", "list.csv is no text, and so no manifest"),
    ],
)
def test_what_is_no_manifest(here, content, words):
    with pytest.raises(UsageError, match=words):
        rows(content)


def test_a_manifest_that_cannot_be_read(here):
    with pytest.raises(InputError, match=r"absent\.csv cannot be read: No such file"):
        list(Manifest(path=Path("absent.csv"), options=OPTIONS).rows())
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(Manifest(path=here, options=OPTIONS).rows())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"input": ', "line 1 is not one JSON object a line"),
        ('["a.wav"]', "line 1 is not a JSON object"),
        ("[" * 100_000, "line 1 is not one JSON object a line"),
        ("{}", "line 1: names no recording"),
        ('{"input": 3}', "line 1: names no recording"),
        ('{"input": "a.wav", "sources": 2.5}', "sources 2.5 cannot be"),
        ('{"input": "a.wav", "sources": 1e999}', "sources inf cannot be"),
        ('{"input": "a.wav", "seed": true}', "seed True cannot be"),
        ('{"input": "a.wav", "preset": ["x"]}', "preset .* cannot be"),
        ('{"input": "a.wav", "start": "soon"}', "start 'soon' cannot be"),
        ('{"input": "a.wav", "exists": "overwrite"}', "no setting 'exists'"),
        ('{"input": "\\ud800.wav"}', "cannot be the name of a file"),
        ('{"input": "a\\u0000.wav"}', "cannot be the name of a file"),
    ],
)
def test_rows_that_cannot_be_done_say_why(here, line, words):
    bad, good = rows(f'{line}\n{{"input": "good.wav"}}\n', "list.jsonl")
    assert re.search(words, bad.problem)
    assert bad.problem.startswith("list.jsonl, line 1")
    assert not good.problem


HOSTILE = [
    ("../a.wav", "leads out of"),
    ("b/../../a.wav", "leads out of"),
    ("/etc/passwd", "leads out of"),
    ("~/a.wav", "begins with ~"),
    ("~root/a.wav", "begins with ~"),
    ("file:///etc/passwd", "is a URL"),
    ("FILE:/etc/passwd", "is a URL"),
    ("https://host/a.wav", "is a URL"),
    ("s3://bucket/a.wav", "is a URL"),
    ("link.wav", "is a link that leads out of"),
    ("linked/a.wav", "is a link that leads out of"),
]


@pytest.fixture
def archive(here):
    """A folder with links that lead out of it."""
    (here / "else").mkdir()
    (here / "else" / "a.wav").touch()
    root = here / "archive"
    root.mkdir()
    (root / "link.wav").symlink_to("../else/a.wav")
    (root / "linked").symlink_to("../else")
    (root / "inside.wav").symlink_to("real.wav")
    return root


@pytest.mark.parametrize(("text", "words"), HOSTILE)
def test_paths_stay_in_the_folder_of_the_manifest(archive, text, words):
    with pytest.raises(ValueError, match=words):
        within(archive, text)
    for column in ("score", "dictionary", "example"):
        value = f"x={text}" if column == "example" else text
        line = json.dumps({"input": "a.wav", column: value})
        (row,) = rows(line, archive / "list.jsonl")
        assert words in row.problem


def test_paths_outside_where_they_are_allowed(archive):
    for text, words in HOSTILE:
        if text.startswith(("https:", "s3:")):
            assert within(archive, text, allow_outside=True) == (Url(text), TOP)
        elif "leads out of" in words:
            assert within(archive, text, allow_outside=True)[0].is_absolute()
        else:
            with pytest.raises(ValueError, match=words):
                within(archive, text, allow_outside=True)
    assert within(archive, "../else/a.wav", allow_outside=True)[1] == TOP


def test_paths_inside(archive):
    assert within(archive, "b/./a.wav") == (archive / "b/a.wav", PurePath("b"))
    assert within(archive, "inside.wav")[0] == archive / "inside.wav"
    assert within(archive, str(archive / "b" / "a.wav"))[1] == PurePath("b")
    assert within(archive, "b/../a.wav") == (archive / "a.wav", TOP)
    assert within(archive, "...wav")[0] == archive / "...wav"


@given(st.text(max_size=40))
def test_no_text_leads_out(text):
    try:
        path, below = within(Path("/archive"), text)
    except ValueError:
        return
    assert Path("/archive") == path or Path("/archive") in path.parents
    assert ".." not in below.parts


@pytest.mark.parametrize(
    "out",
    [
        "x" * 201,
        "b/" + "\u00e9" * 101,
        "\ud800",
        "../a",
        "/a",
        "a/../../b",
        ".",
        "",
        " ",
        "a/.audiosep",
        "~a",
        "a\0b",
        "./..",
    ],
)
def test_stems_stay_in_the_output_folder(here, out):
    (row,) = rows(json.dumps({"input": "a.wav", "out": out}), "list.jsonl")
    if out.strip():
        assert "out" in row.problem
    else:
        assert not row.problem


def test_rows_that_are_there_twice_are_done_once(here):
    found = rows("input,seed\na.wav,1\n./a.wav,1\na.wav,2\nb/../a.wav, 1\n")
    assert [(row.source.name, row.options.seed) for row in found] == [("a.wav", 1), ("a.wav", 2)]


def test_rows_are_read_one_by_one(here):
    """Millions of rows take the memory of what tells them apart, not their own."""
    n_rows = 2000
    lines = (f"reels/{i // 1000}/take-{i:08d}.wav,components\n" for i in range(n_rows))
    Path("list.csv").write_text("input,preset\n" + "".join(lines))
    found = Manifest(path=Path("list.csv"), options=OPTIONS).rows(look=False)
    assert next(found).source == Path("reels/0/take-00000000.wav")
    tracemalloc.start()
    try:
        total = 1 + sum(1 for _ in found)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == n_rows
    assert most / total < 500  # a row and its settings take several times that
