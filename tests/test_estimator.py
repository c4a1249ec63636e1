"""The scikit-learn face of the factorization: its interface, its objective, its company."""

from __future__ import annotations

import inspect
import math
import pickle
import subprocess
import sys
import warnings
from types import SimpleNamespace

import librosa.decompose
import naive
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.decomposition
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_checks

from audiosep.errors import AudiosepError, ParameterError
from audiosep.nmf.estimator import NMF
from audiosep.nmf.estimator_settings import divergence_of

NEEDS_MORE = {"check_array_api_input"}
"""Only runs where SCIPY_ARRAY_API is set before SciPy is imported, and passes there. All other
checks are made, and none is expected to fail."""

BY_NAME = (
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_set_output_transform",
)
"""Checks that scikit-learn only makes of its own estimators."""


def checks():
    with warnings.catch_warnings():
        # It wants BaseEstimator as a parent, and makes all checks without.
        warnings.filterwarnings("ignore", message=".*does not inherit from")
        for estimator, check in estimator_checks.estimator_checks_generator(NMF(max_iter=500)):
            name = check.func.__name__
            if name not in NEEDS_MORE:
                given = "-".join(f"{k}={v}" for k, v in check.keywords.items())
                yield pytest.param(estimator, check, id=f"{name}-{given}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_what_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BY_NAME)
def test_what_scikit_learn_checks_of_its_own(name):
    getattr(estimator_checks, name)("NMF", NMF(max_iter=500))


def exact_data(rng, n_samples=30, n_features=20, K=4, noise=0.01):
    X = rng.gamma(0.3, size=(n_samples, K)) @ rng.gamma(0.3, size=(K, n_features))
    return X + noise * rng.random(X.shape)


def objective(X, W, C, beta, alpha_W, alpha_H, l1_ratio):
    """As scikit-learn writes it, in loops; 0.5 ||X - WC||² is the beta-divergence for beta 2."""
    total = naive.beta_divergence(X, W @ C, beta)
    for factor, alpha, n in ((W, alpha_W, X.shape[1]), (C, alpha_H, X.shape[0])):
        for x in factor.ravel():
            total += alpha * n * (l1_ratio * abs(x) + 0.5 * (1 - l1_ratio) * x * x)
    return total


def quiet(model, method, *arguments, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(model, method)(*arguments, **named)


def test_parameters_are_those_of_scikit_learn():
    ours = inspect.signature(NMF).parameters
    theirs = inspect.signature(sklearn.decomposition.NMF).parameters
    assert {name: p.default for name, p in theirs.items()}.items() <= {
        name: p.default for name, p in ours.items()
    }.items()
    assert [p.kind for p in theirs.values()] == [ours[name].kind for name in theirs]
    assert set(ours) - set(theirs) == {"forget_factor", "n_threads"}
    batches = inspect.signature(sklearn.decomposition.MiniBatchNMF).parameters
    assert ours["forget_factor"].default == batches["forget_factor"].default
    for name in ("fit_transform", "transform", "inverse_transform"):
        theirs = list(inspect.signature(getattr(sklearn.decomposition.NMF, name)).parameters)
        assert list(inspect.signature(getattr(NMF, name)).parameters) == theirs, name


# Not below one: there 1e-7, which scikit-learn adds to its model, begins to show.
@pytest.mark.parametrize("level", [1.0, 30.0, 1e3])
@pytest.mark.parametrize(
    ("beta", "alphas", "l1_ratio"),
    [
        (2.0, (0.0, 0.0), 0.0),
        (2.0, (0.02, 0.0), 0.5),
        (2.0, (0.0, 0.02), 0.5),
        (2.0, (0.02, 0.0), 0.0),
        (1.0, (0.02, 0.0), 1.0),
        (1.0, (0.0, 0.02), 1.0),
        (1.5, (0.0, 0.02), 1.0),
        (0.0, (0.02, 0.0), 1.0),
    ],
)
def test_iterates_are_those_of_scikit_learn(rng, beta, alphas, l1_ratio, level):
    # Where both make the same multiplicative updates, every number of the objective shows.
    X = exact_data(rng) * level
    strength = X.mean() ** (beta - 1.0)
    W0, C0 = np.sqrt(level) * rng.random((30, 4)), np.sqrt(level) * rng.random((4, 20))
    parameters = {
        "n_components": 4,
        "init": "custom",
        "solver": "mu",
        "beta_loss": beta,
        "tol": 0.0,
        "max_iter": 5,
        "alpha_W": alphas[0] * strength,
        "alpha_H": alphas[1] * strength,
        "l1_ratio": l1_ratio,
    }
    theirs = sklearn.decomposition.NMF(**parameters)
    W = theirs.fit_transform(X, W=W0.copy(), H=C0.copy())
    ours = NMF(**parameters)
    got = ours.fit_transform(X, W=W0, H=C0)
    np.testing.assert_allclose(got @ ours.components_, W @ theirs.components_, rtol=1e-6)
    if any(alphas):  # else levels are free, and ours are such that components sum to one
        np.testing.assert_allclose(got, W, rtol=1e-6)
        np.testing.assert_allclose(ours.components_, theirs.components_, rtol=1e-6)
    else:
        np.testing.assert_allclose(ours.components_.sum(axis=1), 1.0)
    assert math.isclose(ours.reconstruction_err_, theirs.reconstruction_err_, rel_tol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_ == 5


@pytest.mark.parametrize("level", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_objective_is_at_least_as_low_as_scikit_learns(rng, solver, l1_ratio, level):
    X = exact_data(rng) * level
    alpha_W, alpha_H = 1e-3 * X.mean(), 2e-3 * X.mean()
    W0, C0 = np.sqrt(level) * rng.random((30, 4)), np.sqrt(level) * rng.random((4, 20))
    parameters = {
        "n_components": 4,
        "init": "custom",
        "solver": solver,
        "tol": 0.0,
        "max_iter": 200 if solver == "cd" else 2000,
        "alpha_W": alpha_W,
        "alpha_H": alpha_H,
        "l1_ratio": l1_ratio,
    }
    theirs = sklearn.decomposition.NMF(**parameters)
    W = theirs.fit_transform(X, W=W0.copy(), H=C0.copy())
    ours = NMF(**parameters)
    got = ours.fit_transform(X, W=W0, H=C0)
    terms = (2.0, alpha_W, alpha_H, l1_ratio)
    reached = objective(X, got, ours.components_, *terms)
    assert reached <= 1.001 * objective(X, W, theirs.components_, *terms)
    # No level of a component is better, and no small step of one entry.
    for k in range(4):
        for factor in (0.97, 1.03):
            W2, C2 = got.copy(), ours.components_.copy()
            W2[:, k] *= factor
            C2[k] /= factor
            assert objective(X, W2, C2, *terms) >= reached * (1 - 1e-6)


def test_the_slower_of_two_updates_ends_at_the_same_objective(rng):
    # Squares with another divergence: scikit-learn's updates are longer, and not proven to fall.
    X = exact_data(rng)
    W0, C0 = rng.random((30, 4)), rng.random((4, 20))
    parameters = {
        "n_components": 4,
        "init": "custom",
        "solver": "mu",
        "beta_loss": "kullback-leibler",
        "tol": 0.0,
        "max_iter": 3000,
        "alpha_W": 1e-3,
        "alpha_H": 1e-3,
    }
    theirs = sklearn.decomposition.NMF(**parameters)
    W = theirs.fit_transform(X, W=W0.copy(), H=C0.copy())
    ours = NMF(**parameters)
    got = ours.fit_transform(X, W=W0, H=C0)
    terms = (1.0, 1e-3, 1e-3, 0.0)
    ratio = objective(X, got, ours.components_, *terms) / objective(
        X, W, theirs.components_, *terms
    )
    assert 0.9 < ratio < 1.001


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.0, 0.0), (0.01, 0.3)])
def test_transform_is_exact_for_least_squares(rng, dtype, alpha, l1_ratio):
    X = exact_data(rng).astype(dtype)
    model = NMF(4, random_state=0, alpha_W=alpha, l1_ratio=l1_ratio)
    fitted = quiet(model, "fit_transform", X)
    new = exact_data(rng, n_samples=7).astype(dtype)
    got = model.transform(new)
    assert got.dtype == fitted.dtype == model.components_.dtype == dtype
    C = model.components_.astype(float)
    l1, l2 = 20 * alpha * l1_ratio, 20 * alpha * (1 - l1_ratio)
    # ½‖x - wC‖² + l1 Σw + ½ l2 Σw² as one problem of non-negative least squares.
    curvature = C @ C.T + l2 * np.eye(4)
    root = np.linalg.cholesky(curvature).T
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    for x, w in zip(new.astype(float), got, strict=True):
        wanted, _ = scipy.optimize.nnls(root, np.linalg.solve(root.T, C @ x - l1))
        np.testing.assert_allclose(w, wanted, atol=tolerance * wanted.max())
    np.testing.assert_allclose(
        model.transform(X), fitted, rtol=tolerance, atol=tolerance * fitted.max()
    )
    np.testing.assert_array_equal(model.inverse_transform(got), got @ model.components_)


@pytest.mark.parametrize("beta", ["kullback-leibler", "itakura-saito", 0.5])
def test_transform_with_other_divergences_lowers_the_objective(rng, beta):
    X = exact_data(rng) + 0.01
    model = NMF(4, solver="accelerated", beta_loss=beta, tol=1e-7, max_iter=2000, random_state=0)
    fitted = quiet(model, "fit_transform", X)
    number = {"kullback-leibler": 1.0, "itakura-saito": 0.0}.get(beta, beta)
    got = quiet(model, "transform", X)
    before = naive.beta_divergence(X, fitted @ model.components_, number)
    assert math.isclose(model.reconstruction_err_, math.sqrt(2 * before), rel_tol=1e-6)
    after = naive.beta_divergence(X, got @ model.components_, number)
    assert after <= before * 1.001
    np.testing.assert_array_equal(got, quiet(model, "transform", X))


@pytest.mark.parametrize("level", [1.0, 1e-6])
@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_error_is_finite_where_the_model_is_zero(rng, beta, level):
    X = exact_data(rng) * level
    X[3, 4] = 0.0
    W0, C0 = rng.random((30, 4)), rng.random((4, 20))
    C0[:, 2] = 0.0  # stays zero
    model = NMF(4, init="custom", solver="mu", beta_loss=beta, tol=0.0, max_iter=3)
    W = model.fit_transform(X, W=W0, H=C0)
    mean = X.mean()
    product = np.maximum(W @ model.components_, 1e-12 * mean)
    data = np.maximum(X, 1e-9 * mean) if beta == 0.0 else X
    wanted = math.sqrt(2 * naive.beta_divergence(data, product, beta))
    assert math.isclose(model.reconstruction_err_, wanted, rel_tol=1e-9)


@pytest.mark.parametrize("init", [None, "random", "nndsvd", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize("solver", ["cd", "mu", "accelerated", "accelerated-hals", "als"])
def test_every_start_and_solver(rng, init, solver):
    X = exact_data(rng)
    model = NMF(4, init=init, solver=solver, random_state=3)
    W = quiet(model, "fit_transform", X)
    assert W.shape == (30, 4)
    assert model.components_.shape == (4, 20)
    assert W.min() >= 0
    assert model.components_.min() >= 0
    assert model.reconstruction_err_ < (0.5 if init == "nndsvd" else 0.2) * np.linalg.norm(X)
    residual = np.linalg.norm(X - model.inverse_transform(W))
    assert math.isclose(model.reconstruction_err_, residual, rel_tol=1e-6)


def test_number_of_components(rng):
    X = rng.random((5, 3))
    for n_components in ("auto", None):
        assert quiet(NMF(n_components), "fit", X).n_components_ == 3
    W, C = rng.random((5, 2)), rng.random((2, 3))
    model = quiet(NMF(init="custom"), "fit", X, W=W, H=C)
    assert model.n_components_ == len(model.components_) == 2
    assert list(model.get_feature_names_out()) == ["nmf0", "nmf1"]
    assert quiet(NMF(7, random_state=0), "fit_transform", X).shape == (5, 7)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_seed_decides(rng, shuffle):
    X = exact_data(rng)

    def fitted(random_state, n_threads=None):
        model = NMF(
            3, init="random", random_state=random_state, shuffle=shuffle, n_threads=n_threads
        )
        return quiet(model, "fit_transform", X).tobytes()

    assert fitted(1) == fitted(1, 1) == fitted(1, 2)
    assert fitted(1) != fitted(2)
    assert fitted(np.random.RandomState(5)) == fitted(np.random.RandomState(5))
    assert fitted(np.random.default_rng(5)) == fitted(np.random.default_rng(5))
    np.random.seed(4)  # noqa: NPY002 - what None means to scikit-learn
    first, second = fitted(None), fitted(None)
    np.random.seed(4)  # noqa: NPY002
    assert first == fitted(None) != second


def test_a_shuffled_start_is_put_back(rng):
    X = exact_data(rng)
    W0, C0 = rng.random((30, 4)), rng.random((4, 20))
    parameters = {"n_components": 4, "init": "custom", "solver": "mu", "max_iter": 3, "tol": 0.0}
    for alpha in (0.0, 1e-3):
        plain = NMF(**parameters, alpha_W=alpha)
        W = plain.fit_transform(X, W=W0, H=C0)
        for seed in range(8):  # some orders are their own inverse
            mixed = NMF(**parameters, alpha_W=alpha, shuffle=True, random_state=seed)
            np.testing.assert_allclose(mixed.fit_transform(X, W=W0, H=C0), W, rtol=1e-9)
            np.testing.assert_allclose(mixed.components_, plain.components_, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (3, 4), (1, 1)])
@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "cd"},
        {"solver": "cd", "alpha_W": 0.1, "l1_ratio": 0.5},
        {"solver": "mu", "beta_loss": 1.0, "alpha_W": 0.1, "alpha_H": 0.0},
        {"solver": "mu", "beta_loss": 0.0},
    ],
)
def test_hostile_data(rng, shape, level, dtype, parameters):
    X = (rng.random(shape) * level).astype(dtype)
    X[0, 0] = 0.0
    kept = X.copy()
    model = NMF(3, max_iter=20, random_state=0, **parameters)
    for data in (X, np.zeros_like(X)):
        W = quiet(model, "fit_transform", data)
        again = quiet(model, "transform", data)
        for x in (W, again, model.components_):
            assert x.dtype == dtype
            assert np.isfinite(x).all()
            assert (x >= 0).all()
        assert np.isfinite(model.reconstruction_err_)
    assert not W.any()
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize(("level", "dtype"), [(1, "f8"), (1e20, "f8"), (1e-20, "f8"), (1e12, "f4")])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("solver", "beta", "slack"),
    [
        ("cd", 2.0, 1e-6),
        ("accelerated-hals", 2.0, 1e-6),
        ("als", 2.0, 1e-6),
        ("projected-gradient", 2.0, 1e-6),
        ("mu", 2.0, 1e-6),
        ("mu", 1.0, 0.05),  # divergences from zeros are what the least model makes them
    ],
)
@pytest.mark.filterwarnings("ignore:Not converged")
def test_however_strong_the_penalties_nothing_is_worse_than_zeros(
    solver, beta, slack, l1_ratio, level, dtype
):
    X = (np.random.default_rng(0).gamma(0.5, size=(12, 40)).T * level).astype(dtype)
    alphas = ((1.0, "same"), (1e3, "same"), (1e20, "same"), (1e20, 0.0), (0.0, 1e20), (1e-3, 1e10))
    for alpha_W, alpha_H in alphas:
        model = NMF(3, solver=solver, beta_loss=beta, random_state=0, max_iter=50)
        model.set_params(alpha_W=alpha_W, alpha_H=alpha_H, l1_ratio=l1_ratio)
        fitted = model.fit_transform(X)
        C = model.components_.astype(float)
        strengths = alpha_W, alpha_W if alpha_H == "same" else alpha_H
        zeros = divergence_of(X, np.zeros_like(fitted), np.zeros_like(C), beta)
        for W in (fitted.astype(float), model.transform(X).astype(float)):
            total = divergence_of(X, W, C, beta)
            for factor, alpha, n in ((W, strengths[0], 12), (C, strengths[1], 40)):
                total += alpha * n * l1_ratio * factor.sum()
                total += alpha * n * (1.0 - l1_ratio) * (factor**2).sum() / 2.0
            assert total <= (1.0 + slack) * zeros


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_penalties_nothing_can_outweigh_leave_nothing(l1_ratio):
    X = np.random.default_rng(0).gamma(0.5, size=(12, 40)).T
    model = NMF(3, alpha_W=1000.0, l1_ratio=l1_ratio, random_state=0)
    assert not quiet(model, "fit_transform", X).any()
    assert not model.components_.any()
    assert not model.transform(X).any()


