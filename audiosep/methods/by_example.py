"""Sources that sound like given examples.

References
----------
.. [1] P. Smaragdis, B. Raj and M. Shashanka (2007), "Supervised and semi-supervised separation of
   sounds from single-channel mixtures", ICA.
.. [2] F. Weninger, J. Le Roux, J. R. Hershey and S. Watanabe (2014), "Discriminative NMF and its
   application to single-channel source separation", Interspeech.
"""

from __future__ import annotations

import numpy as np

from audiosep.errors import UsageError
from audiosep.labels import problem_of_labels
from audiosep.methods._examples_fit import notes_on_fit
from audiosep.methods._examples_masks import ExampleMasks, masks_by_example
from audiosep.methods._examples_rest import rest_of
from audiosep.methods._examples_sources import example_on
from audiosep.methods.base import MethodSettings
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram

__all__ = ["model_by_example"]

REST = "rest"
N_FREE = 8


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
    if not settings.examples:
        raise UsageError(
            "the preset by-example needs examples of the sources; give --example NAME=FILE for "
            "each."
        )
    V = spectrogram.magnitude().T
    mean = float(V.mean(dtype=np.float64))
    names = [d.labels[0] for d in settings.examples]
    with_rest = len(names) == 1 or settings.rest is not None or bool(settings.n_free)
    if with_rest:
        names.append(_rest_name(settings.rest, names))
    if mean == 0.0:
        shape = (len(names), 1, spectrogram.n_bins, spectrogram.n_frames)
        return SourceModels(models=np.zeros(shape, dtype=np.float32), names=tuple(names))
    V = np.asarray(V / mean, dtype=np.float32)
    examples = [
        example_on(d, spectrogram.sr, spectrogram.n_fft, spectrogram.hop_length, seed=settings.seed)
        for d in settings.examples
    ]
    if with_rest:
        rest = rest_of(
            V,
            examples,
            name=names[-1],
            n_free=N_FREE if settings.n_free is None else settings.n_free,
            seed=settings.seed,
            n_threads=settings.n_threads,
            progress=progress,
        )
        examples.append(rest)
    masks = masks_by_example(
        V,
        examples,
        quality=settings.quality,
        seed=settings.seed,
        n_threads=settings.n_threads,
        progress=progress,
    )
    # Of the rest there is no example that could fit badly.
    known = len(settings.examples)
    return SourceModels(
        models=_lazy(masks, spectrogram.n_frames),
        names=tuple(names),
        warnings=notes_on_fit(tuple(names[:known]), masks.misfits[:known]),
    )


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
