"""What MkDocs needs to know of this repository: a hook, named in ``mkdocs.yml``.

The pages in ``docs/`` are written so that they can be read in the repository, and link to files
outside ``docs/``: tests, notebooks, the changelog. Here these become pages of the site, and the
links lead to them. Nothing is written into ``docs/``.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

PAGES = {
    "ARCHITECTURE.md": "about/architecture.md",
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "README.md": "index.md",
    "audiosep/data/README.md": "about/dictionaries.md",
    "examples/audio/README.md": "about/examples.md",
}
"""Pages of the repository outside ``docs/``, and what they are in the site."""

SOUNDS = Path(os.environ.get("DOCS_SOUNDS", os.devnull))
"""Folder that ``scripts/make_sounds.py`` made, where there is one."""

LINE = re.compile(r'href="(?P<page>[^"#]*\bfiles/(?P<path>[^"#]*\.py)\.html)">(?P<name>\w+)</a>')
LINK = re.compile(r"(\[[^\]]*\]\()(?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"^(`{3,}).*?^\1`*[ \t]*$", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}


def in_site(repo_path: str) -> str:
    """Where in the site a file of the repository is."""
    if repo_path in PAGES:
        return PAGES[repo_path]
    if repo_path.startswith("docs/"):
        return repo_path.removeprefix("docs/")
    return f"files/{repo_path}.md"


def in_repository(site_path: str) -> str:
    """Which file of the repository a page of the site is made of."""
    for repo_path, page in PAGES.items():
        if page == site_path and not (ROOT / "docs" / page).exists():
            return repo_path
    if site_path.startswith("files/"):
        return site_path.removeprefix("files/").removesuffix(".md")
    return f"docs/{site_path}"


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Change all of a page but its blocks of code."""
    parts, place = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[place : fence.start()]), fence.group()]
        place = fence.end()
    return "".join((*parts, change(text[place:])))


def target_of(page: str, target: str) -> str | None:
    """Path in the repository that a link of a page leads to; None where there is no such file."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    if (ROOT / path).is_dir():
        path = f"{path}/{'index' if path.startswith('docs') else 'README'}.md"
    return path if (ROOT / path).is_file() else None


def line_of(path: str, name: str) -> str:
    """Anchor of the line in which a test is defined, where the text of a link is its name."""
    found = re.search(rf"^def {re.escape(name)}\b", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    return f"#__codelineno-0-{found.string.count(chr(10), 0, found.start()) + 1}" if found else ""


def links(text: str, page: str) -> str:
    """Lead the links of a page of the repository to what is in the site."""
    here = posixpath.dirname(in_site(page))

    def lead(match: re.Match[str]) -> str:
        path = target_of(page, match["target"])
        if path is None:
            return match.group()
        return f"{match[1]}{posixpath.relpath(in_site(path), here)}{match['anchor'] or ''})"

    return LINK.sub(lead, text)


def bars(text: str) -> str:
    """Write bars in code within tables as Python-Markdown wants them: without a backslash."""
    return re.sub(
        r"^\|.*$",
        lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), row[0]),
        text,
        flags=re.MULTILINE,
    )


def players(text: str, page: str) -> str:
    """Add players below the picture of a method, where its stems were made to be heard."""
    sounds = sorted((SOUNDS / Path(page).stem).glob("*.mp3"))
    rows = "".join(
        f"<figure><figcaption>{sound.stem.partition('-')[2]}</figcaption>"
        f'<audio controls preload="none" src="../sounds/{sound.parent.name}/{sound.name}"></audio>'
        "</figure>"
        for sound in sounds
    )
    return re.sub(
        r"^!\[.*\]\(\.\./images/methods/.*\)$",
        lambda picture: f'{picture[0]}\n\n<div class="sounds">{rows}</div>' if rows else picture[0],
        text,
        flags=re.MULTILINE,
    )


def page_of_file(path: str) -> str:
    """Page that shows a file."""
    content = (ROOT / path).read_text("utf-8")
    if path.endswith(".ipynb"):
        body = page_of_notebook(json.loads(content))
    else:
        language = LANGUAGES.get(Path(path).suffix, "text")
        body = f"# {path}\n\n``````````{language}\n{content.rstrip()}\n``````````\n"
    return f"---\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n{body}"


def page_of_notebook(notebook: dict[str, Any]) -> str:
    """Page that shows a notebook: its texts, its code, what it printed and drew."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        for output in cell.get("outputs", []):
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            if picture := output.get("data", {}).get("image/png"):
                parts.append(f"![](data:image/png;base64,{''.join(picture).replace(chr(10), '')})")
    return "\n\n".join(parts)


def linked_files() -> list[str]:
    """Files outside ``docs/`` that pages link to, and that are no pages themselves."""
    pages = [*PAGES, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    found = {
        path
        for page in pages
        for link in LINK.finditer((ROOT / page).read_text("utf-8"))
        if (path := target_of(page, link["target"])) and in_site(path).startswith("files/")
    }
    return sorted(found)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of files outside ``docs/``."""
    from mkdocs.structure.files import File, InclusionLevel

    for path, page in PAGES.items():
        if not (ROOT / "docs" / page).exists():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    for path in linked_files():
        content, hidden = page_of_file(path), InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, in_site(path), content=content, inclusion=hidden))
    for sound in SOUNDS.glob("*/*.mp3"):
        place = f"sounds/{sound.relative_to(SOUNDS).as_posix()}"
        files.append(File.generated(config, place, abs_src_path=str(sound)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make links lead to pages of the site, and tables what Python-Markdown reads."""
    source = in_repository(page.file.src_uri)
    if source.endswith(".py"):
        return markdown
    return outside_fences(markdown, lambda text: players(bars(links(text, source)), source))


def on_page_content(html: str, **_: Any) -> str:
    """Lead links to tests to their lines: MkDocs would not know these anchors in a page."""
    return LINE.sub(
        lambda m: f'href="{m["page"]}{line_of(m["path"], m["name"])}">{m["name"]}</a>', html
    )