def test_strong_penalties_do_not_depend_on_the_level_of_the_components(rng):
    """The exact W of components far from level one, which a limit on strengths must not touch."""
    X = exact_data(rng)
    model = NMF(3, random_state=0, alpha_W=0.01, alpha_H=0.0, tol=0.0).fit(X)
    for power in (-60, 60):
        model.set_params(alpha_W=math.ldexp(0.01, 2 * power))
        model.components_ = np.ldexp(model.components_, power)
        W = model.transform(X)
        C = model.components_
        want = [
            scipy.optimize.nnls(
                np.vstack([C.T, np.sqrt(model.alpha_W * X.shape[1]) * np.eye(3)]),
                np.append(x, np.zeros(3)),
            )[0]
            for x in X
        ]
        np.testing.assert_allclose(W, want, rtol=1e-6, atol=1e-8 * W.max())
        model.components_ = np.ldexp(model.components_, -power)


@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_sums_that_no_number_can_hold_are_refused(solver):
    X = np.full((6, 30), 3e38, np.float32)
    with pytest.raises(ParameterError, match="X is too large for W to be float32"):
        quiet(NMF(1, solver=solver, random_state=0), "fit", X)


def test_results_scale_with_the_data(rng):
    X = exact_data(rng)
    small, large = (NMF(3, random_state=0) for _ in range(2))
    W = quiet(small, "fit_transform", X)
    np.testing.assert_array_equal(quiet(large, "fit_transform", X * 2.0**30), W * 2.0**30)
    np.testing.assert_array_equal(large.components_, small.components_)


