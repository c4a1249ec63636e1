"""Steps of a session and places for results: without sound, processes or HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiosep.errors import OutputError, RefusedError, UsageError
from audiosep.io.scratch import scratch
from audiosep.research.regrouping_plan import Wishes
from audiosep.studio import history as history_module
from audiosep.studio.folders import Places
from audiosep.studio.history import History, Step, regrouped_step, stems_alone
from audiosep.types import Grouping


def first(names=("low", "high"), owners=(0, 0, 1)):
    weights = np.zeros((len(owners), len(names)), dtype=np.float32)
    weights[range(len(owners)), owners] = 1.0
    return Step(
        number=1,
        kind="split",
        words="Separated",
        folder=Path("1"),
        grouping=Grouping(weights=weights, names=names, confidence=np.ones(len(names))),
        root=1,
    )


def after(before, number, **wishes):
    return regrouped_step(
        before, Wishes(**wishes), number=number, folder=Path(str(number)), words="-"
    )


def test_a_component_that_moves_is_taken_from_one_stem_and_given_to_another():
    step = after(first(), 2, move={2: "high"})
    assert step.owners() == [0, 1, 1]
    assert step.plan.sums == ((0,), (1,))
    np.testing.assert_array_equal(step.plan.shifts, [[0, 0], [-1, 1], [0, 0]])
    assert [step.same_as(0), step.same_as(1)] == [None, None]


def test_stems_that_keep_their_sound_are_known_to():
    renamed = after(first(), 2, rename={"low": "bass"})
    assert renamed.stems == ("bass", "high")
    assert [renamed.same_as(0), renamed.same_as(1)] == [0, 1]
    merged = after(first(("a", "b", "c"), (0, 1, 2)), 2, merge=[["a", "b"]])
    assert merged.stems == ("a", "c")
    assert [merged.same_as(0), merged.same_as(1)] == [None, 2]


def test_stems_without_components_are_merged_and_renamed():
    alone = first()
    bare = Step(
        number=1, kind="paint", words="-", folder=Path("1"), grouping=stems_alone(("a", "b", "c"))
    )
    assert bare.owners() == []
    assert alone.owners() == [0, 0, 1]
    merged = after(bare, 2, merge=[["b", "c"]])
    assert merged.stems == ("a", "b")
    assert merged.plan.sums == ((0,), (1, 2))
    assert not merged.plan.moves


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="no component 4"):
        after(first(), 2, move={4: "high"})
    with pytest.raises(UsageError, match="cannot name a stem"):
        after(first(), 2, move={1: "../high"})
    with pytest.raises(UsageError, match="too like high"):
        after(first(), 2, rename={"low": "HIGH"})


def test_undo_redo_and_what_is_lost_by_going_another_way():
    one = first()
    two, three = after(one, 2, move={2: "high"}), after(one, 3, rename={"low": "bass"})
    told = History().with_step(one).with_step(two)
    assert told.current is two
    back = told.moved(-1)
    assert back.current is one
    assert back.moved(-1) is back
    assert back.moved(+1).current is two
    other = back.with_step(three)
    assert [step.number for step in other.steps] == [1, 3]
    assert other.moved(+1) is other
    lost = told.without(2)
    assert lost.current is one
    assert told.without(9) is told
    assert History().current is None


def test_what_is_repeated_begins_at_the_last_separation():
    one = first()
    two = after(one, 2, move={2: "high"})
    again = Step(number=3, kind="split", words="-", folder=Path("3"), grouping=one.grouping, root=3)
    told = History().with_step(one).with_step(two).with_step(again)
    four = after(again, 4, rename={"low": "bass"})
    assert [s.number for s in told.with_step(four).since_split()] == [3, 4]
    assert [s.number for s in told.moved(-1).since_split()] == [1, 2]


def test_steps_are_not_without_end(monkeypatch):
    monkeypatch.setattr(history_module, "MOST_STEPS", 2)
    told = History().with_step(first()).with_step(after(first(), 2, move={2: "high"}))
    with pytest.raises(RefusedError, match="save the stems"):
        told.with_step(after(first(), 3, move={2: "high"}))


@pytest.fixture
def places(tmp_path):
    for name in ("home/separated", "music/mix", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return Places(
        roots=(tmp_path / "home", tmp_path / "music"), closed=(tmp_path / "music" / "mix",)
    )


def test_places_below_what_was_given(places, tmp_path):
    assert places.place("separated/mix") == tmp_path / "home" / "separated" / "mix"
    beside = str(tmp_path / "music" / "other")
    assert places.place(beside) == Path(beside)
    assert places.free("new") == "new"
    assert places.free("separated") == "separated-2"


@pytest.mark.parametrize(
    "text", ["../elsewhere/x", "/etc/x", "separated/../../elsewhere", ".", "~/../../x/../.."]
)
def test_places_outside_are_refused(places, text):
    with pytest.raises(RefusedError, match="outside"):
        places.place(text)


def test_links_do_not_lead_outside(places, tmp_path):
    (tmp_path / "home" / "way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="outside"):
        places.place("way/out")


def test_what_was_opened_stays(places, tmp_path):
    for text in ("mix", "mix/inside"):
        with pytest.raises(RefusedError, match="stays as it is"):
            places.place(str(tmp_path / "music" / text))


@pytest.mark.parametrize("text", ["", "  ", None, 3, "a\0b", "a\nb", "x" * 1001])
def test_places_that_cannot_be(places, text):
    with pytest.raises(OutputError):
        places.place(text)


def test_work_folders_go_and_those_of_the_dead_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / ".audiosep.task-dead"
    (dead / "steps").mkdir(parents=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    with scratch() as work:
        assert not dead.exists()
        assert mine.exists()
        (work / "x").write_text("x")
        with scratch() as other:  # one that lives is left alone
            assert other != work
            assert (work / "x").exists()
        assert not other.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
