"""Starting points of the factorization: random, from singular vectors, or from pitches."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import plain_array
from audiosep.threads import one_blas_thread
from audiosep.types import FloatArray, whole_number

__all__ = [
    "STARTS",
    "Initializer",
    "frames_start",
    "harmonic_combs",
    "nndsvd_start",
    "random_start",
]

Initializer = Callable[[FloatArray, int, np.random.Generator], tuple[FloatArray, FloatArray]]
"""``(V (n_frames, n_bins), n_components, rng) -> (W (n_components, n_bins), H (n_frames, K))``."""

_OVERSAMPLING = 10
_POWER_STEPS = 4
_SMALL = 500
"""Matrices with a side up to this are decomposed as they are: it is quick, and exact."""
_HALF_LOBE = 2.0
"""Half a main lobe of the Hann window, in bins."""
_ROUNDING = 1e-6
"""Parts of a singular vector this small against its largest are the rounding of zeros."""
_AT_EDGE = 0.1
"""Height of a comb's tooth at its edge; as for random starts, nothing begins near zero."""
_UNITS = ("midi", "hz")
_MOST_WIDTH, _MOST_DECAY = 12.0, 10.0


def random_start(
    V: FloatArray, n_components: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Uniform random factors whose product has the level of the data.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Non-negative data, frames first.
    n_components : int
        Number of components.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    W : np.ndarray [shape=(n_components, n_bins)]
        ``0.1 + 0.9 U(0, 1)``, rows scaled to sum one.
    H : np.ndarray [shape=(n_frames, n_components)]
        ``(0.1 + 0.9 U(0, 1))`` times the mean frame sum over `n_components`.
    """
    n_frames, n_bins = V.shape
    W = 0.1 + 0.9 * rng.random((n_components, n_bins))
    W /= W.sum(axis=1, keepdims=True)
    level = float(V.mean(dtype=np.float64)) * n_bins / n_components
    H = (0.1 + 0.9 * rng.random((n_frames, n_components))) * level
    return W.astype(V.dtype), H.astype(V.dtype)


def nndsvd_start(
    V: FloatArray, n_components: int, rng: np.random.Generator, *, fill: str = "random"
) -> tuple[FloatArray, FloatArray]:
    """Factors from the non-negative parts of the leading singular vectors.

    Of each pair of singular vectors the positive or the negative parts are kept, whichever
    product is larger. The same data give the same factors up to rounding for every seed, unless
    `fill` is "random". Components beyond the numerical rank of `V` start like random ones.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Non-negative data, frames first, mean near one.
    n_components : int
        Number of components.
    rng : numpy.random.Generator
        Source of randomness: of the sketch by which a large matrix is decomposed, and of fillings.
    fill : {"zero", "mean", "random"}
        What the zeros become, about half of all entries: nothing (NNDSVD; multiplicative updates
        never move them again, so this is for solvers that can, such as coordinate descent), the
        mean of the data (NNDSVDa), or a random number up to a hundredth of it (NNDSVDar).

    Returns
    -------
    W : np.ndarray [shape=(n_components, n_bins)]
        Rows sum to one.
    H : np.ndarray [shape=(n_frames, n_components)]
        At the level where ``H W`` has the sum of `V`.

    References
    ----------
    .. [1] C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for
       nonnegative matrix factorization", Pattern Recognition 41(4). We deviate in giving the
       product the level of the data once the zeros are filled.
    .. [2] N. Halko, P.-G. Martinsson and J. A. Tropp (2011), "Finding structure with randomness",
       SIAM Review 53(2), algorithms 4.4 and 5.1: the decomposition of large matrices.
    """
    W, H = random_start(V, n_components, rng)
    mean = float(V.mean(dtype=np.float64))
    if mean == 0.0:
        return W, H
    U, s, Vt = _leading_singular(V, n_components, rng)
    templates, activations = W.astype(np.float64), H.astype(np.float64)
    # From here on each component is balanced: template and activation share its level.
    level = np.sqrt(activations.mean(axis=0))
    templates *= level[:, np.newaxis]
    activations /= level
    for k in range(len(s)):
        activations[:, k], templates[k] = _larger_part(U[:, k], s[k], Vt[k])
    for factor in (templates, activations):
        zeros = factor == 0.0
        if fill == "mean":
            factor[zeros] = mean
        elif fill == "random":
            factor[zeros] = 0.01 * mean * rng.random(int(zeros.sum()))
    sums = templates.sum(axis=1)
    activations *= sums
    templates /= sums[:, np.newaxis]
    activations *= float(V.sum(dtype=np.float64)) / float(activations.sum())
    return templates.astype(V.dtype), activations.astype(V.dtype)


def _larger_part(u: FloatArray, s: float, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best non-negative rank-one part of ``s u vᵀ``, its level shared by both vectors."""
    pairs = [(np.maximum(u, 0.0), np.maximum(v, 0.0)), (np.maximum(-u, 0.0), np.maximum(-v, 0.0))]
    sizes = [float(np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs]
    (a, b), size = max(zip(pairs, sizes, strict=True), key=lambda pair: pair[1])
    a, b = (np.where(part < _ROUNDING * part.max(), 0.0, part) for part in (a, b))
    share = np.sqrt(s * size)
    return share * a / np.linalg.norm(a), share * b / np.linalg.norm(b)


def _leading_singular(
    V: FloatArray, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Up to n leading singular triplets, those of the numerical rank only; float64."""
    with one_blas_thread():
        width = n + _OVERSAMPLING
        if min(V.shape) <= max(_SMALL, width):
            U, s, Vt = np.linalg.svd(V.astype(np.float64), full_matrices=False)
        else:
            # Products over the data in its own precision: no copy of it is made.
            basis = rng.standard_normal((V.shape[1], width)).astype(V.dtype)
            for _ in range(_POWER_STEPS):
                basis = np.linalg.qr(V @ basis)[0]
                basis = np.linalg.qr(V.T @ basis)[0]
            Q = np.linalg.qr(V @ basis)[0].astype(np.float64)
            small, s, Vt = np.linalg.svd(Q.T.astype(V.dtype) @ V, full_matrices=False)
            U = Q @ small
    rank = int((s[:n] > s[0] * max(V.shape) * np.finfo(V.dtype).eps).sum())
    U, s, Vt = (part.astype(np.float64) for part in (U[:, :rank], s[:rank], Vt[:rank]))
    # A decomposition leaves the signs open: the largest entry of each right vector is positive.
    largest = np.abs(Vt).argmax(axis=1)[:, np.newaxis]
    signs = np.sign(np.take_along_axis(Vt, largest, axis=1))
    return U * signs.T, s, Vt * signs


def frames_start(
    V: FloatArray, n_components: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Templates from frames of the data that are far from each other.

    The first is drawn at random, each further one with a probability proportional to how badly
    the best of those before it explains a frame (Kullback-Leibler divergence, levels being equal).

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Non-negative data, frames first.
    n_components : int
        Number of components.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    W : np.ndarray [shape=(n_components, n_bins)]
        Nine parts of a frame and one of the mean frame, so that nothing is zero; sum one.
    H : np.ndarray [shape=(n_frames, n_components)]
        Random around the level of each frame over `n_components`.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii (2007), "k-means++: the advantages of careful seeding",
       SODA: the same draw for squared distances.
    """
    sums = V.sum(axis=1, keepdims=True)
    tiny = V.dtype.type(1e-12)
    shapes = V / np.maximum(sums, tiny)
    mean = V.mean(axis=0)
    mean = np.maximum(mean / max(mean.sum(), tiny), tiny)
    entropies = np.einsum("ij,ij->i", V, np.log(np.maximum(shapes, tiny)), dtype=np.float64)
    W = np.empty((n_components, V.shape[1]), V.dtype)
    with one_blas_thread():
        distances = entropies - V @ np.log(mean)
        for k in range(n_components):
            chances = np.maximum(distances, 0.0)
            total = chances.sum()
            even = np.full(len(V), 1.0 / len(V))
            frame = rng.choice(len(V), p=chances / total if total > 0.0 else even)
            W[k] = V.dtype.type(0.9) * shapes[frame] + V.dtype.type(0.1) * mean
            distances = np.minimum(distances, entropies - V @ np.log(W[k]))
    W /= W.sum(axis=1, keepdims=True)
    spread = 0.5 + rng.random((len(V), n_components))
    H = np.maximum(sums, tiny) * spread.astype(V.dtype) / V.dtype.type(n_components)
    return W, H


STARTS: dict[str, Initializer] = {
    "random": random_start,
    "frames": frames_start,
    "nndsvd": partial(nndsvd_start, fill="zero"),
    "nndsvda": partial(nndsvd_start, fill="mean"),
    "nndsvdar": partial(nndsvd_start, fill="random"),
}
"""Ways to begin, by name."""


def harmonic_combs(
    pitches: npt.ArrayLike,
    sr: float,
    n_fft: int,
    *,
    unit: str = "midi",
    tuning_hz: float = 440.0,
    n_harmonics: int = 20,
    width: float = 0.5,
    decay: float = 1.0,
    inharmonicity: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Templates of given pitches: teeth around the partials, zero between them.

    Zeros stay zero in multiplicative updates, so a component that starts at a comb can only become
    a sound of that pitch. Give the result as ``factorize(V, templates=harmonic_combs(...))``.

    Parameters
    ----------
    pitches : array_like [shape=(n_components,)]
        MIDI numbers (69 is `tuning_hz`; fractions are fine), or fundamentals in Hz.
    sr : float > 0
        Sample rate in Hz.
    n_fft : int > 0
        Length of the transform; bin i is at ``i sr / n_fft`` Hz.
    unit : {"midi", "hz"}
        What `pitches` are.
    tuning_hz : float > 0
        Frequency of MIDI number 69.
    n_harmonics : int > 0
        Teeth, the fundamental included; those above half the sample rate are left out.
    width : float from 0 to 12
        A tooth reaches this far to either side, in semitones, but always half a main lobe of the
        Hann window (2 bins): vibrato and detuning must fit in.
    decay : float from 0 to 10
        Tooth h starts ``h^-decay`` high; 0 for equal ones.
    inharmonicity : float from 0 to 1
        B of a stiff string: partial h lies at ``h f sqrt((1 + B h²) / (1 + B))``. About 0.0001 to
        0.001 for the middle of a piano.

    Returns
    -------
    np.ndarray [shape=(n_fft // 2 + 1, n_components), dtype=float32]
        Columns sum to one.

    Raises
    ------
    ParameterError
        If an argument is out of range, or a fundamental is not below half the sample rate.

    References
    ----------
    .. [1] S. Ewert and M. Müller (2012), "Using score-informed constraints for NMF-based source
       separation", ICASSP. We deviate in teeth that fall off towards their edges, and that are
       never narrower than what a window can resolve.
    .. [2] H. Fletcher, E. D. Blackham and R. Stratton (1962), "Quality of piano tones", JASA
       34(6): the law of inharmonicity, here such that the lowest partial keeps its pitch.

    Examples
    --------
    >>> combs = harmonic_combs([57, 69], 8000, 800, n_harmonics=2)
    >>> combs.shape, combs.argmax(axis=0) * 8000 / 800
    ((401, 2), array([220., 440.]))
    """
    n_fft = whole_number("n_fft", n_fft, 1)
    n_harmonics = whole_number("n_harmonics", n_harmonics, 1)
    for name, positive in (("sr", sr), ("tuning_hz", tuning_hz)):
        _in_range(name, positive, 0.0, open_=True)
    _in_range("width", width, 0.0, _MOST_WIDTH)
    _in_range("decay", decay, 0.0, _MOST_DECAY)
    _in_range("inharmonicity", inharmonicity, 0.0, 1.0)
    if not isinstance(unit, str) or unit not in _UNITS:
        raise ParameterError(f"unit {unit!r} is unknown; use {' or '.join(_UNITS)}.")
    fundamentals = _fundamentals(pitches, unit, tuning_hz)
    if (high := fundamentals >= sr / 2).any():
        raise ParameterError(
            f"a pitch of {fundamentals[high][0]:.6g} Hz has no place below {sr / 2:g} Hz, half the "
            "sample rate; leave it out, or check the unit."
        )
    hz = np.arange(n_fft // 2 + 1) * (sr / n_fft)
    h = np.arange(1, n_harmonics + 1)
    stretch = np.sqrt((1.0 + inharmonicity * h**2) / (1.0 + inharmonicity))
    combs = np.zeros((len(hz), len(fundamentals)))
    for k, f in enumerate(fundamentals):
        for partial_hz, order in zip(f * h * stretch, h, strict=True):
            if partial_hz < sr / 2:
                reach = max(partial_hz * (2.0 ** (width / 12.0) - 1.0), _HALF_LOBE * sr / n_fft)
                away = np.abs(hz - partial_hz) / reach
                tooth = np.where(away <= 1.0, 1.0 - (1.0 - _AT_EDGE) * away**2, 0.0)
                np.maximum(combs[:, k], tooth / float(order) ** decay, out=combs[:, k])
    templates: npt.NDArray[np.float32] = (combs / combs.sum(axis=0)).astype(np.float32)
    return templates


def _fundamentals(pitches: npt.ArrayLike, unit: str, tuning_hz: float) -> npt.NDArray[np.float64]:
    """Frequencies in Hz."""
    given = plain_array("pitches", pitches)
    if given.dtype.kind not in "iuf" or given.ndim != 1 or given.size == 0:
        raise ParameterError("pitches must be a list of at least one number.")
    given = given.astype(np.float64)
    with np.errstate(over="ignore"):
        hz = given if unit == "hz" else tuning_hz * 2.0 ** ((given - 69.0) / 12.0)
    if (bad := ~(np.isfinite(hz) & (hz > 0))).any():
        raise ParameterError(
            f"pitch {given[bad][0]:g} is no frequency; give MIDI numbers, or unit='hz' and Hz."
        )
    return hz


def _in_range(
    name: str, value: float, least: float, most: float = math.inf, *, open_: bool = False
) -> None:
    """Raise unless `value` is a finite number from `least` to `most`, without `least` if open."""
    try:
        fits = math.isfinite(value) and least <= value <= most and not (open_ and value == least)
    except TypeError:
        fits = False
    if not fits:
        low = f"above {least:g}" if open_ else f"of at least {least:g}"
        high = "" if most == math.inf else f" and at most {most:g}"
        raise ParameterError(f"{name}={value!r} must be a number {low}{high}.")
