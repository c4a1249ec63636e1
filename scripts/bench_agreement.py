"""Long recordings in chunks against the same at once: how far the stems agree.

    python scripts/bench_agreement.py CORPUS [--presets stems vocals ...] [--pieces 2]
        [--seconds 145 300] [--seed 0] [--json out.json] [--join earlier.json] [--write-docs]

CORPUS is that of ``scripts/bench_quality.py``. Its short recordings are joined, in an order and at
levels that follow from the seed, to pieces of so many --seconds. Each is taken apart three times:

- in chunks, as ``audiosep split`` does it;
- at once, by the same method, which nothing is told about the recording beforehand;
- at once, with what was learnt for the chunks.

The table says for each preset how far the stems in chunks agree with both of the others, as
SI-SDR in dB over all stems and pieces (the median and the worst), and how near the stems come to
the true sources, at once and in chunks (means of SI-SDR). What a piece takes apart into nothing (a
stem without sound) is left out. ``--join`` takes the rows of other presets from an earlier run,
and ``--write-docs`` puts the table between the marks of docs/long.md.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from _agreement_pieces import PRESETS, SECONDS, LongPiece, pieces_of
from _quality_corpus import Signals, is_silent, matched, si_sdr

import audiosep
from audiosep.chunked import Chunked
from audiosep.chunks import CHUNK_S
from audiosep.loading import load_mixture
from audiosep.memory import Work
from audiosep.methods import Learnt
from audiosep.pipeline import Clock, begin
from audiosep.threads import one_blas_thread
from audiosep.types import ignore_progress

PAGE = Path(__file__).parent.parent / "docs" / "long.md"
MARK = re.compile(r"<!-- agreement -->\n.*?<!-- /agreement -->", re.DOTALL)
BLIND = ("components", "stereo")
EXACT_DB = 120.0
"""What agrees to rounding is not told any more closely."""

Row = dict[str, Any]


class Recalling(Chunked):
    """Takes a recording apart, and recalls what it learnt before."""

    recalled: Learnt | None = None

    def _learnt(self) -> Learnt | None:
        found = super()._learnt()
        object.__setattr__(self, "recalled", found)
        return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--pieces", type=int, default=2, help="recordings for each preset")
    parser.add_argument("--seconds", type=float, nargs=2, default=SECONDS, help="of a piece")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to keep all numbers")
    parser.add_argument("--join", type=Path, help="numbers of other presets, measured before")
    parser.add_argument("--write-docs", action="store_true", help="fill in docs/long.md")
    arguments = parser.parse_args()
    rows: list[Row] = []
    if arguments.join is not None:
        earlier = json.loads(arguments.join.read_text(encoding="utf-8"))
        rows = [row for row in earlier if row["preset"] not in arguments.presets]
    for preset in arguments.presets:
        for piece in pieces_of(preset, arguments):
            rows.append(measured(preset, piece))
            print(told(rows[-1]), flush=True)
            if arguments.json is not None:
                arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"\n{table(rows)}")
    if arguments.write_docs:
        text = PAGE.read_text(encoding="utf-8")
        block = f"<!-- agreement -->\n{table(rows)}\n<!-- /agreement -->"
        PAGE.write_text(MARK.sub(lambda _: block, text), encoding="utf-8")


def measured(preset: str, piece: LongPiece) -> Row:
    """Take a piece apart in all three ways and compare."""
    began = time.perf_counter()
    separator = audiosep.Separator(preset=preset, n_threads=1, **piece.told)
    work = Work(preset=preset, n_stems=separator.n_stems(), chunk_s=math.inf)
    mixture, about = load_mixture(piece.mixture, piece.sr, start=0.0, duration=None, work=work)
    with one_blas_thread():
        asked = begin(separator, mixture, about, Clock(), CHUNK_S, ignore_progress).chunked
        recalling = Recalling(**{f.name: getattr(asked, f.name) for f in fields(asked) if f.init})
        chunks = stems_of(recalling)
        whole = stems_of(replace(asked, chunk_s=math.inf))
        learnt = recalling.recalled
        facts = None if learnt is None else learnt.facts
        settings = replace(asked.settings, learnt=facts)
        known = stems_of(replace(asked, chunk_s=math.inf, settings=settings))
    row: Row = {
        "preset": preset,
        "piece": piece.name,
        "seconds": mixture.duration,
        "whole": agreement(preset, whole, chunks),
        "known": agreement(preset, known, chunks),
        "taken_s": round(time.perf_counter() - began, 1),
    }
    for name, stems in (("truth_whole", whole), ("truth_chunks", chunks)):
        row[name] = truth(preset, piece.references, stems)
    return row


def stems_of(chunked: Chunked) -> Signals:
    """All stems of a recording."""
    parts: dict[str, list[np.ndarray]] = {}
    for piece in chunked.pieces():
        for name, part in piece.stems.items():
            parts.setdefault(name, []).append(part)
    return {name: np.concatenate(several, axis=1) for name, several in parts.items()}


def agreement(preset: str, one: Signals, other: Signals) -> dict[str, float]:
    """SI-SDR between stems of a name, or the best pairs of blind ones, but for silent ones."""
    pairs = {name: (one[name], stem) for name, stem in other.items() if name in one}
    if preset in BLIND:
        pairs = best_order(one, other)
    return {
        name: min(EXACT_DB, si_sdr(*pair))
        for name, pair in pairs.items()
        if not all(is_silent(stem) for stem in pair)
    }


def truth(preset: str, references: Signals, stems: Signals) -> dict[str, float]:
    """SI-SDR of stems against true sources, by name or, where they are blind, in the best order."""
    if preset in BLIND:
        pairs = best_order(references, stems)
    else:
        pairs = matched(references, with_rest(references, stems))
    return {name: si_sdr(*pair) for name, pair in pairs.items() if not is_silent(pair[0])}


def with_rest(references: Signals, stems: Signals) -> Signals:
    """Call the rest by the name of the only source that was not told of."""
    unnamed = [name for name in references if name not in stems]
    if len(unnamed) != 1 or "rest" not in stems:
        return stems
    return {unnamed[0] if name == "rest" else name: stem for name, stem in stems.items()}


def best_order(references: Signals, stems: Signals) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs with the best mean."""
    from scipy.optimize import linear_sum_assignment

    scores = [[si_sdr(r, stem) for stem in stems.values()] for r in references.values()]
    names, found = list(references), list(stems.values())
    rows, columns = linear_sum_assignment(np.array(scores), maximize=True)
    return {
        names[row]: (references[names[row]], found[column])
        for row, column in zip(rows, columns, strict=True)
    }