def test_in_place_of_scikit_learns_in_librosa(rng):
    S = exact_data(rng, 129, 60, 6).astype(np.float32)  # bins first
    options = {"n_components": 6, "init": "nndsvda", "random_state": 0}
    theirs = sklearn.decomposition.NMF(**options)
    ours = NMF(**options)
    wanted = quiet(librosa.decompose, "decompose", S, transformer=theirs)
    got = quiet(librosa.decompose, "decompose", S, transformer=ours, fit=True)
    assert [x.shape for x in got] == [x.shape for x in wanted] == [(129, 6), (6, 60)]
    assert [x.dtype for x in got] == [x.dtype for x in wanted]
    errors = [np.linalg.norm(S - W @ H) for W, H in (got, wanted)]
    assert errors[0] < 1.05 * errors[1]
    np.testing.assert_array_equal(got[0], ours.components_.T)

    other = S[:, ::-2]
    W, H = librosa.decompose.decompose(other, transformer=ours, fit=False)
    np.testing.assert_array_equal(W, got[0])
    theirs.components_ = np.ascontiguousarray(W.T)
    _, wanted = quiet(librosa.decompose, "decompose", other, transformer=theirs, fit=False)
    assert H.shape == wanted.shape == (6, 30)
    assert np.linalg.norm(other - W @ H) <= 1.0001 * np.linalg.norm(other - W @ wanted)

    W, H = quiet(librosa.decompose, "decompose", S, transformer=ours, sort=True)
    assert (np.diff(W.argmax(axis=0)) >= 0).all()
    both = np.stack([S, 2 * S])  # channels, bins, frames
    W, H = quiet(librosa.decompose, "decompose", both, transformer=ours)
    assert (W.shape, H.shape) == ((2, 129, 6), (6, 60))
    np.testing.assert_allclose(W[1], 2 * W[0], rtol=0.1, atol=0.02 * W.max())


