"""Marks for some of the values that a test is tried with."""

from __future__ import annotations

import pytest


def some_slow(values, *slow):
    """All values, some of them for ``-m slow`` only: the same code is tried with the others."""
    return [
        pytest.param(value, marks=pytest.mark.slow) if value in slow else value for value in values
    ]
