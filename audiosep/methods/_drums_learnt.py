"""A drum kit that is heard once for a long recording, and played chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._drums_fit import SEMI_ITERATIONS, Fitting, Kit, by_piece, silent_kit
from audiosep.methods._drums_onsets import HitLevels, heard_pieces, hit_levels
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import MethodSettings
from audiosep.types import Progress

__all__ = ["LearntKit", "learnt_kit", "play_kit"]

_Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntKit:
    """What a kit is in a whole recording.

    Parameters
    ----------
    names : tuple of str
        Of the pieces, in order; they are the stems.
    patches : np.ndarray [shape=(n_bands, n_components, n_taps), dtype=float32]
        As they became in the recording.
    labels : tuple of str
        Which piece each patch belongs to; pieces of none are silent.
    levels : tuple of HitLevels or None
        How hard each piece is struck; None for one that has no onsets.
    """

    names: tuple[str, ...]
    patches: _Matrix
    labels: tuple[str, ...]
    levels: tuple[HitLevels | None, ...]


def learnt_kit(kit: Kit, frame_s: float) -> LearntKit:
    """Keep of a kit what holds for the whole of a recording."""
    heard = heard_pieces(kit.strokes)
    return LearntKit(
        names=kit.names,
        patches=kit.patches,
        labels=kit.labels,
        levels=tuple(
            hit_levels(strokes, frame_s) if here else None
            for strokes, here in zip(kit.strokes, heard, strict=True)
        ),
    )


def play_kit(
    V: _Matrix, bands: Bands, learnt: LearntKit, settings: MethodSettings, progress: Progress
) -> Kit:
    """Find what each piece of a known kit plays.

    The patches stay as they are: no piece can become another where it rests.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bands, n_frames)]
        Magnitudes of a chunk, added up in bands.
    bands : Bands
        Those bands.
    learnt : LearntKit
        The kit.
    settings : MethodSettings
        ``beta``, ``max_iter`` and ``n_threads`` act.
    progress : callable
        Called as ``progress("separate", 1.0)``.

    Returns
    -------
    Kit
    """
    mean = float(V.mean(dtype=np.float64))
    if mean <= 0.0:
        return silent_kit(learnt.names, V.shape, (), learnt.patches, learnt.labels)
    beta = 1.0 if settings.beta is None else settings.beta
    n_iter = SEMI_ITERATIONS if settings.max_iter is None else settings.max_iter
    fitted = Fitting(V / np.float32(mean), settings.n_threads).fixed(
        learnt.patches, n_iter + n_iter // 2, beta
    )
    progress("separate", 1.0)
    models, strokes = by_piece(fitted, np.array(learnt.labels), learnt.names)
    models *= (mean / bands.widths[:, np.newaxis]).astype(np.float32)
    strokes *= np.float32(mean)
    return Kit(
        names=learnt.names,
        models=models,
        strokes=strokes,
        notes=(),
        losses=tuple((fitted.losses * mean**beta).tolist()),
        stop=fitted.stop,
        patches=learnt.patches,
        labels=learnt.labels,
    )
