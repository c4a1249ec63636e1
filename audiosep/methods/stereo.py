"""Separation by place: one stem for each position between the channels.

Places are directions that many bins point to. What sounds at each is a factorization of its own,
fitted to all channels at once; the mixture is then shared out by a multichannel Wiener filter.
Where more stems are asked for than there are places, sounds of one place are told apart by their
timbre.

References
----------
.. [1] D. FitzGerald, M. Cranitch and E. Coyle (2005), "Non-negative tensor factorisation for sound
   source separation", Irish Signals and Systems Conference: components with gains in channels.
.. [2] A. Ozerov and C. Févotte (2010), "Multichannel nonnegative matrix factorization in
   convolutive mixtures for audio source separation", IEEE TASLP 18(3). We find the places first
   and keep them, so that components need no grouping by place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, ParameterError
from audiosep.methods._stereo_fit import PlacedFactors, fit_places
from audiosep.methods._stereo_layout import Layout, find_layout
from audiosep.methods._stereo_names import CENTRE, sound_names
from audiosep.methods._stereo_parts import Grid, Parts, sample_of
from audiosep.methods._stereo_timbre import (
    Shares,
    Timbres,
    assigned_shares,
    shares_of_place,
    sounds_per_place,
)
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.spatial import rounded
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram

__all__ = ["LearntPlaces", "learn_stereo", "model_stereo"]

N_COMPONENTS = 20
"""Of each place."""
N_COMPONENTS_SHARED = 40
"""Where places are shared: components are then grouped, and each should be of one sound."""
MAX_ITER = 16

_SHARED = 2.0
"""The middle counts as so many times as loud where it is decided which place to divide."""

_ALMOST_NOTHING = 1e-12


def model_stereo(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model what sounds at each place.

    Parameters
    ----------
    spectrogram : Spectrogram
        The mixture, of two channels or more.
    settings : MethodSettings
        ``n_sources`` (as many as there are places, at most 8), ``n_components`` (of all places
        together; 20 for each, 40 where places are shared), ``max_iter`` (16). With ``learnt`` the
        places and sounds are those of the whole recording.
    progress : callable
        Called with ``("factorize", fraction)``.

    Returns
    -------
    SourceModels
        Named by place from left to right, with covariances.

    Raises
    ------
    InputError
        If there is one channel only, or no difference between the channels.
    ParameterError
        If there are fewer components than sources, or fewer than one source.
    """
    _check_channels(spectrogram)
    learnt = settings.learnt_as(LearntPlaces)
    if learnt is not None:
        return _chunk(spectrogram, learnt, settings, progress)
    n_wanted = _wanted(settings)
    parts = Parts.of(spectrogram)
    if parts.peak == 0.0:
        return _silence(spectrogram, sound_names(CENTRE, n_wanted or 1))
    layout = _layout_of(parts, n_wanted)
    grid = Grid.of(spectrogram)
    fitted = _fit(parts, grid, layout, settings, progress)
    counts = _counts(fitted, layout, n_wanted)
    shares = _shares(fitted, grid, counts, bin_hz=spectrogram.bin_hz, seed=settings.seed)
    return _models(parts, grid, fitted, layout, shares, layout.notes + _shared_note(layout, counts))


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntPlaces:
    """Where a whole recording sounds from.

    Parameters
    ----------
    layout : Layout or None
        Its places; None where nothing sounds.
    names : tuple of str
        Of the stems.
    timbres : tuple of Timbres or None
        For each place, what its sounds are like where there are several.
    """

    layout: Layout | None
    names: tuple[str, ...]
    timbres: tuple[Timbres | None, ...]


