"""Which pieces of a drum kit sound in a recording, and what each of them plays.

A piece counts as found by what the recording loses in likelihood without it, and by when it is
struck. The thresholds lie in the gaps between recordings with and without a piece; see
``docs/methods/drums.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.methods._drums_fit import (
    OPTIONAL,
    SEMI_ITERATIONS,
    Fitting,
    Kit,
    always_pieces,
    by_piece,
    patches_on_bands,
    silent_kit,
    struck,
)
from audiosep.methods._drums_onsets import pick_peaks
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import MethodSettings
from audiosep.nmf import ConvolutiveFactorization
from audiosep.types import Progress, Spectrogram

__all__ = ["hear_kit"]

_Matrix = npt.NDArray[np.float32]
_Frames = npt.NDArray[np.intp]

_WITHOUT_ITERATIONS = 20
_MORE_ITERATIONS = 30
_MORE_SHARE = 0.1

_LEAST_SAVED = 0.009
"""Divergence that a piece saves, relative to the sum of the magnitudes; or else..."""

_LEAST_SAVED_BY_HIT = 0.03
"""...its better hits save, relative to the magnitudes around them: a piece may be struck rarely."""

_LEAST_LIKENESS = 0.82
"""Between the spectra of a patch before and after it adapted; below, it became something else..."""

_SAVED_ALL_THE_SAME = 0.02
"""...unless it saves this much: then it is a strange sound, but one that is there."""

_FURTHER = {"tom": (0.005, 0.022), "cymbal": (0.006, 0.085)}
"""What an optional piece must save of the divergence, and its least share of all that is struck.

