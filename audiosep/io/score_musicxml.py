"""Notes of MusicXML files, plain or compressed: when they sound, nothing about how they look.

Libraries that read MusicXML bring notation along, and up to 100 MB; times and pitches are a few
elements of it. Entities are refused, so that a small file cannot become a large one.
"""

from __future__ import annotations

import io
import lzma
import math
import zipfile
import zlib
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from audiosep.errors import InputError
from audiosep.io.score_parts import ScoreNote, ScorePart, check_count, pitch_of

__all__ = ["parts_of_compressed_musicxml", "parts_of_musicxml"]

_MAX_BYTES = 64 * 2**20
_MOST_ELEMENTS = 2_500_000
_DEFAULT_BPM = 120.0
_BPM_RANGE = (5.0, 1000.0)
_STRENGTH = 0.7
_TIE_GAP = 1e-6
_MOST_PLAYED = 20_000
_BEATS = {
    "long": 16.0,
    "breve": 8.0,
    "whole": 4.0,
    "half": 2.0,
    "quarter": 1.0,
    "eighth": 0.5,
    "16th": 0.25,
    "32nd": 0.125,
    "64th": 0.0625,
}
_CONTAINER = "META-INF/container.xml"


@dataclass(kw_only=True)
class _Measure:
    """One measure of one part; times in quarters from its beginning."""

    notes: list[tuple[float, float, int, bool, bool]] = field(default_factory=list)
    tempos: list[tuple[float, float]] = field(default_factory=list)
    length: float = 0.0
    forward: bool = False
    times: int = 0
    ending: frozenset[int] = frozenset()


def parts_of_musicxml(content: bytes) -> list[ScorePart]:
    """Parts of a MusicXML score, repeats played out.

    Tempo marks hold for all parts; without any the tempo is 120 quarters a minute. Pitches are
    those that sound, also of transposing instruments; tied notes are one. Jumps other than repeats
    (da capo, segno) are not followed.

    Parameters
    ----------
    content : bytes
        A whole file; a document type is allowed, entities are not.

    Raises
    ------
    InputError
        If it is damaged or something else, declares entities, or has more notes than any piece.
    """
    root = _parsed(content)
    if root.tag != "score-partwise":
        timewise = root.tag == "score-timewise"
        hint = "; save it as score-partwise" if timewise else "; export it as MusicXML again"
        raise InputError(f"it is XML, but no MusicXML score by parts ({root.tag[:40]}){hint}.")
    names = {
        element.get("id", ""): (element.findtext("part-name") or "").strip()
        for element in root.iterfind("part-list/score-part")
    }
    drums = {
        element.get("id", ""): number - 1
        for element in root.iterfind("part-list/score-part/midi-instrument")
        if (number := _whole(element.findtext("midi-unpitched"))) is not None
    }
    try:
        parts = [(part.get("id", ""), *_measures(part, drums)) for part in root.iterfind("part")]
    except (ValueError, OverflowError):
        raise InputError(
            "it is damaged MusicXML (a number or a note cannot be); export it again."
        ) from None
    if not parts:
        return []
    bars = max(len(measures) for _, measures, _ in parts)
    together = [[m[i] for _, m, _ in parts if i < len(m)] for i in range(bars)]
    order = _played(together)
    check_count(sum(len(m[i].notes) for _, m, _ in parts for i in order if i < len(m)))
    # Parts with bars of different lengths would drift apart: the longest holds for all.
    lengths = [max(bar.length for bar in measures) for measures in together]
    starts = [0.0, *accumulate(lengths[i] for i in order)]
    seconds = _clock(together, order, starts)
    return [
        ScorePart(
            name=names.get(identity, ""),
            notes=tuple(_notes(measures, order, starts, seconds)),
            percussive=percussive,
        )
        for identity, measures, percussive in parts
    ]


