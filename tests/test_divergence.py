"""The beta-divergence: formulas, limits, names."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.nmf import beta_divergence
from audiosep.nmf.divergence import BETA_NAMES, beta_from, mm_exponent

BETAS = (-4.0, -1.0, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_formula(rng, beta, weighted):
    V, model = rng.uniform(0.2, 3.0, (2, 4, 5))
    weights = rng.uniform(0.0, 2.0, (4, 5)) * (rng.random((4, 5)) > 0.4) if weighted else None
    want = naive.beta_divergence(V, model, beta, weights)
    assert beta_divergence(V, model, beta, weights) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_of_zeros(rng, beta):
    V, model = rng.uniform(0.2, 3.0, (2, 3, 4))
    V[1] = 0
    assert beta_divergence(V, model, beta) == pytest.approx(
        naive.beta_divergence(V, model, beta), rel=1e-12
    )
    model[1] = 0  # both zero: no distance
    assert beta_divergence(V, model, beta) == pytest.approx(
        naive.beta_divergence(V[[0, 2]], model[[0, 2]], beta), rel=1e-12
    )


@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.3, 1.0])
def test_is_infinite_where_the_model_misses_something(beta):
    assert beta_divergence([[1.0]], [[0.0]], beta) == math.inf


def test_itakura_saito_of_zero_is_infinite():
    assert beta_divergence([[0.0]], [[1.0]], "is") == math.inf


@pytest.mark.parametrize("beta", BETAS)
def test_of_itself_is_zero_and_never_negative(rng, beta):
    V = rng.uniform(0.2, 3.0, (20, 20))
    assert beta_divergence(V, V, beta) == pytest.approx(0.0, abs=1e-9)
    for step in (1e-16, 1e-12, 1e-8):
        assert beta_divergence(V, V * (1 + step), beta) >= 0.0


@given(
    beta=st.sampled_from(BETAS), x=st.floats(0.01, 100), y=st.floats(0.01, 100),
    scale=st.sampled_from([0.25, 2.0, 64.0]),
)  # fmt: skip
def test_scales_with_the_power_beta(beta, x, y, scale):
    one = beta_divergence([[x]], [[y]], beta)
    other = beta_divergence([[scale * x]], [[scale * y]], beta)
    slack = 1e-12 * max(x**beta, y**beta, x * y ** (beta - 1), 1.0)
    assert other == pytest.approx(one * scale**beta, rel=1e-7, abs=scale**beta * slack)


@pytest.mark.parametrize(("limit", "near"), [(0.0, 1e-5), (1.0, 1e-5), (1.0, -1e-5)])
def test_named_divergences_are_the_limits_of_the_general_one(rng, limit, near):
    V, model = rng.uniform(0.5, 2.0, (2, 4, 5))
    assert beta_divergence(V, model, limit + near) == pytest.approx(
        beta_divergence(V, model, limit), rel=1e-3
    )


def test_weight_zero_hides_even_what_is_infinite():
    V, model = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])
    weights = np.array([[0.0, 3.0]])
    assert beta_divergence(V, model, "kl", weights) == pytest.approx(3 * (2 * math.log(2) - 1))


def test_names_are_numbers():
    assert {name: beta_from(name) for name in BETA_NAMES} == {"is": 0, "kl": 1, "euclidean": 2}
    assert beta_from("0.5") == beta_from(0.5) == 0.5
    assert beta_from(-4) == -4.0


@pytest.mark.parametrize("beta", ["frobenius", "", 4.1, -5, math.nan, math.inf, None, [1, 2]])
def test_unknown_beta(beta):
    with pytest.raises(ParameterError, match="is unknown; use is, kl, euclidean or a number"):
        beta_from(beta)


@pytest.mark.parametrize("beta", BETAS)
def test_exponent(beta):
    assert mm_exponent(beta) == naive.mm_exponent(beta)
    assert 0 < mm_exponent(beta) <= 1
