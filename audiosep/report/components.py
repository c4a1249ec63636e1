"""Components of a factorization as small pictures, with the stem that each is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import AudiosepError
from audiosep.factorization_files import FACTORIZATION_NAME, load_factorization
from audiosep.report.pictures import RANGE_DB, log_rows
from audiosep.research.component_facts import (
    ComponentFacts,
    component_energy,
    describe_components,
)

__all__ = ["ComponentPicture", "Components", "components_of"]

_MOST = 60
_COLUMNS = 600
_TINY = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class ComponentPicture:
    """One component.

    Parameters
    ----------
    facts : ComponentFacts
        What can be said of it.
    template : np.ndarray [shape=(ROWS,), dtype=uint8]
        Its spectrum in dB, lowest frequency first; 255 is its loudest, 0 is `RANGE_DB` below.
    activation : np.ndarray [shape=(n_columns,), dtype=uint8]
        Its gain over time, where 255 is its largest.
    """

    facts: ComponentFacts
    template: npt.NDArray[np.uint8]
    activation: npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Components that are shown.

    Parameters
    ----------
    pictures : tuple of ComponentPicture
        By number.
    n_all : int
        How many there are; only those that hold most are shown.
    problem : str
        Why none can be shown, though there are some.
    """

    pictures: tuple[ComponentPicture, ...] = ()
    n_all: int = 0
    problem: str = ""


def components_of(place: Path) -> Components:
    """Draw the components beside stems; none where the stems were not made by grouping any.

    Parameters
    ----------
    place : Path
        Folder of stems.

    Returns
    -------
    Components
    """
    if not (place / FACTORIZATION_NAME).exists():
        return Components()
    try:
        stored = load_factorization(place / FACTORIZATION_NAME)
    except AudiosepError as error:
        # The stems can be heard all the same.
        return Components(problem=f"The components cannot be shown: {error}")
    facts = describe_components(stored)
    energy = component_energy(stored.templates, stored.activations)
    shown = np.sort(np.argsort(-energy, kind="stable")[:_MOST])
    rows = log_rows(stored.sr, stored.n_fft) @ stored.templates[:, shown]
    levels = 20 * np.log10(np.maximum(rows / np.maximum(rows.max(axis=0), _TINY), _TINY))
    spectra = np.clip(np.round(255 * (1 + levels / RANGE_DB)), 0, 255).astype(np.uint8)
    pictures = tuple(
        ComponentPicture(
            facts=facts[index],
            template=spectra[:, n],
            activation=_over_time(stored.activations[index]),
        )
        for n, index in enumerate(shown)
    )
    return Components(pictures=pictures, n_all=stored.n_components)


def _over_time(activation: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    n_columns = min(_COLUMNS, len(activation))
    cuts = (np.arange(n_columns) * len(activation) / n_columns).astype(np.int64)
    largest = np.maximum.reduceat(activation, cuts)
    return np.ceil(255 * largest / max(float(largest.max()), _TINY)).astype(np.uint8)
