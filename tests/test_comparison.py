"""The comparison with peers: its runner, its probes and its page, with the peers that are here."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "comparison.md"
RESULT = ROOT / "docs" / "comparison.json"
NAMES = ("catalogue", "docs", "install", "probes", "runs", "tasks")
SR = 8000

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="its launcher forks and waits, as Windows cannot"
)


@pytest.fixture(scope="module")
def compare():
    sys.path.insert(0, str(ROOT / "scripts"))
    before = set(sys.modules)
    try:
        yield SimpleNamespace(
            main=importlib.import_module("compare_peers"),
            **{name: importlib.import_module(f"_compare_{name}") for name in NAMES},
        )
    finally:
        sys.path.remove(str(ROOT / "scripts"))
        for name in set(sys.modules) - before:
            if name.startswith(("_compare_", "compare_peers", "_quality_", "_peers_")):
                del sys.modules[name]


@pytest.fixture(scope="module")
def envs(tmp_path_factory):
    """Environments whose Python is the one that runs the tests."""
    folder = tmp_path_factory.mktemp("envs")
    for peer in ("librosa", "scikit-learn"):
        programs = folder / peer / "bin"
        programs.mkdir(parents=True)
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / "python").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Tones with clicks, and two noises that take turns."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    t = np.arange(2 * SR) / SR
    tone, clicks = 0.2 * np.sin(2 * np.pi * 440 * t), np.zeros(t.size)
    clicks[::1600] = 0.8
    turns = (t % 0.5 < 0.25).astype(float)
    low = np.convolve(0.1 * rng.standard_normal(t.size), np.ones(20) / 4, "same")
    for number in range(5):
        write_item(folder, "harmonic_percussive", f"item{number}", harmonic=tone, percussive=clicks)
    high = 0.1 * rng.standard_normal(t.size)
    write_item(folder, "speech_speech", "pair", a=turns * high, b=(1 - turns) * low)
    return folder


def write_item(corpus, folder, name, **sources):
    place = corpus / folder / name
    place.mkdir(parents=True)
    soundfile.write(place / "mixture.flac", sum(sources.values()), SR, subtype="PCM_24")
    for source, samples in sources.items():
        soundfile.write(place / f"ref_{source}.flac", samples, SR, subtype="PCM_24")
    meta = {"mixture": "mixture.flac", "sources": {s: f"ref_{s}.flac" for s in sources}}
    (place / "meta.json").write_text(json.dumps(meta))


# --- the process around a run ----------------------------------------------------------------


def launched(compare, tmp_path, code, limit_s="20"):
    launcher = Path(compare.runs.__file__).with_name("_compare_launch.py")
    result, log = tmp_path / "took.json", tmp_path / "said.txt"
    command = [sys.executable, "-I", "-S", "-c", code]
    subprocess.run(
        [sys.executable, "-I", "-S", str(launcher), str(result), limit_s, str(log), "0", *command],
        check=True,
    )
    return json.loads(result.read_text()), log.read_text()


def test_a_process_is_measured_with_what_it_says_and_how_it_ends(compare, tmp_path):
    took, said = launched(compare, tmp_path, "import sys; print('hello'); sys.exit(7)")
    assert (took["exit"], took["late"], said) == (7, False, "hello\n")
    assert 0 < took["cpu_s"] < 20


def test_memory_is_that_of_the_process_and_not_of_who_started_it(compare, tmp_path):
    ballast = np.ones(40_000_000)  # 320 MB here
    small, _ = launched(compare, tmp_path, "pass")
    large, _ = launched(compare, tmp_path, "x = b'x' * 200_000_000")
    assert ballast.nbytes / 1e6 > 300
    assert small["megabytes"] < 60
    assert 190 < large["megabytes"] < 300


def test_what_takes_too_long_is_ended(compare, tmp_path):
    took, _ = launched(compare, tmp_path, "import time; time.sleep(60)", limit_s="1")
    assert took["late"]
    assert took["exit"] != 0
    assert took["seconds"] < 30


def test_what_is_not_there_cannot_be_run(compare, tmp_path):
    job = {"mixture": str(tmp_path / "x.wav"), "n_sources": 2, "sources": []}
    peer = compare.catalogue.BY_NAME["nimfa"]
    ran = compare.runs.run(tmp_path, peer, "nimfa-timbre", job, tmp_path / "run", 20)
    assert ran.exit == 127
    assert "No such file" in ran.why_not


# --- runs with peers that are here -----------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "method", "least_db"),
    [("librosa", "librosa-hpss", 3.0), ("scikit-learn", "sklearn-timbre", -20.0)],
)
def test_a_peer_takes_an_item_apart_in_a_process_of_its_own(
    compare, envs, corpus, tmp_path, peer, method, least_db
):
    task = compare.tasks.BY_NAME["harmonic-percussive"]
    path = compare.tasks.paths_of(task, corpus, 1)[0]
    item = compare.tasks.load(task, path)
    job = compare.tasks.job_of(item, path, tmp_path)
    found = compare.catalogue.BY_NAME[peer]
    ran = compare.runs.run(envs, found, method, job, tmp_path / "run", 120)
    assert ran.why_not is None, (tmp_path / "run" / "said.txt").read_text()
    assert len(ran.stems) == 2
    row = compare.main.result_of(ran, item)
    assert set(row["improvements"]) == {"harmonic", "percussive"}
    assert min(row["improvements"].values()) > least_db
    assert row["form"]["length"]
    assert row["form"]["sum_db"] < -20.0


def test_stems_of_another_form_are_fitted_and_told(compare, tmp_path):
    rng = np.random.default_rng(1)
    mixture = rng.standard_normal((2, SR)).astype(np.float32)
    item = compare.tasks.Item("vocals", "", "x", SR, mixture, {})
    soundfile.write(tmp_path / "vocals.wav", mixture[0, : SR // 2], SR, subtype="FLOAT")
    took = {
        "exit": 0,
        "seconds": 1.0,
        "cpu_s": 1.0,
        "megabytes": 1.0,
        "said": "",
        "log": "",
        "late": False,
    }
    ran = compare.runs.Ran(**took, stems={"vocals": tmp_path / "vocals.wav"})
    assert compare.runs.estimates_of(ran, item)["vocals"].shape == mixture.shape
    form = compare.runs.form_of(ran, item)
    assert (form["rate"], form["channels"], form["length"]) == (True, False, False)
    assert form["sum_db"] > -10.0


def test_doing_nothing_improves_nothing_and_the_truth_much(compare, corpus):
    task = compare.tasks.BY_NAME["harmonic-percussive"]
    item = compare.tasks.load(task, compare.tasks.paths_of(task, corpus, 1)[0])
    nothing = compare.main.improvements(item, dict.fromkeys(item.references, item.mixture))
    assert list(nothing.values()) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert min(compare.main.improvements(item, item.references).values()) > 60.0


@pytest.mark.slow
def test_probes_find_what_a_library_does_with_bad_files(compare, envs, tmp_path):
    cases = compare.probes.write_cases(tmp_path / "cases")
    found = compare.probes.probe(
        envs, compare.catalogue.BY_NAME["librosa"], cases, tmp_path / "runs"
    )
    assert found["form"]["rate"]
    assert found["form"]["length"]
    words = {case: verdict["words"] for case, verdict in found["cases"].items()}
    assert words["missing"] == "refused (1)"
    assert words["nan"] == "refused (1)"
    assert words["cut"] == "0, half as long, not a word"
    assert len(words) == 3


def test_verdicts_tell_what_an_exit_code_hides(compare, tmp_path):
    mixture = np.ones((1, SR), np.float32)
    item = compare.tasks.Item("vocals", "", "x", SR, mixture, {})
    took = {
        "exit": 0,
        "seconds": 1.0,
        "cpu_s": 1.0,
        "megabytes": 1.0,
        "said": "",
        "log": "",
        "late": False,
    }

    def words(case, samples=None, **changed):
        stems = {}
        if samples is not None:
            soundfile.write(tmp_path / "a.wav", samples, SR, subtype="FLOAT")
            stems = {"a": tmp_path / "a.wav"}
        ran = compare.runs.Ran(**{**took, **changed}, stems=stems)
        return compare.probes.verdict(case, ran, item)["words"]

    assert words("missing") == "**0, no stems**"
    assert words("missing", exit=3) == "refused (3)"
    assert words("missing", late=True, exit=-9) == "not finished in time"
    assert words("nan", np.full(SR, np.nan)) == "**0, stems are not numbers**"
    assert words("nan", np.zeros(SR)) == "**0, silence**"
    assert words("nan", np.ones(SR)) == "0, stems"
    half = np.ones(SR // 2)
    assert words("cut", half) == "0, half as long, not a word"
    assert words("cut", half, log="warning: the file was cut\n") == "0, half as long, says so"


# --- items and tasks -------------------------------------------------------------------------


def test_items_are_spread_evenly_by_name(compare, corpus):
    task = compare.tasks.BY_NAME["harmonic-percussive"]
    names = [path.name for path in compare.tasks.paths_of(task, corpus, 3)]
    assert names == ["item0", "item2", "item4"]


def test_two_microphones_hear_two_sources_in_a_room(compare, corpus):
    task = compare.tasks.BY_NAME["two-microphones"]
    (path,) = compare.tasks.paths_of(task, corpus, 2)
    item = compare.tasks.load(task, path)
    assert item.mixture.shape == (2, 2 * SR)
    assert list(item.references) == ["a", "b"]
    np.testing.assert_allclose(sum(item.references.values()), item.mixture, atol=1e-6)
    left, right = item.references["a"]
    assert np.abs(left - right).max() > 0.01  # neither place is in the middle of a dry room


def test_every_method_of_every_task_can_be_started(compare):
    runner = (ROOT / "scripts" / "_compare_runner.py").read_text()
    for task in compare.tasks.TASKS:
        assert task.methods[0][0] == "audiosep"
        for name, method, _ in task.methods:
            assert name in compare.catalogue.BY_NAME
            known = method in compare.catalogue.COMMANDS or method.startswith("split:")
            assert known or f'"{method}":' in runner
    assert set(compare.probes.METHODS) == set(compare.catalogue.BY_NAME)


def test_our_own_command_is_told_what_the_task_tells(compare):
    job = {"mixture": "m.wav", "out": "o", "n_sources": 3, "examples": {"noise": "n.wav"}}
    speech = compare.catalogue.command_of("split:speech", Path("bin"), job, Path("job.json"))
    assert speech[:3] == ["bin/audiosep", "split", "m.wav"]
    assert speech[-2:] == ["--example", "noise=n.wav"]
    stereo = compare.catalogue.split("stereo")(Path("bin"), {**job, "examples": {}})
    assert stereo[stereo.index("-n") + 1] == "3"


# --- installing ------------------------------------------------------------------------------


def test_what_is_said_loses_paths_and_addresses(compare):
    text = "Traceback\n\x1b[31mOSError: /home/me/x y/lib.so: at https://index.example/a b\x1b[0m\n"
    words = compare.install.last_words(text)
    assert words == "OSError: me y/lib.so: at (address) b".replace("me y", "x y")
    assert len(compare.install.last_words("x" * 500)) == 160
    assert compare.install.last_words("ERROR: no such thing\nnote: more", "ERROR: ") == (
        "no such thing"
    )
    assert compare.install.last_words("") == "silence"


def test_steps_are_shown_as_they_are_typed(compare):
    assert compare.install.shown((str(ROOT),)) == "pip install ."
    assert compare.install.shown(("numpy<2", "a")) == 'pip install "numpy<2" a'


@pytest.mark.slow
def test_an_environment_is_made_and_what_does_not_load_is_told(compare, tmp_path):
    peer = compare.catalogue.Peer(
        name="nothing",
        page="",
        kind="",
        attempts=(((str(tmp_path / "no-such-package"),),), ()),
        distribution="pip",
        check="import no_such_module",
        facts={},
    )
    outcome = compare.install.install(tmp_path, peer)
    assert not outcome["works"]
    assert outcome["tried"][0]["reason"].startswith("does not install: ")
    assert "no_such_module" in outcome["tried"][1]["reason"]
    assert str(tmp_path) not in json.dumps(outcome["tried"][0]["reason"])
    assert re.fullmatch(r"\d+(\.\d+)+", outcome["version"])
    assert compare.install.outcome_of(tmp_path, peer) == outcome


# --- the page --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content():
    return json.loads(RESULT.read_text(encoding="utf-8"))


def test_the_page_shows_the_last_run(compare, content):
    text = PAGE.read_text(encoding="utf-8")
    filled, names = compare.docs.fill(text, compare.docs.tables_of(content), compare.docs.FAMILY)
    assert filled == text
    assert sorted(names) == sorted(compare.docs.tables_of(content))


def test_the_result_is_small_and_knows_no_machine(content):
    text = RESULT.read_text(encoding="utf-8")
    assert len(text) < 50_000
    assert not re.search(r"/(home|root|work|tmp|usr|var)/", text)
    assert "://" not in text


def test_every_peer_was_tried_and_every_method_ran_or_says_why_not(compare, content):
    assert set(content["installed"]) == set(compare.catalogue.BY_NAME)
    for task in compare.tasks.TASKS:
        for name, method, _ in task.methods:
            rows = [
                run
                for run in content["runs"]
                if (run["task"], run["peer"], run["method"]) == (task.name, name, method)
            ]
            assert len(rows) == min(content["run"]["items"], len(rows)) > 0
            assert all(("why_not" in row) != ("improvements" in row) for row in rows)


def test_ours_is_compared_on_the_same_items_as_all_others(content):
    for task in {run["task"] for run in content["runs"]}:
        by_method = {}
        for run in content["runs"]:
            if run["task"] == task:
                by_method.setdefault(run["method"], set()).add(run["item"])
        assert len({frozenset(items) for items in by_method.values()}) == 1, task


def test_facts_lead_to_pages(compare):
    for peer in compare.catalogue.PEERS:
        assert set(peer.facts) <= set(compare.catalogue.FEATURES)
        for words, page in peer.facts.values():
            assert words
            assert page.startswith("https://") or (PAGE.parent / page).is_file()
