"""Single hits cut out of stems: the ones that stand most alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.types import Audio, Onsets, Tape, whole_number

__all__ = ["cut_one_shots"]

LONGEST_S = 2.0
_SHORTEST_S = 0.03
_SEARCH_S = 0.03
"""Onsets are known to about a frame; the attack is looked for this far around."""

_BEFORE_S = 0.003
_LEVEL_S = 0.004
_ATTACK = 0.1
"""Share of its rise that an attack begins with."""

_GAP_S = 0.01
"""A hit ends this long before the next one of its piece."""

_QUIET_DB = 50.0
_FADE_IN_S = 0.001
_FADE_OUT_S = 0.015
_JUDGED_S = 0.15
"""How much of a hit is judged: by then it has been heard."""

_LATE_S = 0.03
_LATE = 0.1
"""Weight of a hit that is loudest later than this after its attack: another one is in it."""

_TINY = 1e-30


@dataclass(frozen=True)
class _Hit:
    first: int
    last: int
    score: float


def cut_one_shots(stems: Mapping[str, Tape], onsets: Onsets, n: int = 4) -> dict[str, Audio]:
    """Cut the cleanest hits of each piece out of its stem.

    A hit is clean where its stem holds most of what sounds, where it is loud, where it is loudest
    within 30 ms of its attack (or another hit is in it), and where the next hit of the same piece
    leaves it time to ring. It is cut from shortly before its attack until
    it has fallen by 50 dB, the next hit of its piece begins, or 2 seconds have passed, with short
    fades. Its level is kept.

    Parameters
    ----------
    stems : mapping of str to Tape
        In memory or in files, all of one length and rate; those whose names are among the labels
        of `onsets` are cut.
    onsets : Onsets
        When which piece was struck.
    n : int > 0
        How many hits of each piece, at most.

    Returns
    -------
    dict of str to Audio
        ``"kick-1"``, ``"kick-2"``, ..., the cleanest first; pieces in the order of `stems`. Pieces
        without a hit are left out.

    Raises
    ------
    ParameterError
        If `n` is no whole number above zero, or the stems differ in length or rate.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(8000) / 8000
    >>> y = (np.sin(2 * np.pi * 60 * t) * np.exp(-20 * (t % 0.5))).astype(np.float32)
    >>> stems = {"kick": Audio(samples=y[np.newaxis], sr=8000)}
    >>> struck = Onsets(
    ...     times_s=np.array([0.0, 0.5]), labels=("kick", "kick"), strengths=np.ones(2)
    ... )
    >>> list(cut_one_shots(stems, struck, n=1))
    ['kick-1']
    """
    n = whole_number("n", n, 1)
    shapes = {(stem.n_samples, stem.sr) for stem in stems.values()}
    if len(shapes) > 1:
        raise ParameterError("the stems differ in length or sample rate; give those of one track.")
    if not shapes:
        return {}
    powers = {name: _Power.of(audio) for name, audio in stems.items()}
    labels = np.array(onsets.labels, dtype=object)
    out: dict[str, Audio] = {}
    for name, stem in stems.items():
        times = onsets.times_s[labels == name]
        hits = _hits(times, powers[name], list(powers.values()))
        # Sorting is stable: of equal hits the earlier one comes first.
        best = sorted(hits, key=lambda hit: -hit.score)[:n]
        for index, hit in enumerate(best, start=1):
            out[f"{name}-{index}"] = _cut(stem, hit)
    return out


@dataclass(frozen=True)
class _Power:
    """Power of a stem where it is asked for: all of it at once would be larger than the stem."""

    stem: Tape
    peak: float

    @classmethod
    def of(cls, stem: Tape) -> _Power:
        return cls(stem, stem.peak or 1.0)

    def __getitem__(self, part: slice) -> npt.NDArray[np.float64]:
        """Mean square over the channels, by way of the peak, which may be far from one."""
        first, last, _ = part.indices(self.stem.n_samples)
        if first >= last:
            return np.zeros(0)
        relative = self.stem.part(first, last).samples.astype(np.float64) / self.peak
        out: npt.NDArray[np.float64] = np.square(relative).sum(axis=0)
        return out * (self.peak**2 / self.stem.n_channels)


def _hits(
    times_s: npt.NDArray[np.float64], power: _Power, all_powers: Sequence[_Power]
) -> list[_Hit]:
    sr, n_samples = power.stem.sr, power.stem.n_samples
    attacks = [attack for t in times_s if (attack := _attack(t, power)) is not None]
    attacks = sorted(set(attacks))
    ends = [*(attack - round(_GAP_S * sr) for attack in attacks[1:]), n_samples][: len(attacks)]
    hits = []
    for attack, end in zip(attacks, ends, strict=True):
        first = max(0, attack - round(_BEFORE_S * sr))
        last = min(end, n_samples, first + round(LONGEST_S * sr))
        if last - first < _SHORTEST_S * sr:
            continue
        last = first + _sounding(power[first:last], sr)
        judged = slice(first, first + max(1, round(_JUDGED_S * sr)))
        own = power[judged]
        total = np.zeros_like(own)
        for each in all_powers:
            total += each[judged]
        score = _cleanness(own, total, attack - first, sr)
        room_s = min((end - first) / sr, 2 * _JUDGED_S) / (2 * _JUDGED_S)
        hits.append(_Hit(first, last, score * room_s))
    return hits


def _cleanness(
    own: npt.NDArray[np.float64], total: npt.NDArray[np.float64], attack: int, sr: int
) -> float:
    energy = float(own.sum())
    share = energy / (float(total.sum()) + _TINY)
    late = int(np.argmax(own)) - attack > _LATE_S * sr
    return float(share * energy**0.25 * (_LATE if late else 1.0))


def _attack(time_s: float, power: _Power) -> int | None:
    """Sample near an onset where the level begins to rise above what still rings."""
    sr = power.stem.sr
    around = max(1, round(_SEARCH_S * sr))
    first = max(0, round(time_s * sr) - around)
    near = power[first : first + 2 * around]
    if not near.any():
        return None
    width = max(1, round(_LEVEL_S * sr))
    padded = np.pad(near, (width // 2, width - 1 - width // 2), mode="edge")
    level = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    risen = level[0] + _ATTACK * (level.max() - level[0])
    return first + int(np.argmax(level >= risen))


def _sounding(power: npt.NDArray[np.float64], sr: int) -> int:
    """Samples until a hit has fallen for good."""
    heard = np.flatnonzero(power > power.max() * 10.0 ** (-_QUIET_DB / 10.0))
    return max(int(heard[-1]) + 1, min(len(power), max(1, round(_SHORTEST_S * sr))))


def _cut(stem: Tape, hit: _Hit) -> Audio:
    samples = stem.part(hit.first, hit.last).samples.copy()
    length = samples.shape[1]
    for seconds, flip in ((_FADE_IN_S, False), (_FADE_OUT_S, True)):
        fade = min(max(1, round(seconds * stem.sr)), length)
        ramp = ((np.arange(fade) + 0.5) / fade).astype(np.float32)
        if flip:
            samples[:, length - fade :] *= ramp[::-1]
        else:
            samples[:, :fade] *= ramp
    return Audio(samples=samples, sr=stem.sr)
