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
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audiosep.alignment import Alignment, align_notes
from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.labels import problem_of_labels
from audiosep.methods._score_components import Components, components_of
from audiosep.methods._score_fit import ScoreFit, fit_components
from audiosep.methods.base import MethodSettings
from audiosep.scores import Score, Track
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
_POOR_FIT = 0.2
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
        components (4); ``max_iter`` (38); ``seed`` for components without a pitch.
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
    score = settings.score
    if score is None:
        raise UsageError("the preset score needs a score; give --score FILE.")
    names = tuple(track.name for track in score.tracks)
    if settings.rest is not None:
        if settings.rest in names or problem_of_labels((*names, settings.rest)):
            raise ParameterError(
                f"the score has a track {settings.rest!r}; choose another name for the rest."
            )
        names = (*names, settings.rest)
    progress("align", 0.0)
    V = spectrogram.magnitude()
    level = float(V.mean(dtype=np.float64))
    alignment = _aligned(score, spectrogram, V)
    del V  # large, and channels are looked at one by one from here on
    tracks = [_moved(track, alignment) for track in score.tracks]
    wanted = N_REST if settings.n_free is None else settings.n_free
    n_rest = 0 if settings.rest is None else max(1, wanted)
    rng = np.random.default_rng(settings.seed)
    components = components_of(tracks, spectrogram, alignment.tuning_hz, n_rest, rng)
    if not any(_overlaps(track, spectrogram) for track in tracks):
        raise InputError(
            "nothing of the score lies within the recording; look whether it belongs to it, and "
            "where each begins."
        )
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
        models=_models(fit, components, len(names), spectrogram),
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
        notes=_notes(alignment),
        warnings=_warnings(score, alignment, sources, fit, has_rest=n_rest > 0),
        losses=fit.losses,
        stop=stop,
    )


def _overlaps(track: Track, spectrogram: Spectrogram) -> bool:
    """Whether anything of a track lies within the recording."""
    spans = [(note.start_s, note.end_s) for note in track.notes]
    end_s = spectrogram.n_samples / spectrogram.sr
    return any(start < end_s and end > 0.0 for start, end in (*spans, *track.regions))


def _aligned(score: Score, spectrogram: Spectrogram, V: _Matrix) -> Alignment:
    """Alignment by all notes that have a pitch."""
    notes = [note for track in score.tracks if not track.percussive for note in track.notes]
    return align_notes(
        spectrogram,
        V,
        [note.start_s for note in notes],
        [note.end_s for note in notes],
        [note.pitch for note in notes],
    )


def _moved(track: Track, alignment: Alignment) -> Track:
    """A track in the time of the recording."""
    if track.notes:
        starts = alignment.at([note.start_s for note in track.notes])
        ends = alignment.at([note.end_s for note in track.notes])
        notes = tuple(
            replace(note, start_s=float(start), end_s=float(max(start, end)))
            for note, start, end in zip(track.notes, starts, ends, strict=True)
        )
        track = replace(track, notes=notes)
    spans = [alignment.at(span) for span in track.regions]
    return replace(track, regions=tuple((float(a), float(max(a, b))) for a, b in spans))


def _models(
    fit: ScoreFit, components: Components, n_sources: int, spectrogram: Spectrogram
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


def _notes(alignment: Alignment) -> tuple[str, ...]:
    """What was decided, in sentences."""
    if alignment.likeness <= 0.0:
        return ()
    when = "later" if alignment.offset_s >= 0 else "earlier"
    return (
        f"The score was aligned: the recording is {abs(alignment.offset_s):.2f} s {when}, at "
        f"{100.0 / alignment.tempo:.1f} % of the tempo, with A at {alignment.tuning_hz:.1f} Hz.",
    )


def _warnings(
    score: Score,
    alignment: Alignment,
    sources: npt.NDArray[np.intp],
    fit: ScoreFit,
    *,
    has_rest: bool,
) -> tuple[str, ...]:
    """What may have gone wrong, in sentences."""
    found = []
    if 0.0 < alignment.likeness < _POOR_FIT:
        found.append("The score hardly fits the recording: it may be of another piece.")
    silent = [
        track.name for source, track in enumerate(score.tracks) if not (sources == source).any()
    ]
    if silent:
        found.append(
            f"Nothing of {', '.join(silent)} lies within the recording: "
            f"{'its stem is' if len(silent) == 1 else 'their stems are'} silent or nearly so."
        )
    if 0.0 < fit.explained < _POOR_MODEL and not has_rest:
        found.append(
            f"The score explains {100 * fit.explained:.0f} % of what sounds, the rest was shared "
            "out among its tracks: name a stem for it (--rest NAME), or look for what the score "
            "leaves out."
        )
    return tuple(found)
