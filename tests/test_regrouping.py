"""Stems regrouped without fitting: they add up as before, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import files
import numpy as np
import pytest
import scenes
import soundfile as sf

import audiosep
from audiosep.cli.regroup import RegroupOptions, regroup_folder
from audiosep.cli.talk import Talk
from audiosep.errors import (
    DictionaryError,
    ExitCode,
    InputError,
    OutputError,
    RefusedError,
    UsageError,
)
from audiosep.factorization_files import FACTORIZATION_NAME, load_factorization
from audiosep.io.evidence import EVIDENCE_NAMES
from audiosep.masks import wiener_masks
from audiosep.research.component_facts import describe_components
from audiosep.research.regrouping import regroup
from audiosep.research.separated import open_separated
from audiosep.transform import istft, stft
from audiosep.types import Audio

SR = 8000


def recording(duration=2.0):
    """Bass, chords and drums in two channels."""
    stems = scenes.band(SR, duration)
    left = stems["bass"] + 0.8 * stems["chords"] + 0.5 * stems["drums"]
    right = stems["bass"] + 0.3 * stems["chords"] + 0.9 * stems["drums"]
    return np.stack([left, right]).astype(np.float32)


def separated(place, samples=None, *, sr=SR, n_sources=3, source=None, **options):
    """Separate into components and save; `options` are of both."""
    saving = {key: options.pop(key) for key in ("bits", "format") if key in options}
    settings = {"n_components": 6, "max_iter": 10, "n_threads": 1} | options
    samples = recording() if samples is None else samples
    given = (samples, sr) if source is None else (source,)
    result = audiosep.separate(*given, preset="components", n_sources=n_sources, **settings)
    # Whatever they were named after.
    names = tuple(f"source-{n}" for n in range(1, n_sources + 1))
    result = replace(
        result,
        stems=dict(zip(names, result.stems.values(), strict=True)),
        grouping=replace(result.grouping, names=names),
    )
    result.save(place, **saving)
    return result


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A 16-bit separation that no test changes."""
    folder = tmp_path_factory.mktemp("studio")
    peak = np.abs(recording()).max()
    files.write_sound(folder / "mix.wav", 0.5 * recording() / peak, SR)
    separated(folder / "mix", source=folder / "mix.wav")
    return folder


@pytest.fixture
def place(studio, tmp_path):
    """A copy of it."""
    shutil.copytree(studio / "mix", tmp_path / "mix")
    return tmp_path / "mix"


def stems_of(folder, dtype="int32"):
    record = json.loads((folder / "audiosep.json").read_text())
    return {
        name: sf.read(folder / stem["file"], dtype=dtype, always_2d=True)[0]
        for name, stem in record["stems"].items()
    }


def total(folder, dtype="int64"):
    kind = "float64" if dtype == "float64" else "int32"
    return sum(stem.astype(dtype) for stem in stems_of(folder, kind).values())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- what is stored ------------------------------------------------------------------------------


def test_the_factorization_lies_beside_the_stems(place):
    record = json.loads((place / "audiosep.json").read_text())
    entry = record["files"][FACTORIZATION_NAME]
    assert entry["sha256"] == digest(place / FACTORIZATION_NAME)
    stored = load_factorization(place)
    assert stored.grouping.names == tuple(record["stems"])
    assert (stored.n_components, stored.sr, stored.n_channels) == (6, SR, 2)
    assert FACTORIZATION_NAME in EVIDENCE_NAMES


def test_it_is_what_the_stems_were_made_of(tmp_path):
    result = separated(tmp_path / "out")
    stored = load_factorization(tmp_path / "out")
    np.testing.assert_array_equal(stored.templates, result.factorization.templates)
    np.testing.assert_array_equal(stored.activations, result.factorization.activations)
    np.testing.assert_array_equal(stored.grouping.weights, result.grouping.weights)
    analysis = dict(result.record["analysis"])
    analysis.pop("chunk_s", None)  # the stored one is of the recording as a whole
    assert {name: getattr(stored, name) for name in analysis} == analysis


