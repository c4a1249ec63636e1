"""ARCHITECTURE.md is true: every module has its line, and none is long without a reason."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

HOME = Path(__file__).parent.parent
PACKAGE = HOME / "audiosep"
TEXT = (HOME / "ARCHITECTURE.md").read_text(encoding="utf-8")
FIGURE = HOME / "docs" / "images" / "architecture.svg"
MOST_LINES = 450

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in PACKAGE.rglob("*.py")
    if not path.name.startswith("_")
)
PACKAGES = {f"{path.parent.relative_to(PACKAGE).as_posix()}/" for path in PACKAGE.rglob("__*.py")}
NAMED = [
    name
    for row in re.findall(r"^\| (`.*?`) \|", TEXT, flags=re.MULTILINE)
    for name in re.findall(r"`([^`]+)`", row)
]


def test_every_module_has_its_line():
    assert len(NAMED) > 100
    # Methods are listed in their own package, and a new one is one file and one entry there.
    alone = [module for module in MODULES if not module.startswith("methods/")]
    unnamed = [m for m in alone if not any(fnmatch(m, name) for name in NAMED)]
    assert unnamed == []


def test_no_line_is_of_a_module_that_is_gone():
    gone = [n for n in NAMED if n not in PACKAGES and not any(fnmatch(m, n) for m in MODULES)]
    assert gone == []


def test_every_module_says_what_it_is_for_and_why_it_is_long():
    silent, too_long = [], []
    for module in MODULES:
        text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
        said = ast.get_docstring(ast.parse(text)) or ""
        if not said:
            silent.append(module)
        if text.count("\n") > MOST_LINES and "One module, though a long one: " not in said:
            too_long.append(module)
    assert silent == []
    assert too_long == []


def test_the_figure_names_what_there_is():
    figure = FIGURE.read_text(encoding="utf-8")
    assert f"docs/images/{FIGURE.name}" in TEXT
    assert len(figure) < 40_000
    titles = re.findall(r'<text class="t"[^>]*>([^<]+)</text>', figure)
    assert len(titles) > 15
    for title in titles:
        for word in re.findall(r"[a-z_]+/?", title.removeprefix("learners in ")):
            assert word in PACKAGES or word in MODULES or title == "&lt;track&gt;/", word
