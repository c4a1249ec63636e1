"""What the documents promise is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/guarantees.md", "docs/security.md")
PROMISES = "docs/guarantees.md"


def named_in(page):
    """File and function of each test that a page links to; the function is None for whole files."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, target in re.findall(r"\[(test_\w+)\]\(([^)#]+\.py)\)", text):
        file = ((ROOT / page).parent / target).resolve()
        yield file, None if name == file.stem else name


def functions_of(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page):
    named = list(named_in(page))
    assert len(named) > 10
    for file, name in named:
        assert file.is_file(), file
        assert name is None or name in functions_of(file), f"{page}: {file.name} has no {name}"


def test_every_promise_is_held_by_a_test():
    rows = [
        line
        for line in (ROOT / PROMISES).read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "**" in line
    ]
    assert len(rows) > 15
    for row in rows:
        assert re.search(r"\| \[test_\w+\]\(", row), row


def test_every_row_of_the_catalogue_has_a_test():
    """Rows 1 to 62; 63 is the report's, which has tests of its own."""
    files = [ROOT / "tests" / f"test_catalogue_{what}.py" for what in ("reading", "running")]
    numbers = set()
    for file in files:
        for name in functions_of(file):
            if name.startswith(("test_row_", "test_rows_")):
                numbers |= {int(number) for number in re.findall(r"_(\d\d)(?=_|$)", name)}
    assert numbers >= set(range(1, 63))
    assert "test_hostile_names_stay_text" in functions_of(ROOT / "tests" / "test_report.py")
