"""BSSEval version 4, as museval computes it.

References
----------
.. [1] E. Vincent, R. Gribonval and C. Févotte (2006), "Performance measurement in blind audio
   source separation", IEEE TASLP 14(4).
.. [2] F.-R. Stöter, A. Liutkus and N. Ito (2018), "The 2018 signal separation evaluation campaign",
   LVA/ICA.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from audiosep.errors import UsageError
from audiosep.ratios import LIMIT_DB
from audiosep.types import FloatArray

__all__ = ["BssEval", "bsseval_of"]

WINDOW_S = 1.0
"""Windows of the evaluation campaigns; a recording that is shorter is one window."""


@dataclass(frozen=True, kw_only=True)
class BssEval:
    """Ratios of BSSEval version 4 in dB: medians over windows of one second.

    One filter per pair of source and estimate, of 512 taps and for the whole recording, is
    forgiven. A window in which a reference or an estimate is silent does not count.

    Parameters
    ----------
    sdr_db : float or None
        Source to distortion: against all errors. None where no window counts, as below.
    isr_db : float or None
        Image to spatial distortion: against errors that a filter of the source explains.
    sir_db : float or None
        Source to interference: against what filters of the other references explain.
    sar_db : float or None
        Source to artefacts: against the rest.
    """

    sdr_db: float | None
    isr_db: float | None
    sir_db: float | None
    sar_db: float | None


def bsseval_of(
    references: Mapping[str, FloatArray], estimates: Mapping[str, FloatArray], sr: int
) -> dict[str, BssEval]:
    """BSSEval of every estimate against all references.

    Parameters
    ----------
    references : mapping of str to np.ndarray [shape=(n_channels, n_samples)]
        None of them silent.
    estimates : mapping of str to np.ndarray [shape=(n_channels, n_samples)]
        None of them silent; each of a reference.
    sr : int
        Sample rate in Hz.

    Returns
    -------
    dict of str to BssEval
        By the names of the estimates.

    Raises
    ------
    UsageError
        If museval is not installed.
    """
    measure = _museval()
    if not estimates:
        return {}
    sources = np.array([samples.T for samples in references.values()], dtype=np.float64)
    # It wants an estimate of every reference: those without one get themselves, and no score.
    guesses = [estimates.get(name, samples).T for name, samples in references.items()]
    window = round(WINDOW_S * sr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measured = measure(sources, np.array(guesses, dtype=np.float64), window=window, hop=window)
    sdrs, isrs, sirs, sars = measured[:4]
    return {
        name: BssEval(
            sdr_db=_median(sdrs[row]),
            isr_db=_median(isrs[row]),
            sir_db=_median(sirs[row]),
            sar_db=_median(sars[row]),
        )
        for row, name in enumerate(references)
        if name in estimates
    }


def _median(values: FloatArray) -> float | None:
    counted = values[~np.isnan(values)]
    return float(np.clip(np.median(counted), -LIMIT_DB, LIMIT_DB)) if counted.size else None


def _museval() -> Callable[..., Any]:
    """Return museval's function, loaded from its own file.

    The package as a whole also loads musdb and stempeg, and fails where there is no ffmpeg.
    """
    package = find_spec("museval")
    places = [] if package is None else list(package.submodule_search_locations or [])
    files = [path for place in places if (path := Path(place) / "metrics.py").is_file()]
    spec = spec_from_file_location("audiosep_museval_metrics", files[0]) if files else None
    if spec is None or spec.loader is None:
        raise UsageError(
            "BSSEval needs museval, which is not installed; install it with "
            "pip install 'audiosep[evaluate]'."
        )
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.bss_eval  # type: ignore[no-any-return]
