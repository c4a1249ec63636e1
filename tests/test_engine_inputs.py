"""Hostile arguments of every public factorization: a sentence that helps, or the right answer."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep import nmf
from audiosep.errors import ParameterError
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.solvers import SOLVERS
from audiosep.types import Stop

DTYPES = (np.float32, np.float64)
SLACK = {np.float32: 1e-5, np.float64: 1e-10}
ONLY_EUCLIDEAN = [name for name, solver in SOLVERS.items() if solver.beta is not None]
REFUSING_WEIGHTS = [name for name, solver in SOLVERS.items() if not solver.takes_weights]

V = np.random.default_rng(1).uniform(0.1, 2.0, (5, 7))
A = V[:, :5] + V[:, :5].T


def beta_of(solver):
    return 1.0 if SOLVERS[solver].beta is None else SOLVERS[solver].beta


def convolutive(X, **arguments):
    return nmf.factorize_convolutive(X, **({"n_components": 2, "n_taps": 2} | arguments))


def online(X, **arguments):
    learner = nmf.OnlineNMF(**({"n_components": 2} | arguments))
    return learner.partial_fit(X).encode(X)


def restarts(X, **arguments):
    return nmf.factorize_restarts(X, **({"n_components": 2, "n_restarts": 2} | arguments))


def estimator(X, **arguments):
    return nmf.NMF(**({"n_components": 2, "random_state": 0, "tol": 0} | arguments)).fit(X)


def graph(function):
    return lambda X, **arguments: function(X, **({"n_components": 2} | arguments))


CALLS = {
    "factorize": lambda X, **arguments: nmf.factorize(X, **({"n_components": 2} | arguments)),
    "convolutive": convolutive,
    "tensor": lambda X, **arguments: nmf.factorize_tensor(X, **({"n_components": 2} | arguments)),
    "symmetric": graph(nmf.factorize_symmetric),
    "tri": graph(nmf.factorize_tri),
    "restarts": restarts,
    "rank": nmf.suggest_rank,
    "online": online,
    "estimator": estimator,
}
"""Every way to factorize, of the data and named arguments."""

GOOD = dict.fromkeys(CALLS, V) | {"tensor": np.stack([V, V + 1]), "symmetric": A, "tri": A}

calls = pytest.mark.parametrize("name", CALLS)
solvers = pytest.mark.parametrize("solver", SOLVERS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def never_rises(losses, dtype, data):
    """No rise beyond the slack, or beyond the rounding of a sum over data of this size."""
    noise = 8 * np.finfo(dtype).eps * data
    return np.all(np.diff(losses) <= SLACK[dtype] * np.abs(losses[:-1]) + noise)


def refuses(call, *arguments, match, **named):
    with pytest.raises(ParameterError, match=match) as caught:
        call(*arguments, **named)
    assert str(caught.value).rstrip().endswith((".", "?"))


# Data that cannot be


BAD_DATA = {
    "negative": lambda X: -X,
    "nan": lambda X: X * np.nan,
    "infinite": lambda X: X + np.inf,
    "one nan": lambda X: np.where(X.flat[0] == X, np.nan, X),
    "complex": lambda X: X * 1j,
    "empty": lambda X: X[..., :0],
    "one axis": lambda X: X.ravel(),
    "four axes": lambda X: X.reshape((1,) * (4 - X.ndim) + X.shape),
    "text": lambda X: "abc",
    "texts": lambda X: X.astype(str),
    "nothing": lambda X: None,
    "ragged": lambda X: [[1.0, 2.0], [3.0]],
    "dates": lambda X: X.astype(int).astype("M8[s]"),
}


@calls
@pytest.mark.parametrize("kind", BAD_DATA)
def test_data_that_cannot_be(name, kind):
    if name == "estimator" and kind in ("text", "texts", "nothing", "dates", "ragged"):
        # scikit-learn asks for what NumPy raises, and for text that holds numbers to be read.
        return
    refuses(CALLS[name], BAD_DATA[kind](GOOD[name]), match=r"\w+ \w+")


BAD_ARGUMENTS = {
    "n_components": [0, -1, True, 2.5, "2", [2], np.array([2])],
    "max_iter": [-1, True, 1.5, None, "3"],
    "tol": [-1.0, np.nan, None, "small", np.ones(2)],
    "seed": [-1, 1.5, "1", None],
    "beta": ["KL", np.nan, 5.0, None, [1.0], 1j],
    "n_threads": [0, -1, 1.5, "2"],
    "solver": ["magic", None, ["mu"]],
    "init": ["magic", ["random"], np.ones(2)],
    "n_taps": [0, 1.5, True],
    "n_restarts": [0, 1.5],
    "compare": ["magic", ["templates"]],
    "method": ["magic", ["ard"], None],
    "detail": [0.0, -1.0, np.nan, "fine", None],
    "candidates": [[], 3, [3, 2], [0, 1], [1.5], "ab"],
    "max_frames": [1, 2.5],
    "forget_factor": [0.0, 1.1, np.nan, "half", None],
    "n_inner": [0, 1.5],
    "n_passes": [0, True],
    "adapt": [0.0, -1.0, np.inf, "fast"],
    "loss_every": [0, 1.5],
}
TAKES = {
    "factorize": "n_components max_iter tol seed beta n_threads solver init loss_every",
    "convolutive": "n_components max_iter tol seed beta n_threads solver n_taps adapt",
    "tensor": "n_components max_iter tol seed beta n_threads solver",
    "symmetric": "n_components max_iter tol seed beta",
    "tri": "n_components max_iter tol seed beta",
    "restarts": "n_components max_iter tol beta n_threads solver init n_restarts compare",
    "rank": "beta n_threads method detail candidates max_frames",
    "online": "n_components seed beta n_threads forget_factor n_inner n_passes",
    "estimator": "max_iter tol n_threads solver init",
}


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        pytest.param(name, argument, value, id=f"{name}-{argument}-{value!r}")
        for name, arguments in TAKES.items()
        for argument in arguments.split()
        for value in BAD_ARGUMENTS[argument]
        if not (name == "estimator" and argument == "init" and not isinstance(value, str))
    ],
)
def test_arguments_that_cannot_be(name, argument, value):
    more = {"templates": np.ones((5, 2, 2))} if argument == "adapt" else {}
    # The message names what is wrong.
    word = "candidate" if argument == "candidates" else argument
    refuses(CALLS[name], GOOD[name], match=word, **({argument: value} | more))


@pytest.mark.parametrize("value", [[1.0], "KL", np.nan, 9])
def test_a_divergence_that_cannot_be_of_the_estimator(value):
    refuses(estimator, V, match="beta", solver="mu", beta_loss=value)


@pytest.mark.parametrize("solver", ONLY_EUCLIDEAN)
@pytest.mark.parametrize("beta", [0.0, 1.0, "kl", 1.999, 2.5])
def test_solvers_refuse_other_divergences(solver, beta):
    refuses(nmf.factorize, V, 2, solver=solver, beta=beta, match=f"{solver}.* only defined for")


@pytest.mark.parametrize("solver", REFUSING_WEIGHTS)
def test_solvers_refuse_weights(solver):
    refuses(nmf.factorize, V, 2, solver=solver, beta=2, weights=V, match="takes no weights; use mu")


PENALTIES = {
    "L1": nmf.L1(0.1),
    "L2": nmf.L2(0.1),
    "Smoothness": nmf.Smoothness(0.1),
    "Orthogonality": nmf.Orthogonality(0.1),
    "Decorrelation": nmf.Decorrelation(0.1),
    "GroupSparsity": nmf.GroupSparsity([[0, 1]], 0.1),
    "Relevance": nmf.Relevance(0.1),
}


@solvers
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("factor", ["template", "activation"])
@dtypes
def test_penalties_are_refused_or_lower_the_objective(solver, penalty, factor, dtype):
    arguments = {
        f"{factor}_penalties": [PENALTIES[penalty]],
        "solver": solver,
        "beta": beta_of(solver),
        "hold_level": SOLVERS[solver].beta is None,
        "max_iter": 20,
        "tol": 0,
    }
    known = SOLVERS[solver].penalties
    if known is not None and penalty not in known:
        refuses(nmf.factorize, V, 2, match=f"cannot handle {penalty}; use mu", **arguments)
        return
    got = nmf.factorize(V.astype(dtype), 2, **arguments)
    assert never_rises(got.losses, dtype, got.losses[0])
    assert got.losses[-1] < got.losses[0]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nmf.L1([[1.0], [1.0, 2.0]]), "strength of L1"),
        (lambda: nmf.L1(np.ones((2, 2))), "strength of L1"),
        (lambda: nmf.L2("much"), "strength of L2"),
        (lambda: nmf.L2([]), "strength of L2"),
        (lambda: nmf.Smoothness(-1.0), "strength of Smoothness"),
        (lambda: nmf.Orthogonality(np.nan), "strength of Orthogonality"),
        (lambda: nmf.Decorrelation(1e13), "strength of Decorrelation"),
        (lambda: nmf.Relevance(1.0, floor=0.0), "floor"),
        (lambda: nmf.Relevance(1.0, floor="low"), "floor"),
        (lambda: nmf.GroupSparsity("ab", 1.0), "groups"),
        (lambda: nmf.GroupSparsity(3, 1.0), "groups"),
        (lambda: nmf.GroupSparsity([[0.5]], 1.0), "groups"),
        (lambda: nmf.GroupSparsity([[0], []], 1.0), "groups"),
        (lambda: nmf.GroupSparsity([[0]], 1.0, shape="round"), "shape"),
        (lambda: nmf.Prior(np.ones(3), 1.0), "target"),
        (lambda: nmf.Prior([[1.0], [1.0, 2.0]], 1.0), "target"),
        (lambda: nmf.Prior([[np.inf]], 1.0), "target"),
        (lambda: nmf.harmonic_combs([[60], [60, 61]], 8000, 512), "pitches"),
        (lambda: nmf.beta_divergence(np.ones(3), np.ones(4)), "shape"),
        (lambda: nmf.beta_divergence(np.ones((3, 1)), np.ones(4)), "shape"),
        (lambda: nmf.beta_divergence(-np.ones(3), np.ones(3)), "negative"),
    ],
)
def test_parts_that_cannot_be(make, word):
    refuses(make, match=word)


BAD_FACTORS = {
    "templates": [np.ones(5), np.ones((2, 5)), -np.ones((5, 2)), np.full((5, 2), np.nan), "ab",
                  [[1.0], [1.0, 2.0]], np.ones((5, 2)) * 1j],
    "activations": [np.ones((7, 2)), np.full((2, 7), np.inf), np.ones((1, 2, 7))],
    "weights": [1.0, V.T, -V, V * np.nan, V * 1j, "ab"],
    "fixed_templates": [1, [1, 0], "ab", np.ones((2, 5), bool), [[True], [True, False]], None],
    "fixed_activations": [np.ones(7, bool), 0.5],
    "gated_templates": [True, np.ones((5, 2)), np.ones((2, 5), bool), [[True], [True, False]]],
    "gated_activations": [np.ones((7, 2), bool), np.zeros((2, 7), int)],
    "template_penalties": [None, 0.1, "L1", [nmf.L1], [0.1]],
    "activation_penalties": [nmf.L1([1.0, 2.0, 3.0]), nmf.GroupSparsity([[2]], 1.0),
                             nmf.Prior(np.ones((2, 6)), 1.0)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        pytest.param(argument, value, id=f"{argument}{i}")
        for argument, values in BAD_FACTORS.items()
        for i, value in enumerate(values)
    ],
)
def test_factors_and_flags_that_cannot_be(argument, value):
    given = {"templates": np.ones((5, 2)), "activations": np.ones((2, 7))}
    refuses(nmf.factorize, V, 2, match=r"\w+ \w+", **(given | {argument: value}))


def test_a_mask_is_not_forgotten():
    masked = np.ma.masked_greater(V, 1.0)
    refuses(nmf.factorize, masked, 2, match="mask")


# Shapes, layouts, types


@solvers
@dtypes
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
@pytest.mark.parametrize("K", [1, 12])
def test_small_shapes_with_every_solver(solver, dtype, shape, K):
    X = np.random.default_rng(2).uniform(0.3, 2.0, shape).astype(dtype)
    got = nmf.factorize(X, K, solver=solver, beta=beta_of(solver), max_iter=60, tol=0)
    assert got.templates.shape == (shape[0], K)
    assert got.activations.shape == (K, shape[1])
    assert np.isfinite(got.losses).all()
    if min(shape) == 1 or K > 1:
        np.testing.assert_allclose(got.model(), X, rtol=0.05)


@solvers
@dtypes
@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("silent", ["rows", "columns", "all", "all but one"])
def test_silence_with_every_solver_and_start(solver, dtype, init, silent):
    X = V.astype(dtype)
    if silent == "rows":
        X[1:3] = 0
    elif silent == "columns":
        X[:, 2:6] = 0
    else:
        X *= 0
        X[2, 3] = 3.0 if silent == "all but one" else 0
    got = nmf.factorize(X, 3, solver=solver, beta=beta_of(solver), init=init, max_iter=15, tol=0)
    assert np.isfinite(got.templates).all()
    assert np.isfinite(got.activations).all()
    assert never_rises(got.losses, dtype, X.sum())
    assert (got.stop is Stop.SILENT) == (silent == "all")
    if silent == "all":
        assert not got.activations.any()


@calls
@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float16", "list"])
def test_other_types_are_as_good_as_float64(name, kind):
    whole = np.floor(2 * GOOD[name])
    whole = np.minimum(whole, 1) if kind == "bool" else whole
    given = whole.tolist() if kind == "list" else whole.astype(kind)
    few = {} if name in ("rank", "online") else {"max_iter": 3}
    results = [facts(CALLS[name](X, **few)) for X in (given, whole)]
    assert results[0] == results[1]


def facts(result):
    """All numbers of a result as bytes."""
    if isinstance(result, np.ndarray):
        return result.tobytes()
    if isinstance(result, (nmf.Restarts, nmf.RankSuggestion)):
        return str(getattr(result, "losses", getattr(result, "curve", None)).tolist())
    parts = ("gains", "templates", "activations", "memberships", "links", "components_", "losses")
    found = [getattr(result, part, None) for part in parts]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in found if part is not None)


@calls
@dtypes
def test_layouts_and_read_only_data_are_as_good(name, dtype):
    X = GOOD[name].astype(dtype)
    few = {} if name in ("rank", "online") else {"max_iter": 3}
    wide = np.zeros((*X.shape[:-1], 2 * X.shape[-1]), dtype)
    wide[..., ::2] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    want = facts(CALLS[name](X.copy(), **few))
    for other in (np.asfortranarray(X), wide[..., ::2], X[::-1].copy()[::-1], frozen):
        before = other.tobytes()
        got = facts(CALLS[name](other, **few))
        assert other.tobytes() == before
        assert got == want


# Scale


@solvers
@dtypes
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_any_scale_with_every_solver(solver, dtype, scale):
    arguments = {"solver": solver, "beta": beta_of(solver), "max_iter": 5, "tol": 0}
    one = nmf.factorize(V.astype(dtype), 2, **arguments)
    other = nmf.factorize(V.astype(dtype) * dtype(scale), 2, **arguments)
    close = {np.float32: 2e-3, np.float64: 1e-7}[dtype]
    np.testing.assert_allclose(other.templates, one.templates, rtol=close, atol=close)
    np.testing.assert_allclose(
        other.activations.astype(float) / scale, one.activations, rtol=close, atol=close
    )


@pytest.mark.parametrize("name", ["convolutive", "tensor", "symmetric", "tri", "estimator"])
@dtypes
@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-40, 2.0**40, 2.0**100])
def test_any_scale_with_other_models(name, dtype, scale):
    X = GOOD[name].astype(dtype)
    one, other = (CALLS[name](X * dtype(factor), max_iter=5) for factor in (1.0, scale))
    which = {"estimator": "components_", "symmetric": "memberships", "tri": "memberships"}
    x, y = (getattr(r, which.get(name, "templates")).astype(float) for r in (one, other))
    level = np.sqrt(scale) if name == "symmetric" else 1.0
    close = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    np.testing.assert_allclose(y / level, x, rtol=close, atol=close * x.max())


@pytest.mark.parametrize("function", [nmf.factorize_symmetric, nmf.factorize_tri])
@pytest.mark.parametrize("beta", [1, 2])
@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_graphs_of_any_scale(function, beta, scale):
    got = function(A * scale, 2, beta=beta, max_iter=5)
    assert np.isfinite(got.memberships).all()
    np.testing.assert_allclose(got.model().sum(), scale * A.sum(), rtol=0.2)


@pytest.mark.parametrize("solver", ["mu", "accelerated", "hals"])
@pytest.mark.parametrize(
    "start",
    [
        {"templates": np.full((5, 2), 1e-40, np.float32)},
        {"templates": np.full((5, 2), 1e30, np.float32)},
        {"activations": np.full((2, 7), 1e30, np.float32)},
        {"activations": np.full((2, 7), 1e-40, np.float32)},
    ],
)
@pytest.mark.parametrize("level", [1.0, 1e-30])
def test_starts_of_any_level(solver, start, level):
    uneven = {k: x * np.linspace(1, 2, x.size, dtype=np.float32).reshape(x.shape)
              for k, x in start.items()}  # fmt: skip
    X = V.astype(np.float32) * np.float32(level)
    got = nmf.factorize(X, 2, solver=solver, beta=beta_of(solver), max_iter=30, tol=0, **uneven)
    assert np.isfinite(got.losses).all()
    np.testing.assert_allclose(got.model().mean(), X.mean(), rtol=0.3)


def test_data_near_the_largest_number_fit_or_are_refused():
    X = np.full((5, 7), 3e38, np.float32)
    try:
        got = nmf.factorize(X, 1, max_iter=5)
    except ParameterError:
        return
    assert np.isfinite(got.activations).all()


# Weights, gates, fixed parts


@pytest.mark.parametrize("solver", ["mu", "accelerated", "joint"])
@dtypes
@pytest.mark.parametrize("level", [1e-30, 1e-12, 1.0, 1e12, 1e30, 3e38])
def test_weights_of_any_level(solver, dtype, level):
    G = (V > 0.5) * np.linspace(0.5, 1.0, V.size).reshape(V.shape)
    arguments = {"solver": solver, "max_iter": 5, "tol": 0}
    one = nmf.factorize(V.astype(dtype), 2, weights=G, **arguments)
    other = nmf.factorize(V.astype(dtype), 2, weights=G * level, **arguments)
    np.testing.assert_allclose(other.templates, one.templates, rtol=2e-3)
    np.testing.assert_allclose(other.losses / level, one.losses, rtol=2e-3)


@pytest.mark.parametrize("name", ["factorize", "convolutive", "tensor"])
@pytest.mark.parametrize("beta", [0, 1, 2])
def test_one_observed_entry_is_met(name, beta):
    X = GOOD[name]
    weights = np.zeros(X.shape)
    weights.flat[3] = 1.0
    got = CALLS[name](X, weights=weights, beta=beta, max_iter=100, tol=0)
    assert got.model().flat[3] == pytest.approx(X.flat[3], rel=1e-6)


@pytest.mark.parametrize("name", ["convolutive", "tensor"])
def test_nothing_observed_is_silence(name):
    got = CALLS[name](GOOD[name], weights=np.zeros(GOOD[name].shape))
    assert got.stop is Stop.SILENT
    assert not got.activations.any()


@solvers
@dtypes
def test_gates_stay_shut_with_every_solver(solver, dtype):
    rng = np.random.default_rng(3)
    gates = {
        "gated_templates": rng.random((5, 4)) < 0.4,
        "gated_activations": rng.random((4, 7)) < 0.4,
    }
    got = nmf.factorize(
        V.astype(dtype), 4, solver=solver, beta=beta_of(solver), max_iter=20, tol=0, **gates
    )
    assert not got.templates[gates["gated_templates"]].any()
    assert not got.activations[gates["gated_activations"]].any()
    assert never_rises(got.losses, dtype, V.sum())


@solvers
def test_everything_gated_is_silence(solver):
    got = nmf.factorize(
        V, 2, solver=solver, beta=beta_of(solver), max_iter=3, gated_templates=np.ones((5, 2), bool)
    )
    assert not got.templates.any()
    assert np.isfinite(got.losses).all()


@pytest.mark.parametrize("factor", ["templates", "activations"])
def test_an_entry_that_is_gated_and_fixed_is_refused_or_zero(factor):
    given = {"templates": np.ones((5, 2)), "activations": np.ones((2, 7))}
    gates = np.zeros(given[factor].shape, bool)
    gates[1, 1] = True
    try:
        got = nmf.factorize(V, 2, max_iter=2, **given,
                            **{f"fixed_{factor}": True, f"gated_{factor}": gates})  # fmt: skip
    except ParameterError:
        return
    assert getattr(got, factor)[1, 1] == 0


@solvers
@dtypes
def test_fixed_entries_come_back_with_every_solver(solver, dtype):
    rng = np.random.default_rng(4)
    W, H = rng.random((5, 3)).astype(dtype), rng.random((3, 7)).astype(dtype)
    fixed = {
        "fixed_templates": rng.random((5, 3)) < 0.4,
        "fixed_activations": rng.random((3, 7)) < 0.4,
    }
    before = W.tobytes(), H.tobytes()
    got = nmf.factorize(
        V.astype(dtype), solver=solver, beta=beta_of(solver), max_iter=9, tol=0,
        templates=W, activations=H, **fixed,
    )  # fmt: skip
    assert (W.tobytes(), H.tobytes()) == before
    assert np.array_equal(got.templates[fixed["fixed_templates"]], W[fixed["fixed_templates"]])
    assert np.array_equal(
        got.activations[fixed["fixed_activations"]], H[fixed["fixed_activations"]]
    )
    assert never_rises(got.losses, dtype, V.sum())


# Seeds, threads, no iterations


@pytest.mark.parametrize(
    "name", ["factorize", "convolutive", "tensor", "symmetric", "tri", "online"]
)
def test_seeds_of_every_kind(name):
    few = {} if name == "online" else {"max_iter": 2}
    results = [CALLS[name](GOOD[name], seed=seed, **few) for seed in (3, np.int64(3), np.uint8(3))]
    assert facts(results[0]) == facts(results[1]) == facts(results[2])
    drawn = CALLS[name](GOOD[name], seed=np.random.default_rng(3), **few)
    assert facts(drawn) == facts(results[0])
    if hasattr(drawn, "seed"):
        assert [r.seed for r in results] == [3, 3, 3]
        assert drawn.seed is None


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "mu"])
@dtypes
def test_threads_change_no_byte(solver, dtype):
    X = np.random.default_rng(5).random((3, 2700)).astype(dtype)
    results = [
        facts(nmf.factorize(X, 2, solver=solver, beta=beta_of(solver), max_iter=3, n_threads=n))
        for n in (1, 2, 3, 5)
    ]
    assert len(set(results)) == 1


@pytest.mark.parametrize("name", ["convolutive", "tensor", "online", "restarts"])
def test_threads_change_no_byte_of_other_models(name):
    X = np.random.default_rng(6).random((3, 2700)).astype(np.float32)
    X = X[np.newaxis] if name == "tensor" else X
    few = {} if name == "online" else {"max_iter": 2}
    results = [facts(CALLS[name](X, n_threads=n, **few)) for n in (1, 2, 5)]
    assert results[0] == results[1] == results[2]


@solvers
@pytest.mark.parametrize("init", STARTS)
def test_no_iterations_with_every_solver_and_start(solver, init):
    got = nmf.factorize(V, 3, solver=solver, beta=beta_of(solver), init=init, max_iter=0)
    assert (got.n_iter, got.losses.shape, got.stop) == (0, (1,), Stop.MAX_ITER)
    want = nmf.beta_divergence(V, np.maximum(got.model(), 1e-12), beta_of(solver))
    assert got.losses[0] == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("name", ["convolutive", "tensor", "symmetric", "tri"])
def test_no_iterations_of_other_models(name):
    got = CALLS[name](GOOD[name], max_iter=0)
    assert (got.n_iter, got.losses.shape, got.stop) == (0, (1,), Stop.MAX_ITER)
    want = nmf.beta_divergence(GOOD[name], got.model(), got.beta)
    assert got.losses[0] == pytest.approx(want, rel=1e-9)


# Losses that must not rise


@pytest.mark.parametrize("beta", [1 + 1e-12, 1 - 1e-9, 1e-12, -1e-9, 2 + 1e-9])
@pytest.mark.parametrize("solver", ["mu", "accelerated", "joint"])
def test_divergences_close_to_the_named_ones(solver, beta):
    X = np.random.default_rng(0).gamma(0.5, size=(12, 40))
    got = nmf.factorize(X, 3, beta=beta, solver=solver, max_iter=150, tol=0)
    assert never_rises(got.losses, np.float64, X.sum())
    named = nmf.factorize(X, 3, beta=round(beta), solver=solver, max_iter=3, tol=0)
    np.testing.assert_allclose(got.losses[:3], named.losses[:3], rtol=1e-6)


@pytest.mark.parametrize("beta", [1 + 1e-12, 1 - 1e-12, 1e-12, -1e-12, 1 + 1e-6])
def test_beta_divergence_close_to_the_named_ones(beta):
    X, model = V, V[::-1]
    want = nmf.beta_divergence(X, model, round(beta))
    assert nmf.beta_divergence(X, model, beta) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("seed", [32, 188, 248, 317])
@pytest.mark.parametrize("solver", ["hals", "accelerated-hals"])
def test_held_templates_of_vanishing_components(solver, seed):
    rng = np.random.default_rng(seed)
    n_bins, n_frames, K = (int(n) for n in rng.integers(1, 8, 3))
    X = rng.gamma(0.3, size=(n_bins, n_frames))
    penalty = nmf.L1(float(10.0 ** rng.uniform(-2, 0)))
    arguments = {"beta": 2, "solver": solver, "activation_penalties": [penalty], "seed": seed}
    if "w" not in SOLVERS[solver].holds:
        refuses(nmf.factorize, X, K, match="hold_level=False", **arguments)
        return
    got = nmf.factorize(X, K, max_iter=60, tol=0, **arguments)
    assert never_rises(got.losses, np.float64, (X**2).sum())


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("solver", ["mu", "accelerated", "joint"])
def test_uneven_weights_of_sparse_data(solver, beta):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.gamma(0.5, size=(7, 23)) * (rng.random((7, 23)) < 0.1)
        X[0, 0] = 1.0
        G = 10.0 ** rng.uniform(-4, 4, X.shape) * (rng.random(X.shape) < 0.6)
        got = nmf.factorize(X, 2, beta=beta, solver=solver, weights=G, max_iter=60, tol=0)
        noise = 1e-13 * got.losses[0]
        assert np.all(np.diff(got.losses) <= 1e-10 * got.losses[:-1] + noise), seed


@dtypes
@pytest.mark.parametrize("alpha", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_strong_penalties_are_never_worse_than_nothing(dtype, alpha, l1_ratio, solver):
    X = np.random.default_rng(0).gamma(0.5, size=(12, 40)).T.astype(dtype)
    model = nmf.NMF(3, solver=solver, alpha_W=alpha, l1_ratio=l1_ratio, random_state=0, tol=0)
    W, C = model.fit_transform(X).astype(float), model.components_.astype(float)
    sizes = [l1_ratio * x.sum() + (1 - l1_ratio) * 0.5 * (x**2).sum() for x in (W, C)]
    penalties = alpha * (X.shape[1] * sizes[0] + X.shape[0] * sizes[1])
    nothing = 0.5 * float((X.astype(float) ** 2).sum())
    assert 0.5 * ((X - W @ C) ** 2).sum() + penalties <= nothing * (1 + 1e-5)
