"""How the frames of a matrix are cut into pieces of work, by its shape alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

__all__ = ["FRAMES_TOGETHER", "Slabs"]

_MAX_SLABS = 16
_TILE_ENTRIES = 1 << 17
"""Entries of a tile: 512 kB of float32, so that a tile and its ratios stay in cache."""
_SMALL_PRODUCT = 1_000_000
"""Products of up to as many multiplications are made without copying the factors first, by the
BLAS that NumPy and SciPy come with: faster at about 16 components, as long as there are some
frames to work on together."""
_FEWEST_FRAMES = 24
FRAMES_TOGETHER = 32
"""Frames that `slab_kernels` works on together: only the last slab may end within them."""


@dataclass(frozen=True)
class Slabs:
    """Runs of frames that are worked on independently, each in tiles that stay in cache.

    Each slab has its own sums, which are added in a fixed order: a result must not depend on the
    number of threads, so the cut depends on the shape of the data only.
    """

    parts: tuple[slice, ...]
    tile: int

    @classmethod
    def of(cls, n_frames: int, n_bins: int, n_components: int) -> Slabs:
        """Cut `n_frames` frames."""
        tile = min(256, max(16, _TILE_ENTRIES // n_bins // 8 * 8))
        small = _SMALL_PRODUCT // (n_components * n_bins)
        if _FEWEST_FRAMES <= small < tile:
            tile = small // 8 * 8
        n_slabs = int(min(_MAX_SLABS, max(1, n_frames // (2 * tile))))
        borders = (i * n_frames // n_slabs for i in range(n_slabs))
        bounds = [border // FRAMES_TOGETHER * FRAMES_TOGETHER for border in borders]
        bounds.append(n_frames)
        return cls(tuple(slice(first, last) for first, last in pairwise(bounds)), tile)

    def map(
        self, work: Callable[[int, slice], Any], pool: ThreadPoolExecutor | None
    ) -> Iterator[Any]:
        """Do `work(index, part)` for all slabs; results in order.

        The thread that calls takes part, and each takes the next slab when it is done with one:
        what is woken late then does less, and nobody sleeps through a short iteration.
        """
        n = len(self.parts)
        # How many threads it was made for; it has no other name.
        n_others = 0 if pool is None else min(pool._max_workers, n) - 1
        if pool is None or n_others < 1:
            return map(work, range(n), self.parts)
        results: list[Any] = [None] * n
        following = count()  # counts in one step of the interpreter: no two get the same

        def some() -> None:
            while (index := next(following)) < n:
                results[index] = work(index, self.parts[index])

        others = [pool.submit(some) for _ in range(n_others)]
        some()
        for other in others:
            if not other.cancel():
                other.result()
        return iter(results)
