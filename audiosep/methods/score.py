"""What each instrument of a score plays: the score is aligned, then every pitch is fitted.

One component per instrument and pitch, with energy at the partials of that pitch only and when the
score has it, give or take; all pitches of an instrument share the law of their partials until the
last iterations. See ``docs/methods/score.md`` for the equations and the quality.

References
----------
.. [1] S. Ewert and M. Müller (2012), "Using score-informed constraints for NMF-based source
   separation", ICASSP. We deviate in gates that fall off softly, in partials that are tied over
   the pitches of an instrument at first, and in not needing an aligned score.
.. [2] S. Ewert, B. Pardo, M. Müller and M. D. Plumbley (2014), "Score-informed source separation
   for musical audio recordings: an overview", IEEE Signal Processing Magazine 31(3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.alignment import align_notes
from audiosep.methods._score_components import Components, components_of
from audiosep.methods._score_fit import ScoreFit, fit_components
from audiosep.methods._score_times import (
    TimedScore,
    alignment_notes,
    pitched_notes,
    poor_alignment,
    silent_tracks,
    stem_names,
    told_score,
)
from audiosep.methods.base import MethodSettings
from audiosep.scores import Score
from audiosep.types import (
    Factorization,
    Grouping,
    LazyModels,
    Progress,
    SourceModels,
    Spectrogram,
    Stop,
)

__all__ = ["model_score"]

_Matrix = npt.NDArray[np.float32]

MAX_ITER = 38
N_REST = 4
_LEAK = 0.01
_LEAK_HZ = 800.0
_NOTHING = 1e-9
_PLAYED = 1e-3
"""What counts how long a track plays in the whole recording, beside how loud it is in a chunk."""

_POOR_MODEL = 0.65


def model_score(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model each track of a score by one component per pitch.

    Parameters
    ----------
    spectrogram : Spectrogram
        The mixture.
    settings : MethodSettings
        ``score``; ``rest`` names a stem for what no track explains, modelled by ``n_free``
        components (4); ``max_iter`` (38); ``seed`` for components without a pitch. ``learnt``
        by a :class:`ScoreListener`, with the ``start_s`` of the chunk.
    progress : callable
        Called with ``("align", fraction)`` and ``("factorize", fraction)``.

    Returns
    -------
    SourceModels
        One per track, in the order of the score, and the rest where it has a name.

    Raises
    ------
    UsageError
        If there is no score, or the rest is called like a track.
    """
    score, names = told_score(settings), stem_names(settings)
    progress("align", 0.0)
    V = spectrogram.magnitude()
    level = float(V.mean(dtype=np.float64))
    timed, notes, warnings = _timed(score, spectrogram, V, settings)
    del V  # large, and channels are looked at one by one from here on
    wanted = N_REST if settings.n_free is None else settings.n_free
    n_rest = 0 if settings.rest is None else max(1, wanted)
    rng = np.random.default_rng(settings.seed)
    components = components_of(timed.tracks, spectrogram, timed.tuning_hz, n_rest, rng)
    in_chunk = settings.learnt is not None
    if not in_chunk:
        timed.check_inside(spectrogram.n_samples / spectrogram.sr)
    max_iter = MAX_ITER if settings.max_iter is None else settings.max_iter
    fit = fit_components(
        spectrogram, level, components, max_iter, lambda done: progress("factorize", done)
    )
    stop = Stop.MAX_ITER if level > 0.0 else Stop.SILENT
    named = np.flatnonzero(components.sources < len(names))  # all but the background
    sources = components.sources[named]
    # As loud as the root mean square over the channels.
    loud = np.sqrt(np.square(fit.gains).mean(axis=1))
    return SourceModels(
        models=_models(fit, components, len(names), spectrogram, timed if in_chunk else None),
        names=names,
        factorization=Factorization(
            templates=fit.templates[named].T,
            activations=(fit.activations * loud).T[named],
            losses=np.array(fit.losses),
            n_iter=len(fit.losses) - 1,
            stop=stop,
            beta=1.0,
            seed=settings.seed,
        ),
        grouping=_grouping(sources, names),
        notes=notes,
        warnings=(
            *warnings,
            *(() if in_chunk else _silent(score, sources)),
            *(() if n_rest else _poor_model(fit.explained, in_chunk=in_chunk)),
        ),
        losses=fit.losses,
        stop=stop,
    )


