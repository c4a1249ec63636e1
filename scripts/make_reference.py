"""The reference pages of the documentation, made from the code.

python scripts/make_reference.py            # writes docs/reference/*.md
python scripts/make_reference.py --check    # exit code 1 if they are not as the code is
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer.main
from _reference_tables import API, ERRORS, JSON_OBJECTS, RECORD, ApiPage

from audiosep import errors
from audiosep.cli.app import app
from audiosep.cli.helping import EVERYDAY, EXPERT, Panel
from audiosep.dictionary_files import builtin_names, load_builtin
from audiosep.exports.exporting import EXPORT_FORMATS
from audiosep.presets import load_preset, preset_names

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "docs" / "reference"
MADE = "<!-- made by scripts/make_reference.py: change the code, and run it again -->\n\n"
GROUP = typer.main.get_command(app)
OPTIONS = (EVERYDAY, Panel.MANY, EXPERT)
PANELS = [value for name, value in vars(Panel).items() if name.isupper()]


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("\n", " ")


def code(text: str) -> str:
    """Text as code in a table."""
    return "`" + text.replace("|", r"\|") + "`"


def table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows as a table."""
    lines = [names, ("---",) * len(names), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n\n"


def commands(group: Any = GROUP, above: str = "audiosep") -> Iterator[tuple[str, Any, str]]:
    """Name, command and heading of every command, those of groups among them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            panel = command.rich_help_panel
            yield from ((n, c, panel) for n, c, _ in commands(command, f"{above} {name}"))
        else:
            yield f"{above} {name}", command, command.rich_help_panel


def default(parameter: Any) -> str:
    """What an option is where it is not given."""
    if parameter.required:
        return "needed"
    if parameter.default is None or parameter.default is False or parameter.default in ("", ()):
        return ""
    if parameter.default is True:
        return code(parameter.opts[0])
    value = parameter.default
    return code(f"{value:g}" if isinstance(value, float) else str(value))


def option_row(option: Any) -> tuple[str, str, str]:
    """Row of a table of options."""
    value = f" {option.metavar}" if option.metavar else ""
    names = ", ".join(code(name) for name in option.opts[:-1])
    last = code(option.opts[-1] + value)
    other = "".join(f", {code(name)}" for name in option.secondary_opts)
    again = " May be given again." if option.multiple and "gain" not in option.help else ""
    return (
        f"{names}, {last}{other}" if names else f"{last}{other}",
        cell(option.help + again),
        default(option),
    )


def command_section(name: str, command: Any) -> str:
    """What there is to say of a command."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    needed = [f"{max(p.opts, key=len)} {p.metavar}" for p in options if p.required]
    usage = " ".join([name, *needed, "[options]", *(p.metavar for p in arguments)])
    lines = inspect.cleandoc(command.help).replace("<", "&lt;")
    out = f"## {name}\n\n{lines}\n\n`{usage}`\n\n"
    if arguments:
        out += table(("argument", ""), [(code(p.metavar), cell(p.help)) for p in arguments])
    panels: dict[str, list[tuple[str, ...]]] = {}
    for option in options:
        panels.setdefault(option.rich_help_panel, []).append(option_row(option))
    for panel in sorted(panels, key=OPTIONS.index):
        out += table((panel, "", "default"), panels[panel])
    examples = [line.partition(": ")[2] for line in (command.epilog or "").split("\n\n")]
    return out + "For example " + ", or ".join(f"`{line}`" for line in examples) + ".\n\n"


def exit_codes() -> str:
    """Table of the exit codes, and of the errors that have them."""
    said = GROUP.epilog.removeprefix("Exit codes: ").rstrip(".").split(", ")
    words = {int(number): text for number, _, text in (line.partition(" ") for line in said)}
    rows = []
    for number in errors.ExitCode:
        kinds = [getattr(errors, name) for name in ERRORS]
        whose = [f"`{kind.__name__}`" for kind in kinds if kind.exit_code == number]
        rows.append((f"`{number.value}`", words[number.value], ", ".join(whose)))
    return table(("exit code", "meaning", "errors in Python"), rows)


def presets() -> str:
    """Table of the presets."""
    rows = []
    for name in preset_names():
        preset = load_preset(name)
        told = [f"--{word}" for word in ("example", "score") if getattr(preset, word_of(word))]
        rows.append(
            (
                f"[`{name}`](../methods/{name}.md)",
                cell(preset.summary),
                cell(preset.stems),
                ", ".join(f"`{word}`" for word in told),
                code(preset.dictionary) if preset.dictionary else "",
            )
        )
    return table(("preset", "for", "stems", "told by", "dictionary"), rows)


def word_of(option: str) -> str:
    """Field of a preset that says whether it takes an option."""
    return {"example": "examples"}.get(option, option)


def dictionaries() -> str:
    """Table of the dictionaries that come with audiosep."""
    rows = []
    for name in builtin_names():
        found = load_builtin(name)
        users = [p for p in preset_names() if load_preset(p).dictionary == name]
        labels = [f"`{label}` ({found.labels.count(label)})" for label in found.sources]
        rows.append((f"`{name}`", ", ".join(labels), ", ".join(f"`{p}`" for p in users)))
    return table(("dictionary", "labels (templates of each)", "used by the presets"), rows)


def keys(described: dict[str, str]) -> str:
    """Table of the keys of a JSON object."""
    return table(("key", ""), [(f"`{key}`", cell(text)) for key, text in described.items()])


def commands_page() -> str:
    """Page of the commands, and of what they read and write."""
    out = "# Commands\n\n" + MADE
    out += (
        "Made from the commands themselves. What they are for, with examples that can be copied, "
    )
    out += "is in [the command line](../command-line.md).\n\n"
    found = list(commands())
    for panel in PANELS:
        rows = [
            (f"[`{name}`](#{name.replace(' ', '-')})", cell(command.help.splitlines()[0]))
            for name, command, where in found
            if where == panel
        ]
        out += table((panel, ""), rows)
    out += "`audiosep --version` prints the version, and every command takes `-h` and `--help`.\n\n"
    for panel in PANELS:
        for name, command, where in found:
            if where == panel:
                out += command_section(name, command)
    out += "## Exit codes\n\n" + exit_codes()
    out += "## Presets\n\n" + presets()
    out += "## Built-in dictionaries\n\nWhere their sounds come from is in "
    out += "[their own page](../../audiosep/data/README.md).\n\n" + dictionaries()
    formats = ", ".join(f"`{name}`" for name in EXPORT_FORMATS)
    out += (
        f"## Export formats\n\n`audiosep export --to` takes {formats}: [exports](../export.md).\n\n"
    )
    out += "## audiosep.json\n\nThe record beside the stems, written last. Keys within others are "
    out += "written with a dot.\n\n" + keys(RECORD)
    out += "## JSON of the commands\n\nWith `--json`, one object a line.\n\n"
    for command, described in JSON_OBJECTS.items():
        out += f"### {command} --json\n\n" + keys(described)
    return out.rstrip() + "\n"


def summary_of(name: str) -> str:
    """First line of what the code says of a name."""
    module, _, last = name.rpartition(".")
    value = getattr(import_module(module), last)
    text = inspect.getdoc(value) if callable(value) or inspect.ismodule(value) else ""
    return (text or "").partition("\n")[0]


def api_page(page: ApiPage) -> str:
    """Page of a part of the Python interface."""
    out = f"# {page.title}\n\n{MADE}{page.text}\n\n"
    for heading, (text, names) in page.groups.items():
        out += f"## {heading}\n\n{text}\n\n"
        listed = [(name, page.plain.get(name) or summary_of(name)) for name in names]
        out += table(("", ""), [(f"`{name}`", cell(said)) for name, said in listed])
        out += "".join(f"::: {name}\n\n" for name in names if name not in page.plain)
    return out.rstrip() + "\n"


def pages() -> dict[str, str]:
    """Text of every page by its name."""
    return {"commands.md": commands_page()} | {name: api_page(page) for name, page in API.items()}


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    PLACE.mkdir(exist_ok=True)
    old = {path.name: path.read_text("utf-8") for path in PLACE.glob("*.md")}
    new = pages()
    stale = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if check:
        for name in stale:
            print(f"docs/reference/{name} is not as the code is: python scripts/make_reference.py")
        return bool(stale)
    for name in stale:
        if name in new:
            (PLACE / name).write_text(new[name], "utf-8")
        else:
            (PLACE / name).unlink()
    print(f"docs/reference: {', '.join(stale) or 'nothing'} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