def test_in_a_pipeline_and_a_search(rng):
    X = exact_data(rng)
    pipe = make_pipeline(MinMaxScaler(clip=True), NMF(random_state=0))
    pipe.set_params(nmf__n_components=2)
    assert quiet(pipe, "fit_transform", X).shape == (30, 2)
    assert list(pipe.get_feature_names_out()) == ["nmf0", "nmf1"]
    assert "NMF" in pipe._repr_html_()

    def score(model, X, _y=None):
        return -np.linalg.norm(X - model.inverse_transform(model.transform(X)))

    search = GridSearchCV(NMF(random_state=0), {"n_components": [1, 4]}, scoring=score, cv=3)
    assert quiet(search, "fit", X).best_params_ == {"n_components": 4}
    assert search.best_estimator_.components_.shape == (4, 20)


def test_copies(rng):
    X = exact_data(rng)
    state = np.random.RandomState(0)
    model = NMF(3, random_state=state, alpha_H=0.1).set_output(transform="default")
    assert repr(clone(model)).startswith("NMF(alpha_H=0.1, n_components=3, random_state=Random")
    assert clone(model).get_params().keys() == model.get_params().keys()
    quiet(model, "fit", X)
    assert not hasattr(clone(model), "components_")
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))
    assert repr(NMF()) == "NMF()"


