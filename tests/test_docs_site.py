"""The documentation as a site: every page has its place, and every link leads to one."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))
site = importlib.import_module("_docs_site")
sys.path.remove(str(ROOT / "scripts"))
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def places(entries):
    """Pages of the navigation, in order."""
    for entry in entries:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [inner] if isinstance(inner, str) else places(inner)


def test_every_page_has_its_place_in_the_navigation():
    named = list(places(CONFIG["nav"]))
    assert len(named) == len(set(named))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(named) == written | set(site.PAGES.values())


def test_pages_of_the_repository_keep_their_links():
    for page in ["README.md", *(p.relative_to(ROOT).as_posix() for p in DOCS.rglob("*.md"))]:
        text = site.links((ROOT / page).read_text("utf-8"), page)
        here = Path(site.in_site(page)).parent
        for match in site.LINK.finditer(text):
            target = (here / match["target"]).as_posix()
            file = ROOT / site.in_repository(re.sub(r"[^/]+/\.\./", "", target))
            assert file.exists(), f"{page}: {match['target']}"


def test_links_lead_out_of_docs_and_back():
    text = "[a](../tests/test_docs_site.py) [b](batch.md#x) [c](https://x.y) [d](../CHANGELOG.md)"
    assert site.links(text, "docs/security.md") == (
        "[a](files/tests/test_docs_site.py.md) [b](batch.md#x) [c](https://x.y) "
        "[d](about/changelog.md)"
    )
    assert site.links("[m](docs/methods) [r](README.md)", "ARCHITECTURE.md") == (
        "[m](../methods/index.md) [r](../index.md)"
    )
    assert site.links("[q](../quality.md#a)", "docs/methods/auto.md") == "[q](../quality.md#a)"


def test_links_of_tests_lead_to_their_lines():
    name = "test_links_of_tests_lead_to_their_lines"
    html = f'<a href="../files/tests/test_docs_site.py.html">{name}</a>'
    line = next(
        n
        for n, text in enumerate(Path(__file__).read_text("utf-8").splitlines(), 1)
        if text.startswith(f"def {name}")
    )
    assert f'.py.html#__codelineno-0-{line}">{name}</a>' in site.on_page_content(html)
    unknown = html.replace(name, "elsewhere")
    assert site.on_page_content(unknown) == unknown


def test_code_stays_as_it_is():
    text = "[a](../README.md)\n\n````text\n```\n[a](../README.md)\n```\n````\n\n`[x]`"
    changed = site.outside_fences(text, lambda part: site.links(part, "docs/long.md"))
    assert changed == text.replace("(../README.md)", "(index.md)", 1)
    assert site.bars(r"| `a\|b` | c \| d |" + "\n" + r"`a\|b`") == (
        r"| `a|b` | c \| d |" + "\n" + r"`a\|b`"
    )


def test_files_and_notebooks_become_pages(tmp_path):
    shown = site.page_of_file("tests/test_docs_site.py")
    assert "# tests/test_docs_site.py\n" in shown
    assert Path(__file__).read_text("utf-8").rstrip() in shown
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "text"]},
            {
                "cell_type": "code",
                "source": "1 + 1",
                "outputs": [
                    {"output_type": "stream", "text": ["2\n"]},
                    {"output_type": "display_data", "data": {"image/png": "aGVs\nbG8="}},
                ],
            },
        ]
    }
    assert site.page_of_notebook(json.loads(json.dumps(notebook))) == (
        "# Title\ntext\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n\n"
        "![](data:image/png;base64,aGVsbG8=)"
    )


def test_players_stand_below_the_picture(tmp_path, monkeypatch):
    text = "before\n\n![x](../images/methods/drums.png)\n\nafter"
    assert site.players(text, "docs/methods/drums.md") == text
    (tmp_path / "drums").mkdir()
    for name in ("0-mixture", "1-kick"):
        (tmp_path / "drums" / f"{name}.mp3").touch()
    monkeypatch.setattr(site, "SOUNDS", tmp_path)
    shown = site.players(text, "docs/methods/drums.md")
    assert re.findall(r'src="([^"]+)"', shown) == [
        "../sounds/drums/0-mixture.mp3",
        "../sounds/drums/1-kick.mp3",
    ]
    assert shown.index("mixture</figcaption>") < shown.index("kick</figcaption>")
    assert site.players(text, "docs/methods/speech.md") == text


def test_nothing_of_the_site_is_loaded_from_elsewhere():
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["use_directory_urls"] is False  # or pages could not be read from a disk
    assert "extra_javascript" not in CONFIG
    for sheet in CONFIG["extra_css"]:
        assert "url(" not in (DOCS / sheet).read_text("utf-8")
        assert "@import" not in (DOCS / sheet).read_text("utf-8")
