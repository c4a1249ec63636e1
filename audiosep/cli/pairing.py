"""Which file of a folder of estimates belongs to which file of a folder of references."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiosep.errors import InputError, UsageError
from audiosep.io.naming import absent, display, find_inputs
from audiosep.labels import folded

__all__ = ["MIXTURE", "Pair", "Pairing", "pair_up", "stem_name"]

MIXTURE = "mixture"
"""Name of a file that is no stem."""

_PREFIXES = ("ref_", "est_")

_TRAINING = "train_"
"""Beside references named ``ref_*``, files named so are examples of the sounds, no references."""

_ONE_SHOT = "one-shot-"
"""Single strokes that are written beside the stems of drums."""

_MULTITRACK = "-multitrack"
"""All stems in one file, as ``audiosep export`` writes it."""

_REST_NAMES = frozenset({"accompaniment", "instrumental", "no_vocals", "other", "rest", "residual"})
"""Stems of such a name stand for everything that no other stem is named after."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A stem's true source and its estimate, each in one file or as the sum of several."""

    name: str
    references: tuple[Path, ...]
    estimates: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """What belongs together.

    Parameters
    ----------
    pairs : tuple of Pair
        By the names of the references.
    references, estimates : tuple of Path
        What has no counterpart.
    ambiguous : tuple of str
        Names that several files of a folder have; these files are in no pair.
    mixture : Path or None
        ``mixture.*`` among the references.
    rest : Pair or None
        The one of the pairs whose names differ, because one stands for all that is left.
    """

    pairs: tuple[Pair, ...]
    references: tuple[Path, ...] = ()
    estimates: tuple[Path, ...] = ()
    ambiguous: tuple[str, ...] = ()
    mixture: Path | None = None
    rest: Pair | None = None


def stem_name(path: Path) -> str:
    """Name a stem goes by: its file's name without ending, without ``ref_``, in small letters."""
    name = folded(path.stem)
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def pair_up(reference: Path, estimate: Path) -> Pairing:
    """Pair two files, or the stems in two folders by their names.

    ``drums.wav``, ``Drums.flac`` and ``ref_drums.wav`` are all drums. Of two references of one
    name, the one named ``ref_*`` is taken; beside such files ``train_*`` are no references. Among
    the estimates ``one-shot-*`` and ``*-multitrack`` are no stems. Where a single stem is left
    over on one side and it is named other (or accompaniment, rest ...), it belongs to the sum of
    what is left over on the other side.

    Raises
    ------
    UsageError
        If one is a folder and the other is not.
    InputError
        If one is not there, or a folder holds no recording.
    """
    for path in (reference, estimate):
        if not path.exists():
            raise InputError(f"{display(path)} {absent(path)}")
    if reference.is_dir() != estimate.is_dir():
        raise UsageError(
            f"{display(reference)} and {display(estimate)} must be two folders of stems or two "
            "files."
        )
    if not reference.is_dir():
        name = stem_name(reference)
        pair = Pair(name=name, references=(reference,), estimates=(estimate,))
        return Pairing(pairs=(pair,))
    files = find_inputs([reference])
    mixture = next((p for p in files if stem_name(p) == MIXTURE), None)
    sources = _sources(files)
    found = _by_name(find_inputs([estimate]))
    guesses = {n: p for n, p in found.items() if n in sources or not _is_no_stem(n)}
    ambiguous = tuple(n for n in (*sources, *guesses) if _several(sources, n, guesses))
    pairs = [
        Pair(name=name, references=(paths[0],), estimates=(guesses[name][0],))
        for name, paths in sources.items()
        if name in guesses and name not in ambiguous
    ]
    paired = {*ambiguous, *(pair.name for pair in pairs)}
    left = {name: paths[0] for name, paths in sources.items() if name not in paired}
    spare = {name: paths[0] for name, paths in guesses.items() if name not in paired}
    rest = None
    if everything := _rest_name(left, spare) or _rest_name(spare, left):
        rest = Pair(
            name=everything, references=tuple(left.values()), estimates=tuple(spare.values())
        )
        pairs.append(rest)
        left, spare = {}, {}
    return Pairing(
        pairs=tuple(pairs),
        references=tuple(left.values()),
        estimates=tuple(spare.values()),
        ambiguous=tuple(dict.fromkeys(ambiguous)),
        mixture=mixture,
        rest=rest,
    )


def _is_no_stem(name: str) -> bool:
    return name.startswith(_ONE_SHOT) or name.endswith(_MULTITRACK)


def _rest_name(many: dict[str, Path], one: dict[str, Path]) -> str | None:
    """Name of the single stem that stands for all of the others, if it does."""
    name = next(iter(one), None)
    return name if many and len(one) == 1 and name in _REST_NAMES else None


def _several(sources: dict[str, list[Path]], name: str, guesses: dict[str, list[Path]]) -> bool:
    return len(sources.get(name, ())) > 1 or len(guesses.get(name, ())) > 1


def _sources(files: list[Path]) -> dict[str, list[Path]]:
    """References by name: those that are marked, and the plain ones of other names."""
    marked = [path for path in files if path.name.casefold().startswith("ref_")]
    if not marked:
        return _by_name(files)
    plain = [p for p in files if p not in marked and not stem_name(p).startswith(_TRAINING)]
    # In one order, whichever are marked.
    return dict(sorted((_by_name(plain) | _by_name(marked)).items()))


def _by_name(paths: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        if stem_name(path) != MIXTURE:
            found.setdefault(stem_name(path), []).append(path)
    return found