class Frame:
    """As much of a data frame as matters here."""

    def __init__(self, values, columns, index=None):
        self.values, self.columns, self.index = values, list(columns), index

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_names_of_features(rng):
    X = exact_data(rng, n_features=3)
    model = NMF(2, random_state=0)
    quiet(model, "fit", Frame(X, "abc"))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.get_feature_names_out(["a", "b", "c"]).tolist() == ["nmf0", "nmf1"]
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        model.get_feature_names_out(["a", "b", "d"])
    for columns, message in (
        ("acb", "must be in the same order"),
        ("abd", "unseen at fit time:\n- d\nFeature names seen at fit time, yet now missing:\n- c"),
    ):
        with pytest.raises(ParameterError, match=message):
            model.transform(Frame(X, columns))
    with pytest.warns(UserWarning, match="does not have valid feature names") as caught:
        model.transform(X)
    assert caught[0].filename == __file__
    quiet(model, "fit", X)
    assert not hasattr(model, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        model.transform(Frame(X, "abc"))
    with pytest.raises(TypeError, match="all input features have string names"):
        model.fit(Frame(X, ["a", 1, 2]))
    quiet(model, "fit", Frame(X, [0, 1, 2]))
    assert not hasattr(model, "feature_names_in_")


def test_data_frames_out(rng, monkeypatch):
    X = exact_data(rng, n_features=3)
    made = []

    def polars_frame(values, schema, orient):
        made.append((schema, orient))
        return values

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Frame))
    monkeypatch.setitem(sys.modules, "polars", SimpleNamespace(DataFrame=polars_frame))
    model = NMF(2, random_state=0).set_output(transform="pandas").set_output()
    for result in (
        quiet(model, "fit_transform", Frame(X, "abc", index="rows")),
        model.transform(Frame(X, "abc", index="rows")),
        clone(quiet(model, "fit", Frame(X, "abc"))).fit_transform(Frame(X, "abc", index="rows")),
    ):
        assert (result.columns, result.index) == (["nmf0", "nmf1"], "rows")
    model.set_output(transform="polars").transform(Frame(X, "abc"))
    assert made == [(["nmf0", "nmf1"], "row")]
    with sklearn.config_context(transform_output="polars"):
        quiet(NMF(1), "fit_transform", X)
    assert made[1:] == [(["nmf0"], "row")]
    with pytest.raises(ParameterError, match="transform='csv' is unknown"):
        model.set_output(transform="csv")


