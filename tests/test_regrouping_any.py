"""Stems of any preset merged and renamed by their names, without components."""

from __future__ import annotations

import hashlib
import json

import files
import numpy as np
import pytest
import soundfile as sf
from painted import folder_of

from audiosep.errors import InputError, RefusedError, UsageError
from audiosep.research.regrouping import regroup
from audiosep.verification import verify


def samples_of(place):
    record = json.loads((place / "audiosep.json").read_text())
    return {
        name: sf.read(place / stem["file"], dtype="int16")[0].astype(np.int64)
        for name, stem in record["stems"].items()
    }


@pytest.fixture
def place(tmp_path):
    stems = {name: 0.3 * files.noise(seed=n) for n, name in enumerate(("a", "b", "c"))}
    return folder_of(tmp_path / "mix", stems, bits=16)


def test_stems_are_merged_and_renamed(place):
    done = regroup(place, merge=[("a", "c")], rename={"b": "bass"}, n_threads=1)
    before, after = samples_of(place), samples_of(done.place)
    assert list(after) == ["a", "bass"]
    assert (after["a"] == before["a"] + before["c"]).all()
    digest = hashlib.sha256((place / "b.wav").read_bytes()).hexdigest()
    assert done.record["stems"]["bass"]["sha256"] == digest
    assert done.record["files"] == {}
    assert done.grouping.names == ("a", "bass")
    assert verify(done.place).problems == ()
    again = regroup(done.place, rename={"bass": "b"}, n_threads=1)
    assert (samples_of(again.place)["b"] == before["b"]).all()


def test_a_sum_beyond_the_range_is_written_as_floats(tmp_path):
    x = 1.6 * files.noise()
    place = folder_of(tmp_path / "mix", {"a": x, "b": x, "c": -x}, bits=16)
    done = regroup(place, merge=[("a", "b")], rename={"c": "d"}, n_threads=1)
    before = samples_of(place)
    assert done.record["bits"] == "float"
    assert "beyond the 16-bit range" in done.record["warnings"][-1]
    for name, want in (("a", before["a"] + before["b"]), ("d", before["c"])):
        got, _ = sf.read(done.paths[name], dtype="float64")
        assert (got * 2**15 == want).all()
    assert sorted(p.name for p in done.place.iterdir()) == ["a.wav", "audiosep.json", "d.wav"]


def test_components_that_are_not_there_are_asked_for_in_vain(place):
    with pytest.raises(InputError, match="keeps no components"):
        regroup(place, move={1: "a"})
    with pytest.raises(InputError, match="keeps no components"):
        regroup(place, merge=[(1, 2)])
    with pytest.raises(UsageError, match="there is no stem x"):
        regroup(place, rename={"x": "y"})


def test_what_was_edited_is_refused(place):
    values, sr = sf.read(place / "a.wav", dtype="int16")
    sf.write(place / "a.wav", values // 2, sr, subtype="PCM_16")
    for wishes in ({"merge": [("a", "b")]}, {"rename": {"a": "x"}}, {"rename": {"b": "x"}}):
        with pytest.raises(RefusedError, match="damaged or edited"):
            regroup(place, **wishes, n_threads=1)
    assert [p.name for p in place.parent.iterdir()] == ["mix"]
