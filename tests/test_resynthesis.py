"""The mixture with edited activations, and tables of them."""

from __future__ import annotations

import csv
import json
import os
import resource
from pathlib import Path

import files
import numpy as np
import pytest
import scenes
import soundfile as sf

import audiosep
from audiosep.cli.resynthesize import ResynthesizeOptions, resynthesize_folder
from audiosep.cli.talk import Talk
from audiosep.errors import (
    ExitCode,
    InputError,
    OutputError,
    ParameterError,
    RefusedError,
    UsageError,
)
from audiosep.factorization_files import load_factorization
from audiosep.io.tables import read_activations, write_arrays, write_table
from audiosep.research import separated
from audiosep.research.atoms import find_atoms
from audiosep.research.resynthesis import MOST_GAIN, export_activations, resynthesize

SR = 8000
NAMES = ("component-01", "component-02", "component-03")


@pytest.fixture(scope="module")
def mix():
    """16-bit samples of a band in two channels."""
    stems = scenes.band(SR, 2.0)
    both = np.stack([stems["bass"] + stems["chords"], stems["chords"] + stems["drums"]])
    return (np.rint(both / np.abs(both).max() * 20000) / 2**15).astype(np.float32)


@pytest.fixture(scope="module")
def place(mix, tmp_path_factory):
    """Its separation, which no test changes."""
    folder = tmp_path_factory.mktemp("studio")
    files.write_sound(folder / "mix.wav", mix, SR)
    settings = {"n_sources": 2, "n_components": 3, "max_iter": 20, "n_threads": 1}
    result = audiosep.separate(folder / "mix.wav", preset="components", **settings)
    result.save(folder / "mix")
    return folder / "mix"


# --- sounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.npz"])
def test_activations_that_were_not_edited_give_the_mixture(place, mix, tmp_path, name):
    export_activations(place, tmp_path / name)
    again = resynthesize(place, tmp_path / name)
    assert again.sr == SR
    np.testing.assert_array_equal(again.samples, mix)


def test_the_same_of_components_in_float(mix, tmp_path):
    atoms = find_atoms(mix, SR, n_components=3, max_iter=5, n_threads=1)
    atoms.save(tmp_path / "mix")
    again = resynthesize(tmp_path / "mix", tmp_path / "mix" / "activations.csv")
    np.testing.assert_allclose(again.samples, mix, atol=1e-7)


def test_a_component_without_activation_is_taken_out_by_its_share(mix, tmp_path):
    atoms = find_atoms(mix, SR, n_components=3, max_iter=20, n_threads=1)
    atoms.save(tmp_path / "mix")
    H = atoms.stored.activations.copy()
    H[1] = 0.0
    got = resynthesize(tmp_path / "mix", H).samples
    np.testing.assert_allclose(got, mix - atoms.sound(2).samples, atol=1e-6)
    single = resynthesize(tmp_path / "mix", {2: np.zeros(H.shape[1])}).samples
    np.testing.assert_array_equal(single, got)
    H[:] = 0.0
    np.testing.assert_allclose(resynthesize(tmp_path / "mix", H).samples, 0.0, atol=1e-6)


def test_work_that_does_not_fit_into_memory(place, monkeypatch):
    activations = load_factorization(place).activations
    monkeypatch.setattr(separated, "available_bytes", lambda: 1_000_000)
    with pytest.raises(RefusedError, match=r"mix need about \d+ MB of memory and 1 MB are free"):
        resynthesize(place, activations, n_threads=1)
    monkeypatch.setattr(separated, "available_bytes", lambda: 100_000_000)
    assert resynthesize(place, activations, n_threads=1).n_samples == 2 * SR


def test_twice_the_activations_are_twice_as_loud(place, mix):
    H = load_factorization(place).activations
    np.testing.assert_allclose(resynthesize(place, 2 * H).samples, 2 * mix, atol=1e-6)


def test_only_what_was_edited_changes(place, mix):
    stored = load_factorization(place)
    H = stored.activations.copy()
    H[:, :5] = 0.0
    got = resynthesize(place, H).samples
    reach = 5 * stored.hop_length + stored.n_fft // 2
    np.testing.assert_array_equal(got[:, reach:], mix[:, reach:])
    quiet = 5 * stored.hop_length - stored.n_fft // 2
    assert np.abs(got[:, :quiet]).max() < 1e-6


def test_gains_end_somewhere(place, mix):
    stored = load_factorization(place)
    got = resynthesize(place, stored.activations * np.float32(1e20)).samples
    np.testing.assert_allclose(got, MOST_GAIN * mix, atol=1e-4)


