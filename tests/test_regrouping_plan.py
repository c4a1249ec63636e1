"""Wishes for another grouping, worked out without sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import UsageError
from audiosep.research.regrouping_plan import Wishes, plan_regrouping
from audiosep.types import Grouping

NAMES = ("low", "high", "rest")
OWNERS = (0, 0, 1, 1, 2)  # components 1 and 2 are low, 3 and 4 high, 5 rest


def grouping(owners=OWNERS, names=NAMES, confidence=(0.2, 0.4, 0.8)):
    weights = np.eye(len(names), dtype=np.float32)[list(owners)]
    return Grouping(weights=weights, names=names, confidence=np.array(confidence))


def plan(merge=(), move=None, rename=None, *, given=None, energy=None):
    given = grouping() if given is None else given
    energy = np.ones(len(given.weights)) if energy is None else np.asarray(energy, float)
    return plan_regrouping(given, Wishes(merge=merge, move=move, rename=rename), energy)


def stems(plan):
    """Components (from 1) of each new stem."""
    names = plan.grouping.names
    return {
        name: tuple(int(k) + 1 for k in np.flatnonzero(plan.grouping.weights[:, j]))
        for j, name in enumerate(names)
    }


def test_no_wish_changes_nothing():
    got = plan()
    assert stems(got) == {"low": (1, 2), "high": (3, 4), "rest": (5,)}
    assert got.sums == ((0,), (1,), (2,))
    assert not got.moves
    assert got.notes == ()
    np.testing.assert_allclose(got.grouping.confidence, (0.2, 0.4, 0.8), atol=1e-6)


@pytest.mark.parametrize(
    "members", [(2, 5), ("low", "rest"), (1, "rest"), (1, 2, 5), (5, 1, 2), ("rest", 1)]
)
def test_merging_joins_the_stems_of_components_under_the_first_name(members):
    got = plan([members])
    first = "rest" if members[0] in (5, "rest") else "low"
    assert stems(got) == {first: (1, 2, 5), "high": (3, 4)}
    assert got.sums[got.grouping.names.index(first)] in ((0, 2), (2, 0))
    assert not got.moves


def test_merging_all_leaves_one():
    got = plan([(1, 3), ("low", "rest")])
    assert stems(got) == {"low": (1, 2, 3, 4, 5)}
    assert got.sums == ((0, 1, 2),)


def test_a_stem_merged_before_is_found_under_its_old_name():
    got = plan([("low", "high"), ("high", "rest")])
    assert stems(got) == {"low": (1, 2, 3, 4, 5)}
    assert stems(plan([("low", "high")], {5: "high"})) == {"low": (1, 2, 3, 4, 5)}


def test_components_that_are_together_already():
    got = plan([(1, 2)])
    assert stems(got) == stems(plan())
    assert got.notes == ("1, 2 are in low together already.",)


def test_moving_to_a_stem_that_exists():
    got = plan(move={2: "high"})
    assert stems(got) == {"low": (1,), "high": (2, 3, 4), "rest": (5,)}
    assert got.sums == ((0,), (1,), (2,))
    np.testing.assert_array_equal(got.shifts[1], (-1, 1, 0))
    assert np.count_nonzero(got.shifts) == 2
    assert got.notes == ("Component 2 moved to high.",)


def test_moving_to_a_new_stem():
    got = plan(move={(1, 3): "drums"})
    assert stems(got) == {"low": (2,), "high": (4,), "rest": (5,), "drums": (1, 3)}
    assert got.sums == ((0,), (1,), (2,), ())
    np.testing.assert_array_equal(got.shifts[0], (-1, 0, 0, 1))
    np.testing.assert_array_equal(got.shifts[2], (0, -1, 0, 1))


def test_moving_where_it_is_changes_nothing():
    got = plan(move={1: "low"})
    assert stems(got) == stems(plan())
    assert not got.moves


def test_a_stem_that_moves_as_a_whole_is_merged():
    got = plan(move={5: "low"})
    assert stems(got) == {"low": (1, 2, 5), "high": (3, 4)}
    assert got.sums == ((0, 2), (1,))
    assert not got.moves
    new = plan(move={(1, 2): "bass"})
    assert stems(new) == {"high": (3, 4), "rest": (5,), "bass": (1, 2)}
    assert new.sums == ((1,), (2,), (0,))
    assert not new.moves


def test_a_stem_whose_components_scatter_is_gone():
    got = plan(move={1: "high", 2: "rest"}, energy=(1, 5, 1, 1, 1))
    assert stems(got) == {"high": (1, 3, 4), "rest": (2, 5)}
    # The heir of most takes all of it, and hands the other its part.
    assert got.sums == ((1,), (2, 0))
    np.testing.assert_array_equal(got.shifts[0], (1, -1))
    assert not got.shifts[1:].any()


def test_merge_then_move_then_rename():
    got = plan([(1, 3)], {4: "drums"}, {"low": "tones", "drums": "low"})
    assert stems(got) == {"tones": (1, 2, 3), "rest": (5,), "low": (4,)}
    assert got.sums == ((0, 1), (2,), ())
    assert len(got.notes) == 4


def test_names_can_be_exchanged():
    got = plan(rename={"low": "high", "high": "low"})
    assert stems(got) == {"high": (1, 2), "low": (3, 4), "rest": (5,)}
    assert got.grouping.names == ("high", "low", "rest")


def test_shared_components_move_with_all_their_shares():
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    shared = Grouping(weights=weights, names=("a", "b"), confidence=np.ones(2))
    got = plan(move={1: "new"}, given=shared)
    np.testing.assert_array_equal(got.shifts, [[-0.5, -0.5, 1.0], [0, 0, 0], [0, 0, 0]])
    # All of "a" goes; the part of component 1 that was in "b" follows it.
    gone = plan(move={(1, 2): "new"}, given=shared)
    assert stems(gone) == {"b": (3,), "new": (1, 2)}
    assert gone.sums == ((1,), (0,))
    np.testing.assert_array_equal(gone.shifts, [[-0.5, 0.5], [0, 0], [0, 0]])


def test_what_a_hand_placed_is_certain():
    got = plan(move={2: "high"}, energy=(1, 2, 1, 1, 1))
    np.testing.assert_allclose(got.grouping.confidence, (0.2, (2 + 0.4 + 0.4) / 4, 0.8), atol=1e-6)
    merged = plan([("low", "rest")], energy=(1, 1, 1, 1, 2))
    np.testing.assert_allclose(merged.grouping.confidence, (0.5, 0.4), atol=1e-6)


@given(data=st.data())
def test_every_plan_shares_out_every_component(data):
    K = data.draw(st.integers(1, 7))
    S = data.draw(st.integers(1, min(4, K)))
    owners = [*range(S), *(data.draw(st.integers(0, S - 1)) for _ in range(K - S))]
    names = tuple(f"s{i}" for i in range(S))
    before = grouping(owners, names, np.linspace(0, 1, S))
    numbers = st.integers(1, K)
    groups = st.lists(numbers, min_size=2, max_size=3, unique=True)
    merge = data.draw(st.lists(groups, max_size=2)) if K > 1 else []
    move = data.draw(st.dictionaries(numbers, st.sampled_from(["s0", "new", "other"]), max_size=5))
    got = plan(merge, move, given=before)
    weights, shifts = got.grouping.weights, got.shifts
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights.sum(axis=0) > 0).all()
    np.testing.assert_allclose(shifts.sum(axis=1), 0.0, atol=1e-12)
    # Every old stem goes into one new stem, and shifting these sums gives the new weights.
    assert sorted(i for parts in got.sums for i in parts) == list(range(S))
    sums = np.stack([before.weights[:, list(parts)].sum(axis=1) for parts in got.sums], axis=1)
    np.testing.assert_allclose(sums + shifts, weights, atol=1e-6)
    assert ((got.grouping.confidence >= 0) & (got.grouping.confidence <= 1)).all()
    assert all(note.endswith(".") for note in got.notes)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"merge": [(2, 99)]}, "there is no component 99; there are 1 to 5"),
        ({"merge": [(0, 1)]}, "there is no component 0; there are 1 to 5"),
        ({"merge": [("low", "drums")]}, "no stem drums; there are low, high, rest"),
        ({"merge": [(1,)]}, "merging needs two or more"),
        ({"merge": [(2, 2)]}, "merging 2 with itself is nothing to do; name two"),
        ({"merge": [("low", "low", "low")]}, "merging low with itself"),
        ({"merge": [(True, 2)]}, "there is no component True"),
        ({"move": {6: "low"}}, "there is no component 6; there are 1 to 5"),
        ({"move": {-1: "low"}}, "there is no component -1"),
        ({"move": {1: "a", (2, 1): "b"}}, "component 1 is to move to a and to b; choose one"),
        ({"move": {(): "low"}}, "no component is named that should move to low"),
        ({"move": {1: "../up"}}, "cannot name a stem"),
        ({"move": {1: ""}}, "cannot name a stem"),
        ({"move": {1: "LOW"}}, "LOW is too like low, which is there already"),
        ({"rename": {"drums": "x"}}, "no stem drums; there are low, high, rest"),
        ({"rename": {"low": "high"}}, "high is too like high, which is there already"),
        ({"rename": {"low": "a/b"}}, "cannot name a stem"),
    ],
)
def test_wishes_that_cannot_be(wish, message):
    with pytest.raises(UsageError, match=message):
        plan(**wish)