def test_batches(rng):
    truth = rng.gamma(0.3, size=(3, 20)) + 0.01
    model = NMF(3, init="random", beta_loss="kullback-leibler", solver="mu", random_state=0)
    for _ in range(40):
        X = rng.gamma(0.3, size=(30, 3)) @ truth
        assert model.partial_fit(X) is model
    assert model.n_steps_ == 40
    assert (model.n_components_, model.n_features_in_) == (3, 20)
    new = rng.gamma(0.3, size=(50, 3)) @ truth
    W = quiet(model, "transform", new)
    assert np.linalg.norm(new - model.inverse_transform(W)) < 0.1 * np.linalg.norm(new)
    copy = pickle.loads(pickle.dumps(model)).partial_fit(new)
    np.testing.assert_array_equal(copy.components_, model.partial_fit(new).components_)

    quiet(model, "fit", new)
    assert not hasattr(model, "n_steps_")
    fitted = model.components_
    model.partial_fit(new)
    assert model.n_steps_ == 1
    assert not hasattr(model, "n_iter_")
    assert 0 < np.abs(model.components_ - fitted).max() < 0.1


def test_batches_begin_where_they_are_told(rng):
    X = exact_data(rng)
    C = rng.random((4, 20))
    C[:, 3] = 0.0  # stays zero
    model = NMF(4, init="custom").partial_fit(X, H=C)
    assert not model.components_[:, 3].any()
    assert model.components_[:, :3].all()
    same = [NMF(4, init=init, random_state=0).partial_fit(X).components_ for init in (None, None)]
    np.testing.assert_array_equal(*same)
    other = NMF(4, init="random", random_state=0).partial_fit(X).components_
    assert np.abs(other - same[0]).max() > 0.01
    with pytest.raises(ParameterError, match="knows no penalties"):
        NMF(4, alpha_W=0.1).partial_fit(X)
    with pytest.raises(ParameterError, match="H is not given"):
        NMF(4, init="custom").partial_fit(X)
    with pytest.raises(ParameterError, match="forget_factor"):
        NMF(4, forget_factor=0.0).partial_fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components=0"),
        ({"n_components": "many"}, "n_components='many'"),
        ({"n_components": 2.0}, "n_components=2.0"),
        ({"init": "best"}, "init 'best' is unknown"),
        ({"solver": "newton"}, "solver 'newton' is unknown; use cd, "),
        ({"beta_loss": 1.0}, "does not handle beta_loss = 1.0"),
        ({"beta_loss": "hinge"}, "beta 'hinge' is unknown"),
        ({"beta_loss": [1]}, r"beta \[1\] is unknown"),
        ({"solver": ["mu"]}, r"solver \['mu'\] is unknown"),
        ({"init": ["random"]}, r"init \['random'\] is unknown"),
        ({"verbose": "a"}, "verbose='a' must be a whole number"),
        ({"verbose": None}, "verbose=None must be a whole number"),
        ({"beta_loss": 5.0, "solver": "mu"}, "beta 5.0 is unknown"),
        ({"tol": -1.0}, "tol=-1.0 must be a number of at least 0"),
        ({"tol": "small"}, "tol='small'"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"random_state": -1}, "random_state=-1"),
        ({"random_state": "x"}, "random_state='x'"),
        ({"alpha_W": -0.1}, "alpha_W=-0.1"),
        ({"alpha_W": math.inf}, "alpha_W=inf"),
        ({"alpha_H": "other"}, "alpha_H='other'"),
        ({"alpha_H": None}, "alpha_H=None"),
        ({"l1_ratio": 1.5}, "l1_ratio=1.5 must be a number from 0 to 1"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"verbose": -1}, "verbose=-1"),
        ({"n_threads": 0}, "n_threads=0"),
        ({"init": "custom"}, "H is not given"),
    ],
)
def test_wrong_parameters(rng, parameters, message):
    model = NMF(**parameters)
    assert model.get_params().items() >= parameters.items()
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(rng.random((4, 3)))
    assert isinstance(caught.value, ParameterError)
    assert not hasattr(model, "components_")


