"""From a mixture and examples of its sources to masks: what `by-example` does, but for the rest.

The steps: bring the examples to the colour of their sources; fit the templates of all, which tells
how loud each source is; mix the examples at these levels; train the dictionaries on these mixtures,
and for quality corrections of their masks, one after the other, each at the levels that the masks
so far tell; average the evidence with the weights that serve best on such mixtures; and average
that with what networks of another kind say, which see the surroundings of single bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import REACH
from audiosep.methods._examples_colour import colours_in, with_colours
from audiosep.methods._examples_correction import Correction, train_correction
from audiosep.methods._examples_dnmf import (
    Dictionaries,
    activations_of,
    train_dictionaries,
    with_best_exponent,
)
from audiosep.methods._examples_fit import misfits_of, novelty_of
from audiosep.methods._examples_local import (
    LOCAL_REACH,
    LocalCorrection,
    Surroundings,
    local_shares,
    train_local,
)
from audiosep.methods._examples_mixtures import Mixtures, mix
from audiosep.methods._examples_sources import SourceExample
from audiosep.methods.base import Quality
from audiosep.types import Progress, ignore_progress

__all__ = ["ExampleMasks", "masks_by_example"]

_Matrix = npt.NDArray[np.float32]

DICTIONARY_FRAMES = 3200
CORRECTION_FRAMES = 9600
N_CORRECTIONS = 3
TRUST_IN_DICTIONARIES = 0.25
"""Weight of their masks at least: an insurance where corrections have learnt by heart."""

LOCAL_FRAMES = 6400
N_LOCAL = 2
TRUST_IN_LOCAL = 0.4
"""Weight of what the networks say that see the surroundings of single bands."""

WEIGHING_FRAMES = 1280
_STEPS = 20
_LEAST_MISFIT = 0.005
_BLOCK = 256
_MOST_BLOCKS = 16
_NO_FRAMES = np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleMasks:
    """Masks of the sources of a mixture, made when they are asked for.

    Parameters
    ----------
    magnitudes : np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Of the mixture.
    activations : np.ndarray [shape=(n_frames, n_components), dtype=float32]
        Of the analysis templates.
    learnt, trained : Dictionaries
        As the examples gave them; trained to tell them apart.
    corrections : tuple of Correction
        Of the masks of `learnt`.
    weights : tuple of three float
        Of the masks of `learnt`, of those of `trained`, and of those of all corrections together.
    level : float
        Root mean square of the mixture.
    misfits : tuple of float
        How many times worse the part of each source is explained than is to be expected.
    local : tuple of LocalCorrection
        Of the masks of `trained`; their mean counts for two fifths.
    """

    magnitudes: _Matrix
    activations: _Matrix
    learnt: Dictionaries
    trained: Dictionaries
    corrections: tuple[Correction, ...]
    weights: tuple[float, float, float]
    level: float
    misfits: tuple[float, ...] = ()
    local: tuple[LocalCorrection, ...] = ()

    @property
    def n_sources(self) -> int:
        """As many as examples."""
        return len(self.learnt.sizes)

    def on(self, V: _Matrix, *, n_threads: int | None = None) -> ExampleMasks:
        """The same for other frames (n_frames, n_bins) of the same recording."""
        H = activations_of(V, self.learnt.analysis, n_threads=n_threads)
        return replace(self, magnitudes=V, activations=H)

    def of_no_frames(self) -> ExampleMasks:
        """What was trained, without what it is to be used on."""
        return replace(self, magnitudes=self.magnitudes[:0].copy(), activations=_NO_FRAMES)

    def frames(self, first: int, last: int) -> _Matrix:
        """Masks of the frames from `first` up to, but without, `last`.

        Returns
        -------
        np.ndarray [shape=(n_sources, last - first, n_bins), dtype=float32]
            They sum to one.
        """
        reach = LOCAL_REACH if self.local else REACH
        begin = max(0, first - reach)
        end = min(len(self.magnitudes), last + reach)
        V, H = self.magnitudes[begin:end], self.activations[begin:end]
        evidence = self.evidence(V, H)
        shares = sum(w * e for w, e in zip(self.weights, evidence, strict=True) if w)
        if self.local:
            local = local_shares(self.local, V, evidence[1])
            shares = (1.0 - TRUST_IN_LOCAL) * shares + TRUST_IN_LOCAL * local
        return np.asarray(shares, dtype=np.float32)[:, first - begin : last - begin]

    def evidence(self, V: _Matrix, H: _Matrix) -> list[_Matrix]:
        """Masks of consecutive frames as each of the three sees them; zeros of one that is not."""
        before = self.learnt.shares(H)
        corrected = np.zeros_like(before)
        for correction in self.corrections:
            corrected += correction.shares(V, before, self.level)
        corrected /= np.float32(max(1, len(self.corrections)))
        return [before, self.trained.shares(H), corrected]

    def levels(self) -> list[float]:
        """Root mean square of each source in the mixture, by a sample of long ones."""
        n_frames = len(self.magnitudes)
        firsts = np.arange(0, n_frames, _BLOCK)
        if len(firsts) > _MOST_BLOCKS:
            firsts = np.linspace(0, n_frames - _BLOCK, _MOST_BLOCKS).astype(int)
        energy, count = np.zeros(self.n_sources), 0
        for first in firsts.tolist():
            here = slice(first, min(first + _BLOCK, n_frames))
            parts = self.frames(here.start, here.stop) * self.magnitudes[here]
            energy += np.square(parts, out=parts).sum(axis=(1, 2), dtype=np.float64)
            count += parts[0].size
        found: list[float] = np.sqrt(energy / count).tolist()
        return found


def masks_by_example(
    V: _Matrix,
    examples: Sequence[SourceExample],
    *,
    quality: Quality = "high",
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> ExampleMasks:
    """Masks of the sources of a mixture, one for each example.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Magnitudes of the mixture, frames first; of any level that squares stay in range at.
    examples : sequence of SourceExample
        Two or more, on the same bins.
    quality : {"high", "fast"}
        Whether to train corrections beside the dictionaries.
    seed : int
        Of the random numbers: the same gives the same masks.
    n_threads : int, optional
        Threads; the result does not depend on it.
    progress : callable
        Called with ``("train", fraction)``.

    Returns
    -------
    ExampleMasks
    """
    rng = np.random.default_rng(seed)
    learnt = Dictionaries.of([e.templates for e in examples])
    examples = with_colours(examples, colours_in(V, learnt, n_threads=n_threads))
    learnt = Dictionaries.of([e.templates for e in examples])
    masks = ExampleMasks(
        magnitudes=V,
        activations=activations_of(V, learnt.analysis, n_threads=n_threads),
        learnt=learnt,
        trained=learnt,
        corrections=(),
        weights=(1.0, 0.0, 0.0),
        level=float(np.sqrt(np.square(V).mean())),
    )
    progress("train", 0.1)
    sounds = [e.frames() for e in examples]
    mixtures = mix(sounds, masks.levels(), DICTIONARY_FRAMES, rng, speeds=(1.0,), colour_db=0.0)
    H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=n_threads)
    found = misfits_of(V, masks.activations, learnt)
    expected = misfits_of(mixtures.magnitudes, H, learnt) + _LEAST_MISFIT
    expected *= [novelty_of(e, n_threads=n_threads) for e in examples]
    learnt = with_best_exponent(learnt, mixtures, H)
    trained = train_dictionaries(learnt, mixtures, H, rng)
    masks = replace(masks, learnt=learnt, trained=trained, weights=(0.0, 1.0, 0.0))
    masks = replace(masks, misfits=tuple((found / expected).tolist()))
    if quality == "fast":
        progress("train", 1.0)
        return masks
    for index in range(N_CORRECTIONS):
        progress("train", 0.2 + 0.4 * index / N_CORRECTIONS)
        mixtures = mix(sounds, masks.levels(), CORRECTION_FRAMES, rng)
        H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=n_threads)
        correction = train_correction(mixtures, learnt.shares(H), rng)
        corrections = (*masks.corrections, correction)
        trust = TRUST_IN_DICTIONARIES
        masks = replace(masks, corrections=corrections, weights=(0.0, trust, 1.0 - trust))
    mixtures = mix(sounds, masks.levels(), WEIGHING_FRAMES, rng, speeds=(1.0,), colour_db=0.0)
    H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=n_threads)
    masks = replace(masks, weights=_weighed(masks, mixtures, H))
    levels = masks.levels()
    surroundings = Surroundings.of(sounds, levels)
    local: list[LocalCorrection] = []
    for index in range(N_LOCAL):
        progress("train", 0.6 + 0.4 * index / N_LOCAL)
        mixtures = mix(sounds, levels, LOCAL_FRAMES, rng)
        H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=n_threads)
        local.append(train_local(mixtures, trained.shares(H), surroundings, rng))
    progress("train", 1.0)
    return replace(masks, local=tuple(local))


def _weighed(masks: ExampleMasks, mixtures: Mixtures, H: _Matrix) -> tuple[float, float, float]:
    """Weights of the evidence: half what serves best on mixtures of known shares, half trust."""
    errors = np.zeros((3, 3))
    for first in range(0, len(H), mixtures.chunk):
        here = slice(first, first + mixtures.chunk)
        evidence = masks.evidence(mixtures.magnitudes[here], H[here])
        away = [
            ((e - mixtures.shares[:, here]) * mixtures.magnitudes[here]).ravel() for e in evidence
        ]
        errors += [[float(np.vdot(a, b)) for b in away] for a in away]
    steps = range(_STEPS + 1)
    choices = [
        np.array([i, j, _STEPS - i - j]) / _STEPS for i in steps for j in steps if i + j <= _STEPS
    ]
    best = min(choices, key=lambda w: float(w @ errors @ w))
    trust = 0.5 * TRUST_IN_DICTIONARIES
    found = 0.5 * best + np.array([0.0, trust, 0.5 - trust])
    return float(found[0]), float(found[1]), float(found[2])