def told(row: Row) -> str:
    """A row in words."""
    parts = [
        f"{what} " + ", ".join(f"{name} {value:.1f}" for name, value in row[key].items())
        for what, key in (
            ("at once", "whole"),
            ("the same learnt", "known"),
            ("truth at once", "truth_whole"),
            ("truth in chunks", "truth_chunks"),
        )
    ]
    head = f"{row['preset']}, {row['seconds']:.0f} s, {row['taken_s']:.0f} s of work"
    return f"{head}: {'; '.join(parts)}"


def table(rows: Iterable[Row]) -> str:
    """All rows of a preset as one line of a table."""
    lines = [
        "| preset | pieces | at once: median | worst | with the same learnt: median | worst "
        "| truth at once | truth in chunks |",
        f"| --- {'| ---: ' * 7}|",
    ]
    by_preset: dict[str, list[Row]] = {}
    for row in rows:
        by_preset.setdefault(row["preset"], []).append(row)
    for preset in sorted(by_preset, key=PRESETS.index):
        mine = by_preset[preset]
        values = {
            key: [value for row in mine for value in row[key].values()]
            for key in ("whole", "known", "truth_whole", "truth_chunks")
        }
        minutes = " and ".join(f"{row['seconds']:.0f}" for row in mine)
        cells = [
            preset,
            f"{minutes} s",
            *(decibels(np.median(values["whole"])), decibels(np.min(values["whole"]))),
            *(decibels(np.median(values["known"])), decibels(np.min(values["known"]))),
            *(decibels(np.mean(values[key])) for key in ("truth_whole", "truth_chunks")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def decibels(value: float) -> str:
    """A number for the table."""
    return f"{value:.1f}" if value < EXACT_DB else f"{EXACT_DB:.0f}, rounding"


if __name__ == "__main__":
    main()
