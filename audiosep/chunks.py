"""Long recordings in chunks: where they lie, how they fade into each other, what stands for all.

Whatever is longer than a chunk is taken apart chunk by chunk, whether it would fit into memory or
not: stems never depend on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["CHUNK_S", "MARGIN_S", "Chunk", "chunks_of", "excerpts_of", "joined", "spans_of"]

CHUNK_S = 100.0
"""Longest chunk, without what it shares with its neighbours."""

MARGIN_S = 4.0
"""What a chunk is given beyond its bounds on either side, so that it knows what comes."""

FADE_S = 2.0
"""How long neighbours take to fade into each other, around their common bound."""

EXCERPT_S = 10.0
_JOINT_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of a recording that is taken apart at once.

    Parameters
    ----------
    start, end : int
        Samples that are its own: they do not overlap with those of any other chunk.
    first, last : int
        Samples that it is given: from `first` up to, but without, `last`. All bounds but the end
        of the recording are multiples of the hop.
    fade : int
        Samples that it shares with the chunk before it, half of them before `start`.
    fade_out : int
        The same with the chunk behind it, around `end`; 0 at the ends of the recording.
    """

    start: int
    end: int
    first: int
    last: int
    fade: int
    fade_out: int

    @property
    def heard(self) -> slice:
        """Samples of the recording that come from this chunk, alone or with a neighbour."""
        return slice(self.start - self.fade // 2, self.end + self.fade_out // 2)

    def gain(self) -> npt.NDArray[np.float32]:
        """Weight of this chunk over :attr:`heard`; weights of neighbours sum to one."""
        gain = np.ones(self.heard.stop - self.heard.start, dtype=np.float32)
        if self.fade:
            gain[: self.fade] = _rise(self.fade)
        if self.fade_out:
            gain[len(gain) - self.fade_out :] = np.float32(1) - _rise(self.fade_out)
        return gain


def _rise(n: int) -> npt.NDArray[np.float32]:
    half = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    return half.astype(np.float32)


def chunks_of(
    n_samples: int, sr: int, hop_length: int, chunk_s: float = CHUNK_S
) -> tuple[Chunk, ...]:
    """Lay out the chunks of a recording, all about as long.

    Parameters
    ----------
    n_samples : int > 0
        Length of the recording.
    sr : int > 0
        Sample rate in Hz.
    hop_length : int > 0
        Distance of the frames: they are the same frames in all chunks.
    chunk_s : float > 0
        Longest chunk in seconds, without what neighbours share; recordings up to this length are
        one chunk.

    Returns
    -------
    tuple of Chunk
        In order.
    """
    count = max(1, int(np.ceil(n_samples / (chunk_s * sr))))
    hops = max(1, -(-n_samples // hop_length))
    count = min(count, hops)
    bounds = [round(hops * index / count) * hop_length for index in range(count)] + [n_samples]
    shortest = min(b - a for a, b in pairwise(bounds))
    margin = max(1, round(MARGIN_S * sr / hop_length)) * hop_length
    fade = 2 * (min(round(FADE_S * sr), margin, shortest) // 2)
    return tuple(
        Chunk(
            start=start,
            end=end,
            first=max(0, start - margin),
            last=min(n_samples, end + margin),
            fade=fade if start else 0,
            fade_out=fade if end < n_samples else 0,
        )
        for start, end in pairwise(bounds)
    )


def spans_of(chunks: tuple[Chunk, ...]) -> tuple[tuple[int, int], ...]:
    """Samples that are final when each chunk is done: up to where it fades into the next one.

    Parameters
    ----------
    chunks : tuple of Chunk
        Of one recording, in order.

    Returns
    -------
    tuple of (int, int)
        First samples, and samples behind the last ones.
    """
    return tuple(
        (chunk.start - chunk.fade // 2, chunk.end - chunk.fade_out // 2) for chunk in chunks
    )


def excerpts_of(n_samples: int, sr: int, total_s: float = CHUNK_S) -> tuple[tuple[int, int], ...]:
    """Choose what stands for a whole recording: pieces of 10 s from all over it.

    Parameters
    ----------
    n_samples, sr : int > 0
        Length of the recording, and its sample rate in Hz.
    total_s : float > 0
        Seconds of all pieces together.

    Returns
    -------
    tuple of (int, int)
        First samples, and samples behind the last ones, in order; the whole recording where it is
        no longer than `total_s`.
    """
    if n_samples <= total_s * sr:
        return ((0, n_samples),)
    count = max(1, round(total_s / EXCERPT_S))
    length = round(total_s / count * sr)
    # In the middle of equal parts: neither the very start nor the very end.
    middles = (np.arange(count) + 0.5) * n_samples / count
    firsts = np.clip(np.rint(middles - length / 2), 0, n_samples - length).astype(int)
    return tuple((int(first), int(first) + length) for first in firsts)


def joined(parts: list[npt.NDArray[np.float32]], sr: int) -> npt.NDArray[np.float32]:
    """Join excerpts, with short fades so that joints are no strokes.

    Parameters
    ----------
    parts : list of np.ndarray [shape=(n_channels, any)]
        Never changed.
    sr : int > 0
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(n_channels, all)]
    """
    if len(parts) == 1:
        return parts[0]
    out = np.concatenate(parts, axis=1)
    fade = round(_JOINT_S * sr)
    at = 0
    for before, part in enumerate(parts):
        n = min(fade, part.shape[1] // 2)
        if before:
            out[:, at : at + n] *= _rise(n)
        at += part.shape[1]
        if before + 1 < len(parts):
            out[:, at - n : at] *= _rise(n)[::-1]
    return out
