"""What was written is looked at again: whatever happened to it since is told."""

from __future__ import annotations

import json
import os
import re
import shutil

import files
import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from audiosep import ReadOptions, Separator
from audiosep.cli import verify as verify_command
from audiosep.cli.app import app
from audiosep.errors import InputError, UsageError
from audiosep.verification import verify

SR = 8000
AGAIN = "'audiosep split --exists repair' makes it again"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A recording and its stems, with their factorization."""
    home = tmp_path_factory.mktemp("verify")
    sf.write(home / "mix.wav", files.noise(3000, seed=4).T, SR, subtype="PCM_16")
    Separator(preset="components", max_iter=2).split(home / "mix.wav", home / "out" / "mix")
    return home


@pytest.fixture
def here(written, tmp_path):
    shutil.copytree(written / "out", tmp_path / "out")
    return tmp_path / "out" / "mix"


def stems_of(place):
    return sorted(place.glob("*.wav"))


def record_of(place):
    return json.loads((place / "audiosep.json").read_text())


def change(place, **entries):
    (place / "audiosep.json").write_text(json.dumps(record_of(place) | entries))


def run(*arguments):
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_all_as_it_was(here):
    found = verify(here)
    assert found.is_whole
    assert found.null_test_db == -300.0
    assert found.n_files == len(stems_of(here)) + 1  # and the factorization
    code, out, err = run(here)
    assert (code, err) == (0, "")
    assert "add up to the recording exactly" in out


@pytest.mark.parametrize("bits", ["float", 24])
def test_other_depths(tmp_path, bits):
    samples = files.noise(3000, peak=0.9)
    sf.write(tmp_path / "mix.wav", samples.T, SR, subtype="FLOAT" if bits == "float" else "PCM_24")
    Separator(preset="components", max_iter=2).split(tmp_path / "mix.wav", tmp_path / "out")
    found = verify(tmp_path / "out")
    assert found.is_whole
    assert found.null_test_db < -120


def test_a_stem_that_was_edited(here):
    path = stems_of(here)[0]
    samples, _ = sf.read(path, dtype="int16")
    samples[100] += 1
    sf.write(path, samples, SR, subtype="PCM_16")
    found = verify(here)
    assert found.problems == (
        f"{path.name} is damaged or was edited since it was written; {AGAIN}.",
    )
    code, out, err = run(here)
    assert (code, out) == (3, "")
    assert "edited" in err


@pytest.mark.parametrize("preset", ["harmonic-percussive", "components"])
@pytest.mark.parametrize("harm", ["no record", "cut record", "no stem", "cut stem"])
def test_what_is_advised_helps(tmp_path, monkeypatch, preset, harm):
    """Found by a reader: who separated again as told was refused."""
    monkeypatch.chdir(tmp_path)
    sf.write("mix.wav", files.noise(3000, seed=4).T, SR, subtype="PCM_16")
    small = ["--iterations", "2"] if preset == "components" else []
    command = ["split", "mix.wav", "-o", "out", "--preset", preset, *small]
    assert CliRunner().invoke(app, command).exit_code == 0
    place = tmp_path / "out" / "mix"
    path = place / "audiosep.json" if "record" in harm else stems_of(place)[0]
    if harm.startswith("no"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200])
    code, _, err = run("out/mix")
    assert code == 3
    (how,) = re.findall(r"'audiosep split (--exists \w+)' makes", err)
    assert CliRunner().invoke(app, [*command, *how.split()]).exit_code == 0
    assert run("out/mix")[0] == 0
    assert [p.name for p in place.parent.glob("[!.]*")] == ["mix"]


def test_a_missing_file_and_one_that_is_no_file(here):
    first, second = stems_of(here)
    first.unlink()
    second.unlink()
    second.mkdir()
    problems = " ".join(verify(here).problems)
    assert f"{first.name} is missing; {AGAIN}." in problems
    assert f"{second.name} cannot be read" in problems


def test_stems_whose_record_was_forged_do_not_add_up(here):
    """Hashes that fit the files are not enough."""
    path = stems_of(here)[0]
    samples, _ = sf.read(path, dtype="int16")
    sf.write(path, samples // 2, SR, subtype="PCM_16")
    record = record_of(here)
    for entry in record["stems"].values():
        if entry["file"] == path.name:
            entry["sha256"] = files_digest(path)
    change(here, stems=record["stems"])
    found = verify(here)
    assert len(found.problems) == 1
    assert "differ from the recording" in found.problems[0]


def test_a_stem_of_another_length(here):
    path = stems_of(here)[0]
    samples, _ = sf.read(path, dtype="int16")
    sf.write(path, samples[:-1], SR, subtype="PCM_16")
    record = record_of(here)
    for entry in record["stems"].values():
        if entry["file"] == path.name:
            entry["sha256"] = files_digest(path)
    change(here, stems=record["stems"])
    assert "2999 samples" in verify(here).problems[0]


def files_digest(path):
    from audiosep.io.header import sha256_of

    return sha256_of(path)


def test_a_recording_that_moved(here, written, tmp_path):
    change(here, input=record_of(here)["input"] | {"path": str(tmp_path / "gone.wav")})
    found = verify(here)
    assert found.is_whole
    assert found.null_test_db is None
    assert "--mixture" in found.notes[0]
    assert verify(here, written / "mix.wav").null_test_db == -300.0
    code, _, err = run(here, "--mixture", written / "mix.wav")
    assert (code, err) == (0, "")


def test_a_recording_named_relative_to_another_folder(here, written, monkeypatch, tmp_path):
    change(here, input=record_of(here)["input"] | {"path": "mix.wav"})
    monkeypatch.chdir(tmp_path)
    note = verify(here).notes[0]
    assert "was given as mix.wav" in note
    assert "--mixture" in note
    monkeypatch.chdir(written)
    assert verify(here).null_test_db == -300.0


@pytest.mark.parametrize("address", ["s3://takes/mix.wav", "https://takes.example/mix.wav"])
def test_a_recording_that_is_remote(here, address):
    change(here, input=record_of(here)["input"] | {"path": address})
    found = verify(here)
    assert found.is_whole
    assert f"is remote, at {address}," in found.notes[0]
    assert "copy it here and name it with --mixture" in found.notes[0]


def test_stems_of_samples_in_memory(tmp_path):
    Separator(preset="components", max_iter=2).split(files.noise(3000), tmp_path / "out", SR)
    found = verify(tmp_path / "out")
    assert found.is_whole
    assert "samples in memory" in found.notes[0]


def test_one_recording_named_for_two_folders(here, written):
    shutil.copytree(here, here.parent / "second")
    arguments = ["verify", str(here.parent), "--mixture", str(written / "mix.wav")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UsageError)
    assert "2 folders of stems" in str(result.exception)
    assert result.stdout == ""


def test_another_recording(here, tmp_path):
    other = tmp_path / "other.wav"
    sf.write(other, files.noise(3000, seed=9).T, SR, subtype="PCM_16")
    with pytest.raises(InputError, match="not the recording"):
        verify(here, other)
    change(here, input=record_of(here)["input"] | {"path": str(other)})
    assert "another file by now" in verify(here).notes[0]


def test_a_part_of_a_recording(written, tmp_path):
    Separator(preset="components", max_iter=2).split(
        written / "mix.wav", tmp_path / "out", start=0.1, duration=0.2
    )
    assert verify(tmp_path / "out").null_test_db == -300.0


def test_folders_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"no audiosep\.json"):
        verify(tmp_path)
    code, _, err = run(tmp_path, tmp_path / "nowhere")
    assert code == 3
    assert err.count("audiosep: ") == 3  # each, and how many


@pytest.mark.parametrize(
    "record",
    [
        "{}",
        "[]",
        "null",
        '{"stems": {"a": {"file": "../mix.wav", "sha256": ""}}}',
        '{"stems": {"a": {"file": "a\\u0000b"}}, "input": 3}',
        '{"stems": {"a": []}, "files": {"/etc/passwd": {}}}',
        '{"stems": [], "files": []}',
    ],
)
def test_records_of_any_shape(here, record):
    (here / "audiosep.json").write_text(record)
    try:
        assert not verify(here).is_whole
    except InputError:
        assert record in ("[]", "null")


@pytest.mark.parametrize(
    "odd",
    [
        {"input.path": 5},
        {"input.path": ["mix.wav"]},
        {"input.start": "x"},
        {"input.start": -1},
        {"input.start": float("nan")},
        {"input.duration": 0},
        {"input.duration": True},
        {"input.duration": {}},
        {"null_test_db": 1e9},
        {"null_test_db": "deep"},
        {"null_test_db": float("-inf")},
        {"null_test_db": 10**400},
        {"bits": None},
        {"bits": "16"},
        {"bits": 16.0},
        {"bits": 8},
        {"bits": True},
        {"bits": [16]},
        {"input.sr": "8000"},
        {"input.n_channels": 2.0},
        {"input.n_samples": 0},
        {"input.sha256": "../mix.wav"},
        {"input.reading": "salvage"},
        {"input.reading": {"damaged": "keep"}},
        {"input.reading": {"__class__": 1}},
    ],
)
def test_an_odd_entry_is_a_problem_and_stops_no_other_folder(here, odd):
    shutil.copytree(here, here.parent / "second")
    ((name, value),) = odd.items()
    if name.startswith("input."):
        change(here, input=record_of(here)["input"] | {name.removeprefix("input."): value})
    else:
        change(here, **odd)
    (problem,) = verify(here).problems
    words = f"it has no {name}." if value is None else f"{name} cannot be"
    assert words in problem
    code, out, err = run(here.parent)
    assert code == 1
    assert words in err
    assert "second: " in out


@pytest.mark.parametrize("path", ["", "n" * 5000, "a\0b.wav", "\ud800.wav", "/", ".."])
def test_a_recording_that_cannot_be_where_it_is_said_to_be(here, path):
    change(here, input=record_of(here)["input"] | {"path": path})
    found = verify(here)
    assert found.is_whole
    assert len(found.notes) == 1


def test_whatever_happens_in_a_folder_stops_no_other(here, monkeypatch):
    shutil.copytree(here, here.parent / "second")
    real = verify_command.verify

    def broken(folder, mixture):
        if folder == here:
            raise ZeroDivisionError("of its own")
        return real(folder, mixture)

    monkeypatch.setattr(verify_command, "verify", broken)
    code, out, err = run(here.parent)
    assert code == 1
    assert "cannot be checked (ZeroDivisionError: of its own); please report it." in err
    assert "second: " in out


HOSTILE = [
    ({"file": "../mix.wav"}, "cannot be in its folder"),
    ({"file": "/etc/passwd"}, "cannot be in its folder"),
    ({"file": ".."}, "cannot be in its folder"),
    ({"file": ""}, "cannot be in its folder"),
    ({"file": 5}, "cannot be the name of a file"),
    ({"file": ["a.wav"]}, "cannot be the name of a file"),
    ({"file": "n" * 100_000}, "cannot be read"),
    ({"file": "esc\x1b[2J.wav"}, "is missing"),
    ({"sha256": None}, "has no SHA-256 of"),
    ({"sha256": "0" * 63}, "has no SHA-256 of"),
    ({"sha256": {"0": 64}}, "has no SHA-256 of"),
]


@pytest.mark.parametrize(("entry", "words"), HOSTILE)
def test_a_hostile_entry_is_one_short_sentence(here, entry, words):
    stems = record_of(here)["stems"]
    next(iter(stems.values())).update(entry)
    change(here, stems=stems)
    (problem,) = verify(here).problems
    assert words in problem
    assert len(problem) < 200
    assert problem.isprintable()
    assert run(here)[0] == 3


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_stem_does_not_hang(here):
    path = stems_of(here)[0]
    path.unlink()
    os.mkfifo(path)
    assert verify(here).problems == (f"{path.name} cannot be read: it is no file.",)


def test_a_stem_that_is_named_twice(here):
    stems = record_of(here)["stems"]
    first, second = stems
    stems[second] = stems[first]
    change(here, stems=stems)
    assert any("names a file twice" in problem for problem in verify(here).problems)


def test_a_record_that_is_too_large_is_not_read(here):
    with (here / "audiosep.json").open("r+b") as file:
        file.truncate(10**9)  # takes no room on the disk
    with pytest.raises(InputError, match=r"has an audiosep\.json that no separation has written"):
        verify(here)


@pytest.mark.timeout(20)
def test_a_record_that_is_a_pipe(here):
    (here / "audiosep.json").unlink()
    os.mkfifo(here / "audiosep.json")
    with pytest.raises(InputError, match="that no separation has written"):
        verify(here)


def test_a_recording_that_was_read_in_an_odd_way_is_read_so_again(tmp_path):
    samples = files.noise(3000, seed=4)
    samples[0, 100] = np.nan
    sf.write(tmp_path / "mix.wav", samples.T, SR, subtype="FLOAT")
    how = ReadOptions(fix_nonfinite="zero")
    Separator(preset="components", max_iter=2).split(
        tmp_path / "mix.wav", tmp_path / "out", reading=how
    )
    assert record_of(tmp_path / "out")["input"]["reading"] == {"fix_nonfinite": "zero"}
    found = verify(tmp_path / "out")
    assert found.is_whole
    assert found.null_test_db < -120


def test_a_name_that_no_file_can_have(here):
    stems = record_of(here)["stems"]
    next(iter(stems.values()))["file"] = "\ud800.wav"
    change(here, stems=stems)
    assert any("cannot be a file" in problem for problem in verify(here).problems)


def test_a_tree_of_which_one_folder_is_broken(here):
    shutil.copytree(here, here.parent / "second")
    stems_of(here)[1].unlink()
    result = CliRunner().invoke(app, ["verify", str(here.parent), "--json"])
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [entry["status"] for entry in entries] == ["broken", "whole"]
    assert entries[1]["null_test_db"] == -300.0


def test_rounding_before_a_stem_left_the_range_is_no_damage(tmp_path, monkeypatch):
    """A finer recording as 16 bits, whose stems became floats on the way."""
    from test_chunked import twice_and_less

    from audiosep import chunked

    mixture = files.noise(4 * SR, seed=3)
    mixture[:, 3 * SR :] *= 1.9
    sf.write(tmp_path / "loud.wav", mixture.T.astype(np.float32), SR, subtype="FLOAT")
    monkeypatch.setattr(chunked, "render", twice_and_less(chunked.render))
    monkeypatch.setattr(Separator, "chunk_s_within", lambda *_, **__: 1.0)
    saved = Separator(preset="components", max_iter=2).split(
        tmp_path / "loud.wav", tmp_path / "out", bits=16, max_memory=10**9
    )
    assert saved.record["bits"] == "float"
    assert -100 < saved.record["null_test_db"] < -80
    assert verify(tmp_path / "out").is_whole


def test_a_folder_whose_record_is_gone_is_not_passed_over(here):
    home = here.parent
    shutil.copytree(here, home / "lost")
    (home / "lost" / "audiosep.json").unlink()
    (home / "tapes").mkdir()  # other things: of several lengths, or a single one
    for n in (1000, 2000):
        files.write_sound(home / "tapes" / f"{n}.wav", files.noise(n))
    (home / "notes").mkdir()
    files.write_sound(home / "notes" / "spoken.wav")
    code, out, err = run(home)
    assert code == 0
    assert len(out.splitlines()) == 1
    told, counted = err.splitlines()
    assert told.startswith(f"{home / 'lost'}: holds ")
    assert "has no audiosep.json, so nothing in it is known to be complete" in told
    assert counted == "audiosep: 1 whole, 0 not, 1 without a record"
    result = CliRunner().invoke(app, ["verify", str(home), "--json"])
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(entry["status"] for entry in entries) == ["unknown", "whole"]


def test_a_record_that_is_gone_is_missed_where_a_journal_knows_of_it(here):
    home = here.parent
    shutil.copytree(here, home / "lost")
    (home / "lost" / "audiosep.json").unlink()
    for stem in stems_of(home / "lost")[1:]:
        stem.unlink()
    lines = [{"status": "done", "track": "lost", "place": "lost", "stamp": "", "journal": 1}]
    lines.append({"status": "done", "track": "x", "place": "x\0y", "stamp": "", "journal": 1})
    (home / ".audiosep").mkdir()
    journal = home / ".audiosep" / "journal.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = run(home)
    assert code == 1
    assert f"audiosep: {home / 'lost'}: was finished by an earlier run, but has no audio" in err
    assert err.endswith("audiosep: 1 whole, 1 not\n")
    journal.write_text("not ours\n")
    assert run(home)[0] == 0


def test_a_recording_whose_name_is_no_text_is_found(tmp_path):
    path = files.write_sound(tmp_path / os.fsdecode(b"latin-\xe9.wav"))
    Separator(preset="harmonic-percussive").split(path, tmp_path / "out")
    assert "latin-\\xe9.wav" in record_of(tmp_path / "out")["input"]["path"]
    assert verify(tmp_path / "out").null_test_db == -300.0
    path.unlink()
    (note,) = verify(tmp_path / "out").notes
    assert "is no longer at" in note
    # One that is called like that letter by letter is another file.
    files.write_sound(tmp_path / "latin-\\xe9.wav", files.noise(seed=9))
    (note,) = verify(tmp_path / "out").notes
    assert "is another file by now" in note


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no sound\n" * 99, "is not audio that can be read: it is plain text; if a recording was"),
        (b"", "is empty (0 bytes); copy it again"),
        (None, "does not exist; check the name."),
    ],
)
def test_a_recording_that_cannot_be_read_is_told_in_a_sentence(here, tmp_path, content, words):
    path = tmp_path / "other.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        verify(here, path)
    assert str(caught.value).startswith(f"{path} {words}")
