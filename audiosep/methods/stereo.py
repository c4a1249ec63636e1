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

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, ParameterError
from audiosep.methods._stereo_fit import PlacedFactors, fit_places
from audiosep.methods._stereo_layout import Layout, find_layout
from audiosep.methods._stereo_names import CENTRE, sound_names
from audiosep.methods._stereo_timbre import Shares, shares_of_place, sounds_per_place
from audiosep.methods.base import MethodSettings
from audiosep.spatial import rounded
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram

__all__ = ["model_stereo"]

N_COMPONENTS = 20
"""Of each place."""
N_COMPONENTS_SHARED = 40
"""Where places are shared: components are then grouped, and each should be of one sound."""
MAX_ITER = 16

_CHUNK_S = 30.0
"""Long recordings are modelled in parts of about this length."""

_FULL_HZ = 4000.0
_STEP = 8
"""Above 4 kHz only every eighth bin is modelled, and templates are interpolated: else the many
bins up there decide what components are for."""

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
        together; 20 for each, 40 where places are shared), ``max_iter`` (16).
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
    if spectrogram.n_channels == 1:
        raise InputError(
            "there is one channel only, and so no places to tell apart; use a preset for mono "
            "recordings, such as auto or components."
        )
    n_wanted = settings.n_sources
    if n_wanted is not None and not 1 <= n_wanted <= 64:
        raise ParameterError(f"{n_wanted} sources cannot be made; use 1 to 64.")
    parts = _Parts.of(spectrogram)
    if parts.peak == 0.0:
        return _silence(spectrogram, n_wanted or 1)
    layout = find_layout(
        (parts.frames(index) for index in range(parts.count)),
        n_blocks=parts.count,
        bin_hz=spectrogram.bin_hz,
        n_wanted=n_wanted,
    )
    grid = _Grid.of(spectrogram)
    fitted = _fit(parts, grid, layout, settings, progress)
    n_sounds = max(n_wanted or 1, len(layout.names))
    stems, shared = _stems(
        fitted, grid, layout, n_sounds, bin_hz=spectrogram.bin_hz, seed=settings.seed
    )
    place = np.array([stem.place for stem in stems])
    directed = layout.gains[:, :, np.newaxis] * layout.gains[:, np.newaxis]
    covariances = np.stack(
        [rounded(one, share) for one, share in zip(directed, layout.roundness, strict=True)]
    )
    return SourceModels(
        models=_lazy(parts.edges, grid, fitted, stems),
        names=tuple(stem.name for stem in stems),
        notes=layout.notes + shared,
        covariances=covariances[place][:, np.newaxis],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stem:
    name: str
    place: int
    shares: list[npt.NDArray[np.float32]] | None  # of the components, for each part


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Which bins are modelled."""

    n_bins: int
    modelled: npt.NDArray[np.intp]

    @classmethod
    def of(cls, spectrogram: Spectrogram) -> _Grid:
        n_bins = spectrogram.n_bins
        full = min(n_bins, max(2, round(_FULL_HZ / spectrogram.bin_hz)))
        modelled = np.concatenate([np.arange(full), np.arange(full, n_bins, _STEP), [n_bins - 1]])
        return cls(n_bins=n_bins, modelled=np.unique(modelled))

    def interpolated(self, templates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Templates (n_components, some bins) on all bins."""
        bins = np.arange(self.n_bins)
        rows = [np.interp(bins, self.modelled, row) for row in templates]
        return np.stack(rows).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Parts:
    """A recording in parts of about half a minute."""

    spectrogram: Spectrogram
    edges: tuple[int, ...]
    peak: float

    @classmethod
    def of(cls, spectrogram: Spectrogram) -> _Parts:
        n_frames = spectrogram.n_frames
        count = max(1, math.ceil(n_frames * spectrogram.frame_s / _CHUNK_S))
        edges = tuple(round(n_frames * index / count) for index in range(count + 1))
        peak = max(
            float(np.abs(channel[:, first:last]).max())
            for first, last in pairwise(edges)
            for channel in spectrogram.values
        )
        return cls(spectrogram=spectrogram, edges=edges, peak=peak)

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    def frames(self, index: int) -> npt.NDArray[np.complexfloating]:
        """Frames of one part, at a level near one: (n_channels, n_frames, n_bins)."""
        here = self.spectrogram.values[:, :, self.edges[index] : self.edges[index + 1]]
        frames: npt.NDArray[np.complexfloating] = np.array(here.swapaxes(1, 2), order="C")
        frames /= np.float32(self.peak)
        return frames


def _silence(spectrogram: Spectrogram, n_stems: int) -> SourceModels:
    return SourceModels(
        models=LazyModels(
            shape=(n_stems, 1, spectrogram.n_bins, spectrogram.n_frames),
            frames=lambda first, last: np.zeros(
                (n_stems, 1, last - first, spectrogram.n_bins), np.float32
            ),
        ),
        names=sound_names(CENTRE, n_stems),
        notes=("The recording is silent: nothing sounds anywhere.",),
    )


def _fit(
    parts: _Parts, grid: _Grid, layout: Layout, settings: MethodSettings, progress: Progress
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


def _stems(
    fitted: list[PlacedFactors],
    grid: _Grid,
    layout: Layout,
    n_sounds: int,
    *,
    bin_hz: float,
    seed: int,
) -> tuple[list[_Stem], tuple[str, ...]]:
    """Which place, and which share of its components, each stem is; and a note on it."""
    # Magnitudes: in powers, few loud frames of one source outweigh all of two others.
    level = sum(
        np.array([np.sqrt(H @ W).sum(dtype=np.float64) for H, W in _pairs(part)]) for part in fitted
    )
    # In most productions it is the middle that several sounds share.
    level = np.asarray(level) * np.where([name == CENTRE for name in layout.names], _SHARED, 1.0)
    most = sum(part.templates.shape[1] for part in fitted)
    counts = sounds_per_place(level, n_sounds, most)
    stems: list[_Stem] = []
    shared = []
    for place, (name, count) in enumerate(zip(layout.names, counts, strict=True)):
        shares: Shares | list[None] = [None]
        if count > 1:
            shared.append(name)
            shares = shares_of_place(
                [grid.interpolated(part.templates[place]) for part in fitted],
                [part.activations[place] for part in fitted],
                count,
                bin_hz=bin_hz,
                seed=seed,
            )
        for sound, share in zip(sound_names(name, count), shares, strict=True):
            stems.append(_Stem(name=sound, place=place, shares=share))
    if not shared:
        return stems, ()
    divided = f"{' and '.join(shared)} {'was' if len(shared) == 1 else 'were'} divided"
    return stems, (
        f"There are more stems than places: {divided} by timbre, blindly; listen before you trust "
        "it.",
    )


def _pairs(
    part: PlacedFactors,
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    return zip(part.activations, part.templates, strict=True)


def _lazy(
    edges: tuple[int, ...], grid: _Grid, fitted: list[PlacedFactors], stems: list[_Stem]
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
