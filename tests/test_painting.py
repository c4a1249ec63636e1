"""Regions painted into stems: they go there, so does what sounds like them, nothing is lost."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import files
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from painted import SR, folder_of, three_notes

import audiosep
from audiosep.errors import InputError, OutputError, ParameterError, RefusedError, UsageError
from audiosep.research.painted_grid import Grid, boxes_of
from audiosep.research.painted_regions import PaintedRegion, region_from_text
from audiosep.research.painted_transfer import allowed_stems
from audiosep.research.painting import paint
from audiosep.verification import verify

ASTRAY = "high=0.05-0.45,600-800hz"
"""The first of four notes of 700 Hz that are in the wrong stem."""


def regions(*texts):
    return [region_from_text(text) for text in texts]


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def stems_of(place):
    record = json.loads((place / "audiosep.json").read_text())
    return {name: audiosep.read(place / stem["file"]) for name, stem in record["stems"].items()}


def integers_of(place, dtype="int32"):
    record = json.loads((place / "audiosep.json").read_text())
    return {
        name: sf.read(place / stem["file"], dtype=dtype, always_2d=True)[0].astype(np.int64)
        for name, stem in record["stems"].items()
    }


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Low notes with notes astray in one stem, high notes in the other; no test changes it."""
    low, high, astray = three_notes()
    return folder_of(tmp_path_factory.mktemp("wrong") / "mix", {"low": low + astray, "high": high})


@pytest.fixture(scope="module")
def right(wrong, tmp_path_factory):
    """What one painted note makes of it."""
    out = tmp_path_factory.mktemp("right") / "out"
    return paint(wrong, regions(ASTRAY), out=out, n_threads=1)


# --- what comes out -----------------------------------------------------------------------------


def test_one_painted_note_sorts_all_that_sound_like_it(wrong, right):
    low, high, astray = three_notes()
    before, after = stems_of(wrong), stems_of(right.place)
    for name, truth in (("low", low), ("high", high + astray)):
        was = audiosep.si_sdr(truth, before[name].samples[0])
        assert audiosep.si_sdr(truth, after[name].samples[0]) > was + 6


def test_what_was_not_painted_and_sounds_like_nothing_painted_stays(wrong, right):
    since = (np.arange(4 * SR) / SR - 0.1) % 0.7
    alone = (since > 0.45) & (since < 0.55)  # out of reach of the windows that hold a note astray
    before, after = stems_of(wrong)["low"].samples[0], stems_of(right.place)["low"].samples[0]
    moved = (after - before)[alone]
    assert np.sqrt(np.mean(moved**2)) < 0.05 * np.sqrt(np.mean(before[alone] ** 2))


