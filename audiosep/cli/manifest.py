"""Manifests: recordings with settings of their own, one a row, read row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from audiosep.cli.inside import place_below, shortened, within
from audiosep.errors import InputError, UsageError
from audiosep.io.naming import TOP, display
from audiosep.io.scratch import scratch
from audiosep.io.urls import Place, Url

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions

__all__ = ["COLUMNS", "Manifest", "Row", "opened"]

_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_BOM = b"\xef\xbb\xbf"
_NO_CELLS = "it is not clear where its cells end; check its quotes and line ends, or save it again"
_SUCH = 'write one such as {"input": "a.wav"}'
_MOST_CONTROLS = 0.05
"""Share of control characters that text may have: rubbish has one in nine."""


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError
    return int(value)


def _components(value: Any) -> int | str:
    return "auto" if value == "auto" else _whole(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - all that is wrong with a value is said in the same words
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError  # noqa: TRY004
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Examples: a list in JSON, ``a=b; c=d`` in a cell."""
    if isinstance(value, dict):
        return tuple(f"{name}={_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return tuple(_text(one) for one in value)
    return tuple(part.strip() for part in _text(value).split(";") if part.strip())


_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _flag(value: Any) -> bool:
    """Yes or no: true and false in JSON, these and others in a cell."""
    if (word := str(value).strip().lower()) not in _FLAGS:
        raise ValueError
    return _FLAGS[word]


def _names(value: Any) -> tuple[str, ...]:
    """Stems to keep: a list in JSON, ``a,b`` or ``a;b`` in a cell."""
    names = value if isinstance(value, list) else _text(value).replace(";", ",").split(",")
    return tuple(dict.fromkeys(filter(None, (_text(one).strip() for one in names))))


COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "preset": ("preset", _text),
    "sources": ("n_sources", _whole),
    "components": ("n_components", _components),
    "beta": ("beta", _text),
    "iterations": ("max_iter", _whole),
    "mask-exponent": ("mask_exponent", _number),
    "seed": ("seed", _whole),
    "format": ("format", _text),
    "bits": ("bits", _text),
    "dictionary": ("dictionary", _text),
    "example": ("examples", _texts),
    "score": ("score", _text),
    "rest": ("rest", _text),
    "keep": ("keep", _names),
    "free": ("n_free", _whole),
    "quality": ("quality", _text),
    "one-shots": ("one_shots", _whole),
    "start": ("start", _number),
    "duration": ("duration", _number),
    "strict": ("strict", _flag),
    "salvage": ("salvage", _flag),
    "fix-nonfinite": ("fix_nonfinite", _text),
    "stream": ("stream", _whole),
    "max-duration": ("max_duration", _number),
}
"""Columns beside ``input`` and ``out``: option of the same name, what it is called, its type."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a manifest.

    Parameters
    ----------
    line : int
        Where it begins, from 1.
    source : Path or Url
        The recording.
    below : PurePath
        Its folder, seen from the manifest's; empty for recordings that are elsewhere.
    name : str or None
        Folder of its stems, where the row gives one.
    options : SplitOptions
        Settings, its own and otherwise those of all rows.
    problem : str
        Why it cannot be done; empty where it can.
    """

    line: int
    source: Place
    below: PurePath
    name: str | None
    options: SplitOptions
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest: CSV whose first line names the columns, or one JSON object a line.

    Parameters
    ----------
    path : Path or Url
        The file, in UTF-8.
    options : SplitOptions
        What rows do not say themselves.
    allow_outside : bool
        Whether rows may name files outside the manifest's folder.
    copy : Path or None
        Of a remote one, what is read.
    """

    path: Place
    options: SplitOptions
    allow_outside: bool = False
    copy: Path | None = None

    def rows(self, *, look: bool = True) -> Iterator[Row]:
        """Rows in their order, each once; they are never all in memory.

        Parameters
        ----------
        look : bool
            Whether links are followed to see that they stay inside, which takes a look at the
            files. Nothing else depends on it.

        Raises
        ------
        InputError
            If the manifest cannot be read.
        UsageError
            If it is none.
        """
        seen: set[int] = set()
        for line, values in self._values():
            row = self._row(line, values, look=look)
            key = hash((row.source, row.name, row.options, row.problem))
            if key not in seen:
                seen.add(key)
                yield row

    def _values(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Line and columns of each row, or why it has none."""
        name = display(self.path)
        try:
            with self._file().open("rb") as file:
                first = file.readline(1 << 16)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{name} cannot be read: {reason}.") from None
        start = first.removeprefix(_BOM).lstrip()
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UsageError(f"{name} is UTF-16; save it as UTF-8.")
        if not _may_be_text(first):
            raise UsageError(f"{name} is no text, and so no manifest; give CSV or JSON lines.")
        if self.path.suffix.lower() in _JSON_ENDINGS or start.startswith(b"{"):
            return self._objects()
        return self._table()

    def _file(self) -> Path:
        if self.copy is not None:
            return self.copy
        if isinstance(self.path, Url):
            raise TypeError("a remote manifest is read from a copy, see opened()")
        return self.path

    def _lines(self) -> Iterator[tuple[int, str]]:
        name = display(self.path)
        try:
            with self._file().open("rb") as file:
                for number, raw in enumerate(file, start=1):
                    try:
                        text = raw.removeprefix(_BOM if number == 1 else b"").decode("utf-8")
                    except UnicodeDecodeError:
                        raise UsageError(
                            f"{name}, line {number}: not UTF-8; save the manifest as UTF-8."
                        ) from None
                    yield number, text
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}.") from None

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        for number, text in self._lines():
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                yield number, f"is not one JSON object a line; {_SUCH}"
                continue
            yield (
                number,
                value if isinstance(value, dict) else f"is not a JSON object; {_SUCH}",
            )

    def _table(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        name = display(self.path)
        at = 0

        def texts() -> Iterator[str]:
            nonlocal at
            for at, text in self._lines():  # noqa: B007 - the number is read outside
                yield text

        lines = texts()
        head = next((text for text in lines if text.strip()), "")
        # The first of equally frequent marks, so that a single column is cut at commas.
        mark = max(",;\t", key=head.count)
        try:
            cells = next(csv.reader([head], delimiter=mark), [])
        except csv.Error:
            raise UsageError(f"{name}, line {at}: {_NO_CELLS}.") from None
        columns = [cell.strip().lower().replace("_", "-") for cell in cells]
        if "input" not in columns:
            raise UsageError(
                f"{name} has no column 'input'; its first line names the columns, such as "
                "input,preset,start."
            )
        for column in columns:
            _check_column(column, columns, name)
        table = csv.reader(lines, delimiter=mark, strict=True)
        while True:
            number = at + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error:
                raise UsageError(f"{name}, line {number}: {_NO_CELLS}.") from None
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(columns):
                yield number, f"has {len(cells)} cells for {len(columns)} columns"
                continue
            yield number, dict(zip(columns, cells, strict=False))

    def _row(self, line: int, values: dict[str, Any] | str, *, look: bool) -> Row:
        empty = Row(line=line, source=self.path, below=TOP, name=None, options=self.options)
        where = f"{display(self.path)}, line {line}"
        if isinstance(values, str):
            return replace(empty, problem=f"{where} {values}.")
        try:
            return self._checked(empty, values, look=look)
        except ValueError as error:
            return replace(empty, problem=f"{where}: {error}.")

    def _checked(self, row: Row, values: dict[str, Any], *, look: bool) -> Row:
        given = {
            str(name).strip().lower().replace("_", "-"): value
            for name, value in values.items()
            if value is not None and not (isinstance(value, str) and not value.strip())
        }
        settings: dict[str, Any] = {}
        for name, value in given.items():
            if name in ("input", "out") or name.startswith("#"):
                continue
            if name not in COLUMNS:
                raise ValueError(_unknown(name))
            option, convert = COLUMNS[name]
            try:
                settings[option] = convert(value)
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"{name} {shortened(value)} cannot be") from None
        recording = given.get("input")
        if not isinstance(recording, str):
            raise ValueError("names no recording in 'input'")  # noqa: TRY004
        source, below = self._inside(recording, look=look)
        for option in ("dictionary", "score"):
            if option in settings:
                settings[option] = self._here(settings[option], look=look)
        if "examples" in settings:
            settings["examples"] = tuple(self._example(e, look=look) for e in settings["examples"])
        own: str | None = None
        if "out" in given:
            below, own = place_below(given["out"])
        return replace(
            row, source=source, below=below, name=own, options=replace(self.options, **settings)
        )

    def _example(self, text: str, *, look: bool) -> str:
        name, equals, value = text.rpartition("=")
        if value.startswith("@"):
            return text
        return f"{name}{equals}{self._here(value, look=look)}"

    def _here(self, text: str, *, look: bool) -> Path:
        place, _ = self._inside(text, look=look)
        if isinstance(place, Url):
            raise ValueError(  # noqa: TRY004
                f"{shortened(text)} is not on this computer, and only recordings may be elsewhere; "
                "copy it here"
            )
        return place

    def _inside(self, text: str, *, look: bool) -> tuple[Place, PurePath]:
        """Place of a file, and its folder seen from the manifest's."""
        return within(self.path.parent, text, allow_outside=self.allow_outside, look=look)