An open hi-hat sounds like a cymbal; only where a cymbal is prominent does it get a stem."""

_CLEAR_HIT = 0.25
"""Share of the loudest hit of a piece above which a hit counts as evidence."""

_BETWEEN_HITS = 0.05
_BESIDE_HIT_S = 0.035
_AROUND_HIT_S = 0.12
_NOT_DRUMS = 0.15
"""Divergence, relative to the sum of the magnitudes, that no kit of drums reached."""

_OFFSET = 0.7
"""Share of the energy at 0 Hz above which a recording is an offset, which nobody strikes..."""

_TOO_SHORT_S = 0.05
"""...as nobody hears a stroke in a recording that is shorter than this."""

_EPS = 1e-12


def hear_kit(
    spectrogram: Spectrogram,
    V: _Matrix,
    bands: Bands,
    dictionary: Dictionary,
    settings: MethodSettings,
    progress: Progress,
) -> Kit:
    """Find the pieces of a kit in a recording of drums, and fit them to it.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the recording.
    V : np.ndarray [shape=(n_bands, n_frames)]
        Its magnitudes, added up in bands.
    bands : Bands
        Those bands.
    dictionary : Dictionary
        Of patches; every label is a piece.
    settings : MethodSettings
        ``beta``, ``max_iter`` and ``n_threads`` act.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    Kit

    Raises
    ------
    DictionaryError
        If the dictionary holds spectra.
    """
    patches = patches_on_bands(dictionary, spectrogram, bands)
    labels = np.array(dictionary.labels)
    always = always_pieces(dictionary)
    mean = float(V.mean(dtype=np.float64))
    here = np.isin(labels, always)
    if mean <= 0.0:
        notes = ("The recording is silent.",)
        return silent_kit(always, V.shape, notes, patches[:, here], tuple(labels[here].tolist()))
    fitting = Fitting(V / np.float32(mean), settings.n_threads)
    first = fitting.semi_adaptive(
        patches[:, here], _starts(fitting.level, labels[here], {}, spectrogram.frame_s)
    )
    progress("separate", 0.3)
    found = _found_pieces(fitting, first, patches[:, here], labels[here], spectrogram.frame_s)
    clear = bool(found)
    found = found or always
    progress("separate", 0.45)
    more = _further_pieces(fitting, first, patches, labels)
    progress("separate", 0.7)
    sounding = np.isin(labels, [*found, *more])
    beta = 1.0 if settings.beta is None else settings.beta
    n_iter = SEMI_ITERATIONS if settings.max_iter is None else settings.max_iter
    fitted = first
    if set(found) != set(always) or more or beta != first.beta or n_iter != SEMI_ITERATIONS:
        H = _starts(fitting.level, labels[sounding], more, spectrogram.frame_s)
        fitted = fitting.semi_adaptive(patches[:, sounding], H, n_iter, beta)
    progress("separate", 0.9)
    final = fitting.free(fitted, n_iter // 2)
    progress("separate", 1.0)
    missed = float(first.losses[-1]) / float(fitting.level.sum())
    names = (*always, *more)
    scale = mean / bands.widths[:, np.newaxis]
    models, strokes = by_piece(final, labels[sounding], names)
    models *= scale.astype(np.float32)
    strokes *= np.float32(mean)
    if not clear:
        strokes[: len(always)] = 0.0
    if not _may_be_struck(spectrogram, V):
        strokes[:] = 0.0
    losses = np.concatenate([fitted.losses, final.losses[1:]]) * mean**beta
    return Kit(
        names=names,
        models=models,
        strokes=strokes,
        notes=_notes(always, found if clear else (), tuple(more), missed),
        losses=tuple(losses.tolist()),
        stop=final.stop,
        patches=np.asarray(final.templates, dtype=np.float32),
        labels=tuple(labels[sounding].tolist()),
    )


def _may_be_struck(spectrogram: Spectrogram, V: _Matrix) -> bool:
    """Whether a recording is long enough for a stroke and more than an offset."""
    if spectrogram.n_samples < _TOO_SHORT_S * spectrogram.sr:
        return False
    energies = np.square(V / V.max(), dtype=np.float64).sum(axis=1)
    return bool(energies[0] < _OFFSET * energies.sum())


def _found_pieces(
    fitting: Fitting,
    first: ConvolutiveFactorization,
    patches: _Matrix,
    labels: npt.NDArray[np.str_],
    frame_s: float,
) -> tuple[str, ...]:
    """Those pieces that the recording cannot do without.

    One is dropped at a time and the others are judged anew: a patch that stands for nothing would
    else take the place of any other that is left out on trial. Of several that are not missed, the
    one goes without which the others stay what they are.
    """
    names = tuple(dict.fromkeys(labels.tolist()))
    fitted = first
    while len(names) > 1:
        here = np.isin(labels, names)
        trials = _trials(fitting, fitted, patches[:, here], labels[here], frame_s)
        failed = [name for name, passed in trials.items() if not passed]
        if not failed:
            return names
        fits = {}
        for name in failed:
            kept = np.isin(labels, [other for other in names if other != name])
            H = _starts(fitting.level, labels[kept], {}, frame_s)
            fits[name] = fitting.semi_adaptive(patches[:, kept], H)
        alike = {
            name: min(_likenesses(patches[:, np.isin(labels, names) & (labels != name)], fit))
            for name, fit in fits.items()
        }
        dropped = max(failed, key=lambda name: alike[name])
        names = tuple(name for name in names if name != dropped)
        fitted = fits[dropped]
    if len(labels) == 1:
        return names
    last = _likenesses(patches[:, labels == names[0]], fitted)
    return names if max(last) > _LEAST_LIKENESS else ()


def _trials(
    fitting: Fitting,
    fitted: ConvolutiveFactorization,
    patches: _Matrix,
    labels: npt.NDArray[np.str_],
    frame_s: float,
) -> dict[str, bool]:
    """Whether each piece is missed when it is left out."""
    alike = _likenesses(patches, fitted)
    with_it = _divergence(fitting.V, fitted)
    strokes = struck(fitted)
    total = float(fitting.level.sum())
    trials = {}
    for name in dict.fromkeys(labels.tolist()):
        members = np.flatnonzero(labels == name)
        if len(members) > 1:  # one of several patches of a piece may well be idle
            trials[name] = True
            continue
        index = int(members[0])
        without = fitting.without(fitted, index, _WITHOUT_ITERATIONS)
        saved = _divergence(fitting.V, without) - with_it
        share = float(saved.sum()) / total
        frames, strengths = pick_peaks(strokes[index], frame_s)
        by_hit = _around(saved, frames, frame_s) / _around(fitting.level, frames, frame_s)
        by_hit = by_hit[strengths > _CLEAR_HIT]
        better = float(np.quantile(by_hit, 0.8)) if len(by_hit) else 0.0
        heard = share > _LEAST_SAVED or better > _LEAST_SAVED_BY_HIT
        alike_still = alike[index] > _LEAST_LIKENESS
        trials[name] = share > _SAVED_ALL_THE_SAME or (alike_still and heard)
    return trials


def _likenesses(patches: _Matrix, fitted: ConvolutiveFactorization) -> list[float]:
    """Bhattacharyya coefficient of the spectra of each patch before and after: 1 is no change."""
    before, after = (W.sum(axis=2, dtype=np.float64) for W in (patches, fitted.templates))
    before /= before.sum(axis=0)
    after /= np.maximum(after.sum(axis=0), _EPS)
    return [float(x) for x in np.sqrt(before * after).sum(axis=0)]


def _further_pieces(
    fitting: Fitting,
    first: ConvolutiveFactorization,
    patches: _Matrix,
    labels: npt.NDArray[np.str_],
) -> dict[str, _Matrix]:
    """Which of the optional pieces explain something that the others cannot, and when.

    They start quietly beside a kit that is already fitted, so that they only grow where it fails.
    Started like all others, the patch of a tom would take part of every kick and snare.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
        The strokes of each piece that is found.
    """
    optional = [name for name in OPTIONAL if (labels == name).any()]
    if not optional or len(optional) == len(set(labels.tolist())):
        return {}

    def fit(names: Sequence[str]) -> ConvolutiveFactorization:
        chosen = patches[:, [int(np.argmax(labels == name)) for name in names]]
        return fitting.with_more(first, chosen, _MORE_ITERATIONS, _MORE_SHARE)

    together = fit(optional)
    total = float(fitting.level.sum())
    strokes = struck(together)
    shares = strokes.sum(axis=1, dtype=np.float64) / strokes.sum(dtype=np.float64)
    found = {}
    for position, name in enumerate(optional, start=first.n_components):
        rest = [other for other in optional if other != name]
        without = fit(rest).losses[-1] if rest else first.losses[-1]
        least_saved, least_share = _FURTHER[name]
        saved = (without - together.losses[-1]) / total
        if saved > least_saved and shares[position] > least_share:
            found[name] = strokes[position]
    return found


def _starts(
    level: npt.NDArray[np.float64],
    labels: npt.NDArray[np.str_],
    more: dict[str, _Matrix],
    frame_s: float,
) -> npt.NDArray[np.float64]:
    """Activations to start from: the same for all, but a tom's little between its hits."""
    H = np.tile(level / len(labels), (len(labels), 1))
    if (tom := more.get("tom")) is not None:
        frames, strengths = pick_peaks(tom, frame_s)
        near = max(1, round(_BESIDE_HIT_S / frame_s))
        gate = np.full(len(level), _BETWEEN_HITS)
        for frame in frames[strengths > _CLEAR_HIT]:
            gate[max(0, frame - near) : frame + near + 1] = 1.0
        H[labels == "tom"] *= gate
    return H