def _timed(
    score: Score, spectrogram: Spectrogram, V: _Matrix, settings: MethodSettings
) -> tuple[TimedScore, tuple[str, ...], tuple[str, ...]]:
    """The score in the time of what is modelled; notes and warnings."""
    learnt = settings.learnt_as(TimedScore)
    if learnt is not None:
        end_s = settings.start_s + spectrogram.n_samples / spectrogram.sr
        return learnt.between(settings.start_s, end_s), (), ()
    alignment = align_notes(spectrogram, V, *pitched_notes(score))
    timed = TimedScore.of(score, alignment)
    return timed, alignment_notes(alignment), poor_alignment(alignment)


def _models(
    fit: ScoreFit,
    components: Components,
    n_sources: int,
    spectrogram: Spectrogram,
    timed: TimedScore | None,
) -> LazyModels:
    """Models of a few frames at a time, with what instruments sound like between their partials."""
    n_bins, half = spectrogram.n_bins, max(1, round(0.5 * _LEAK_HZ / spectrogram.bin_hz))
    last_bin = np.minimum(np.arange(n_bins) + half + 1, n_bins)
    first_bin = np.maximum(np.arange(n_bins) - half, 0)
    widths = (last_bin - first_bin).astype(np.float32)
    mine = [np.flatnonzero(components.sources == source) for source in range(n_sources)]
    spread = [fit.templates[which] for which in mine]
    for part in spread:
        sums = np.cumsum(np.pad(part, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
        part += (_LEAK * (sums[:, last_bin] - sums[:, first_bin]) / widths).astype(np.float32)
    # What no note explains goes to the tracks as loud as they are on the whole.
    loud = np.array([fit.activations[:, which].mean() if which.size else 0.0 for which in mine])
    if timed is not None:  # the whole is more than this chunk
        played_s = np.pad(timed.played_s, (0, n_sources - len(timed.played_s)))
        some = loud.sum() or 1.0
        loud = loud + _PLAYED * some * played_s / max(float(played_s.max()), 1e-9)
    nothing = (_NOTHING * loud / n_bins).astype(np.float32)
    n_channels = spectrogram.n_channels

    def frames(first: int, last: int) -> _Matrix:
        out = np.empty((n_sources, n_channels, last - first, n_bins), dtype=np.float32)
        for source, (which, part) in enumerate(zip(mine, spread, strict=True)):
            active = fit.activations[first:last, which]
            for channel in range(n_channels):
                np.matmul(active * fit.gains[which, channel], part, out=out[source, channel])
            out[source] += nothing[source]
        return out

    return LazyModels(shape=(n_sources, n_channels, n_bins, spectrogram.n_frames), frames=frames)


def _grouping(sources: npt.NDArray[np.intp], names: Sequence[str]) -> Grouping:
    weights = np.zeros((sources.size, len(names)), dtype=np.float32)
    weights[np.arange(sources.size), sources] = 1.0
    sounding = np.bincount(sources, minlength=len(names)) > 0
    return Grouping(weights=weights, names=tuple(names), confidence=sounding.astype(np.float64))


def _silent(score: Score, sources: npt.NDArray[np.intp]) -> tuple[str, ...]:
    sounding = set(sources.tolist())
    return silent_tracks([t.name for i, t in enumerate(score.tracks) if i not in sounding])


def _poor_model(explained: float, *, in_chunk: bool) -> tuple[str, ...]:
    """What may have gone wrong, in a sentence; the same of all chunks."""
    if not 0.0 < explained < _POOR_MODEL:
        return ()
    how_much = f"The score explains {100 * explained:.0f} % of what sounds"
    if in_chunk:
        how_much = (
            "In parts of the recording the score explains less than "
            f"{100 * _POOR_MODEL:.0f} % of what sounds"
        )
    return (
        f"{how_much}, the rest was shared out among its tracks: name a stem for it (--rest NAME), "
        "or look for what the score leaves out.",
    )