def parts_of_compressed_musicxml(content: bytes) -> list[ScorePart]:
    """Parts of a compressed MusicXML file (.mxl); see :func:`parts_of_musicxml`.

    Raises
    ------
    InputError
        Also if the archive is damaged, holds no score, or one of more than 64 MB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = set(archive.namelist())
            name = ""
            if _CONTAINER in inside:
                rootfile = _parsed(_member(archive, _CONTAINER)).find(".//{*}rootfile")
                name = "" if rootfile is None else rootfile.get("full-path", "")
            if name not in inside:
                scores = [n for n in sorted(inside) if n.endswith((".musicxml", ".xml"))]
                name = next((n for n in scores if not n.startswith("META-INF/")), "")
            if not name:
                raise InputError("there is no score in it; export it again.")
            inner = _member(archive, name)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError):
        raise InputError("it is a damaged .mxl file; export it again.") from None
    return parts_of_musicxml(inner)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        content = member.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise InputError(f"the score in it has more than {_MAX_BYTES >> 20} MB; that is no score.")
    return content


def _parsed(content: bytes) -> Element:
    builder = TreeBuilder()
    n_elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal n_elements
        n_elements += 1
        if n_elements > _MOST_ELEMENTS:
            raise InputError(f"it has more than {_MOST_ELEMENTS} elements; that is no score.")
        builder.start(name, attributes)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
        root = builder.close()
    except (expat.ExpatError, AssertionError, ValueError, LookupError) as error:
        where = f" (in line {error.lineno})" if isinstance(error, expat.ExpatError) else ""
        raise InputError(f"it is damaged XML{where}; export it again.") from None
    for element in root.iter():  # names as the standard writes them, whatever the name space
        element.tag = element.tag.rpartition(":")[2]
    return root


def _refuse_entity(*_declaration: Any) -> None:
    raise InputError("it declares XML entities, which scores do not need; export it again.")


def _measures(part: Element, drums: dict[str, int]) -> tuple[list[_Measure], bool]:
    """Measures of a part, and whether it plays drums only."""
    found = []
    state = _State(drums)
    for element in part.iterfind("measure"):
        measure = _Measure()
        state.begin(measure)
        for child in element:
            state.take(child)
        measure.length = state.longest
        found.append(measure)
    return found, state.unpitched and not state.pitched


class _State:
    """Where in a part we are, element by element."""

    def __init__(self, drums: dict[str, int]) -> None:
        self._drums = drums
        self._divisions = 1.0
        self._transposition = 0
        self._ending: frozenset[int] = frozenset()
        self.pitched = self.unpitched = False

    def begin(self, measure: _Measure) -> None:
        self._measure = measure
        self._now = self.longest = self._last = 0.0
        measure.ending = self._ending

    def take(self, element: Element) -> None:
        if element.tag == "note":
            self._take_note(element)
        elif element.tag == "backup":
            self._now = max(0.0, self._now - self._duration(element))
        elif element.tag == "forward":
            self._advance(self._duration(element))
        elif element.tag == "attributes":
            self._take_attributes(element)
        elif element.tag in ("direction", "sound"):
            self._take_tempo(element)
        elif element.tag == "barline":
            self._take_barline(element)

    def _duration(self, element: Element) -> float:
        duration = float(element.findtext("duration") or 0.0) / self._divisions
        if not 0.0 <= duration < 1e6:
            raise ValueError
        return duration

    def _advance(self, quarters: float) -> None:
        self._last, self._now = self._now, self._now + quarters
        self.longest = max(self.longest, self._now)

    def _take_attributes(self, element: Element) -> None:
        if (divisions := element.findtext("divisions")) is not None:
            self._divisions = float(divisions)
            if not 0.0 < self._divisions < 1e9:
                raise ValueError
        if (transpose := element.find("transpose")) is not None:
            chromatic = float(transpose.findtext("chromatic") or 0.0)
            octaves = float(transpose.findtext("octave-change") or 0.0)
            self._transposition = round(chromatic + 12.0 * octaves)

    def _take_note(self, element: Element) -> None:
        duration = 0.0 if element.find("grace") is not None else self._duration(element)
        if element.find("chord") is None:
            self._advance(duration)
        if element.find("rest") is not None or element.find("cue") is not None:
            return
        number = self._number(element)
        if number is None:
            return
        ties = {tie.get("type") for tie in element.iterfind("tie")}
        end = self._last + duration
        self._measure.notes.append((self._last, end, number, "start" in ties, "stop" in ties))

    def _number(self, element: Element) -> int | None:
        if (pitch := element.find("pitch")) is not None:
            self.pitched = True
            name = f"{(pitch.findtext('step') or '').strip()}{pitch.findtext('octave') or ''}"
            number = pitch_of(name.strip())
            if number is None:
                raise ValueError
            number += round(float(pitch.findtext("alter") or 0.0)) + self._transposition
            return number if 0 <= number <= 127 else None
        if (unpitched := element.find("unpitched")) is not None:
            self.unpitched = True
            instrument = element.find("instrument")
            identity = "" if instrument is None else instrument.get("id", "")
            step = unpitched.findtext("display-step") or "C"
            shown = pitch_of(f"{step}{unpitched.findtext('display-octave') or 4}".strip())
            return self._drums.get(identity, 38 if shown is None else shown) & 0x7F
        return None

    def _take_tempo(self, element: Element) -> None:
        sound = element if element.tag == "sound" else element.find("sound")
        text = None if sound is None else sound.get("tempo")
        if text is not None:
            tempo = float(text)
        else:
            mark = element.find("direction-type/metronome")
            if mark is None or mark.findtext("per-minute") is None:
                return
            beats = _BEATS.get((mark.findtext("beat-unit") or "").strip(), 1.0)
            dotted = 1.5 if mark.find("beat-unit-dot") is not None else 1.0
            digits = "".join(c for c in mark.findtext("per-minute") or "" if c in "0123456789.")
            if not digits.strip("."):
                return
            tempo = float(digits) * beats * dotted
        if _BPM_RANGE[0] <= tempo <= _BPM_RANGE[1]:
            self._measure.tempos.append((self._now, tempo))

    def _take_barline(self, element: Element) -> None:
        if (ending := element.find("ending")) is not None:
            if ending.get("type") == "start":
                numbers = (ending.get("number") or "1").replace(",", " ").split()
                self._ending = frozenset(n for n in map(_whole, numbers) if n is not None)
                self._measure.ending = self._ending
            else:
                self._ending = frozenset()
        if (repeat := element.find("repeat")) is not None:
            if repeat.get("direction") == "forward":
                self._measure.forward = True
            else:
                self._measure.times = min(max(2, _whole(repeat.get("times")) or 2), 16)


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _played(together: list[list[_Measure]]) -> list[int]:
    """Measures in the order in which they are played, repeats and their endings heeded."""
    order: list[int] = []
    start, turn, at = 0, 1, 0
    while at < len(together) and len(order) < _MOST_PLAYED:
        bar = together[at]
        if any(m.forward for m in bar) and at != start:
            start, turn = at, 1
        ending = frozenset[int]().union(*(m.ending for m in bar))
        times = max((m.times for m in bar), default=0)
        if not ending or turn in ending:
            order.append(at)
            if times and turn < max(times, max(ending, default=0)):
                turn, at = turn + 1, start
                continue
        if times and turn >= times and not ending:
            start, turn = at + 1, 1
        at += 1
    return order


def _clock(together: list[list[_Measure]], order: list[int], starts: list[float]) -> _Seconds:
    changes = sorted(
        {
            (start + at, tempo)
            for i, start in zip(order, starts[:-1], strict=True)
            for measure in together[i]
            for at, tempo in measure.tempos
        }
    )
    return _Seconds(changes)


class _Seconds:
    """From quarters to seconds."""

    def __init__(self, changes: list[tuple[float, float]]) -> None:
        import numpy as np

        if not changes or changes[0][0] > 0.0:
            # What is marked first is meant from the beginning.
            changes = [(0.0, changes[0][1] if changes else _DEFAULT_BPM), *changes]
        self._at = np.array([at for at, _ in changes])
        self._rates = np.array([60.0 / tempo for _, tempo in changes])
        steps = np.diff(self._at) * self._rates[:-1]
        self._starts = np.concatenate([[0.0], np.cumsum(steps)])

    def __call__(self, quarters: float) -> float:
        piece = max(0, int(self._at.searchsorted(quarters, side="right")) - 1)
        return float(self._starts[piece] + (quarters - self._at[piece]) * self._rates[piece])


def _notes(
    measures: list[_Measure], order: list[int], starts: list[float], seconds: _Seconds
) -> list[ScoreNote]:
    """Notes in seconds, tied ones joined."""
    whole: list[tuple[float, float, int]] = []
    open_ties: dict[int, int] = {}
    for index, start in zip(order, starts[:-1], strict=True):
        if index >= len(measures):
            continue
        for begin, end, number, ties_on, ties_back in measures[index].notes:
            before = open_ties.pop(number, None) if ties_back else None
            if before is not None and math.isclose(
                whole[before][1], start + begin, abs_tol=_TIE_GAP, rel_tol=1e-9
            ):
                whole[before] = (whole[before][0], start + end, number)
                place = before
            else:
                whole.append((start + begin, start + end, number))
                place = len(whole) - 1
            if ties_on:
                open_ties[number] = place
    return [(seconds(a), seconds(b), number, _STRENGTH) for a, b, number in whole]
