"""Shared by all tests: a seeded generator, and properties that try the same examples each time."""

from __future__ import annotations

import signal

import forking
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

# A shell starts what runs in the background deaf to interrupts, and all its children would be too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Start the command in processes of its own, at once."""
    with forking.server(tmp_path_factory.mktemp("forked")) as server:
        yield server
