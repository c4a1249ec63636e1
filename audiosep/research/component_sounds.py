"""The sound of single components for a span of time, at once: what regrouping would move.

:func:`audiosep.research.regrouping.regroup` writes whole stems; who listens to a component, or to
stems with it moved, needs but the seconds that play now.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import UsageError
from audiosep.factorization_files import StoredFactorization
from audiosep.research.filtering import filter_channels
from audiosep.research.separated import open_separated
from audiosep.threads import resolve_threads
from audiosep.types import Audio

__all__ = ["ComponentSounds", "open_component_sounds"]

_TINY = 1e-36
_WORKING_RECORDINGS = 4
"""The sum in double precision, the mixture, and the stems that are being read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ComponentSounds:
    """Components of a separation that can be listened to one by one.

    Parameters
    ----------
    mixture : Audio
        The sum of the stems; it stays in memory.
    stored : StoredFactorization
        The components, and which stem they are in.
    n_threads : int
        Channels that are worked on at once; results do not depend on it.
    """

    mixture: Audio
    stored: StoredFactorization
    n_threads: int = 1

    @property
    def sr(self) -> int:
        """Sample rate in Hz."""
        return self.mixture.sr

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.mixture.n_channels

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self.mixture.n_samples

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.stored.n_components

    @property
    def is_exact(self) -> bool:
        """Whether regrouping moves just what :meth:`part` returns: with mask exponent 1.

        With another exponent the shares of all stems depend on which components are together, and
        what is returned is near to what regrouping does, not the same.
        """
        return self.stored.mask_exponent == 1.0

    def weight(self, component: int, stem: str) -> float:
        """Part of a component that is in a stem, 0 to 1; mostly all or nothing.

        Parameters
        ----------
        component : int
            Its number, from 1.
        stem : str
            Name of the stem.

        Raises
        ------
        UsageError
            If one of them does not exist.
        """
        grouping = self.stored.grouping
        if stem not in grouping.names:
            raise UsageError(f"there is no stem {stem!r}; there are {', '.join(grouping.names)}.")
        (place,) = self._places(component)
        return float(grouping.weights[place, grouping.names.index(stem)])

    def part(
        self, component: int | Sequence[int], start_s: float, end_s: float
    ) -> npt.NDArray[np.float32]:
        """Return what components sound like from one second to another.

        Any span holds the same samples as that span of the whole, up to rounding.

        Parameters
        ----------
        component : int or sequence of int
            Numbers from 1; of several, their sum.
        start_s, end_s : float
            From where to where in seconds, cut at the end of the recording.

        Returns
        -------
        np.ndarray [shape=(n_channels, n), dtype=float32]
            ``n = round(end_s * sr) - round(start_s * sr)``, or less at the end of the recording.

        Raises
        ------
        UsageError
            If a component does not exist, or the span is none of the recording.
        """
        places = self._places(component)
        first, last = self._samples(start_s, end_s)
        n_fft, hop = self.stored.n_fft, self.stored.hop_length
        # So much around it that all frames that reach it are whole.
        start_frame = max(0, (first - n_fft) // hop)
        start = start_frame * hop
        stop = min(self.n_samples, -(-(last + n_fft) // hop) * hop)
        shares = _PartShares(self.stored, places)
        out = filter_channels(
            self.mixture.samples[:, start:stop],
            lambda a, b: shares(start_frame + a, start_frame + b),
            n_fft=n_fft,
            hop_length=hop,
            window=self.stored.window,
            n_threads=self.n_threads,
        )
        return np.ascontiguousarray(out[:, first - start : last - start])

    def _places(self, component: int | Sequence[int]) -> npt.NDArray[np.intp]:
        numbers = [component] if isinstance(component, int) else list(component)
        for number in numbers:
            whole = isinstance(number, int) and not isinstance(number, bool)
            if not whole or not 1 <= number <= self.n_components:
                raise UsageError(
                    f"there is no component {number!r}; there are 1 to {self.n_components}."
                )
        if not numbers:
            raise UsageError("no component is named that could be heard.")
        return np.unique(np.asarray(numbers, dtype=np.intp)) - 1

    def _samples(self, start_s: float, end_s: float) -> tuple[int, int]:
        duration_s = self.n_samples / self.sr
        if not 0.0 <= start_s < min(end_s, duration_s):
            raise UsageError(
                f"there is nothing to hear from {start_s} to {end_s} s of a recording of "
                f"{duration_s:.2f} s."
            )
        first = min(round(start_s * self.sr), self.n_samples - 1)
        last = round(min(end_s, duration_s) * self.sr)
        return first, max(first + 1, min(last, self.n_samples))


class _PartShares:
    """Shares of components in the mixture: their parts of the stems that they are in."""

    def __init__(self, stored: StoredFactorization, places: npt.NDArray[np.intp]) -> None:
        self._stored, self._places = stored, places
        self._spectra = np.ascontiguousarray(stored.templates.T)

    def __call__(self, first: int, last: int) -> npt.NDArray[np.float32] | None:
        active = self._stored.activations[:, first:last]
        if not active[self._places].any():
            return None
        if self._stored.mask_exponent == 1.0:
            part, whole = self._model(active, self._places), active.T @ self._spectra
            return _over(part, whole)
        weights = self._stored.grouping.weights
        models = np.stack(
            [self._model(active * column[:, np.newaxis], slice(None)) for column in weights.T]
        )
        parts = [self._model(active * column[:, np.newaxis], self._places) for column in weights.T]
        largest = np.maximum(models.max(axis=0), _TINY)
        masks = (models / largest) ** np.float32(self._stored.mask_exponent)
        masks /= np.maximum(masks.sum(axis=0), _TINY)
        share = sum(
            mask * _over(part, model)
            for mask, part, model in zip(masks, parts, models, strict=True)
        )
        return np.asarray(share, dtype=np.float32)

    def _model(
        self, active: npt.NDArray[np.floating], some: npt.NDArray[np.intp] | slice
    ) -> npt.NDArray[np.float32]:
        return np.asarray(active[some].T @ self._spectra[some], dtype=np.float32)


def _over(part: npt.NDArray[np.float32], whole: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``part / whole``, and zero where there is nothing."""
    out = np.zeros_like(part)
    np.divide(part, whole, out=out, where=whole > _TINY)
    return out


def open_component_sounds(
    folder: str | os.PathLike[str], *, n_threads: int | None = None
) -> ComponentSounds:
    """Open a folder of stems to listen to its components.

    Parameters
    ----------
    folder : path-like
        Made by ``audiosep split --preset components``, ``audiosep atoms`` or ``audiosep regroup``.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.

    Returns
    -------
    ComponentSounds

    Raises
    ------
    InputError
        If it holds no stems whose components were stored.
    DictionaryError
        If these are damaged.
    RefusedError
        If a stem was changed since it was written, or the recording does not fit into free memory.
    """
    threads = resolve_threads(n_threads)
    opened = open_separated(folder)
    opened.check_memory(_WORKING_RECORDINGS + threads)
    total = opened.add_up(n_threads=threads)
    return ComponentSounds(
        mixture=Audio(samples=total.mixture, sr=opened.sr), stored=opened.stored, n_threads=threads
    )