def learn_stereo(spectrogram: Spectrogram, settings: MethodSettings, progress: Progress) -> Learnt:
    """Learn the places of a long recording, and the sounds of places that have several.

    Parameters
    ----------
    spectrogram : Spectrogram
        Excerpts of the mixture, of two channels or more.
    settings : MethodSettings
        As for :func:`model_stereo`.
    progress : callable
        Called with ``("factorize", fraction)``.

    Returns
    -------
    Learnt
        With :class:`LearntPlaces`.

    Raises
    ------
    InputError
        If there is one channel only, or no difference between the channels.
    ParameterError
        If there are fewer components than sources, or fewer than one source.
    """
    _check_channels(spectrogram)
    n_wanted = _wanted(settings)
    parts = Parts.of(spectrogram)
    if parts.peak == 0.0:
        names = sound_names(CENTRE, n_wanted or 1)
        return Learnt(
            facts=LearntPlaces(layout=None, names=names, timbres=()),
            warnings=("The parts that were listened to are silent: no place was found.",),
        )
    layout = _layout_of(parts, n_wanted)
    counts = [1] * len(layout.names)
    timbres: tuple[Timbres | None, ...] = (None,) * len(counts)
    if (n_wanted or 1) > len(layout.names):
        grid = Grid.of(spectrogram)
        fitted = _fit(sample_of(spectrogram), grid, layout, settings, progress)
        counts = _counts(fitted, layout, n_wanted)
        shares = _shares(fitted, grid, counts, bin_hz=spectrogram.bin_hz, seed=settings.seed)
        timbres = tuple(
            None
            if share is None
            else Timbres.of(grid.interpolated(fitted[0].templates[place]), share)
            for place, share in enumerate(shares)
        )
    progress("factorize", 1.0)
    return Learnt(
        facts=LearntPlaces(layout=layout, names=_names(layout, counts), timbres=timbres),
        notes=layout.notes + _shared_note(layout, counts),
    )


