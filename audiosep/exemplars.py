"""Frames of sounds as they were, which a dictionary may keep beside its templates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.errors import DictionaryError

__all__ = ["Exemplars", "at_another_pace", "check_step", "exemplars_of"]

MAX_EXEMPLARS = 200_000
_SHORTEST_STEP_S = 1e-4
_LONGEST_STEP_S = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Exemplars:
    """Frames of sounds as they were, in order of time.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_bands, n_frames)]
        Amplitude density (magnitude per hertz, one scale for all), float32: finite, non-negative.
    lengths : tuple of int
        Number of frames of each stretch that was never interrupted; they sum to ``n_frames``.
    labels : tuple of str
        The kind of sound of each stretch.
    step_s : float
        Time between frames in seconds, 0.0001 to 1.

    Raises
    ------
    DictionaryError
        If the shapes or the values are not as described.
    """

    frames: npt.NDArray[np.float32]
    lengths: tuple[int, ...]
    labels: tuple[str, ...]
    step_s: float

    def __post_init__(self) -> None:
        frames = self.frames
        if frames.ndim != 2 or frames.dtype != np.float32 or frames.size == 0:
            raise DictionaryError(
                f"exemplars must be float32 (bands, frames), got {frames.dtype} {frames.shape}."
            )
        if frames.shape[1] > MAX_EXEMPLARS:
            raise DictionaryError(
                f"{frames.shape[1]} frames of exemplars are too many; at most {MAX_EXEMPLARS}."
            )
        if not np.isfinite(frames).all() or (frames < 0).any():
            raise DictionaryError("the exemplars hold negative or non-finite numbers.")
        whole = all(type(length) is int and length > 0 for length in self.lengths)
        if not whole or sum(self.lengths) != frames.shape[1]:
            raise DictionaryError("the lengths of the exemplars do not sum to their frames.")
        if len(self.labels) != len(self.lengths):
            raise DictionaryError(f"{len(self.labels)} labels for {len(self.lengths)} exemplars.")
        check_step(self.step_s)


def check_step(step_s: object) -> None:
    """Refuse what cannot be the time between frames.

    Raises
    ------
    DictionaryError
        If it is no float, or not from 0.0001 to 1 s.
    """
    if not isinstance(step_s, float) or not _SHORTEST_STEP_S <= step_s <= _LONGEST_STEP_S:
        raise DictionaryError(
            f"patches need a step_s, as exemplars do, of 0.0001 to 1 seconds, got {step_s!r:.40}."
        )


def exemplars_of(exemplars: Exemplars, label: str) -> Exemplars | None:
    """Return those of one kind of sound; None where there are none."""
    edges = np.cumsum((0, *exemplars.lengths))
    keep = [i for i, found in enumerate(exemplars.labels) if found == label]
    if not keep:
        return None
    parts = [exemplars.frames[:, edges[i] : edges[i + 1]] for i in keep]
    return replace(
        exemplars,
        frames=np.concatenate(parts, axis=1),
        lengths=tuple(exemplars.lengths[i] for i in keep),
        labels=(label,) * len(keep),
    )


def at_another_pace(frames: npt.NDArray[np.float32], step: float) -> npt.NDArray[np.float32]:
    """Take frames at another distance, interpolating between neighbours.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_frames, n_bands)]
        Consecutive frames; at least one.
    step : float > 0
        The old distance in time, in units of the new one: 2 gives about twice as many frames.

    Returns
    -------
    np.ndarray [shape=(n_new_frames, n_bands), dtype=float32]
        From the first to the last of `frames`; at least one.
    """
    n_frames = max(1, 1 + round((len(frames) - 1) * step))
    places = np.minimum(np.arange(n_frames) / step, len(frames) - 1)
    before = np.minimum(places.astype(int), max(0, len(frames) - 2))
    after = np.minimum(before + 1, len(frames) - 1)
    share = (places - before).astype(np.float32)[:, np.newaxis]
    return np.asarray(frames[before] * (1 - share) + frames[after] * share)
