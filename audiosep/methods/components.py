"""Blind separation: factorize, then group the components by timbre. Exploratory.

One component often holds two sources, and no blind grouping is right on every recording: this
method shows what is in a sound, it does not promise instruments.

References
----------
.. [1] T. Virtanen (2007), "Monaural sound source separation by nonnegative matrix factorization
   with temporal continuity and sparseness criteria", IEEE TASLP 15(3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.grouping import group_by_timbre, grouped_models
from audiosep.methods._components_sureness import SURE, agreement, names_of
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.nmf import factorize, suggest_rank
from audiosep.types import (
    Factorization,
    FloatArray,
    Grouping,
    Progress,
    SourceModels,
    Spectrogram,
    Stop,
)

__all__ = ["LearntComponents", "learn_components", "model_components"]

N_SOURCES = 2
N_COMPONENTS = 20
MAX_ITER = 100

_ACTIVATION_ITER = 100
"""Iterations of the activations alone: enough to converge, as only one factor moves."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LearntComponents:
    """What a whole recording is made of.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components), dtype=float32]
        Spectra that sum to one.
    grouping : Grouping
        Components to sources, with the names of these.
    """

    templates: npt.NDArray[np.float32]
    grouping: Grouping


def model_components(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    """Model each source by the components grouped to it.

    Parameters
    ----------
    spectrogram : Spectrogram
        The mixture.
    settings : MethodSettings
        ``n_sources`` (default 2), ``n_components`` (20, or counted),
        ``beta`` (1), ``max_iter`` (100). With ``learnt`` only the activations are fitted.
    progress : callable
        Called with ``("factorize", fraction)``.

    Returns
    -------
    SourceModels
        Ordered from low to high, with factorization and grouping. A source that other groupings
        agree on and that clearly is low, percussive or harmonic is called so; all others
        ``source-1`` ... by their place.

    Raises
    ------
    ParameterError
        If there are fewer components than sources, or fewer than one source.
    """
    learnt = settings.learnt_as(LearntComponents)
    if learnt is not None:
        result = _activations(spectrogram, learnt, settings, progress)
        return _models(result, learnt.grouping, ())
    result, grouping, notes = _components(spectrogram, settings, progress)
    return _models(result, grouping, notes)


def learn_components(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> Learnt:
    """Learn the components of a long recording, and the sources they belong to.

    Parameters
    ----------
    spectrogram : Spectrogram
        Excerpts of the mixture.
    settings : MethodSettings
        As for :func:`model_components`.
    progress : callable
        Called with ``("factorize", fraction)``.

    Returns
    -------
    Learnt
        With :class:`LearntComponents`.

    Raises
    ------
    ParameterError
        If there are fewer components than sources, or fewer than one source.
    """
    result, grouping, notes = _components(spectrogram, settings, progress)
    warnings: tuple[str, ...] = ()
    if result.stop is Stop.SILENT:
        warnings = (
            "The parts that were listened to are silent: what sounds elsewhere is not told apart.",
        )
    return Learnt(
        facts=LearntComponents(
            templates=np.asarray(result.templates, dtype=np.float32), grouping=grouping
        ),
        notes=notes,
        warnings=warnings,
    )


def _models(result: Factorization, grouping: Grouping, notes: tuple[str, ...]) -> SourceModels:
    return SourceModels(
        models=grouped_models(result.templates, result.activations, grouping),
        names=grouping.names,
        factorization=result,
        grouping=grouping,
        losses=tuple(result.losses.tolist()),
        stop=result.stop,
        notes=notes,
    )


def _activations(
    spectrogram: Spectrogram,
    learnt: LearntComponents,
    settings: MethodSettings,
    progress: Progress,
) -> Factorization:
    """How loud each component is in each frame, whatever the other frames hold.

    Plain updates from the same start in every frame: others look at the objective of all.
    """
    V = spectrogram.magnitude()
    K = learnt.templates.shape[1]
    even = V.sum(axis=0, dtype=np.float64) / K
    return factorize(
        V,
        templates=learnt.templates,
        activations=np.tile(even, (K, 1)).astype(np.float32),
        fixed_templates=True,
        beta=1.0 if settings.beta is None else settings.beta,
        max_iter=_ACTIVATION_ITER,
        tol=0.0,
        seed=settings.seed,
        n_threads=settings.n_threads,
        progress=progress,
    )


def _components(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> tuple[Factorization, Grouping, tuple[str, ...]]:
    """Components, the sources they belong to, and what was decided."""
    n_sources = N_SOURCES if settings.n_sources is None else settings.n_sources
    if not 1 <= n_sources <= 64:
        raise ParameterError(f"{n_sources} sources cannot be made; use 1 to 64.")
    V = spectrogram.magnitude()
    K, notes = _how_many(V, n_sources, settings)
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
    bin_hz, frame_s = spectrogram.bin_hz, spectrogram.frame_s
    grouping = group_by_timbre(result, n_sources, bin_hz=bin_hz, seed=settings.seed)
    sure = agreement(result, grouping, bin_hz=bin_hz, seed=settings.seed)
    grouping = replace(grouping, confidence=sure)
    grouping = replace(grouping, names=names_of(result, grouping, bin_hz=bin_hz, frame_s=frame_s))
    return result, grouping, (*notes, _how_sure(grouping))


def _how_many(
    V: FloatArray, n_sources: int, settings: MethodSettings
) -> tuple[int, tuple[str, ...]]:
    """Return the number of components, and why, where they were counted."""
    if settings.count_components:
        beta = 1.0 if settings.beta is None else settings.beta
        found = suggest_rank(V, beta=beta, seed=settings.seed, n_threads=settings.n_threads)
        counted = max(found.n_components, n_sources)
        return counted, (f"{counted} components: {found.reason}",)
    K = settings.n_components
    if K is None:
        return max(N_COMPONENTS, n_sources), ()
    if n_sources > K:
        raise ParameterError(f"{K} components are fewer than {n_sources} sources; use more.")
    return K, ()


def _how_sure(grouping: Grouping) -> str:
    """Say how far the groups can be trusted."""
    if len(grouping.names) == 1:
        return "One source holds all components: there was nothing to group."
    each = ", ".join(
        f"{name} {float(sure):.2f}"
        for name, sure in zip(grouping.names, grouping.confidence, strict=True)
    )
    return (
        "The sources were found blindly, by timbre: listen before you trust them. Other groupings "
        f"agree, from 0 to 1: {each}; below {SURE} a source is a guess."
    )
