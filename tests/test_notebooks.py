"""The notebooks of examples/ run as they are, and hold the results of the present code."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def notebooks():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        yield importlib.import_module("make_notebooks")
    finally:
        sys.path.remove(str(ROOT / "scripts"))
        sys.modules.pop("make_notebooks", None)


def results(cell):
    return [(o.get("text"), o.get("data")) for o in cell.get("outputs", [])]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["drum_loop", "voice", "what_nmf_sees"]


@pytest.mark.docs
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_hold_what_they_give(path, notebooks):
    before = path.read_bytes()
    fresh = notebooks.kept(notebooks.run(path))
    stored = nbformat.read(path, as_version=4)
    assert [cell.source for cell in stored.cells] == [cell.source for cell in fresh.cells]
    assert notebooks.differences(stored, fresh) == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_in_a_notebook_tells_of_a_machine(path, notebooks):
    text = path.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    content = json.loads(text)
    assert content["metadata"] == notebooks.METADATA
    words = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"(?<![\w.`'/])/(?:\w+/)+|[A-Z]:\\\\|file://|~/", words)
    assert "<audio" not in text
    assert "data:audio" not in text
    for cell in content["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_results_and_read_as_text(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in code) >= len(code) - 2
    assert any("image/png" in (data or {}) for cell in code for _, data in results(cell))
    headings = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("#")
    ]
    assert headings[0].startswith("# ")
    assert len(headings) >= 6


def one_cell(*texts):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in texts]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("f()", outputs=outputs)])


def test_other_results_are_seen(notebooks):
    stored = one_cell("kick 24.8 dB")
    assert notebooks.differences(stored, one_cell("kick 24.9 dB")) == []
    assert notebooks.differences(stored, one_cell("kick 20.1 dB")) == [
        "'f()': 'kick 24.8 dB\\n' is now 'kick 20.1 dB\\n'"
    ]
    assert len(notebooks.differences(stored, one_cell("snare 24.8 dB"))) == 1
    assert len(notebooks.differences(stored, one_cell("kick 24.8 dB", "more"))) == 1


def test_only_small_results_are_kept(notebooks):
    new_output = nbformat.v4.new_output
    outputs = [
        new_output("stream", name="stdout", text="one "),
        new_output("stream", name="stdout", text="two"),
        new_output(
            "display_data", data={"text/html": "<audio src='x'></audio>", "text/plain": "Audio"}
        ),
        new_output("display_data", data={"text/plain": "3"}),
    ]
    cell = nbformat.v4.new_code_cell("f()", outputs=outputs, execution_count=7)
    cell.metadata["execution"] = {"iopub.execute_input": "now"}
    kept = notebooks.kept(nbformat.v4.new_notebook(cells=[cell])).cells[0]
    assert (kept.execution_count, kept.metadata) == (None, {})
    assert results(kept) == [
        ("one two", None),
        (None, {"text/plain": notebooks.SOUND}),
        (None, {"text/plain": "3"}),
    ]


def test_a_notebook_that_fails_is_an_error(notebooks, tmp_path):
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.run(tmp_path / "wrong.ipynb")


def test_notebooks_run_with_this_interpreter_and_leave_no_trace(notebooks, tmp_path):
    source = "import sys, os; print(sys.executable); print(os.getcwd())"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    path = tmp_path / "where.ipynb"
    nbformat.write(notebook, path)
    (output,) = notebooks.run(path).cells[0].outputs
    interpreter, folder = output.text.splitlines()
    assert Path(interpreter).samefile(sys.executable)
    assert Path(folder).samefile(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["where.ipynb"]