def test_methods_without_components_store_nothing(tmp_path):
    result = audiosep.separate(recording(), SR, preset="harmonic-percussive", n_threads=1)
    result.save(tmp_path / "out")
    assert not (tmp_path / "out" / FACTORIZATION_NAME).exists()
    with pytest.raises(InputError, match=r"keeps no components.*audiosep atoms"):
        regroup(tmp_path / "out", merge=[(1, 2)])


def test_a_factorization_of_another_analysis_is_not_stored(tmp_path):
    result = audiosep.separate(recording(), SR, **files.SMALL_SETTINGS)
    fewer = replace(result.factorization, templates=result.factorization.templates[:20])
    replace(result, factorization=fewer).save(tmp_path / "out")
    assert not (tmp_path / "out" / FACTORIZATION_NAME).exists()


def test_stems_are_saved_even_where_their_components_cannot_be(tmp_path):
    result = audiosep.separate(recording(), SR, **files.SMALL_SETTINGS)
    broken = replace(result.grouping, weights=2 * result.grouping.weights)
    replace(result, grouping=broken).save(tmp_path / "out")
    assert not (tmp_path / "out" / FACTORIZATION_NAME).exists()
    record = json.loads((tmp_path / "out" / "audiosep.json").read_text())
    assert record["warnings"] == [
        "these stems cannot be regrouped: the weights of a component do not sum to one."
    ]


def test_stems_are_saved_even_where_their_components_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("audiosep.factorization_files.MAX_FILE_BYTES", 2**20)
    audiosep.separate(recording(), SR, **files.SMALL_SETTINGS).save(tmp_path / "out")
    assert not (tmp_path / "out" / FACTORIZATION_NAME).exists()
    (warning,) = json.loads((tmp_path / "out" / "audiosep.json").read_text())["warnings"]
    assert "these stems cannot be regrouped: a factorization of" in warning


# --- sums ---------------------------------------------------------------------------------------