@contextmanager
def opened(path: Place, options: SplitOptions, *, allow_outside: bool) -> Iterator[Manifest]:
    """Give a manifest; of a remote one, a copy is kept as long as it is read.

    Raises
    ------
    InputError
        If it cannot be copied.
    """
    if not isinstance(path, Url):
        yield Manifest(path=path, options=options, allow_outside=allow_outside)
        return
    from audiosep.io.remote import fetch

    with scratch() as folder:
        copy = folder / "manifest"
        fetch(path, copy)
        yield Manifest(path=path, options=options, allow_outside=allow_outside, copy=copy)


def _may_be_text(line: bytes) -> bool:
    """Whether a line is text in any encoding but UTF-16: zeros and control characters are rare."""
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in line)
    return 0 not in line and controls <= _MOST_CONTROLS * len(line)


def _check_column(column: str, columns: list[str], name: str) -> None:
    if column in ("input", "out") or column in COLUMNS:
        if columns.count(column) > 1:
            raise UsageError(f"{name} has two columns {column!r}; leave one out.")
    elif column and not column.startswith("#"):
        raise UsageError(f"{name}: {_unknown(column)}.")


def _unknown(column: str) -> str:
    known = ", ".join(("input", "out", *COLUMNS))
    return (
        f"there is no setting {shortened(column)}; there are {known}, and what begins with # is "
        "passed over"
    )
