"""Which source has how much of a frame, one frame after the other, with templates that are fixed.

Activations are fitted with templates as they were learnt. Models may be made from others, which
were trained to tell the sources apart.

References
----------
.. [1] D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization", NIPS,
   eq. 5: the update of the activations.
.. [2] F. Weninger, J. Le Roux, J. R. Hershey and S. Watanabe (2014), "Discriminative NMF and its
   application to single-channel source separation", Interspeech, section 3.2: two sets of
   templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.errors import ParameterError
from audiosep.labels import problem_of_labels
from audiosep.masks import wiener_masks
from audiosep.threads import one_blas_thread

if TYPE_CHECKING:
    from audiosep.methods._examples_dnmf import Dictionaries
    from audiosep.methods._examples_mixtures import Mixtures

__all__ = ["Shares", "Templates", "templates_of", "trained"]

_Array = npt.NDArray[np.float32]

FORGOTTEN = 0.1
"""Share of the activations that begins anew: or what had gone could not come back."""

TRAINING_FRAMES = 3200

MOST_SPOILT = 1.5
"""Training varies the examples, for sounds to come are never quite like them. Where they would be,
it may misplace this many times the energy; else templates stay as they were."""

_SILENT = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class Templates:
    """Templates of several sources, one after the other.

    Parameters
    ----------
    names : tuple of str
        Of the sources.
    sizes : tuple of int
        Templates of each.
    analysis, reconstruction : np.ndarray [shape=(n_components, n_bins), dtype=float32]
        What activations are fitted with, of rows that sum to one; what models are made from.
    exponent : float
        Of the masks.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    analysis: _Array
    reconstruction: _Array
    exponent: float


def templates_of(
    dictionaries: Sequence[Dictionary], sr: int, n_fft: int, exponent: float
) -> Templates:
    """Bring dictionaries to an analysis, as they are.

    Parameters
    ----------
    dictionaries : sequence of Dictionary
        One or more; components of one label belong to one source.
    sr, n_fft : int
        Of the analysis.
    exponent : float
        Of the masks.

    Returns
    -------
    Templates

    Raises
    ------
    ParameterError
        If there is none, or the labels do not go together.
    DictionaryError
        If templates are patches in time.
    """
    if not dictionaries:
        raise ParameterError("a stream needs templates; give one or more dictionaries.")
    labels = [label for found in dictionaries for label in found.labels]
    if problem := problem_of_labels(tuple(labels)):
        raise ParameterError(problem)
    W = np.concatenate([found.on_bins(sr, n_fft) for found in dictionaries], axis=1).T
    names = tuple(dict.fromkeys(labels))
    groups = [[k for k, label in enumerate(labels) if label == name] for name in names]
    W = np.ascontiguousarray(W[np.concatenate(groups)])
    return Templates(
        names=names,
        sizes=tuple(map(len, groups)),
        analysis=W,
        reconstruction=W,
        exponent=exponent,
    )


def trained(
    templates: Templates,
    dictionaries: Sequence[Dictionary],
    sr: int,
    n_fft: int,
    hop_length: int,
    *,
    choose_exponent: bool,
    seed: int,
) -> Templates:
    """Train templates to tell the sources apart, on mixtures at about equal levels.

    Parameters
    ----------
    templates : Templates
        Of two or more sources.
    dictionaries : sequence of Dictionary
        Where they come from: their exemplars are mixed, or what is drawn from their templates.
    sr, n_fft, hop_length : int
        Of the analysis.
    choose_exponent : bool
        Whether to choose that of the masks, too.
    seed : int
        Of the mixtures.

    Returns
    -------
    Templates
    """
    from audiosep.methods import _examples_dnmf as dnmf
    from audiosep.methods._examples_mixtures import mix
    from audiosep.methods._examples_sources import example_on

    sounds = []
    for name in templates.names:
        parts = [found.only(name) for found in dictionaries if name in found.labels]
        examples = [example_on(part, sr, n_fft, hop_length, seed=seed) for part in parts]
        sounds.append(np.concatenate([example.frames() for example in examples]))
    levels = [1.0] * len(sounds)
    rng = np.random.default_rng(seed)
    W = np.ascontiguousarray(templates.analysis.T)
    plain = found = dnmf.Dictionaries(
        analysis=W, reconstruction=W, sizes=templates.sizes, exponent=templates.exponent
    )
    with one_blas_thread():
        varied = mix(sounds, levels, TRAINING_FRAMES, rng)
        exact = mix(sounds, levels, TRAINING_FRAMES // 2, rng, speeds=(1.0,), colour_db=0.0)
        H = dnmf.activations_of(varied.magnitudes, W, n_threads=1)
        if choose_exponent:
            found = dnmf.with_best_exponent(found, varied, H)
        found = dnmf.train_dictionaries(found, varied, H, rng)
        H = dnmf.activations_of(exact.magnitudes, W, n_threads=1)
        if _error(found, exact, H) > MOST_SPOILT * _error(plain, exact, H):
            found = plain
    return replace(
        templates,
        reconstruction=np.ascontiguousarray(found.reconstruction.T),
        exponent=found.exponent,
    )


def _error(found: Dictionaries, mixtures: Mixtures, H: _Array) -> float:
    """Energy that masks misplace."""
    away = found.shares(H)
    away -= mixtures.shares
    away *= mixtures.magnitudes
    return float(np.vdot(away, away))


class Shares:
    """Masks of one frame after the other.

    Parameters
    ----------
    templates : Templates
        Of the sources.
    n_updates : int > 0
        Updates of the activations of each frame.
    """

    def __init__(self, templates: Templates, n_updates: int) -> None:
        from audiosep.nmf import frame_kernels  # compiles: not at start-up

        self._fit: Any = frame_kernels.frame_activations
        self._add: Any = frame_kernels.frame_models
        self._templates = templates
        self._n_updates = n_updates
        self._edges = np.cumsum((0, *templates.sizes))
        n_components, n_bins = templates.analysis.shape
        self._h = np.empty(n_components, np.float32)
        self._ratio = np.empty(n_bins, np.float32)
        self.begin()
        self.of(np.ones(n_bins, np.float32))  # compiles: not while a sound is coming in
        self.begin()

    def begin(self) -> None:
        """Forget the frames before."""
        self._h[:] = 1.0 / len(self._h)

    def of(self, v: _Array) -> _Array:
        """Share out the next frame.

        Parameters
        ----------
        v : np.ndarray [shape=(n_bins,), dtype=float32]
            Its magnitudes.

        Returns
        -------
        np.ndarray [shape=(n_sources, n_bins), dtype=float32]
            In [0, 1]; they sum to one. Equal in silence.
        """
        templates, h = self._templates, self._h
        models = np.zeros((len(templates.names), v.size), np.float32)
        total = v.sum(dtype=np.float64)
        if total > _SILENT:
            h *= np.float32(1.0 - FORGOTTEN)
            h += np.float32(FORGOTTEN / h.size)
            v = v / np.float32(total)
            self._fit(v, templates.analysis, h, self._n_updates, self._ratio)
            self._add(templates.reconstruction, h, self._edges, models)
        masks = wiener_masks(
            models[:, np.newaxis, :, np.newaxis], templates.exponent, overwrite=True
        )
        return masks[:, 0, :, 0]