def test_two_notes_of_which_one_is_silenced(tmp_path):
    stems = scenes.two_notes(SR, 2.0)
    atoms = find_atoms(scenes.mixture(stems), SR, n_components=2, max_iter=60, n_threads=1)
    atoms.save(tmp_path / "mix")
    hz = atoms.frequencies_hz
    low = int(np.argmin((hz @ atoms.stored.templates) / atoms.stored.templates.sum(axis=0)))
    silent = np.zeros(atoms.stored.n_frames)
    got = resynthesize(tmp_path / "mix", {low + 1: silent}).samples
    rest = got[0] - stems["high"]
    assert 10 * np.log10((stems["high"] ** 2).sum() / (rest**2).sum()) > 20.0


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.ones((2, 5)), r"must be of shape \(3, "),
        ({4: np.ones(5)}, "there is no component 4; there are 1 to 3"),
        ({True: np.ones(5)}, "there is no component True"),
        ({1: np.ones(5)}, "component 1: expected .* numbers, one a frame"),
        ({1: "a"}, "component 1: expected"),
    ],
)
def test_arrays_that_do_not_fit(place, activations, message):
    with pytest.raises(ParameterError, match=message):
        resynthesize(place, activations)


@pytest.mark.parametrize("value", [-1e-6, np.nan, np.inf, 1e300])
def test_values_that_cannot_be(place, value):
    H = load_factorization(place).activations.astype(np.float64)
    H[2, 7] = value
    with pytest.raises(
        ParameterError, match="component 3 has activations below 0, not finite or beyo"
    ):
        resynthesize(place, H)


# --- tables -------------------------------------------------------------------------------------


def test_tables_keep_every_digit(tmp_path, rng):
    values = (10.0 ** rng.uniform(-30, 30, (3, 40))).astype(np.float32)
    write_table(tmp_path / "a.csv", "time_s", np.arange(40) * 0.1, NAMES, values.T)
    write_arrays(tmp_path / "a.npz", activations=values)
    for name in ("a.csv", "a.npz"):
        read = read_activations(tmp_path / name, NAMES, 40)
        np.testing.assert_array_equal(np.stack([read[k] for k in range(3)]), values)
    first = list(csv.reader((tmp_path / "a.csv").open()))[:2]
    assert first[0] == ["time_s", *NAMES]
    assert float(first[1][0]) == 0.0