def test_wrong_use(rng):
    X = rng.random((4, 3))
    with pytest.raises(ParameterError, match="Invalid parameter 'rank' for NMF; there are alpha_H"):
        NMF().set_params(n_components=2, rank=3)
    custom = NMF(2, init="custom")
    with pytest.raises(ParameterError, match=r"H has shape \(3, 2\), expected \(2, 3\)"):
        custom.fit(X, W=np.ones((4, 2)), H=np.ones((3, 2)))
    with pytest.raises(ParameterError, match=r"W has shape \(2, 4\), expected \(4, 2\)"):
        custom.fit(X, W=np.ones((2, 4)), H=np.ones((2, 3)))
    with pytest.raises(ParameterError, match="W is not given"):
        custom.fit(X, H=np.ones((2, 3)))
    plain = NMF(2, tol=0.0)
    with pytest.warns(RuntimeWarning, match="W and H are ignored") as caught:
        plain.fit(X, H=np.ones((2, 3)))
    assert caught[0].filename == __file__
    for sparse in (scipy.sparse.csr_array(X), scipy.sparse.coo_matrix(X)):
        with pytest.raises(TypeError, match=r"sparse data are not supported.*X\.toarray\(\)"):
            NMF(2).fit(sparse)
    with pytest.raises(ParameterError, match=r"X has shape \(4, 3\); expected 2 columns"):
        plain.inverse_transform(X)