def _divergence(V: _Matrix, fitted: ConvolutiveFactorization) -> npt.NDArray[np.float64]:
    """Kullback-Leibler divergence of each frame."""
    model = np.maximum(fitted.model(), np.float32(_EPS))
    logs = np.log(np.maximum(V, np.float32(_EPS)) / model)
    return np.asarray((V * logs - V + model).sum(axis=0, dtype=np.float64))


def _around(
    values: npt.NDArray[np.float64], frames: _Frames, frame_s: float
) -> npt.NDArray[np.float64]:
    """Sums of values from the frame before each of some frames to 0.12 s after it."""
    sums = np.append(0.0, np.cumsum(values))
    last = np.minimum(frames + max(1, round(_AROUND_HIT_S / frame_s)), len(values))
    return np.asarray(sums[last] - sums[np.maximum(frames - 1, 0)] + _EPS)


def _notes(
    always: Sequence[str], found: Sequence[str], more: Sequence[str], divergence: float
) -> tuple[str, ...]:
    heard = ", ".join([*(name for name in always if name in found), *more])
    notes = [f"Pieces found: {heard or 'none for certain'}."]
    absent = [name for name in always if name not in found]
    if absent and found:
        notes.append(f"Not found, so silent: {', '.join(absent)}.")
    if divergence > _NOT_DRUMS:
        notes.append(
            "Much of this recording does not sound like drums: separate the drums first, for "
            "example with the preset stems."
        )
    return tuple(notes)
