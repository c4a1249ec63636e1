"""Several dictionaries as one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary, Exemplars, at_another_pace
from audiosep.errors import DictionaryError

__all__ = ["merge_dictionaries"]


def merge_dictionaries(dictionaries: tuple[Dictionary, ...]) -> Dictionary:
    """Put several dictionaries into one, each with its labels.

    All are brought to the frequencies of the one with the most bands, and above them to those of
    the one that goes highest; and their exemplars to one step.

    Parameters
    ----------
    dictionaries : tuple of Dictionary
        One or more, of spectra.

    Returns
    -------
    Dictionary
        Equal labels become one kind of sound.

    Raises
    ------
    DictionaryError
        If there is none, one holds patches, or the labels do not go together.
    """
    if not dictionaries:
        raise DictionaryError("there is no dictionary to merge.")
    if any(found.step_s is not None for found in dictionaries):
        raise DictionaryError("dictionaries of patches cannot be merged; use spectra.")
    finest = max(dictionaries, key=lambda found: len(found.frequencies_hz))
    highest = max(dictionaries, key=lambda found: found.frequencies_hz[-1]).frequencies_hz
    hz = finest.frequencies_hz
    # What sounds above the finest bands must not be lost.
    hz = np.concatenate([hz, highest[highest > hz[-1] * (1 + 1e-9)]])
    steps = [found.exemplars.step_s for found in dictionaries if found.exemplars is not None]
    step_s = steps[0] if finest.exemplars is None and steps else None
    if finest.exemplars is not None:
        step_s = finest.exemplars.step_s
    parts = [_on_frequencies(found, hz, step_s) for found in dictionaries]
    exemplars = [found.exemplars for found in parts if found.exemplars is not None]
    return Dictionary(
        templates=np.concatenate([found.templates for found in parts], axis=1),
        frequencies_hz=hz,
        labels=tuple(label for found in parts for label in found.labels),
        provenance="; ".join(dict.fromkeys(found.provenance for found in dictionaries)),
        exemplars=_joined(exemplars),
    )


def _joined(exemplars: list[Exemplars]) -> Exemplars | None:
    if not exemplars:
        return None
    return Exemplars(
        frames=np.concatenate([found.frames for found in exemplars], axis=1),
        lengths=tuple(length for found in exemplars for length in found.lengths),
        labels=tuple(label for found in exemplars for label in found.labels),
        step_s=exemplars[0].step_s,
    )


def _on_frequencies(
    dictionary: Dictionary, hz: npt.NDArray[np.float64], step_s: float | None
) -> Dictionary:
    own = dictionary.frequencies_hz
    W = _interpolated(dictionary.templates, own, hz)
    # What lies wholly beyond the others' frequencies still needs a template.
    W[:, ~W.any(axis=0)] = 1.0
    exemplars = dictionary.exemplars
    if exemplars is not None and step_s is not None:
        frames = _interpolated(exemplars.frames, own, hz).T
        edges = np.cumsum((0, *exemplars.lengths))
        paced = [
            at_another_pace(frames[first:last], exemplars.step_s / step_s)
            for first, last in pairwise(edges)
        ]
        exemplars = replace(
            exemplars,
            frames=np.concatenate(paced).T.astype(np.float32),
            lengths=tuple(len(stretch) for stretch in paced),
            step_s=step_s,
        )
    return replace(dictionary, templates=W, frequencies_hz=hz, exemplars=exemplars)


def _interpolated(
    columns: npt.NDArray[np.float32],
    own: npt.NDArray[np.float64],
    hz: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    out = np.empty((len(hz), columns.shape[1]), dtype=np.float32)
    for k, column in enumerate(columns.T):
        out[:, k] = np.interp(hz, own, column, right=0.0)
    return out
