"""How much of each stem belongs to which other one, by what was painted.

Inside a region it is the region that says so. Elsewhere it is components: each stem that something
is taken from is factorized, and a component goes where it was painted by how much of it was. Three
numbers say that. The first is the part of it that lies inside the regions while they last; a
component that goes on above and below them at the same time is something else that only passes
through. The second is how much more of what is inside it makes up than of the whole stem; what
sounds all the time happens to be inside as well. The third is how much of what is inside it makes
up at all. Sounds that no region has touched stay where they are. All of that is told by what is
below 8 kHz: hiss that is there all the time would make any component wide.

Bryan & Mysore (2013) constrain the posteriors of one factorization of the mixture, in which all
stems move. Here the posteriors are those of each stem by itself, so that nothing moves but what
regions have to do with.

References
----------
.. [1] N. J. Bryan and G. J. Mysore (2013), "Interactive refinement of supervised and
   semi-supervised sound source separation estimates", ICASSP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.errors import UsageError
from audiosep.transform import BLOCK_FRAMES

__all__ = ["Box", "Transfer", "allowed_stems", "check_allowed", "find_transfer"]

Matrix = npt.NDArray[np.float32]

_N_COMPONENTS = 12
_ITERATIONS = 30
_STAYS, _GOES = 0.2, 0.6
"""Of the product of the first two numbers: below it stays, above it goes as a whole."""

_ENOUGH = 0.3
"""Part of what is inside from which on it goes as a whole."""

_LEAST = 0.02
"""What moves by less than that stays."""

_SILENT = 1e-3
"""Frames in which nothing moves by more than that (-60 dB) are left where they are."""

_TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class Box:
    """A region on the grid of a transform.

    Parameters
    ----------
    frames, bins : slice
        Where it is; neither is empty.
    stem : int
        Place of its stem.
    belongs : bool
        Whether it belongs to it, or does not.
    """

    frames: slice
    bins: slice
    stem: int
    belongs: bool


def allowed_stems(
    boxes: Sequence[Box], n_stems: int, n_bins: int, first: int, last: int
) -> npt.NDArray[np.bool_]:
    """Which stems may have something in which bin of some frames.

    Where regions say that it belongs to stems, these share it; where they say that it does not,
    the others do.

    Parameters
    ----------
    boxes : sequence of Box
        What was painted.
    n_stems, n_bins : int
        How many there are.
    first, last : int
        From frame `first` up to, but without, frame `last`.

    Returns
    -------
    np.ndarray [shape=(n_stems, last - first, n_bins), dtype=bool]
    """
    claimed = np.zeros((n_stems, last - first, n_bins), dtype=bool)
    denied = np.zeros((n_stems, last - first, n_bins), dtype=bool)
    for box in boxes:
        frames = slice(max(box.frames.start - first, 0), max(box.frames.stop - first, 0))
        (claimed if box.belongs else denied)[box.stem, frames, box.bins] = True
    return np.where(claimed.any(axis=0), claimed, True) & ~denied


@dataclass(frozen=True, kw_only=True, eq=False)
class Moving:
    """Components of a stem, and how much of each goes to which stem.

    Parameters
    ----------
    spectra : np.ndarray [shape=(n_components, n_bins), dtype=float32]
        What they sound like.
    gains : np.ndarray [shape=(n_frames, n_components), dtype=float32]
        When.
    parts : np.ndarray [shape=(n_stems, n_components), dtype=float32]
        The sum over the stems is at most one.
    """

    spectra: Matrix
    gains: Matrix
    parts: Matrix

    def share(self, s: int, first: int, last: int) -> Matrix | None:
        """Part of some frames that goes to stem `s`; None where nothing does."""
        gains = self.gains[first:last]
        some = np.flatnonzero(self.parts[s])
        moving = gains[:, some] * self.parts[s, some]
        if not moving.any():
            return None
        share: Matrix = moving @ self.spectra[some]
        share /= np.maximum(gains @ self.spectra, np.float32(_TINY))
        share[share.max(axis=1) < _SILENT] = 0.0
        return share


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """What moves from which stem to which other one.

    Parameters
    ----------
    magnitudes : tuple of np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Of all stems, new ones behind the others.
    boxes : tuple of Box
        What was painted.
    n_heard : int
        Bins, from the lowest, by which components are found and judged.
    moving : dict of int to Moving
        What moves besides, by the stem that it moves from.
    """

    magnitudes: tuple[Matrix, ...]
    boxes: tuple[Box, ...]
    n_heard: int
    moving: dict[int, Moving]

    def between(self, r: int, s: int) -> Callable[[int, int], Matrix | None]:
        """Gains of what moves from stem `r` to stem `s`, for `filter_channels`."""

        def gains(first: int, last: int) -> Matrix | None:
            share = self.moving[r].share(s, first, last) if r in self.moving else None
            if not any(_meets(box, first, last) for box in self.boxes):
                return share
            allowed, painted = self._allowed(first, last)
            inside = np.where(allowed[r], np.float32(0), _painted_part(self, allowed, s, first))
            if share is None:
                share = np.zeros_like(inside)
            np.copyto(share, inside, where=painted)
            return share if share.any() else None

        return gains

    def pairs(self) -> list[tuple[int, int]]:
        """Stems between which anything may move, in order."""
        n_stems = len(self.magnitudes)
        found = set()
        for r, moving in self.moving.items():
            found |= {(r, s) for s in range(n_stems) if moving.parts[s].any()}
        for first in range(0, len(self.magnitudes[0]), BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, len(self.magnitudes[0]))
            if any(_meets(box, first, last) for box in self.boxes):
                allowed, _ = self._allowed(first, last)
                for r in range(n_stems):
                    leaves = ~allowed[r] & (self.magnitudes[r][first:last] > 0)
                    found |= {(r, s) for s in range(n_stems) if (allowed[s] & leaves).any()}
        return sorted(found)

    def _allowed(
        self, first: int, last: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        n_bins = self.magnitudes[0].shape[1]
        allowed = allowed_stems(self.boxes, len(self.magnitudes), n_bins, first, last)
        painted: npt.NDArray[np.bool_] = np.logical_not(allowed.all(axis=0))
        return allowed, painted


def check_allowed(boxes: Sequence[Box], n_stems: int, n_bins: int, n_frames: int) -> None:
    """Refuse regions that leave some place to no stem.

    Raises
    ------
    UsageError
        If there is such a place.
    """
    if all(box.belongs for box in boxes):
        return
    for first in range(0, n_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, n_frames)
        if not any(_meets(box, first, last) for box in boxes):
            continue
        if not allowed_stems(boxes, n_stems, n_bins, first, last).any(axis=0).all():
            raise UsageError(
                "the regions say of some place that it belongs to no stem; say which one it "
                "belongs to, perhaps a new one."
            )


def _meets(box: Box, first: int, last: int) -> bool:
    return bool(box.frames.start < last and box.frames.stop > first)


def _painted_part(transfer: Transfer, allowed: npt.NDArray[np.bool_], s: int, first: int) -> Matrix:
    """Part of what must leave its stem that goes to stem `s`: as these share what they have."""
    last = first + allowed.shape[1]
    total = np.zeros(allowed.shape[1:], dtype=np.float32)
    for stem, magnitude in zip(allowed, transfer.magnitudes, strict=True):
        total += np.where(stem, magnitude[first:last], np.float32(0))
    own = np.where(allowed[s], transfer.magnitudes[s][first:last], np.float32(0))
    # Where none of those that may have it has anything, they share it equally.
    equal = allowed[s] / np.maximum(allowed.sum(axis=0), 1)
    return np.where(total > 0, own / np.where(total > 0, total, 1), equal).astype(np.float32)


def find_transfer(
    magnitudes: Sequence[Matrix],
    boxes: Sequence[Box],
    *,
    n_heard: int | None = None,
    refit: bool = True,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> Transfer:
    """Find out what moves from which stem to which other one.

    Parameters
    ----------
    magnitudes : sequence of np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Of all stems; zero for those that are new.
    boxes : sequence of Box
        What was painted.
    n_heard : int, optional
        Bins, from the lowest, by which sounds are told apart; by default all. Regions above count
        all the same.
    refit : bool
        Whether what sounds like it moves elsewhere, too.
    seed, n_threads : int
        Of the factorizations.
    progress : callable
        Called with a number from 0 to 1.

    Returns
    -------
    Transfer
    """
    n_bins = magnitudes[0].shape[1]
    heard = max([n_heard or n_bins, *(box.bins.stop for box in boxes if box.bins.stop < n_bins)])
    plain = Transfer(
        magnitudes=tuple(magnitudes), boxes=tuple(boxes), n_heard=min(heard, n_bins), moving={}
    )
    if not refit:
        return plain
    pairs = plain.pairs()
    givers = sorted({r for r, _ in pairs})
    moving = {}
    for done, r in enumerate(givers):
        progress(done / len(givers))
        takers = [s for giver, s in pairs if giver == r]
        found = _moving(plain, r, takers, seed, n_threads)
        if found is not None:
            moving[r] = found
    return replace(plain, moving=moving)


def _moving(
    plain: Transfer, r: int, takers: Sequence[int], seed: int, n_threads: int
) -> Moving | None:
    """Factorize a stem, and see which of its components were painted."""
    from audiosep.nmf import factorize

    magnitude = plain.magnitudes[r]
    if not magnitude[:, : plain.n_heard].any():
        return None
    found = factorize(
        magnitude[:, : plain.n_heard].T,
        _N_COMPONENTS,
        beta=1.0,
        max_iter=_ITERATIONS,
        tol=0.0,
        seed=seed,
        n_threads=n_threads,
    )
    spectra = np.ascontiguousarray(found.templates.T, dtype=np.float32)
    gains = np.ascontiguousarray(found.activations.T, dtype=np.float32)
    whole = spectra.sum(axis=1, dtype=np.float64) * gains.sum(axis=0, dtype=np.float64)
    parts = np.zeros((len(plain.magnitudes), len(spectra)))
    kept = _own(plain, r, spectra, gains)
    for s in takers:
        inside, beside = _inside(plain, r, s, spectra, gains)
        if inside.sum() <= _TINY:
            continue
        contained = inside / np.maximum(inside + beside, _TINY)
        of_inside = inside / inside.sum()
        of_whole = whole / max(float(whole.sum()), _TINY)
        special = of_inside / np.maximum(of_inside + of_whole, _TINY)
        stays = kept / np.maximum(kept + inside, _TINY)
        sure = np.clip((contained * special - _STAYS) / (_GOES - _STAYS), 0.0, 1.0)
        parts[s] = sure * np.clip(of_inside / _ENOUGH, 0.0, 1.0) * (1.0 - stays)
    parts[parts < _LEAST] = 0.0
    parts /= np.maximum(parts.sum(axis=0), 1.0)
    if not parts.any():
        return None
    return Moving(
        spectra=_up_to_the_top(spectra, gains, magnitude),
        gains=gains,
        parts=parts.astype(np.float32),
    )


def _up_to_the_top(spectra: Matrix, gains: Matrix, magnitude: Matrix) -> Matrix:
    """Give components what sounds above their bins at the same time, each by its part below."""
    total = gains.sum(axis=1, keepdims=True)
    parts = np.divide(gains, total, out=np.zeros_like(gains), where=total > _TINY)
    above: Matrix = parts.T @ magnitude[:, spectra.shape[1] :]
    above /= np.maximum(gains.sum(axis=0)[:, np.newaxis], np.float32(_TINY))
    return np.concatenate([spectra, above], axis=1)


def _inside(
    plain: Transfer, r: int, s: int, spectra: Matrix, gains: Matrix
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each component of stem `r`, what regions give to stem `s`, and what else sounds then."""
    inside = np.zeros(len(spectra))
    beside = np.zeros(len(spectra))
    go = plain.between(r, s)
    n_frames = len(gains)
    for first in range(0, n_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, n_frames)
        if not any(_meets(box, first, last) for box in plain.boxes):
            continue
        share = go(first, last)
        if share is None:
            continue
        frames = np.flatnonzero(share.any(axis=1))
        h, leaving = gains[first + frames], share[frames, : plain.n_heard]
        data = plain.magnitudes[r][first + frames, : plain.n_heard]
        data = data / np.maximum(h @ spectra, np.float32(_TINY))
        all_of_it = (h * (data @ spectra.T)).sum(axis=0, dtype=np.float64)
        data *= leaving
        moved = (h * (data @ spectra.T)).sum(axis=0, dtype=np.float64)
        inside += moved
        beside += np.maximum(all_of_it - moved, 0.0)
    return inside, beside


def _own(plain: Transfer, r: int, spectra: Matrix, gains: Matrix) -> npt.NDArray[np.float64]:
    """Of each component of stem `r`, what regions say belongs to it."""
    own = np.zeros(len(spectra))
    for box in plain.boxes:
        if box.stem == r and box.belongs:
            h, w = gains[box.frames], spectra[:, box.bins]
            data = plain.magnitudes[r][box.frames, : plain.n_heard][:, box.bins]
            data = data / np.maximum(h @ w, np.float32(_TINY))
            own += (h * (data @ w.T)).sum(axis=0, dtype=np.float64)
    return own