def test_only_there_moves_one_note(wrong, tmp_path):
    there = paint(wrong, regions(ASTRAY), out=tmp_path / "there", refit=False, n_threads=1)
    before, after = stems_of(wrong)["low"].samples[0], stems_of(there.place)["low"].samples[0]
    assert np.abs(after[: SR // 2] - before[: SR // 2]).max() > 0.1
    assert (after[SR:] == before[SR:]).all()


def test_a_region_is_honoured(right):
    (share,) = right.honoured
    assert share > 0.95


def test_a_region_is_honoured_as_the_stems_are_heard(right):
    # Measured anew, with a transform of another length.
    spectra = {
        name: np.abs(audiosep.stft(a, n_fft=2048).values[0])
        for name, a in stems_of(right.place).items()
    }
    bins = slice(round(600 / SR * 2048), round(800 / SR * 2048))
    frames = slice(round(0.15 * SR / 512), round(0.35 * SR / 512))
    cells = {name: s[bins, frames].sum() for name, s in spectra.items()}
    assert cells["high"] > 0.9 * sum(cells.values())


def test_all_of_a_stem_may_go_to_a_new_one(wrong, tmp_path):
    done = paint(wrong, regions("new=0-,600-800hz"), out=tmp_path / "out", n_threads=1)
    assert list(done.paths) == ["low", "high", "new"]
    _, _, astray = three_notes()
    assert audiosep.si_sdr(astray, stems_of(done.place)["new"].samples[0]) > 10
    assert done.honoured[0] > 0.9


def test_what_does_not_belong_goes_to_the_others(wrong, tmp_path):
    done = paint(wrong, regions("not low=0.05-0.45,600-800hz"), out=tmp_path / "out", n_threads=1)
    low, _, astray = three_notes()
    was = audiosep.si_sdr(low, low + astray)
    assert audiosep.si_sdr(low, stems_of(done.place)["low"].samples[0]) > was + 6
    assert done.honoured[0] > 0.95


def test_what_belongs_here_is_not_taken_by_a_region_elsewhere(wrong, right, tmp_path):
    keep = "low=0.75-1.15,600-800hz"
    done = paint(wrong, regions(ASTRAY, keep), out=tmp_path / "out", n_threads=1)
    part = slice(round(0.85 * SR), round(1.05 * SR))
    kept, taken, astray = (
        float(np.mean(x[part] ** 2))
        for x in (
            stems_of(done.place)["low"].samples[0],
            stems_of(right.place)["low"].samples[0],
            three_notes()[2],
        )
    )
    assert kept - taken > 0.5 * astray
    assert min(done.honoured) > 0.9


def test_a_stem_that_has_no_part_in_it_is_the_same_file(tmp_path):
    low, high, astray = three_notes(2.0)
    stems = {"low": low + astray, "high": high, "noise": 0.1 * files.noise(2 * SR, 1)[0]}
    silent = np.zeros(2 * SR)
    folder = folder_of(tmp_path / "mix", {**stems, "noise": silent})
    done = paint(folder, regions(ASTRAY), n_threads=1)
    assert done.place == tmp_path / "mix-painted"
    assert digests(done.place)["noise.wav"] == digests(folder)["noise.wav"]
    assert digests(done.place)["low.wav"] != digests(folder)["low.wav"]
    assert paint(folder, regions(ASTRAY), n_threads=1).place == tmp_path / "mix-painted-2"


def test_two_stems_share_where_their_regions_overlap():
    grid = Grid.of(SR, 2 * SR)
    boxes = boxes_of(regions("a=0-1", "b=0.5-2", "not c=1.5-2"), ("a", "b", "c"), grid)
    allowed = allowed_stems(boxes, 3, grid.n_bins, 0, grid.n_frames)
    frame = lambda s: round(s * SR / grid.hop_length)  # noqa: E731
    assert allowed[:, frame(0.2), 5].tolist() == [True, False, False]
    assert allowed[:, frame(0.7), 5].tolist() == [True, True, False]
    assert allowed[:, frame(1.2), 5].tolist() == [False, True, False]


def test_overlapping_regions_share_what_is_there(wrong, tmp_path):
    both = regions("high=0.05-0.45,600-800hz", "new=0.05-0.45,600-800hz")
    done = paint(wrong, both, out=tmp_path / "out", n_threads=1)
    assert min(done.honoured) > 0.9
    assert set(done.paths) == {"low", "high", "new"}


# --- nothing is lost ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("saving", "dtype"), [({"bits": 16}, "int16"), ({"bits": 24, "format": "flac"}, "int32")]
)
def test_integer_stems_add_up_as_before_in_stereo(tmp_path, saving, dtype):
    low, high, astray = three_notes(1.5)
    stems = {
        "low": np.stack([low + astray, 0.5 * low + 0.9 * astray]),
        "high": np.stack([high, -0.3 * high]),
    }
    folder = folder_of(tmp_path / "mix", stems, **saving)
    before = digests(folder)
    done = paint(folder, regions(ASTRAY, "third=1-1.5,100-300hz"), n_threads=1)
    total = sum(integers_of(folder, dtype).values())
    assert (sum(integers_of(done.place, dtype).values()) == total).all()
    assert digests(folder) == before
    assert min(done.honoured) > 0.9
    assert verify(done.place).problems == ()


def test_float_stems_add_up_to_rounding(wrong, right):
    before = sum(a.samples.astype(np.float64) for a in stems_of(wrong).values())
    after = sum(a.samples.astype(np.float64) for a in stems_of(right.place).values())
    assert np.abs(after - before).max() < 1e-6
    assert right.record["bits"] == "float"


def test_what_leaves_the_range_of_integers_is_written_as_floats(tmp_path):
    x = 0.9 * files.noise(4000, 1)[0] / 0.5
    folder = folder_of(tmp_path / "mix", {"a": x, "b": x, "c": -x}, bits=16)
    done = paint(folder, regions("not a=0-"), n_threads=1, refit=False)
    assert done.record["bits"] == "float"
    assert "beyond the 16-bit range" in done.record["warnings"][-1]
    total = sum(integers_of(folder, "int16").values()) / 2**15
    again = sum(a.samples.astype(np.float64) for a in stems_of(done.place).values())
    assert np.abs(again.T - total).max() == 0


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    rng = np.random.default_rng(3)
    # So quiet that no sum of them leaves the range of 16 bits.
    stems = {name: 0.05 * rng.standard_normal((2, 3000)) for name in ("a", "b", "c")}
    return folder_of(tmp_path_factory.mktemp("small") / "mix", stems, bits=16)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    painted=st.lists(
        st.builds(
            lambda stem, start, length, low, height, belongs: PaintedRegion(
                stem=stem,
                start_s=start,
                end_s=min(start + length, 3000 / SR),
                low_hz=low,
                high_hz=low + height,
                belongs=belongs,
            ),
            st.sampled_from(["a", "b", "c"]),
            st.floats(0, 0.3),
            st.floats(0.001, 0.4),
            st.floats(0, 3900),
            st.floats(1, 4000),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    refit=st.booleans(),
)
def test_whatever_is_painted_adds_up(small, tmp_path, painted, refit):
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    grid = Grid.of(SR, 3000)
    boxes = boxes_of(painted, ("a", "b", "c"), grid)
    if not allowed_stems(boxes, 3, grid.n_bins, 0, grid.n_frames).any(axis=0).all():
        with pytest.raises(UsageError, match="belongs to no stem"):
            paint(small, painted, out=out, refit=refit, n_threads=1)
        return
    done = paint(small, painted, out=out, refit=refit, n_threads=1)
    total = sum(integers_of(small, "int16").values())
    again = sum(integers_of(done.place, "int16").values())
    assert (again == total).all()
    assert all(0 <= share <= 1 for share in done.honoured)


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(wrong, right, tmp_path):
    again = paint(wrong, regions(ASTRAY), out=tmp_path / "again", n_threads=2)
    one, two = digests(right.place), digests(again.place)
    assert {k: v for k, v in one.items() if k != "audiosep.json"} == {
        k: v for k, v in two.items() if k != "audiosep.json"
    }
    other = {**again.record, "timings_s": right.record["timings_s"]}
    assert other == right.record


def test_silence_stays_silent(tmp_path):
    folder = folder_of(tmp_path / "mix", {"a": np.zeros(4000), "b": np.zeros(4000)}, bits=16)
    done = paint(folder, regions("a=0-0.2,100-500hz", "new=0.2-0.5"), n_threads=1)
    assert done.honoured == (1.0, 1.0)
    assert all(not a.samples.any() for a in stems_of(done.place).values())


def test_one_sample_may_be_painted(tmp_path):
    folder = folder_of(tmp_path / "mix", {"a": [0.5], "b": [0.25]})
    done = paint(folder, regions("b=0-"), n_threads=1)
    after = stems_of(done.place)
    assert after["b"].samples[0, 0] == pytest.approx(0.75, abs=1e-6)
    assert after["a"].samples[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_progress_goes_from_reading_to_writing(wrong, tmp_path):
    seen = []
    paint(
        wrong,
        regions(ASTRAY),
        out=tmp_path / "out",
        n_threads=1,
        progress=lambda stage, fraction: seen.append((stage, fraction)),
    )
    assert list(dict.fromkeys(stage for stage, _ in seen)) == ["read", "fit", "render", "write"]
    for name in ("fit", "render"):
        values = [fraction for stage, fraction in seen if stage == name]
        assert values == sorted(values)
        assert values[0] == 0
        assert values[-1] <= 1


def test_the_record_tells_what_was_painted_and_of_what(wrong, right):
    told = right.record["settings"]["painted"]
    assert told["from"] == str(wrong)
    assert told["regions"] == [region_from_text(ASTRAY).as_json()]
    assert told["record_sha256"] == digests(wrong)["audiosep.json"]
    assert ASTRAY in right.record["notes"][-1]
    assert right.record["files"] == {}


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "no region is painted"),
        (["low=5-6"], "outside the recording, which is 4.00 s long"),
        (["low=3-4.5"], "outside the recording"),
        (["low=1-2,4k-5khz"], "highest frequency is 4000 Hz"),
        (["not other=1-2"], "there is no stem other"),
        (["Low=1-2"], "too like low"),
        (["low=1-2", "not low=1-2"], "belongs to no stem"),
        (["not low=1-2", "not high=1-2"], "belongs to no stem"),
    ],
)
def test_what_cannot_be_painted_is_refused(wrong, tmp_path, texts, words):
    with pytest.raises(UsageError, match=words):
        paint(wrong, regions(*texts), out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_stem_edited_since_is_refused(wrong, tmp_path):
    shutil.copytree(wrong, tmp_path / "mix")
    samples, sr = sf.read(tmp_path / "mix/high.wav", dtype="float32")
    sf.write(tmp_path / "mix/high.wav", samples * 0.5, sr, subtype="FLOAT")
    with pytest.raises(RefusedError, match="damaged or edited since it was written"):
        paint(tmp_path / "mix", regions(ASTRAY))
    assert [p.name for p in tmp_path.iterdir()] == ["mix"]


def test_folders_that_are_none_are_refused(wrong, tmp_path):
    with pytest.raises(InputError, match="holds no finished separation"):
        paint(tmp_path, regions(ASTRAY))
    shutil.copytree(wrong, tmp_path / "mix")
    (tmp_path / "mix/high.wav").unlink()
    with pytest.raises(InputError, match=r"high\.wav"):
        paint(tmp_path / "mix", regions(ASTRAY))
    record = json.loads((tmp_path / "mix/audiosep.json").read_text())
    record["stems"]["low"]["file"] = "../low.wav"
    (tmp_path / "mix/audiosep.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="not as it was written"):
        paint(tmp_path / "mix", regions(ASTRAY))


def test_a_place_that_is_taken_is_refused(wrong, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RefusedError, match="exists already"):
        paint(wrong, regions(ASTRAY), out=tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        paint(wrong, regions(ASTRAY), out=tmp_path / "file" / "out")


def test_long_recordings_are_refused(tmp_path):
    folder = folder_of(tmp_path / "mix", {"a": np.ones(61000) / 2, "b": np.ones(61000) / 4}, sr=100)
    with pytest.raises(RefusedError, match="10 minutes long, and at most 10 can be painted"):
        paint(folder, regions("a=1-2"))


def test_what_does_not_fit_into_memory_is_refused(wrong, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosep.research.separated.available_bytes", lambda: 100_000)
    with pytest.raises(RefusedError, match="MB are free"):
        paint(wrong, regions(ASTRAY), out=tmp_path / "out")


def test_a_seed_must_be_one(wrong):
    with pytest.raises(ParameterError, match="seed=-1"):
        paint(wrong, regions(ASTRAY), seed=-1)


# --- the command --------------------------------------------------------------------------------


def run(*arguments):
    return subprocess.run(
        [*files.COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_command_paints_what_a_label_file_says(wrong, right, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("0.05\t0.45\thigh\n\\\t600.0\t800.0\n")
    done = run(
        "paint", wrong, "--regions", labels, "-o", tmp_path / "out", "--json", "--threads", "1"
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["status"] == "done"
    assert said["regions"][0]["honoured"] > 0.9
    same = digests(right.place)["high.wav"]
    assert digests(tmp_path / "out")["high.wav"] == same


def test_the_command_refuses_in_a_sentence(wrong, tmp_path):
    done = run("paint", wrong, "--region", "drums")
    assert done.returncode == 2
    assert "write it as NAME=FROM-TO,LOW-HIGHhz" in done.stderr
    assert run("paint", wrong).returncode == 2