CHANGES = [
    {"merge": [(1, 2, 3, 4, 5, 6)]},
    {"merge": [("source-1", "source-3")]},
    {"move": {3: "drums"}},
    {"move": {(1, 4): "source-2", 5: "drums"}},
    {"merge": [("source-2", "source-1")], "move": {2: "new"}, "rename": {"source-3": "x"}},
    {"move": {(1, 2, 3, 4, 5, 6): "all"}},
    {"rename": {"source-1": "low"}},
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize(
    ("bits", "format_"), [(16, "wav"), (24, "wav"), (16, "flac"), (24, "flac"), ("float", "wav")]
)
def test_the_sum_stays(tmp_path, changes, bits, format_):
    samples = 0.3 * recording(0.6) / np.abs(recording(0.6)).max()
    separated(tmp_path / "mix", samples, bits=bits, format=format_)
    got = regroup(tmp_path / "mix", **changes, n_threads=1)
    if bits == "float":
        difference = total(got.place, "float64") - total(tmp_path / "mix", "float64")
        assert np.abs(difference).max() < 1e-7
    else:
        np.testing.assert_array_equal(total(got.place), total(tmp_path / "mix"))
    kind = {16: "PCM_16", 24: "PCM_24", "float": "FLOAT"}[bits]
    assert {sf.info(path).subtype for path in got.paths.values()} == {kind}
    assert {path.suffix for path in got.paths.values()} == {f".{format_}"}
    assert list(got.paths) == list(got.grouping.names)


def test_a_merged_stem_is_the_sum_and_the_others_are_the_same_bytes(place):
    got = regroup(place, merge=[("source-1", "source-3")])
    before, after = stems_of(place), stems_of(got.place)
    np.testing.assert_array_equal(after["source-1"], before["source-1"] + before["source-3"])
    assert digest(got.paths["source-2"]) == digest(place / "source-2.wav")
    assert list(after) == ["source-1", "source-2"]


def test_a_moved_component_is_its_share_of_the_mixture(tmp_path):
    result = separated(tmp_path / "mix", bits="float")
    stored = load_factorization(tmp_path / "mix")
    got = regroup(tmp_path / "mix", move={3: "drums"})
    W, H = stored.templates, stored.activations
    mask = (np.outer(W[:, 2], H[2]) / (W @ H))[np.newaxis]
    expected = istft(stft(result.mixture), mask=mask).samples
    np.testing.assert_allclose(stems_of(got.place, "float32")["drums"].T, expected, atol=2e-6)
    owner = stored.grouping.names[int(stored.grouping.weights[2].argmax())]
    left = result.stems[owner].samples - expected
    np.testing.assert_allclose(stems_of(got.place, "float32")[owner].T, left, atol=2e-6)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_stems_are_those_of_a_separation_grouped_so(tmp_path, exponent):
    result = separated(tmp_path / "mix", bits="float", mask_exponent=exponent)
    got = regroup(tmp_path / "mix", merge=[("source-1", "source-2")], move={2: "new"})
    W, H = result.factorization.templates, result.factorization.activations
    models = np.stack([(W * share) @ H for share in got.grouping.weights.T])[:, np.newaxis]
    masks = wiener_masks(models.astype(np.float32), exponent)
    spectrogram = stft(result.mixture)
    for mask, stem in zip(masks, stems_of(got.place, "float32").values(), strict=True):
        expected = istft(spectrogram, mask=mask).samples
        np.testing.assert_allclose(stem.T, expected, atol=5e-6)


@pytest.mark.parametrize("bits", [16, "float"])
def test_there_and_back_again(tmp_path, bits):
    samples = 0.3 * recording(1.0) / np.abs(recording(1.0)).max()
    separated(tmp_path / "mix", samples, bits=bits)
    stored = load_factorization(tmp_path / "mix")
    owners = [stored.grouping.names[i] for i in stored.grouping.weights.argmax(axis=1)]
    there = regroup(tmp_path / "mix", move={2: "elsewhere"})
    back = regroup(there.place, move={2: owners[1]})
    before, after = stems_of(tmp_path / "mix", "float64"), stems_of(back.place, "float64")
    assert after.keys() == before.keys()
    for name, stem in before.items():
        assert np.abs(after[name] - stem).max() <= (1.01 / 2**15 if bits == 16 else 1e-6)
    np.testing.assert_array_equal(back.grouping.weights, stored.grouping.weights)


def test_a_stem_emptied_into_two(place):
    stored = load_factorization(place)
    weights = stored.grouping.weights
    source = int(np.flatnonzero(weights.sum(axis=0) >= 2)[0])
    members = np.flatnonzero(weights[:, source])
    others = [n for i, n in enumerate(stored.grouping.names) if i != source]
    move = {int(k) + 1: others[i % 2] for i, k in enumerate(members)}
    got = regroup(place, move=move)
    assert list(got.paths) == others
    np.testing.assert_array_equal(total(got.place), total(place))


def test_sums_beyond_the_range_are_made_anew(tmp_path):
    # Stems that cancel each other are louder than their sum, and two of them than 16 bits.
    samples = recording(0.5)
    separated(tmp_path / "mix", samples / np.abs(samples).max() * 0.4, bits=16)
    shape = total(tmp_path / "mix").shape
    loud = np.random.default_rng(0).integers(20000, 30000, shape).astype(np.int16)
    record = json.loads((tmp_path / "mix/audiosep.json").read_text())
    for name, sign in (("source-1", 1), ("source-2", 1), ("source-3", -1)):
        path = tmp_path / "mix" / f"{name}.wav"
        sf.write(path, sign * loud, SR, "PCM_16")
        record["stems"][name]["sha256"] = digest(path)
    (tmp_path / "mix/audiosep.json").write_text(json.dumps(record))
    got = regroup(tmp_path / "mix", merge=[("source-1", "source-2")])
    np.testing.assert_array_equal(total(got.place), total(tmp_path / "mix"))
    assert list(got.paths) == ["source-1", "source-3"]
    assert {path.name for path in got.place.iterdir()} == {
        *("source-1.wav", "source-3.wav"),
        *("audiosep.json", FACTORIZATION_NAME),
    }


@pytest.mark.parametrize("samples", [np.zeros((1, 3000)), np.ones((3, 1)), np.full((2, 900), 0.1)])
def test_recordings_with_nothing_in_them(tmp_path, samples):
    separated(tmp_path / "mix", samples.astype(np.float32), bits="float", n_sources=2)
    got = regroup(tmp_path / "mix", move={2: "new", 1: "other"})
    np.testing.assert_allclose(total(got.place, "float64"), samples.T, atol=1e-6)


@pytest.mark.parametrize("level", [1e-12, 1e12])
def test_the_level_does_not_matter(tmp_path, level):
    separated(tmp_path / "mix", recording(0.5) * np.float32(level), bits="float")
    got = regroup(tmp_path / "mix", move={2: "new"})
    moved = stems_of(got.place, "float64")["new"]
    separated(tmp_path / "plain", recording(0.5), bits="float")
    plain = stems_of(regroup(tmp_path / "plain", move={2: "new"}).place, "float64")["new"]
    np.testing.assert_allclose(moved / level, plain, atol=1e-4 * np.abs(plain).max())


def test_threads_do_not_matter(place, tmp_path):
    wishes = {"merge": [("source-1", "source-2")], "move": {(3, 5): "drums"}}
    one = regroup(place, **wishes, out=tmp_path / "one", n_threads=1)
    three = regroup(place, **wishes, out=tmp_path / "three", n_threads=3)
    for name, path in one.paths.items():
        assert path.read_bytes() == three.paths[name].read_bytes()


# --- places and records --------------------------------------------------------------------------


def test_nothing_is_touched_and_each_time_there_is_a_new_folder(place):
    before = files.tree(place)
    first = regroup(place, move={1: "a"})
    second = regroup(place, move={1: "b"})
    third = regroup(first.place, rename={"a": "c"})
    assert [p.place.name for p in (first, second, third)] == [
        "mix-regrouped",
        "mix-regrouped-2",
        "mix-regrouped-3",
    ]
    assert files.tree(place) == before
    assert "c.wav" in {path.name for path in third.place.iterdir()}


def test_the_record_tells_where_from(place):
    got = regroup(place, merge=[(1, "source-2")], move={(3, 4): "new"}, rename={"source-3": "x"})
    record = json.loads((got.place / "audiosep.json").read_text())
    assert record == got.record
    old = json.loads((place / "audiosep.json").read_text())
    changes = record["settings"].pop("regrouped")
    assert record["settings"] == old["settings"]
    assert changes["record_sha256"] == digest(place / "audiosep.json")
    assert changes["merge"] == [[1, "source-2"]]
    assert changes["move"] == [[[3, 4], "new"]]
    assert changes["rename"] == {"source-3": "x"}
    assert record["notes"][: len(old["notes"])] == old["notes"]
    assert record["notes"][-1] == "source-3 is called x now."
    assert record["input"] == old["input"]
    for name, stem in record["stems"].items():
        assert stem["sha256"] == digest(got.paths[name])
        again = sf.read(got.paths[name])[0]
        assert stem["peak_db"] == pytest.approx(20 * np.log10(np.abs(again).max()), abs=0.01)
        assert stem["rms_db"] == pytest.approx(10 * np.log10((again**2).mean()), abs=0.01)
    assert record["files"].keys() == {FACTORIZATION_NAME}


def test_what_would_change_nothing_is_refused(place):
    stored = load_factorization(place)
    mine = [int(k) + 1 for k in np.flatnonzero(stored.grouping.weights[:, 0] == 1)]
    for wish in ({"move": {mine[0]: "source-1"}}, {"merge": [("source-1", mine[0])]}):
        with pytest.raises(UsageError, match=r"nothing would change: .* source-1"):
            regroup(place, **wish)
    assert sorted(p.name for p in place.parent.iterdir()) == ["mix"]


def test_an_existing_folder_is_refused(place, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(RefusedError, match="mine exists already, and nothing is replaced"):
        regroup(place, move={1: "a"}, out=tmp_path / "mine")
    with pytest.raises(RefusedError, match="mix exists already"):
        regroup(place, move={1: "a"}, out=place)
    with pytest.raises(OutputError, match="cannot write"):
        regroup(place, move={1: "a"}, out=place / "audiosep.json" / "new")


@pytest.mark.parametrize("wish", [{"move": {1: "new"}}, {"merge": [("source-1", "source-2")]}])
@pytest.mark.parametrize("name", ["source-1", "source-2", "source-3"])
def test_an_edited_stem_is_refused(place, wish, name):
    path = place / f"{name}.wav"
    samples = sf.read(path, dtype="int16")[0]
    samples[100] += 1
    sf.write(path, samples, SR, "PCM_16")
    with pytest.raises(RefusedError, match=f"{name}.wav is damaged or edited since"):
        regroup(place, **wish)
    assert sorted(p.name for p in place.parent.iterdir()) == ["mix"]


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda p: (p / "source-2.wav").unlink(), InputError, "cannot be read"),
        (
            lambda p: sf.write(p / "source-2.wav", np.zeros((9, 2)), SR),
            InputError,
            r"is not the stem that was written: it has .*, not .*--exists repair",
        ),
        (lambda p: (p / "audiosep.json").unlink(), InputError, "holds no finished separation"),
        (lambda p: (p / "audiosep.json").write_text("[]"), InputError, "no finished separation"),
        (lambda p: (p / FACTORIZATION_NAME).unlink(), DictionaryError, "No such file"),
        (lambda p: (p / FACTORIZATION_NAME).write_bytes(b"x"), DictionaryError, "damaged"),
    ],
)
def test_folders_that_are_not_whole(place, break_it, error, message):
    break_it(place)
    with pytest.raises(error, match=message):
        regroup(place, move={1: "a"})
    assert sorted(p.name for p in place.parent.iterdir()) == ["mix"]