def test_some_columns_in_any_order(tmp_path):
    text = "\ufefftime_s, component-03,component-01\r\n0,1,2\r\n\r\n0.1,3,4e0\r\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    read = read_activations(tmp_path / "a.csv", NAMES, 2)
    assert {k: v.tolist() for k, v in read.items()} == {2: [1.0, 3.0], 0: [2.0, 4.0]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of activations: its first line must be time_s"),
        ("time_s\n0\n1\n", "is no table of activations"),
        ("component-01\n0\n1\n", "is no table of activations"),
        ("time_s,component-04\n0,1\n1,1\n", "different ones of component-01 to component-03"),
        ("time_s,component-01,component-01\n0,1,1\n1,1,1\n", "different ones of"),
        ("time_s,component-01\n0,1\n", "has 1 rows of numbers; expected 2"),
        ("time_s,component-01\n0,1\n1,2\n2,3\n", "has 3 rows of numbers; expected 2"),
        ("time_s,component-01\n", "has 0 rows"),
        ("time_s,component-01\n0,1\n1\n", "is no table of numbers"),
        ("time_s,component-01\n0,1\n1,x\n", "is no table of numbers: line 3 holds"),
        ("time_s,component-01\n0,1\n1,-2\n", "component-01 is -2 in row 2; activations are"),
        ("time_s,component-01\n0,nan\n1,1\n", "component-01 is nan in row 1"),
        ("time_s,component-01\n0,1\n1,1e39\n", r"component-01 is 1e\+39 in row 2"),
        ("time_s,component-01\n0,1\n1,inf\n", "component-01 is inf in row 2"),
    ],
)
def test_tables_that_are_none(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_activations(tmp_path / "a.csv", NAMES, 2)


def test_a_cell_that_nobody_reads_to_its_end_is_cut(tmp_path):
    """Found by scripts/fuzz.py: its 5 000 digits were told one by one."""
    (tmp_path / "a.csv").write_text(f"time_s,component-01\n0,{'9' * 5000}x\n")
    with pytest.raises(InputError, match="is no table of numbers: line 2 holds") as refused:
        read_activations(tmp_path / "a.csv", NAMES, 2)
    assert len(str(refused.value)) < 300 + len(str(tmp_path))


def test_tables_larger_than_they_can_be_are_not_read(tmp_path):
    path = tmp_path / "a.csv"
    head = b"time_s,component-01\n"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(2**32)  # of zeros: nothing on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="is too large for activations of 3 components in 2 fra"):
        read_activations(path, NAMES, 2)
    # As large as it may be, and one line.
    path.write_bytes(head + b"0," + b"1" * 60_000 + b"\n")
    with pytest.raises(InputError, match=r"a\.csv"):
        read_activations(path, NAMES, 2)
    path.write_bytes(head + b"0,1\n" * 10_000)
    with pytest.raises(InputError, match="has 10000 rows of numbers; expected 2"):
        read_activations(path, NAMES, 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


def test_what_is_no_file_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")  # opening it would wait for ever
    for path in (tmp_path / "pipe.csv", tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match="is no file; give a table of activations"):
            read_activations(path, NAMES, 2)


def test_a_table_of_bytes(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"a\.csv is no text in UTF-8; export it as CSV again\.$"):
        read_activations(tmp_path / "a.csv", NAMES, 2)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_activations(tmp_path / "none.csv", NAMES, 2)


class Hostile:
    """Something that would run when unpickled."""

    def __reduce__(self):
        return (Path.write_text, (Path("it-ran"), "x"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"templates": np.ones((3, 2))}, "holds no array of numbers called 'activations'"),
        ({"activations": np.ones((2, 2))}, r"expected numbers \(3, 2\)"),
        ({"activations": np.ones(6)}, r"expected numbers \(3, 2\)"),
        ({"activations": np.ones((3, 2)) * 1j}, r"expected numbers \(3, 2\)"),
        ({"activations": np.array([[Hostile()] * 2] * 3)}, "holds no array of numbers"),
        ({"activations": -np.ones((3, 2))}, "is -1 in row 1"),
        ({"activations": np.ones((300, 2000))}, "are more than 3 x 2"),
    ],
)
def test_arrays_in_files_that_do_not_fit(tmp_path, monkeypatch, arrays, message):
    monkeypatch.chdir(tmp_path)
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_activations(tmp_path / "a.npz", NAMES, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_an_archive_cut_short(tmp_path):
    write_arrays(tmp_path / "a.npz", activations=np.ones((3, 2)))
    files.cut(tmp_path / "a.npz", 0.7)
    with pytest.raises(InputError, match="or is damaged"):
        read_activations(tmp_path / "a.npz", NAMES, 2)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(capsys):
    """Call the command; return its exit code, standard output and standard error."""

    def call(folder, *, activations=None, out=None, export=None, **talk):
        options = ResynthesizeOptions(activations=activations, out=out, export=export, n_threads=1)
        code = resynthesize_folder(folder, options, Talk(**talk))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_export_edit_and_back(place, mix, tmp_path, run):
    code, out, err = run(place, export=tmp_path / "a.csv")
    assert (code, out) == (ExitCode.DONE, f"{tmp_path / 'a.csv'}\n")
    assert "3 components" in err
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    for row in rows[1:]:
        row[2] = "0"
    with (tmp_path / "b.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code, out, _ = run(
        place, activations=tmp_path / "b.csv", out=tmp_path / "b.wav", json_lines=True
    )
    assert (code, json.loads(out)["out"]) == (ExitCode.DONE, str(tmp_path / "b.wav"))
    H = load_factorization(place).activations.copy()
    H[1] = 0.0
    samples, sr = sf.read(tmp_path / "b.wav", dtype="float32", always_2d=True)
    assert sr == SR
    np.testing.assert_array_equal(samples.T, resynthesize(place, H).samples)
    assert files.leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, UsageError, "give --activations FILE and --out FILE"),
        ({"activations": Path("a.csv")}, UsageError, "give --activations FILE and --out FILE"),
        ({"export": Path("a.csv"), "out": Path("b.wav")}, UsageError, "leave --activations and"),
        ({"export": Path("taken")}, RefusedError, "taken exists already"),
        ({"export": Path("none/a.csv")}, OutputError, "none is no folder"),
        ({"activations": Path("a.csv"), "out": Path("taken")}, RefusedError, "exists already"),
        ({"activations": Path("a.csv"), "out": Path("b.wav")}, InputError, "No such file"),
    ],
)
def test_mistakes_are_explained(place, tmp_path, monkeypatch, run, capsys, given, error, message):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    with pytest.raises(error, match=message) as raised:
        run(place, **given, json_lines=True)
    assert json.loads(capsys.readouterr().out)["error"] == str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
