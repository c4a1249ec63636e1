"""Where a recording may be cut into blocks, so that a chunk is cut as the whole would be."""

from __future__ import annotations

from audiosep.chunks import chunks_of
from audiosep.types import Spectrogram

__all__ = ["bounds_of"]


def bounds_of(spectrogram: Spectrogram, margins: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    """Return the frames at which blocks have to begin and end, whatever their length.

    What is estimated in blocks depends on where they lie. In a chunk they lie as in the whole
    recording, and what belongs to its neighbours has blocks of its own.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of a recording, or of a chunk of it.
    margins : tuple of int
        Frames at both ends of a chunk that belong to its neighbours.

    Returns
    -------
    tuple of int
        Increasing, from 0 to the number of frames; nothing between them for a recording that is
        one chunk.
    """
    n_frames = spectrogram.n_frames
    before, after = margins
    if before or after:
        return tuple(sorted({0, min(before, n_frames), max(0, n_frames - after), n_frames}))
    chunks = chunks_of(spectrogram.n_samples, spectrogram.sr, spectrogram.hop_length)
    ends = [chunk.end // spectrogram.hop_length for chunk in chunks[:-1]]
    return (0, *ends, n_frames)
