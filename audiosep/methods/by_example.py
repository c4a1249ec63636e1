"""Sources that sound like given examples.

References
----------
.. [1] P. Smaragdis, B. Raj and M. Shashanka (2007), "Supervised and semi-supervised separation of
   sounds from single-channel mixtures", ICA.
.. [2] F. Weninger, J. Le Roux, J. R. Hershey and S. Watanabe (2014), "Discriminative NMF and its
   application to single-channel source separation", Interspeech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import UsageError
from audiosep.labels import problem_of_labels
from audiosep.methods._examples_fit import notes_on_fit
from audiosep.methods._examples_masks import ExampleMasks, masks_by_example
from audiosep.methods._examples_rest import rest_of
from audiosep.methods._examples_sources import SourceExample, example_on
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram

__all__ = ["ExampleFacts", "learn_by_example", "model_by_example"]

_Matrix = npt.NDArray[np.float32]

REST = "rest"
N_FREE = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleFacts:
    """What was learnt about the sources of a long recording.

    Parameters
    ----------
    level : float > 0, optional
        Mean magnitude, which everything refers to.
    masks : ExampleMasks, optional
        All that was trained, of no frames; None where there was nothing to hear: then each chunk
        is on its own.
    """

    level: float | None = None
    masks: ExampleMasks | None = None


def model_by_example(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model sources that examples are given of, and what they leave.

    Parameters
    ----------
    spectrogram : Spectrogram
        The mixture.
    settings : MethodSettings
        ``examples`` (one or more); ``rest`` and ``n_free`` (8): the name of what no example
        explains, and how many components it is made of. There is such a source where either is
        given, and where there is one example only. ``quality``, ``seed``, ``n_threads``.
        ``learnt`` by :func:`learn_by_example`.
    progress : callable
        Called with ``("rest", fraction)`` and ``("train", fraction)``.

    Returns
    -------
    SourceModels
        Masks, in the order of the examples, then the rest.

    Raises
    ------
    UsageError
        If there is no example, or the rest is called like one of them.
    DictionaryError
        If the templates of an example are patches in time.
    """
    names = _names(settings)
    facts = settings.learnt_as(ExampleFacts) or ExampleFacts()
    V, level = _at_level(spectrogram, facts.level)
    if level == 0.0 or not V.any():
        shape = (len(names), 1, spectrogram.n_bins, spectrogram.n_frames)
        return SourceModels(models=np.zeros(shape, dtype=np.float32), names=names)
    if facts.masks is not None:
        masks = facts.masks.on(V, n_threads=settings.n_threads)
        return SourceModels(models=_lazy(masks, spectrogram.n_frames), names=names)
    masks = _trained(V, names, _examples(spectrogram, settings), settings, progress)
    warnings = () if settings.learnt is not None else _warnings(names, masks, settings)
    return SourceModels(models=_lazy(masks, spectrogram.n_frames), names=names, warnings=warnings)


def learn_by_example(excerpts: Spectrogram, settings: MethodSettings, progress: Progress) -> Learnt:
    """Train for a long recording once.

    Parameters
    ----------
    excerpts : Spectrogram
        From all over it.
    settings, progress
        As for :func:`model_by_example`.

    Returns
    -------
    Learnt
        With :class:`ExampleFacts`.

    Raises
    ------
    UsageError, DictionaryError
        As :func:`model_by_example`.
    """
    names = _names(settings)
    V, level = _at_level(excerpts, None)
    if level == 0.0:
        return Learnt(facts=ExampleFacts())
    examples = _examples(excerpts, settings)
    del excerpts  # large, and training takes much
    masks = _trained(V, names, examples, settings, progress)
    return Learnt(
        facts=ExampleFacts(level=level, masks=masks.of_no_frames()),
        warnings=_warnings(names, masks, settings),
    )


def _names(settings: MethodSettings) -> tuple[str, ...]:
    """Of the stems."""
    if not settings.examples:
        raise UsageError(
            "the preset by-example needs examples of the sources; give --example NAME=FILE for "
            "each."
        )
    names = [d.labels[0] for d in settings.examples]
    if len(names) == 1 or settings.rest is not None or bool(settings.n_free):
        names.append(_rest_name(settings.rest, names))
    return tuple(names)


def _at_level(spectrogram: Spectrogram, level: float | None) -> tuple[_Matrix, float]:
    """Magnitudes, frames first, relative to a level, by default their mean, and that."""
    V = spectrogram.magnitude().T
    mean = float(V.mean(dtype=np.float64)) if level is None else level
    if mean:
        V /= mean
    return V, mean


def _examples(spectrogram: Spectrogram, settings: MethodSettings) -> list[SourceExample]:
    return [
        example_on(d, spectrogram.sr, spectrogram.n_fft, spectrogram.hop_length, seed=settings.seed)
        for d in settings.examples
    ]


def _trained(
    V: _Matrix,
    names: Sequence[str],
    examples: list[SourceExample],
    settings: MethodSettings,
    progress: Progress,
) -> ExampleMasks:
    if len(names) > len(examples):
        rest = rest_of(
            V,
            examples,
            name=names[-1],
            n_free=N_FREE if settings.n_free is None else settings.n_free,
            seed=settings.seed,
            n_threads=settings.n_threads,
            progress=progress,
        )
        examples = [*examples, rest]
    return masks_by_example(
        V,
        examples,
        quality=settings.quality,
        seed=settings.seed,
        n_threads=settings.n_threads,
        progress=progress,
    )


def _warnings(
    names: Sequence[str], masks: ExampleMasks, settings: MethodSettings
) -> tuple[str, ...]:
    # Of the rest there is no example that could fit badly.
    known = len(settings.examples)
    return notes_on_fit(tuple(names[:known]), masks.misfits[:known])


def _rest_name(wanted: str | None, names: list[str]) -> str:
    name = REST if wanted is None else wanted
    if problem_of_labels((*names, name)) or name in names:
        raise UsageError(
            f"what no example explains cannot be called {name!r}: an example is called so; "
            "choose another name with --rest."
        )
    return name


def _lazy(masks: ExampleMasks, n_frames: int) -> LazyModels:
    n_bins = masks.magnitudes.shape[1]
    return LazyModels(
        shape=(masks.n_sources, 1, n_bins, n_frames),
        frames=lambda first, last: masks.frames(first, last)[:, np.newaxis],
    )
