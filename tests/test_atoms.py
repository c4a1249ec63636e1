"""Single components: their templates, activations and sounds, in memory and in files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import files
import naive
import numpy as np
import pytest
import scenes
import soundfile as sf

from audiosep.cli.atoms import AtomsOptions, atoms_of
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import (
    Cancelled,
    ExitCode,
    InputError,
    OutputError,
    ParameterError,
    RefusedError,
    UsageError,
)
from audiosep.factorization_files import load_factorization
from audiosep.research.atoms import find_atoms
from audiosep.research.component_facts import component_names
from audiosep.research.regrouping import regroup
from audiosep.types import Audio

SR = 8000
QUICK = {"n_components": 3, "max_iter": 5, "n_threads": 1}


def mix(duration=1.0):
    return scenes.mixture(scenes.band(SR, duration))


def sum_of(sounds):
    return np.sum([audio.samples.astype(np.float64) for audio in sounds], axis=0)


# --- in memory ----------------------------------------------------------------------------------


def test_two_notes_are_two_atoms():
    stems = scenes.two_notes(SR, 2.0)
    atoms = find_atoms(scenes.mixture(stems), SR, n_components=2, n_threads=1)
    for stem in stems.values():
        assert max(naive.si_sdr(audio.samples[0], stem) for audio in atoms) > 20.0


@pytest.mark.parametrize("n_channels", [1, 3])
def test_sounds_sum_to_the_mixture(n_channels):
    samples = files.noise(5000, n_channels)
    atoms = find_atoms(samples, SR, **QUICK)
    assert atoms.n_components == 3
    np.testing.assert_allclose(sum_of(atoms), samples, atol=1e-6)


def test_axes_and_factors():
    atoms = find_atoms(mix(), SR, **QUICK)
    assert atoms.frequencies_hz[[0, -1]].tolist() == [0.0, SR / 2]
    assert atoms.times_s[0] == 0.0
    assert atoms.times_s[-1] == pytest.approx(1.0, abs=atoms.stored.frame_s)
    assert atoms.stored.templates.shape == (len(atoms.frequencies_hz), 3)
    assert atoms.stored.activations.shape == (3, len(atoms.times_s))
    assert atoms.stored.grouping.names == component_names(3)
    np.testing.assert_array_equal(atoms.stored.grouping.weights, np.eye(3))
    np.testing.assert_array_equal(atoms.factorization.templates, atoms.stored.templates)


def test_how_many_are_found_by_itself():
    stems = scenes.two_notes(SR, 2.0)
    atoms = find_atoms(scenes.mixture(stems), SR, max_iter=5, n_threads=1)
    assert 2 <= atoms.n_components <= 8
    assert atoms.record["notes"][0].startswith(f"{atoms.n_components} components: Of ")
    assert find_atoms(mix(), SR, **QUICK).record["notes"] == []


def test_settings_reach_the_fit():
    atoms = find_atoms(
        mix(), SR, n_components=4, beta="is", max_iter=3, seed=7, window_s=0.03, n_threads=1
    )
    fit = atoms.factorization
    assert (fit.n_components, fit.beta, fit.n_iter, fit.seed) == (4, 0.0, 3, 7)
    assert atoms.stored.n_fft == 256
    assert atoms.record["settings"] == {
        "n_components": 4,
        "beta": 0.0,
        "max_iter": 3,
        "window_s": 0.03,
        "seed": 7,
    }


def test_the_same_seed_and_any_threads_give_the_same_bytes():
    one, two = (find_atoms(mix(), SR, **QUICK | {"n_threads": n}) for n in (1, 2))
    assert one.stored.templates.tobytes() == two.stored.templates.tobytes()
    assert (
        one.sound(2, n_threads=1).samples.tobytes() == two.sound(2, n_threads=2).samples.tobytes()
    )
    other = find_atoms(mix(), SR, **QUICK, seed=1)
    assert one.stored.templates.tobytes() != other.stored.templates.tobytes()


HOSTILE = {
    "silence": np.zeros((2, 3000), np.float32),
    "one sample": np.ones((1, 1), np.float32),
    "direct current": np.full((1, 4000), 0.5, np.float32),
    "noise": files.noise(4000, 1),
    "many channels": files.noise(2000, 40),
    "quiet": files.noise(4000, 1) * np.float32(1e-12),
    "loud": files.noise(4000, 1) * np.float32(1e12),
    "a gap": np.concatenate([files.noise(3000, 1), np.zeros((1, 9000), np.float32)], axis=1),
}


@pytest.mark.parametrize("sr", [8000, 96000])
@pytest.mark.parametrize("name", HOSTILE)
def test_recordings_that_are_unusual(name, sr):
    samples = HOSTILE[name]
    atoms = find_atoms(samples, sr, **QUICK)
    top = max(float(np.abs(samples).max()), 1e-30)
    np.testing.assert_allclose(sum_of(atoms) / top, samples / top, atol=2e-6)


@pytest.mark.parametrize("name", ["silence", "one sample", "noise"])
def test_their_number_of_components(name):
    assert find_atoms(HOSTILE[name], SR, max_iter=2, n_threads=1).n_components >= 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_components": 0}, ParameterError, "n_components=0 must be a whole number from 1"),
        ({"n_components": 1001}, ParameterError, "n_components=1001 must be"),
        ({"n_components": "auto"}, ParameterError, "n_components='auto' must be"),
        ({"beta": "cosine"}, UsageError, "beta 'cosine' is unknown"),
        ({"max_iter": 0}, ParameterError, "max_iter=0 must be"),
        ({"window_s": 100.0}, ParameterError, "window of 100.0 s is out of range"),
        ({"seed": -1}, ParameterError, "seed=-1 must be"),
        ({"start": 1.0}, UsageError, "start and duration are for files"),
    ],
)
def test_settings_that_cannot_be(settings, error, message):
    with pytest.raises(error, match=message):
        find_atoms(mix(0.2), SR, **settings)


def test_sounds_that_are_not_there():
    atoms = find_atoms(mix(0.2), SR, **QUICK)
    for number in (0, 4):
        with pytest.raises(ParameterError, match=f"number={number} must be"):
            atoms.sound(number)


# --- files --------------------------------------------------------------------------------------


def test_everything_is_written(tmp_path):
    atoms = find_atoms(mix(), SR, **QUICK)
    saved = atoms.save(tmp_path / "mix")
    names = component_names(3)
    assert {path.name for path in (tmp_path / "mix").iterdir()} == {
        *("templates.csv", "activations.csv", "components.npz", "factorization.safetensors"),
        *(f"{name}.wav" for name in names),
        "audiosep.json",
    }
    sounds = [sf.read(path, dtype="float64")[0] for path in saved.sounds.values()]
    assert np.abs(np.sum(sounds, axis=0) - atoms.mixture.samples[0]).max() < 1e-7
    with np.load(tmp_path / "mix" / "components.npz") as arrays:
        np.testing.assert_array_equal(arrays["templates"], atoms.stored.templates)
        np.testing.assert_array_equal(arrays["activations"], atoms.stored.activations)
        np.testing.assert_array_equal(arrays["times_s"], atoms.times_s)
        np.testing.assert_array_equal(arrays["frequencies_hz"], atoms.frequencies_hz)
    for table, axis, values in (
        ("templates", atoms.frequencies_hz, atoms.stored.templates),
        ("activations", atoms.times_s, atoms.stored.activations.T),
    ):
        head, *rows = csv.reader((tmp_path / "mix" / f"{table}.csv").open())
        assert head[1:] == list(names)
        numbers = np.array(rows, dtype=float)
        np.testing.assert_allclose(numbers[:, 0], axis, atol=1e-6)
        np.testing.assert_array_equal(numbers[:, 1:].astype(np.float32), values)
    assert load_factorization(tmp_path / "mix").grouping.names == names


def test_the_record(tmp_path):
    files.write_sound(tmp_path / "mix.wav", mix() / 4)
    atoms = find_atoms(tmp_path / "mix.wav", **QUICK, start=0.1, duration=0.5)
    saved = atoms.save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "audiosep.json").read_text())
    assert record == saved.record
    assert record["method"] == "atoms"
    assert (record["input"]["start"], record["input"]["duration"]) == (0.1, 0.5)
    assert record["input"]["n_samples"] == atoms.mixture.n_samples == 4000
    assert [one["number"] for one in record["components"]] == [1, 2, 3]
    assert sum(one["share"] for one in record["components"]) == pytest.approx(1.0)
    assert len(record["losses"]) == 6
    assert record["null_test_db"] < -130
    for name, file in record["files"].items():
        assert len(file["sha256"]) == 64
        assert (tmp_path / "out" / name).is_file()


def test_without_sounds(tmp_path):
    saved = find_atoms(mix(0.3), SR, **QUICK).save(tmp_path / "mix", sounds=False)
    assert saved.sounds == {}
    assert not list((tmp_path / "mix").glob("*.wav"))
    with pytest.raises(InputError, match="keeps no sounds of its components"):
        regroup(tmp_path / "mix", merge=[(1, 2)])


def test_components_can_be_regrouped(tmp_path):
    atoms = find_atoms(mix(0.5), SR, **QUICK)
    atoms.save(tmp_path / "mix")
    got = regroup(tmp_path / "mix", merge=[(1, 3)], rename={"component-02": "rest"})
    assert list(got.paths) == ["component-01", "rest"]
    both = sf.read(got.paths["component-01"], dtype="float32")[0]
    expected = atoms.sound(1).samples[0] + atoms.sound(3).samples[0]
    np.testing.assert_allclose(both, expected, atol=1e-6)


def test_files_are_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        find_atoms(mix(0.3), SR, **QUICK).save(tmp_path / name)
    one, other = files.tree(tmp_path / "a"), files.tree(tmp_path / "b")
    del one["audiosep.json"], other["audiosep.json"]  # with times
    assert one == other


def test_an_existing_folder_is_refused(tmp_path):
    atoms = find_atoms(mix(0.2), SR, **QUICK)
    (tmp_path / "mix").mkdir()
    with pytest.raises(RefusedError, match="has appeared"):
        atoms.save(tmp_path / "mix")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        atoms.save(tmp_path / "file" / "mix")
    assert files.leftovers(tmp_path) == []


def test_an_interruption_leaves_nothing(tmp_path):
    def refuse(stage, fraction):
        if stage == "render" and fraction > 0.3:
            raise Cancelled("stop")

    atoms = find_atoms(mix(0.2), SR, **QUICK)
    with pytest.raises(Cancelled):
        atoms.save(tmp_path / "mix", progress=refuse)
    assert list(tmp_path.iterdir()) == []


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Call the command; return its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    files.write_sound(tmp_path / "mix.wav", mix(0.5) / 4)

    def call(source="mix.wav", *, talk=None, **options):
        wanted = {
            "out": Path("atoms"),
            "n_components": "3",
            "beta": "kl",
            "max_iter": 3,
            "sounds": "wav",
            "start": 0.0,
            "duration": None,
            "seed": 0,
            "n_threads": 1,
            "exists": "skip",
        }
        code = atoms_of(Path(source), AtomsOptions(**wanted | options), Talk(**(talk or {})))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_command_prints_what_it_wrote(run):
    code, out, err = run()
    assert code == ExitCode.DONE
    paths = [Path(line) for line in out.splitlines()]
    assert len(paths) == 7
    assert all(path.is_file() and path.parent == Path("atoms/mix") for path in paths)
    assert "3 components" in err
    assert "'audiosep regroup atoms/mix' lists them" in err


def test_what_was_done_is_not_done_again(run, tmp_path):
    _, first, _ = run()
    before = files.tree(tmp_path / "atoms")
    code, out, err = run()
    assert (code, out) == (ExitCode.DONE, first)
    assert err == "mix.wav: already done, in atoms/mix\n"
    _, out, _ = run(talk={"json_lines": True})
    entry = json.loads(out)
    assert (entry["status"], entry["place"], len(entry["stems"])) == ("skipped", "atoms/mix", 3)
    assert files.tree(tmp_path / "atoms") == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, "with other settings"),
        ({"duration": 0.3}, "from another part of the recording"),
        ({"sounds": "wav"}, "without sounds"),
        ({"seed": 2, "sounds": "wav"}, "with other settings and without sounds"),
    ],
)
def test_another_job_gets_a_folder_of_its_own_and_says_why(run, options, words):
    run(sounds="none")
    for again in (False, True):
        _, out, err = run(**{"sounds": "none"} | options, talk={"json_lines": True})
        entry = json.loads(out)
        assert (entry["status"], entry["place"]) == (("done", "skipped")[again], "atoms/mix-2")
        assert f"mix.wav: atoms/mix holds components made {words}\n" in err


def test_another_recording_of_the_same_name(run, tmp_path):
    run(sounds="none")
    files.write_sound(tmp_path / "mix.wav", mix(0.4) / 4)
    _, out, err = run(sounds="none")
    assert "atoms/mix-2/templates.csv" in out
    assert "atoms/mix holds components made from another recording" in err


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    (tmp_path / "atoms" / "mix").mkdir(parents=True)
    _, out, err = run(sounds="none")
    assert "atoms/mix-2/templates.csv" in out
    assert "mix.wav: atoms/mix holds something else" in err


def test_what_was_edited_is_not_replaced_unasked(run, tmp_path):
    run()
    path = tmp_path / "atoms" / "mix" / "activations.csv"
    path.write_text("mine")
    with pytest.raises(RefusedError, match=r"activations.csv is damaged or edited since; use --ex"):
        run()
    assert path.read_text() == "mine"
    _, out, _ = run(exists="rename")
    assert "atoms/mix-2/activations.csv" in out
    assert run(exists="overwrite")[0] == ExitCode.DONE
    assert path.read_text() != "mine"
    # What is missing is made again.
    path.unlink()
    assert "already done" not in run()[2]
    assert path.is_file()


def test_overwriting_removes_what_it_wrote_and_nothing_else(run, tmp_path):
    run()
    (tmp_path / "atoms" / "mix" / "notes.txt").touch()
    run(exists="overwrite", n_components="2", sounds="none")
    found = {path.name for path in (tmp_path / "atoms" / "mix").iterdir()}
    tables = ("templates.csv", "activations.csv", "components.npz", "factorization.safetensors")
    assert found == {*tables, "audiosep.json", "notes.txt"}
    with pytest.raises(RefusedError, match="already exists; use --exists overwrite or rename"):
        run(exists="fail")


def test_automatic_number(run):
    _, out, err = run(
        n_components="auto", sounds="none", talk={"json_lines": True, "verbose": True}
    )
    assert json.loads(out)["n_components"] >= 1
    assert "stay relevant" in err or "components" in err


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"n_components": "many"},
            UsageError,
            "'many' must be a whole number or auto",
        ),
        ({"n_components": "0"}, UsageError, "n_components=0 must be"),
        ({"sounds": "mp3"}, UsageError, "--sounds 'mp3' is unknown; use wav or none"),
        ({"exists": "maybe"}, UsageError, "--exists 'maybe' is unknown; use skip, overwrite, r"),
        ({"source": "none.wav"}, InputError, "none.wav"),
        ({"out": Path("mix.wav")}, OutputError, "cannot write to mix.wav"),
        ({"start": 9.0}, InputError, "before the start of 9 s"),
    ],
)
def test_mistakes_are_explained(run, tmp_path, capsys, options, error, message):
    with pytest.raises(error, match=message) as raised:
        run(**options, talk={"json_lines": True})
    assert json.loads(capsys.readouterr().out)["error"] == words_of(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mix.wav"]


def test_recordings_in_memory():
    audio = Audio(samples=mix(0.2), sr=SR)
    np.testing.assert_array_equal(find_atoms(audio, **QUICK).mixture.samples, audio.samples)
