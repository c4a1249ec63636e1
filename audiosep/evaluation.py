"""How near estimated stems come to true sources: ratios in dB, over all channels together.

The ratios compare energies of parts of an estimate ``e``. With the true source ``r`` and
``a = <e, r> / |r|^2``, the scale-invariant ones [1]_ split the estimate into

- the wanted part ``a r``,
- interference: what else of ``e`` lies in the span of all references,
- artefacts: what lies in no reference.

References
----------
.. [1] J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey (2019), "SDR - half-baked or well done?",
   ICASSP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from audiosep.bsseval import BssEval, bsseval_of
from audiosep.errors import ParameterError, UsageError
from audiosep.ratios import energy, level_dbfs, oracle_si_sdr, ratios_of
from audiosep.types import Audio, FloatArray

__all__ = ["BssEval", "Evaluation", "StemScores", "evaluate", "sdr", "si_sdr"]

SILENT_BELOW_LOUDEST_DB = 80.0
"""A reference so far below the loudest one is silent: what is left of it is dither."""

COMPLETE_ABOVE_DB = 40.0
"""References whose sum is so near to the mixture, at any level, are all of its sources."""


@dataclass(frozen=True, kw_only=True)
class StemScores:
    """Scores of one stem; larger is better, None is undefined.

    Parameters
    ----------
    name : str
        Of the stem.
    si_sdr_db : float or None
        Scale-invariant signal-to-distortion ratio, -300 to 300; None where the reference is silent.
    sdr_db : float or None
        Plain signal-to-distortion ratio, ``|r|^2 / |r - e|^2``, which hears wrong levels.
    si_sir_db, si_sar_db : float or None
        Scale-invariant ratios to interference and to artefacts; None also where there is a single
        reference, no mixture that holds more, and so nothing that could interfere.
    improvement_db : float or None
        SI-SDR above that of the untouched mixture; None without a mixture.
    oracle_db : float or None
        SI-SDR of the ratio mask made from the true sources, about the most that sharing out the
        mixture's bins can give; None without a mixture.
    level_dbfs : float or None
        Root mean square of the estimate, relative to full scale; None where it is all zero.
    reference_is_silent : bool
        Whether the true source does not sound: then only `level_dbfs` says something.
    bsseval : BssEval or None
        Where asked for, and neither reference nor estimate is silent.
    """

    name: str
    si_sdr_db: float | None
    sdr_db: float | None
    si_sir_db: float | None
    si_sar_db: float | None
    improvement_db: float | None
    oracle_db: float | None
    level_dbfs: float | None
    reference_is_silent: bool
    bsseval: BssEval | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of all stems that have both a reference and an estimate.

    Parameters
    ----------
    stems : tuple of StemScores
        In the order of the references.
    rest_db : float or None
        Level of what the references leave of the mixture, relative to the mixture, where that
        counted as one further source; None where the references are complete, or without a mixture.
    """

    stems: tuple[StemScores, ...]
    rest_db: float | None = None

    def mean(self, measure: str) -> float | None:
        """Mean of a measure over the stems where it is defined.

        Parameters
        ----------
        measure : str
            Name of a field of :class:`StemScores` that ends in ``_db``, or ``bsseval.`` and a
            field of :class:`BssEval`.

        Returns
        -------
        float or None
            None where it is defined nowhere.

        Raises
        ------
        ParameterError
            If there is no such measure.
        """
        if measure not in MEASURES:
            raise ParameterError(f"unknown measure {measure!r}; there are {', '.join(MEASURES)}.")
        defined = [value for stem in self.stems if (value := _value(stem, measure)) is not None]
        return math.fsum(defined) / len(defined) if defined else None


MEASURES = (
    *(field.name for field in fields(StemScores) if field.name.endswith("_db")),
    *(f"bsseval.{field.name}" for field in fields(BssEval)),
)
"""Names of all measures, as :meth:`Evaluation.mean` takes them."""


def _value(stem: StemScores, measure: str) -> float | None:
    owner, _, name = measure.rpartition(".")
    holder = stem.bsseval if owner else stem
    return None if holder is None else getattr(holder, name)


