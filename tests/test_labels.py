"""What may name a file: the one place that decides."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiosep.labels import allowed_name, folded, no_device, problem_of_label, problem_of_labels

DEVICES = ("CON", "con", "Nul", "PRN", "aux", "COM1", "lpt0", "com\u00b3", "CONIN$", "conout$")


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("ending", ["", ".wav", ".tar.gz", " ", " .x"])
def test_devices_of_windows(name, ending):
    assert no_device(name + ending) == f"{name}_{ending.strip(' ')}"
    assert "cannot name a stem; use another" in problem_of_label(name + ending)


@pytest.mark.parametrize("name", ["console", "con-1", "x.con", "com", "com10", "lpt", "a con", ""])
def test_what_only_looks_like_a_device(name):
    assert no_device(name) == name


@given(st.text(max_size=80), st.integers(4, 64), st.integers(12, 200))
@example("con.", 4, 12)
@example("one-shot-nul", 64, 200)
@example("Con .\u00e9" * 20, 5, 13)
@example("\ud800.. a", 64, 200)
def test_any_text_gives_a_label_or_nothing(text, longest, most_bytes):
    name = allowed_name(text, longest=longest, most_bytes=most_bytes)
    assert len(name) <= longest
    assert len(name.encode()) <= most_bytes
    assert not name or problem_of_label(name) == ""
    assert allowed_name(name, longest=longest, most_bytes=most_bytes) == name


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(text):
    assert folded(folded(text)) == folded(text)


def test_labels_may_come_twice_but_not_differ_by_case():
    assert problem_of_labels(("a", "b", "a")) == ""
    assert "differ by case alone" in problem_of_labels(("a", "A"))
    assert "65 different labels" in problem_of_labels(tuple(f"k{n}" for n in range(65)))
