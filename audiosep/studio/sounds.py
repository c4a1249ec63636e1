"""What is heard in the page: short blocks of samples, of stems written or still to be written."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError
from audiosep.studio.history import History, Step

if TYPE_CHECKING:
    from audiosep.research.component_sounds import ComponentSounds

__all__ = ["BLOCK_S", "Mixer", "block_samples"]

BLOCK_S = 4.0
_CACHED_BYTES = 128_000_000
"""Of blocks of components: both stems that one moves between need them."""

Samples = npt.NDArray[np.float32]


def block_samples(sr: int) -> int:
    """Samples of a block, and with it the grid on which the page asks for sound."""
    return max(1, round(BLOCK_S * sr))


class Mixer:
    """Makes blocks of stems and of single components.

    Parameters
    ----------
    components : callable
        Gives the components of a step, once they are opened; None while they are not.
    """

    def __init__(self, components: Callable[[int], ComponentSounds]) -> None:
        self._components = components
        self._cache: OrderedDict[Hashable, Samples] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def stem(self, history: History, number: int, stem: int, block: int) -> Samples:
        """Samples of a stem; where it is not written yet, of what it will be.

        Parameters
        ----------
        history : History
            Steps.
        number : int
            Which of them.
        stem : int
            Place of the stem.
        block : int
            From 0.

        Returns
        -------
        np.ndarray [shape=(n_channels, n), dtype=float32]

        Raises
        ------
        InputError
            If there is none.
        """
        step = history.step(number)
        if step is None or not 0 <= stem < len(step.stems) or block < 0:
            raise InputError("This sound is not there any more; load the page again.")
        if step.finished is not None:
            return _written(step, stem, block)
        before = history.step(step.before)
        if before is None or step.plan is None:
            raise InputError("This sound is not ready yet; wait until the work is done.")
        parts = [self.stem(history, before.number, i, block) for i in step.plan.sums[stem]]
        total: Samples | None = sum(parts[1:], parts[0]) if parts else None
        for k in np.flatnonzero(step.plan.shifts[:, stem]):
            part = np.float32(step.plan.shifts[k, stem]) * self.component(
                step.root, int(k) + 1, block
            )
            total = part if total is None else total + part
        assert total is not None, "a stem is made of something"
        return total

    def component(self, root: int | None, number: int, block: int) -> Samples:
        """Samples of a component alone.

        Raises
        ------
        InputError
            If there is none.
        """
        if root is None or block < 0:
            raise InputError("There are no components; load the page again.")
        key = (root, number, block)
        if (known := self._cached(key)) is not None:
            return known
        with self._making:  # the other stem of a move asks for the same at the same time
            if (known := self._cached(key)) is None:
                known = self._made(root, number, block)
                with self._lock:
                    self._cache[key] = known
                    self._cached_bytes += known.nbytes
                    while self._cached_bytes > _CACHED_BYTES:
                        _, oldest = self._cache.popitem(last=False)
                        self._cached_bytes -= oldest.nbytes
        return known

    def forget(self) -> None:
        """Forget all components."""
        with self._lock:
            self._cache.clear()
            self._cached_bytes = 0

    def _cached(self, key: Hashable) -> Samples | None:
        with self._lock:
            if (known := self._cache.get(key)) is not None:
                self._cache.move_to_end(key)
            return known

    def _made(self, root: int, number: int, block: int) -> Samples:
        sounds = self._components(root)
        if not 1 <= number <= sounds.n_components:
            raise InputError(f"There is no component {number}; load the page again.")
        first, last = _span(block, sounds.sr, sounds.n_samples)
        return np.asarray(sounds.part(number, first / sounds.sr, last / sounds.sr), np.float32)


def _span(block: int, sr: int, n_samples: int) -> tuple[int, int]:
    """Samples of a block: from the first up to, but without, the last."""
    n = block_samples(sr)
    first, last = block * n, min((block + 1) * n, n_samples)
    if first >= last:
        raise InputError("The recording is shorter than that; load the page again.")
    return first, last


def _written(step: Step, stem: int, block: int) -> Samples:
    finished = step.finished
    assert finished is not None
    first, last = _span(block, finished.sr, finished.n_samples)
    tape = finished.tape(finished.stems[stem])
    try:
        return tape.part(first, last).samples
    finally:
        tape.close()
