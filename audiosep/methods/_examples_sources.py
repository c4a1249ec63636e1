"""Examples of sources on the bins of a mixture: frames in order of time, and templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary

__all__ = ["SourceExample", "example_on", "frames_from_templates"]

_Matrix = npt.NDArray[np.float32]

_DRAWN_FRAMES = 600
_DRAWN_STRETCH = 20
_DRAWN_TOGETHER = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceExample:
    """What one source sounds like.

    Parameters
    ----------
    name : str
        Of the source.
    stretches : tuple of np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Magnitudes of the source alone, frames first; within a stretch they follow each other.
        Of a root mean square of one, all together.
    templates : np.ndarray [shape=(n_bins, n_components), dtype=float32]
        Positive; columns sum to one.
    """

    name: str
    stretches: tuple[_Matrix, ...]
    templates: _Matrix

    @property
    def n_frames(self) -> int:
        """Frames of all stretches."""
        return sum(map(len, self.stretches))

    def frames(self) -> _Matrix:
        """All frames, one after the other."""
        return np.concatenate(self.stretches)


def example_on(
    dictionary: Dictionary, sr: int, n_fft: int, hop_length: int, *, seed: int = 0
) -> SourceExample:
    """Bring what is known of a source to an analysis.

    Parameters
    ----------
    dictionary : Dictionary
        Of one label. Where it has no exemplars, frames are drawn from its templates.
    sr, n_fft, hop_length : int
        Of the analysis.
    seed : int
        Of what is drawn.

    Returns
    -------
    SourceExample

    Raises
    ------
    DictionaryError
        If the templates are patches.
    """
    W = dictionary.on_bins(sr, n_fft)
    stretches = [s for s in dictionary.stretches_on(sr, n_fft, hop_length) if len(s) and s.any()]
    if not stretches:
        stretches = frames_from_templates(W, np.random.default_rng([seed, W.shape[1]]))
    return SourceExample(
        name=dictionary.labels[0], stretches=_at_unit_level(stretches), templates=W
    )


def _at_unit_level(stretches: Sequence[_Matrix]) -> tuple[_Matrix, ...]:
    peak = max(float(s.max()) for s in stretches)
    scaled = [s / np.float32(peak) for s in stretches]
    energy = sum(float(np.square(s, dtype=np.float64).sum()) for s in scaled)
    rms = np.float32(np.sqrt(energy / sum(s.size for s in scaled)))
    return tuple(np.ascontiguousarray(s / rms) for s in scaled)


def frames_from_templates(W: _Matrix, rng: np.random.Generator) -> list[_Matrix]:
    """Draw sounds that templates may have been learnt from: a few of them at a time, held.

    Parameters
    ----------
    W : np.ndarray [shape=(n_bins, n_components)]
        Templates.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    list of np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Stretches.
    """
    n_components = W.shape[1]
    together = min(_DRAWN_TOGETHER, n_components)
    decay = np.linspace(1.0, 0.3, _DRAWN_STRETCH)[:, np.newaxis]
    stretches = []
    for _ in range(_DRAWN_FRAMES // _DRAWN_STRETCH):
        chosen = rng.choice(n_components, together, replace=False)
        gains = rng.exponential(1.0, together) * decay
        stretches.append(np.asarray(gains @ W[:, chosen].T, dtype=np.float32))
    return stretches
