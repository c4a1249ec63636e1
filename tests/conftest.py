"""Shared by all tests: a seeded generator, and properties that try the same examples each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "audiosep",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("audiosep")


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)
