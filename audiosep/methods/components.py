"""Blind separation: factorize, then group the components by timbre. Exploratory.

One component often holds two sources, and no blind grouping is right on every recording: this
method shows what is in a sound, it does not promise instruments.

References
----------
.. [1] T. Virtanen (2007), "Monaural sound source separation by nonnegative matrix factorization
   with temporal continuity and sparseness criteria", IEEE TASLP 15(3).
"""

from __future__ import annotations

import numpy as np

from audiosep.errors import ParameterError
from audiosep.grouping import group_by_timbre
from audiosep.methods.base import MethodSettings
from audiosep.nmf import factorize
from audiosep.types import Progress, SourceModels, Spectrogram

__all__ = ["model_components"]

N_SOURCES = 2
N_COMPONENTS = 20
MAX_ITER = 100


def model_components(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model each source by the components grouped to it.

    Parameters
    ----------
    spectrogram : Spectrogram
        The mixture.
    settings : MethodSettings
        ``n_sources`` (default 2), ``n_components`` (20), ``beta`` (1), ``max_iter`` (100).
    progress : callable
        Called with ``("factorize", fraction)``.

    Returns
    -------
    SourceModels
        Names ``source-1`` ... ordered from low to high, with factorization and grouping.

    Raises
    ------
    ParameterError
        If there are fewer components than sources, or fewer than one source.
    """
    n_sources = N_SOURCES if settings.n_sources is None else settings.n_sources
    if not 1 <= n_sources <= 64:
        raise ParameterError(f"{n_sources} sources cannot be made; use 1 to 64.")
    K = max(N_COMPONENTS, n_sources) if settings.n_components is None else settings.n_components
    if n_sources > K:
        raise ParameterError(f"{K} components are fewer than {n_sources} sources; use more.")
    V = spectrogram.magnitude()
    result = factorize(
        V,
        K,
        beta=1.0 if settings.beta is None else settings.beta,
        max_iter=MAX_ITER if settings.max_iter is None else settings.max_iter,
        tol=0.0,
        seed=settings.seed,
        n_threads=settings.n_threads,
        progress=progress,
    )
    grouping = group_by_timbre(result, n_sources, bin_hz=spectrogram.bin_hz, seed=settings.seed)
    values = np.empty((n_sources, V.shape[1], V.shape[0]), dtype=np.float32)
    for source in range(n_sources):
        share = grouping.weights[:, source]
        np.matmul(
            (result.activations * share[:, np.newaxis]).T, result.templates.T, out=values[source]
        )
    return SourceModels(
        models=values.transpose(0, 2, 1)[:, np.newaxis],
        names=grouping.names,
        factorization=result,
        grouping=grouping,
        losses=tuple(result.losses.tolist()),
        stop=result.stop,
        notes=("The sources were found blindly, by timbre: listen before you trust them.",),
    )