@pytest.mark.parametrize(
    ("keys", "value", "error", "message"),
    [
        (("stems", "source-1", "file"), "../mix.wav", InputError, "not as it was written"),
        (("stems", "source-1", "file"), 5, InputError, "not as it was written"),
        (("stems", "source-1"), None, InputError, "not as it was written"),
        (("stems",), {}, InputError, "keeps no sounds of its components"),
        (("bits",), 12, InputError, "not as it was written"),
        (("files", FACTORIZATION_NAME), {}, InputError, "not as it was written"),
        (("files", FACTORIZATION_NAME, "sha256"), "0", RefusedError, "does not belong"),
        (("files",), [], InputError, "keeps no components"),
        (("stems", "source-1", "file"), "a\0.wav", InputError, "not as it was written"),
        (("stems", "source-1", "file"), "\ud800.wav", InputError, "not as it was written"),
        (("stems", "source-1", "file"), "", InputError, "not as it was written"),
        (("stems", "source-1", "file"), "..", InputError, "not as it was written"),
        (("stems", "source-1", "peak_db"), float("nan"), InputError, "not as it was written"),
        (("settings",), {"x": float("inf")}, InputError, "not as it was written"),
        (("notes",), ["half a \udc00"], InputError, "not as it was written"),
    ],
)
def test_records_that_lie(place, keys, value, error, message):
    path = place / "audiosep.json"
    record = json.loads(path.read_text())
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(record))
    with pytest.raises(error, match=message):
        open_separated(place)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_float_stems_of_no_numbers(tmp_path, value):
    """Even where the record vouches for them."""
    separated(tmp_path / "mix", bits="float")
    path = tmp_path / "mix" / "source-1.wav"
    samples = sf.read(path, dtype="float32")[0]
    samples[5] = value
    sf.write(path, samples, SR, "FLOAT")
    record = json.loads((tmp_path / "mix" / "audiosep.json").read_text())
    record["stems"]["source-1"]["sha256"] = digest(path)
    (tmp_path / "mix" / "audiosep.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"source-1.wav holds samples that are no numbers"):
        regroup(tmp_path / "mix", move={1: "new"})


def test_a_pipe_in_place_of_a_stem(place):
    (place / "source-1.wav").unlink()
    os.mkfifo(place / "source-1.wav")  # opening it would wait for ever
    with pytest.raises(InputError, match=r"source-1.wav cannot be read: it is no file"):
        regroup(place, move={1: "new"})


@pytest.mark.parametrize(
    "wish", [{"move": {1: "new"}}, {"merge": [("source-1", "source-2")]}, {"rename": {}}]
)
def test_work_that_does_not_fit_into_memory(place, monkeypatch, wish):
    monkeypatch.setattr("audiosep.research.separated.available_bytes", lambda: 100_000)
    with pytest.raises(RefusedError, match=r"mix need about .* MB are free; close other"):
        regroup(place, **wish)
    assert sorted(p.name for p in place.parent.iterdir()) == ["mix"]


def test_components_that_do_not_fit_into_memory(place, monkeypatch):
    monkeypatch.setattr("audiosep.factorization_files.available_bytes", lambda: 1000)
    with pytest.raises(RefusedError, match="do not fit into free memory; close other programs"):
        regroup(place, move={1: "new"})


def test_a_factorization_of_other_stems_is_refused(place, tmp_path):
    separated(tmp_path / "other", n_sources=2)
    (place / FACTORIZATION_NAME).write_bytes((tmp_path / "other" / FACTORIZATION_NAME).read_bytes())
    with pytest.raises(RefusedError, match="does not belong to the stems beside it"):
        regroup(place, move={1: "a"})


# --- what is said of components -----------------------------------------------------------------


def test_facts_of_two_notes(tmp_path):
    stems = scenes.two_notes(SR, 2.0)
    separated(tmp_path / "mix", scenes.mixture(stems), n_sources=2, n_components=2, max_iter=60)
    low, high = sorted(
        describe_components(load_factorization(tmp_path / "mix")), key=lambda one: one.centroid_hz
    )
    assert low.pitch_hz == pytest.approx(196.0, rel=0.02)
    assert 400 < low.centroid_hz < high.centroid_hz < 1000
    assert (low.stem, high.stem) == ("source-1", "source-2")
    assert low.share + high.share == pytest.approx(1.0)
    assert low.active == pytest.approx(0.7, abs=0.12)
    assert low.first_s == pytest.approx(0.0, abs=0.07)
    assert high.first_s == pytest.approx(0.45, abs=0.1)
    assert high.last_s == pytest.approx(1.95, abs=0.1)


def test_noise_has_no_pitch_and_silence_nothing(tmp_path):
    separated(tmp_path / "noise", files.noise(8000), n_sources=1, n_components=2)
    assert [f.pitch_hz for f in describe_components(load_factorization(tmp_path / "noise"))] == [
        None,
        None,
    ]
    separated(tmp_path / "silence", np.zeros((1, 4000), np.float32), n_sources=1)
    for one in describe_components(load_factorization(tmp_path / "silence")):
        assert (one.share, one.active, one.pitch_hz) == (0.0, 0.0, None)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(capsys):
    """Call the command; return its exit code, standard output and standard error."""

    def call(folder, *, merge=(), move=(), rename=(), out=None, **talk):
        options = RegroupOptions(
            merge=list(merge), move=list(move), rename=list(rename), out=out, n_threads=1
        )
        code = regroup_folder(folder, options, Talk(**talk))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_without_changes_components_are_listed(place, run):
    before = files.tree(place.parent)
    code, out, err = run(place)
    assert code == ExitCode.DONE
    heads, *lines = out.splitlines()
    assert heads.split() == ["component", "stem", "share", "centroid", "pitch", "active", "when"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert {line.split()[1] for line in lines} == {"source-1", "source-2", "source-3"}
    assert sum(float(line.split()[2].rstrip("%")) for line in lines) == pytest.approx(100, abs=0.4)
    assert "how sure" in err
    assert files.tree(place.parent) == before


def test_the_list_as_json(place, run):
    _, out, _ = run(place, json_lines=True)
    entries = [json.loads(line) for line in out.splitlines()]
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[0].keys() >= {"stem", "share", "centroid_hz", "pitch_hz", "active"}


def test_the_command_of_the_issue(place, run):
    code, out, err = run(place, merge=["2,5"], move=["3=drums"])
    assert code == ExitCode.DONE
    paths = [Path(line) for line in out.splitlines()]
    assert {path.parent.name for path in paths} == {"mix-regrouped"}
    assert "drums.wav" in {path.name for path in paths}
    assert all(path.is_file() for path in paths)
    assert "without fitting" in err
    np.testing.assert_array_equal(total(place.parent / "mix-regrouped"), total(place))


def test_what_is_one_is_called_one(place, run):
    _, _, err = run(place, merge=["source-1,source-2,source-3"])
    assert "mix: 1 stem in " in err
    _, _, err = run(place, merge=["source-1,source-2"])
    assert "mix: 2 stems in " in err


def test_names_with_json(place, run, tmp_path):
    code, out, _ = run(
        place,
        merge=["source-1, source-2"],
        move=["1 , 4=a b"],
        rename=["source-3 = x=y"],
        out=tmp_path / "new",
        json_lines=True,
    )
    entry = json.loads(out)
    assert (code, entry["status"], entry["error"]) == (ExitCode.DONE, "done", None)
    assert entry["stems"].keys() == entry["confidence"].keys() == {"source-1", "x=y", "a b"}
    assert entry["place"] == str(tmp_path / "new")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"merge": ["2,99"]}, "there is no component 99; there are 1 to 6"),
        ({"merge": ["2,,3"]}, "something is missing between the commas"),
        ({"merge": ["2,2"]}, "merging 2 with itself is nothing to do"),
        ({"merge": ["drums,1"]}, "no stem drums; there are source-1, source-2, source-3"),
        ({"move": ["3"]}, "'3' is no pair; write it as --move 3=drums"),
        ({"move": ["=drums"]}, "is no pair"),
        ({"move": ["x=drums"]}, "'x' is no number of a component"),
        ({"move": ["7=drums"]}, "there is no component 7"),
        ({"rename": ["source-1"]}, "is no pair; write it as --rename old=new"),
        ({"rename": ["drums=x"]}, "no stem drums"),
        ({"out": Path("x")}, "nothing is to be changed"),
    ],
)
def test_mistakes_are_explained(place, run, capsys, typed, message):
    with pytest.raises(UsageError, match=message) as raised:
        run(place, **typed, json_lines=True)
    entry = json.loads(capsys.readouterr().out)
    assert (entry["status"], entry["error"]) == ("failed", str(raised.value))
    assert [p.name for p in place.parent.iterdir()] == ["mix"]


def test_stems_that_are_not_of_components(tmp_path, run):
    with pytest.raises(InputError, match="holds no finished separation"):
        run(tmp_path)


def test_split_does_not_take_regrouped_stems_for_its_own(studio, place, tmp_path):
    from audiosep.cli.resume import _traits

    got = regroup(place, rename={"source-1": "low"})
    old = json.loads((place / "audiosep.json").read_text())
    one, other = (
        _traits(
            r["audiosep"],
            r["settings"],
            r["input"]["sha256"],
            (0, None),
            r["output"],
            is_short=False,
            stream=None,
            is_damaged=False,
            is_mended=False,
        )
        for r in (old, got.record)
    )
    assert one != other


def test_files_are_read_by_what_the_record_says(place):
    opened = open_separated(place)
    assert (opened.bits, opened.format) == (16, "wav")
    both = opened.add_up(["source-2"], n_threads=2)
    np.testing.assert_array_equal(both.mixture.T * 2**15, total(place) >> 16)
    assert both.stems.keys() == {"source-2"}
    assert both.stems["source-2"].dtype == np.int16
    mixture = Audio(samples=both.mixture, sr=SR)
    assert mixture.n_channels == 2