def si_sdr(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> float | None:
    """Scale-invariant signal-to-distortion ratio.

    ``10 log10(|a r|^2 / |e - a r|^2)`` with ``a = <e, r> / |r|^2``, Le Roux et al. (2019), eq. 3,
    over all channels together; means are not removed. A gain of the estimate changes nothing.

    Parameters
    ----------
    reference, estimate : array_like [shape=(n_samples,) or (n_channels, n_samples)]
        r and e, of the same shape; finite.

    Returns
    -------
    float or None
        In dB, from -300 (nothing of the reference is in the estimate) to 300 (nothing else is);
        None where the reference is all zero, because nothing is right or wrong then.

    Raises
    ------
    ParameterError
        If the shapes differ or a sample is not finite.

    Examples
    --------
    >>> round(si_sdr([1.0, 1.0, -1.0, -1.0], [3.0, 1.0, -1.0, -3.0]), 2)
    6.02
    """
    r, e = _alike(reference, estimate)
    return ratios_of([r], 0, e).si_sdr_db


def sdr(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> float | None:
    """Plain signal-to-distortion ratio, also called SNR: ``10 log10(|r|^2 / |r - e|^2)``.

    A wrong level counts as an error. This is no BSSEval ratio: no filter of the reference is
    forgiven.

    Parameters
    ----------
    reference, estimate : array_like [shape=(n_samples,) or (n_channels, n_samples)]
        r and e, of the same shape; finite.

    Returns
    -------
    float or None
        In dB, -300 to 300; None where the reference is all zero.

    Raises
    ------
    ParameterError
        If the shapes differ or a sample is not finite.

    Examples
    --------
    >>> round(sdr([1.0, 1.0, -1.0, -1.0], [1.5, 1.5, -1.5, -1.5]), 2)
    6.02
    """
    r, e = _alike(reference, estimate)
    return ratios_of([r], 0, e).sdr_db


def evaluate(
    references: Mapping[str, Audio | npt.ArrayLike],
    estimates: Mapping[str, Audio | npt.ArrayLike],
    *,
    sr: int | None = None,
    mixture: Audio | npt.ArrayLike | None = None,
    bsseval: bool = False,
) -> Evaluation:
    """Compare estimated stems with the true sources of the same names.

    References without an estimate are no stems of the result, but count as sources that may
    interfere and in the oracle mask. Where the references do not add up to the mixture (what is
    left is above -40 dB of it), the mixture minus the references is one further source there.

    Parameters
    ----------
    references, estimates : mapping of str to Audio or array_like
        By name: of shape (n_samples,) or (n_channels, n_samples), all alike.
    sr : int, optional
        Sample rate in Hz; needed with arrays.
    mixture : Audio or array_like, optional
        The untouched mixture, for `improvement_db` and `oracle_db`; the references must be as loud
        as they are in it, or all of them be given.
    bsseval : bool
        Compute BSSEval version 4 too, by museval (slow: with four stereo stems it takes longer than
        the recording lasts).

    Returns
    -------
    Evaluation

    Raises
    ------
    ParameterError
        If shapes or rates differ, a sample is not finite, or no name is in both.
    UsageError
        If an array comes without its rate, or museval is not there.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> low, high = rng.standard_normal((2, 8000))
    >>> scores = evaluate(
    ...     {"low": low, "high": high}, {"low": low + 0.1 * high, "high": high}, sr=8000
    ... )
    >>> [round(stem.si_sir_db) for stem in scores.stems]
    [20, 300]
    """
    sources = {name: _audio_of(name, value, sr) for name, value in references.items()}
    guesses = {name: _audio_of(name, value, sr) for name, value in estimates.items()}
    names = [name for name in sources if name in guesses]
    if not names:
        raise ParameterError(
            f"no name is both among the references ({', '.join(sources) or 'none'}) and the "
            f"estimates ({', '.join(guesses) or 'none'})."
        )
    mixed = None if mixture is None else _audio_of("mixture", mixture, sr)
    like = sources[names[0]]
    for name, audio in (*sources.items(), *guesses.items(), ("mixture", mixed)):
        if audio is not None and (audio.sr, audio.samples.shape) != (like.sr, like.samples.shape):
            raise ParameterError(
                f"{name} is {_shape_words(audio)}, {names[0]} is {_shape_words(like)}; only "
                "recordings of one rate, shape and length can be compared."
            )
    silent = _silent_names(sources)
    heard = {name: audio.samples for name, audio in sources.items() if name not in silent}
    guessed = {name: guesses[name].samples for name in names}
    by_bsseval = _bsseval(heard, guessed, like.sr) if bsseval else {}
    ceilings: dict[str, float | None] = {}
    rest = None if mixed is None else _rest(mixed, sources)
    others = [] if rest is None else [rest]
    if mixed is not None:
        oracles = oracle_si_sdr(mixed.samples, [*heard.values(), *others], mixed.sr)
        ceilings = dict(zip(heard, oracles, strict=False))
    return Evaluation(
        stems=tuple(
            _silent_stem(name, guessed[name])
            if name in silent
            else _stem(
                name,
                heard,
                others,
                guessed[name],
                mixture=mixed,
                oracle=ceilings.get(name),
                bsseval=by_bsseval.get(name),
            )
            for name in names
        ),
        rest_db=None if rest is None or mixed is None else _relative_db(rest, mixed.samples),
    )


def _stem(
    name: str,
    heard: Mapping[str, FloatArray],
    others: list[FloatArray],
    guess: FloatArray,
    *,
    mixture: Audio | None,
    oracle: float | None,
    bsseval: BssEval | None,
) -> StemScores:
    measured = ratios_of([*heard.values(), *others], list(heard).index(name), guess)
    improvement = None
    if mixture is not None:
        undone = ratios_of([heard[name]], 0, mixture.samples).si_sdr_db
        # Both are defined: a source that is heard is not silent.
        improvement = (measured.si_sdr_db or 0.0) - (undone or 0.0)
    return StemScores(
        name=name,
        si_sdr_db=measured.si_sdr_db,
        sdr_db=measured.sdr_db,
        si_sir_db=measured.si_sir_db,
        si_sar_db=measured.si_sar_db,
        improvement_db=improvement,
        oracle_db=oracle,
        level_dbfs=level_dbfs(guess),
        reference_is_silent=False,
        bsseval=bsseval,
    )


def _rest(mixture: Audio, sources: Mapping[str, Audio]) -> FloatArray | None:
    """What the references leave of the mixture; None where they are all of it, or it is silent."""
    total = np.zeros_like(mixture.samples)
    for source in sources.values():
        total += source.samples
    # At any level: a mixture that was turned down against clipping has no further source.
    nearness = ratios_of([total], 0, mixture.samples).si_sdr_db
    if energy(mixture.samples) == 0.0 or (nearness is not None and nearness >= COMPLETE_ABOVE_DB):
        return None
    return mixture.samples - total


def _relative_db(part: FloatArray, whole: FloatArray) -> float | None:
    level, like = level_dbfs(part), level_dbfs(whole)
    return None if level is None or like is None else level - like


def _silent_stem(name: str, guess: FloatArray) -> StemScores:
    return StemScores(
        name=name,
        si_sdr_db=None,
        sdr_db=None,
        si_sir_db=None,
        si_sar_db=None,
        improvement_db=None,
        oracle_db=None,
        level_dbfs=level_dbfs(guess),
        reference_is_silent=True,
        bsseval=None,
    )


def _bsseval(
    heard: Mapping[str, FloatArray], guessed: Mapping[str, FloatArray], sr: int
) -> dict[str, BssEval]:
    sounding = {n: guess for n, guess in guessed.items() if n in heard and energy(guess) > 0.0}
    return bsseval_of(heard, sounding, sr)


def _audio_of(name: str, value: Audio | npt.ArrayLike, sr: int | None) -> Audio:
    if isinstance(value, Audio):
        return value
    if sr is None:
        raise UsageError(f"{name} is an array, which does not know its rate; give sr as well.")
    samples = np.atleast_2d(np.asarray(value, dtype=np.float32))
    return Audio(samples=samples, sr=sr)


def _shape_words(audio: Audio) -> str:
    return f"{audio.sr} Hz, {audio.n_channels} channel(s), {audio.n_samples} samples"


def _alike(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    both = []
    for name, value in (("reference", reference), ("estimate", estimate)):
        samples = np.asarray(value)
        if samples.dtype.kind not in "fiu" or samples.ndim not in (1, 2) or samples.size == 0:
            raise ParameterError(
                f"{name} must be real numbers of shape (samples,) or (channels, samples), got "
                f"{samples.dtype} of shape {samples.shape}."
            )
        if samples.dtype.kind == "f" and not np.isfinite(samples).all():
            raise ParameterError(f"{name} holds samples that are NaN or infinite.")
        both.append(np.atleast_2d(samples))
    r, e = both
    if r.shape != e.shape:
        raise ParameterError(f"reference has shape {r.shape}, estimate {e.shape}; cut to one.")
    return r, e


def _silent_names(sources: Mapping[str, Audio]) -> set[str]:
    energies = {name: energy(audio.samples) for name, audio in sources.items()}
    least = max(energies.values()) * 10 ** (-SILENT_BELOW_LOUDEST_DB / 10)
    return {name for name, value in energies.items() if value <= least}