def _chunk(
    spectrogram: Spectrogram, learnt: LearntPlaces, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model a chunk by the places and sounds of the whole."""
    parts = Parts.of(spectrogram)
    layout = learnt.layout
    if parts.peak == 0.0 or layout is None:
        return _silence(spectrogram, learnt.names)
    grid = Grid.of(spectrogram)
    fitted = _fit(parts, grid, layout, settings, progress)
    shares = [
        None
        if timbres is None
        else assigned_shares(
            [grid.interpolated(part.templates[place]) for part in fitted],
            timbres,
            bin_hz=spectrogram.bin_hz,
        )
        for place, timbres in enumerate(learnt.timbres)
    ]
    return _models(parts, grid, fitted, layout, shares, ())


def _check_channels(spectrogram: Spectrogram) -> None:
    if spectrogram.n_channels == 1:
        raise InputError(
            "there is one channel only, and so no places to tell apart; use a preset for mono "
            "recordings, such as auto or components."
        )


def _wanted(settings: MethodSettings) -> int | None:
    n_wanted = settings.n_sources
    if n_wanted is not None and not 1 <= n_wanted <= 64:
        raise ParameterError(f"{n_wanted} sources cannot be made; use 1 to 64.")
    return n_wanted


def _layout_of(parts: Parts, n_wanted: int | None) -> Layout:
    return find_layout(
        (parts.frames(index) for index in range(parts.count)),
        n_blocks=parts.count,
        bin_hz=parts.spectrogram.bin_hz,
        n_wanted=n_wanted,
    )


def _models(
    parts: Parts,
    grid: Grid,
    fitted: list[PlacedFactors],
    layout: Layout,
    shares: list[Shares | None],
    notes: tuple[str, ...],
) -> SourceModels:
    stems = [
        _Stem(place=place, shares=one)
        for place, several in enumerate(shares)
        for one in ([None] if several is None else several)
    ]
    counts = [1 if several is None else len(several) for several in shares]
    place = np.array([stem.place for stem in stems])
    directed = layout.gains[:, :, np.newaxis] * layout.gains[:, np.newaxis]
    covariances = np.stack(
        [rounded(one, share) for one, share in zip(directed, layout.roundness, strict=True)]
    )
    return SourceModels(
        models=_lazy(parts.edges, grid, fitted, stems),
        names=_names(layout, counts),
        notes=notes,
        covariances=covariances[place][:, np.newaxis],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stem:
    place: int
    shares: list[npt.NDArray[np.float32]] | None  # of the components, for each part


def _silence(spectrogram: Spectrogram, names: tuple[str, ...]) -> SourceModels:
    return SourceModels(
        models=LazyModels(
            shape=(len(names), 1, spectrogram.n_bins, spectrogram.n_frames),
            frames=lambda first, last: np.zeros(
                (len(names), 1, last - first, spectrogram.n_bins), np.float32
            ),
        ),
        names=names,
        notes=("The recording is silent: nothing sounds anywhere.",),
    )


def _fit(
    parts: Parts, grid: Grid, layout: Layout, settings: MethodSettings, progress: Progress
) -> list[PlacedFactors]:
    n_places = len(layout.names)
    shared = (settings.n_sources or 1) > n_places
    n_components = n_places * (N_COMPONENTS_SHARED if shared else N_COMPONENTS)
    if settings.n_components is not None:
        n_components = settings.n_components
    if n_components < max(n_places, settings.n_sources or 1):
        raise ParameterError(
            f"{n_components} components are fewer than {max(n_places, settings.n_sources or 1)} "
            "sources; use more."
        )
    fitted = []
    for index in range(parts.count):
        progress("factorize", index / parts.count)
        fitted.append(
            fit_places(
                parts.frames(index)[:, :, grid.modelled],
                layout.gains,
                n_components=n_components // n_places,
                max_iter=MAX_ITER if settings.max_iter is None else settings.max_iter,
                roundness=layout.roundness,
                seed=settings.seed,
                n_threads=settings.n_threads,
            )
        )
    progress("factorize", 1.0)
    return fitted


def _counts(fitted: list[PlacedFactors], layout: Layout, n_wanted: int | None) -> list[int]:
    """How many sounds each place has."""
    # Magnitudes: in powers, few loud frames of one source outweigh all of two others.
    level = sum(
        np.array([np.sqrt(H @ W).sum(dtype=np.float64) for H, W in _pairs(part)]) for part in fitted
    )
    # In most productions it is the middle that several sounds share.
    level = np.asarray(level) * np.where([name == CENTRE for name in layout.names], _SHARED, 1.0)
    most = sum(part.templates.shape[1] for part in fitted)
    return sounds_per_place(level, max(n_wanted or 1, len(layout.names)), most)


def _shares(
    fitted: list[PlacedFactors], grid: Grid, counts: list[int], *, bin_hz: float, seed: int
) -> list[Shares | None]:
    """For each place that has several sounds, which share of its components each of them is."""
    return [
        None
        if count == 1
        else shares_of_place(
            [grid.interpolated(part.templates[place]) for part in fitted],
            [part.activations[place] for part in fitted],
            count,
            bin_hz=bin_hz,
            seed=seed,
        )
        for place, count in enumerate(counts)
    ]


def _names(layout: Layout, counts: list[int]) -> tuple[str, ...]:
    each = (sound_names(name, count) for name, count in zip(layout.names, counts, strict=True))
    return tuple(name for names in each for name in names)


def _shared_note(layout: Layout, counts: list[int]) -> tuple[str, ...]:
    shared = [name for name, count in zip(layout.names, counts, strict=True) if count > 1]
    if not shared:
        return ()
    divided = f"{' and '.join(shared)} {'was' if len(shared) == 1 else 'were'} divided"
    return (
        f"There are more stems than places: {divided} by timbre, blindly; listen before you trust "
        "it.",
    )


def _pairs(
    part: PlacedFactors,
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    return zip(part.activations, part.templates, strict=True)


def _lazy(
    edges: tuple[int, ...], grid: Grid, fitted: list[PlacedFactors], stems: list[_Stem]
) -> LazyModels:
    """Magnitudes of the stems; nothing that it holds grows with the spectrogram's bins."""

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        models = np.empty((len(stems), 1, last - first, grid.n_bins), np.float32)
        for index, part in enumerate(fitted):
            at, upto = max(first, edges[index]), min(last, edges[index + 1])
            if at >= upto:
                continue
            templates = [grid.interpolated(place) for place in part.templates]
            for model, stem in zip(models, stems, strict=True):
                H = part.activations[stem.place, at - edges[index] : upto - edges[index]]
                if stem.shares is not None:
                    H = H * stem.shares[index]
                np.matmul(H, templates[stem.place], out=model[0, at - first : upto - first])
        models += np.float32(_ALMOST_NOTHING)
        return np.sqrt(models, out=models)

    shape = (len(stems), 1, grid.n_bins, edges[-1])
    return LazyModels(shape=shape, frames=frames)
