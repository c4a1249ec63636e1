"""Patches of the pieces of a drum kit fitted to a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.errors import DictionaryError
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import MethodSettings
from audiosep.nmf import ConvolutiveFactorization, factorize_convolutive
from audiosep.types import FloatArray, Progress, Spectrogram, Stop

__all__ = [
    "OPTIONAL",
    "SEMI_ITERATIONS",
    "Fitting",
    "Kit",
    "always_pieces",
    "by_piece",
    "fit_kit",
    "patches_on_bands",
    "silent_kit",
    "struck",
]

_Matrix = npt.NDArray[np.float32]

OPTIONAL = ("tom", "cymbal")
"""Pieces that are stems only where they are found; all others always are."""

PATCH_S = 0.35
"""Length of the patches: kicks and toms ring longer than they are struck."""

ADAPT = 4.0
SEMI_ITERATIONS = 60


def patches_on_bands(dictionary: Dictionary, spectrogram: Spectrogram, bands: Bands) -> _Matrix:
    """Bring the patches of a dictionary to a recording.

    Parameters
    ----------
    dictionary : Dictionary
        Of patches.
    spectrogram : Spectrogram
        Of the recording.
    bands : Bands
        Its bands.

    Returns
    -------
    np.ndarray [shape=(n_bands, n_components, n_taps), dtype=float32]
        Positive; each patch sums to one.

    Raises
    ------
    DictionaryError
        If the dictionary holds spectra.
    """
    if dictionary.step_s is None:
        raise DictionaryError(
            "the dictionary does not fit: its templates are spectra, and the preset drums needs "
            "patches in time, as in the built-in 'drums'."
        )
    patches = dictionary.on_frames(
        spectrogram.sr, spectrogram.n_fft, spectrogram.hop_length, longest_s=PATCH_S
    )
    pooled = np.add.reduceat(patches, bands.starts, axis=0)
    return np.asarray(pooled / pooled.sum(axis=(0, 2), keepdims=True), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kit:
    """Pieces of a kit, as fitted to a recording.

    Parameters
    ----------
    names : tuple of str
        Of the pieces.
    models : np.ndarray [shape=(n_pieces, n_bands, n_frames), dtype=float32]
        Magnitude of each piece, per bin of the band; zeros for one that was not found.
    strokes : np.ndarray [shape=(n_pieces, n_frames), dtype=float32]
        How much of each piece begins at each frame; zeros for one that was not found for certain.
    notes : tuple of str
        What was decided, in sentences.
    losses : tuple of float
        Divergence before and after each iteration.
    stop : Stop
        Why the fit ended.
    patches : np.ndarray [shape=(n_bands, n_components, n_taps), dtype=float32]
        Of the components that sound, as they became.
    labels : tuple of str
        Which piece each of these belongs to.
    """

    names: tuple[str, ...]
    models: _Matrix
    strokes: _Matrix
    notes: tuple[str, ...]
    losses: tuple[float, ...]
    stop: Stop
    patches: _Matrix
    labels: tuple[str, ...]


def silent_kit(
    names: tuple[str, ...],
    shape: tuple[int, ...],
    notes: tuple[str, ...],
    patches: _Matrix,
    labels: tuple[str, ...],
) -> Kit:
    """Pieces that nobody strikes in a recording of so many bands and frames."""
    zeros = np.zeros((len(names), *shape), dtype=np.float32)
    return Kit(
        names=names,
        models=zeros,
        strokes=zeros[:, 0],
        notes=notes,
        losses=(0.0,),
        stop=Stop.SILENT,
        patches=patches,
        labels=labels,
    )


class Fitting:
    """Fits of different pieces to one recording, without random numbers.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bands, n_frames)]
        Magnitudes, of a mean near one.
    n_threads : int, optional
        Threads; results do not depend on it.
    """

    def __init__(self, V: _Matrix, n_threads: int | None) -> None:
        self.V = V
        self.level = V.sum(axis=0, dtype=np.float64)
        self._n_threads = n_threads

    def semi_adaptive(
        self,
        patches: _Matrix,
        activations: FloatArray,
        n_iter: int = SEMI_ITERATIONS,
        beta: float = 1.0,
    ) -> ConvolutiveFactorization:
        """Let the patches stay near their start while the activations find the hits."""
        return self._fit(patches, activations, n_iter, ADAPT, beta)

    def free(self, start: ConvolutiveFactorization, n_iter: int) -> ConvolutiveFactorization:
        """Continue with nothing held back."""
        return self._fit(start.templates, start.activations, n_iter, None, start.beta)

    def fixed(self, patches: _Matrix, n_iter: int, beta: float) -> ConvolutiveFactorization:
        """Find the hits of patches that stay as they are, from the same start everywhere."""
        n = patches.shape[1]
        return factorize_convolutive(
            self.V,
            templates=patches,
            activations=np.tile(self.level / n, (n, 1)).astype(np.float32),
            fixed_templates=True,
            beta=beta,
            max_iter=n_iter,
            tol=0.0,
            n_threads=self._n_threads,
        )

    def with_more(
        self, start: ConvolutiveFactorization, patches: _Matrix, n_iter: int, share: float
    ) -> ConvolutiveFactorization:
        """Continue, with further patches that start at a share of the level everywhere."""
        n = patches.shape[1]
        H = np.concatenate([start.activations, np.tile(share * self.level, (n, 1))])
        W = np.concatenate([start.templates, patches], axis=1)
        return self._fit(W, H, n_iter, ADAPT, start.beta)

    def without(
        self, start: ConvolutiveFactorization, index: int, n_iter: int
    ) -> ConvolutiveFactorization:
        """Continue with one component less; the others may take over what it explained."""
        kept = [k for k in range(start.n_components) if k != index]
        H = start.activations[kept] + _AWAKE * self.level
        return self._fit(start.templates[:, kept], H, n_iter, None, start.beta)

    def _fit(
        self,
        W: FloatArray,
        H: FloatArray,
        n_iter: int,
        adapt: float | None,
        beta: float,
    ) -> ConvolutiveFactorization:
        return factorize_convolutive(
            self.V,
            templates=np.ascontiguousarray(W, dtype=np.float32),
            activations=np.ascontiguousarray(H, dtype=np.float32),
            adapt=adapt,
            beta=beta,
            max_iter=n_iter,
            tol=0.0,
            n_threads=self._n_threads,
        )


_AWAKE = 1e-3
"""Share of the level that activations are raised by, as updates cannot leave zero."""


def struck(fitted: ConvolutiveFactorization) -> _Matrix:
    """How much each component puts into the recording by what begins at each frame.

    The activation times that part of the patch which lies inside: near the end of a recording
    activations of quiet first frames of a patch can be anything.

    Parameters
    ----------
    fitted : ConvolutiveFactorization
        The fit.

    Returns
    -------
    np.ndarray [shape=(n_components, n_frames), dtype=float32]
        In magnitudes, summed over bands and frames.
    """
    inside = np.cumsum(fitted.templates.sum(axis=0, dtype=np.float64), axis=1)
    n_frames, n_taps = fitted.activations.shape[1], inside.shape[1]
    out = fitted.activations * inside[:, -1:]
    tail = min(n_taps, n_frames)
    out[:, n_frames - tail :] = fitted.activations[:, n_frames - tail :] * inside[:, :tail][:, ::-1]
    return np.asarray(out, dtype=np.float32)


def by_piece(
    fitted: ConvolutiveFactorization, labels: npt.NDArray[np.str_], names: Sequence[str]
) -> tuple[_Matrix, _Matrix]:
    """Sum the components of each piece.

    Parameters
    ----------
    fitted : ConvolutiveFactorization
        The fit.
    labels : np.ndarray of str [shape=(n_components,)]
        Which piece each component belongs to.
    names : sequence of str
        The pieces.

    Returns
    -------
    models : np.ndarray [shape=(n_pieces, n_bands, n_frames)]
        Zeros for a piece that no component belongs to.
    strokes : np.ndarray [shape=(n_pieces, n_frames)]
        As :func:`struck`.
    """
    begun = struck(fitted)
    n_frames = begun.shape[1]
    models = np.zeros((len(names), n_frames, fitted.templates.shape[0]), dtype=np.float32)
    strokes = np.zeros((len(names), n_frames), dtype=np.float32)
    for index, name in enumerate(labels):
        piece = names.index(str(name))
        models[piece] += fitted.component(index).T
        strokes[piece] += begun[index]
    return models.swapaxes(1, 2), strokes


def fit_kit(
    spectrogram: Spectrogram,
    V: _Matrix,
    bands: Bands,
    dictionary: Dictionary,
    settings: MethodSettings,
    progress: Progress,
) -> Kit:
    """Fit all pieces that are always stems, without asking whether they are there.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the recording.
    V : np.ndarray [shape=(n_bands, n_frames)]
        Its magnitudes, added up in bands; not all zero.
    bands : Bands
        Those bands.
    dictionary : Dictionary
        Of patches; every label is a piece.
    settings : MethodSettings
        ``beta``, ``max_iter`` and ``n_threads`` act.
    progress : callable
        Called as ``progress("separate", 1.0)``.

    Returns
    -------
    Kit
    """
    patches = patches_on_bands(dictionary, spectrogram, bands)
    labels = np.array(dictionary.labels)
    names = always_pieces(dictionary)
    here = np.isin(labels, names)
    fitting = Fitting(V, settings.n_threads)
    start = np.tile(fitting.level / here.sum(), (int(here.sum()), 1))
    fitted = fitting.semi_adaptive(
        patches[:, here],
        start,
        SEMI_ITERATIONS if settings.max_iter is None else settings.max_iter,
        1.0 if settings.beta is None else settings.beta,
    )
    progress("separate", 1.0)
    models, strokes = by_piece(fitted, labels[here], names)
    models /= bands.widths[:, np.newaxis].astype(np.float32)
    return Kit(
        names=names,
        models=models,
        strokes=strokes,
        notes=(),
        losses=tuple(fitted.losses.tolist()),
        stop=fitted.stop,
        patches=np.asarray(fitted.templates, dtype=np.float32),
        labels=tuple(labels[here].tolist()),
    )


def always_pieces(dictionary: Dictionary) -> tuple[str, ...]:
    """Pieces of a dictionary that are always stems; all of them where none would be left."""
    names = tuple(name for name in dictionary.sources if name not in OPTIONAL)
    return names or dictionary.sources