def test_early_use_is_an_error_of_both_kinds(rng):
    X = rng.random((4, 3))
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError, match="not fitted yet") as caught:
            getattr(NMF(2), method)(X)
        assert isinstance(caught.value, AudiosepError)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(copy, NotFittedError)
        assert str(copy) == str(caught.value)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_says_when_iterations_did_not_suffice(rng, method):
    X = exact_data(rng)
    model = NMF(4, solver="mu", random_state=0)
    if method == "transform":
        quiet(model, "fit", X)
    model.set_params(max_iter=2)
    with pytest.warns(ConvergenceWarning, match="Not converged after 2 iterations") as caught:
        getattr(model, method)(X)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(model.set_params(tol=0.0), method)(X)


WITHOUT = """
import pickle, sys, warnings
if {blocked}:
    sys.modules["sklearn"] = None
import numpy as np
from audiosep.errors import ParameterError
from audiosep.nmf.estimator import NMF
X = np.outer([1.0, 0.0, 4.0, 2.0], [1.0, 2.0, 3.0])
model = NMF(1, random_state=0, solver="mu")
try:
    model.transform(X)
except (ParameterError, AttributeError) as error:
    print(type(error).__name__, type(pickle.loads(pickle.dumps(error))) is type(error))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    W = model.set_params(max_iter=1).fit_transform(X)
print([w.category.__name__ for w in caught])
print(np.allclose(model.fit(X).inverse_transform(model.transform(X)), X))
print(pickle.loads(pickle.dumps(model)).partial_fit(X).get_feature_names_out())
print(sorted(name for name, m in sys.modules.items() if name.startswith("sklearn") and m))
"""


@pytest.mark.parametrize("blocked", [True, False])
def test_scikit_learn_is_neither_needed_nor_imported(blocked):
    code = WITHOUT.format(blocked=blocked)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "NotFittedError True",
        "['UserWarning']",
        "True",
        "['nmf0']",
        "[]",
    ]
