"""Damaged files of every kind through the command line: a result, a warning or one sentence."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
try:
    import _fuzz_http
    import _fuzz_run
    import _fuzz_targets
    import _fuzz_worker
    from _fuzz_mutations import mutated
    from _fuzz_pieces import mended, pieces_of
    from _fuzz_seeds import KINDS, SOUND_KINDS, seeds_of
finally:
    sys.path.remove(str(SCRIPTS))

N_EACH = 8
N_REQUESTS = 30


def told(tallies):
    """What was found, in words."""
    return "\n".join(
        f"python scripts/fuzz.py --kind {f.kind} --seed {f.seed} --only {f.number}\n{f.words}"
        for tally in tallies.values()
        for f in tally.findings
    )


def test_a_few_of_every_kind():
    plan = ((kind, number) for kind in KINDS for number in range(N_EACH))
    tallies = _fuzz_run.campaign(plan, seed=1, warm_up=1)
    assert told(tallies) == ""
    assert tallies.keys() == set(KINDS)
    assert all(tally.rounds == N_EACH for tally in tallies.values())
    outcomes = sum((tally.counts for tally in tallies.values()), start=_fuzz_run.Counter())
    # Damage that nobody notices, or that nothing gets through, would try nothing.
    assert outcomes["error"] > 0.2 * len(KINDS) * N_EACH
    assert outcomes["result"] + outcomes["warning"] > 0.1 * len(KINDS) * N_EACH


def test_a_few_requests_to_the_studio():
    tally = _fuzz_http.http_campaign(range(N_REQUESTS), seed=1)
    assert told({_fuzz_http.KIND: tally}) == ""
    assert tally.rounds == N_REQUESTS
    assert tally.counts["result"] > 2
    assert tally.counts["error"] > 10


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_a_thousand_requests():
    tally = _fuzz_http.http_campaign(range(1000), seed=2)
    sys.stdout.write(f"{_fuzz_http.KIND}: {dict(tally.counts)}\n")
    assert told({_fuzz_http.KIND: tally}) == ""
    assert tally.rounds == 1000


@pytest.mark.reliability
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand(kind):
    tallies = _fuzz_run.campaign(((kind, number) for number in range(1000)), seed=2)
    sys.stdout.write(f"{kind}: {dict(tallies[kind].counts)}\n")
    assert told(tallies) == ""
    assert tallies[kind].rounds == 1000


# --- the damage ---------------------------------------------------------------------------------

SLOW_TO_MAKE = ("journal", "factorization", "record", "table", "project")
QUICK = [kind for kind in KINDS if kind not in SLOW_TO_MAKE]


@pytest.mark.parametrize("kind", QUICK)
def test_whole_files_are_taken_apart_and_put_together(kind):
    for seed in seeds_of(kind):
        shape = "text" if seed.shape in ("json", "lines", "xml", "csv") else seed.shape
        pieces = pieces_of(shape, seed.content)
        assert b"".join(piece.content for piece in pieces) == seed.content
        assert len(pieces) > 1
        for piece in pieces:
            assert all(at >= 0 and width for at, width, _ in piece.sizes)


@pytest.mark.parametrize("kind", ["wav", "aiff", "w64", "flac", "ogg", "opus"])
def test_whole_files_need_no_mending(kind):
    """Of the encoders' own files every checksum is found where it is, and right."""
    for seed in seeds_of(kind):
        assert mended(seed.shape, seed.content) == seed.content


@pytest.mark.parametrize("kind", QUICK)
def test_the_same_number_does_the_same_damage(kind):
    seeds = seeds_of(kind)
    one, others = seeds[0], [seed.content for seed in seeds[1:]]
    damaged = [mutated(one.shape, one.content, others, random.Random(n)) for n in range(20)]
    again = [mutated(one.shape, one.content, others, random.Random(n)) for n in range(20)]
    assert damaged == again
    assert len(set(damaged) - {one.content}) > 10


# --- the watch ----------------------------------------------------------------------------------


def test_what_must_not_be_is_a_finding():
    judge = _fuzz_targets._judged
    from audiosep.errors import InputError

    found = [
        judge(ValueError("boom"), 0, "", ""),
        judge(InputError("two\nlines."), 0, "", ""),
        judge(InputError("\x1b[2J is red."), 0, "", ""),
        judge(InputError("no full stop"), 0, "", ""),
        judge(InputError(""), 0, "", ""),
        judge(None, 1, "", ""),
        judge(None, -11, "", "x"),
        judge(None, 0, '{"a": NaN}', ""),
        judge(None, 1, '{"error": "x failed unexpectedly (KeyError: 1); see --debug."}', ""),
        judge(None, 1, '{"error": null, "problems": ["x\\u0007."]}', ""),
    ]
    assert {one.outcome for one in found} == {"finding"}
    assert judge(InputError("x is empty; record it again."), 0, "", "").outcome == "error"
    assert judge(None, 1, '{"error": "x is empty."}', "").outcome == "error"
    assert judge(None, 0, '{"warnings": ["x ends early."]}', "").outcome == "warning"
    assert judge(None, 0, '{"warnings": [], "error": null}', "").outcome == "result"


def test_what_leaves_the_folder_is_seen(tmp_path, monkeypatch):
    for name in ("in", "out", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "out" / "away").symlink_to("../in")
    monkeypatch.chdir(tmp_path)
    watch = _fuzz_worker._Watch(tmp_path)
    watch.on = True
    writing = _fuzz_worker._WRITING
    for event, arguments in (
        ("open", (str(tmp_path / "out" / "a.wav"), "w", writing)),
        ("open", (b"out/a.wav", "w", writing)),
        ("open", ("in/mix.wav", "r", 0)),
        ("os.mkdir", ("out/a", 0o777, -1)),
        ("os.rename", ("tmp/a", "out/a", -1, -1)),
    ):
        watch(event, arguments)
        assert watch.broken == []
    for event, arguments in (
        ("open", ("a.wav", "w", writing)),
        ("open", ("out/../a.wav", "w", writing)),
        ("open", ("out/away/a.wav", "w", writing)),
        ("open", ("/etc/a.wav", "w", writing)),
        ("os.mkdir", ("outside", 0o777, -1)),
        ("os.rename", ("out/a", "in/a", -1, -1)),
        ("os.remove", ("in/mix.wav", -1)),
        ("socket.connect", (None, ("127.0.0.1", 9))),
        ("subprocess.Popen", ("sh", [], None, None)),
        ("pickle.find_class", ("os", "system")),
    ):
        watch(event, arguments)
        assert len(watch.broken) == 1, event
        watch.broken.clear()


STUMBLES = """
import json, os, signal, sys, time

for line in sys.stdin:
    task = json.loads(line)
    if task.get("round") == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if task.get("round") == 2:
        sys.exit(3)
    if task.get("round") == 3:
        while True:
            pass
    answer = {"ready": task["warm"]} if "warm" in task else {"outcome": "result", "words": ""}
    print(json.dumps(answer), flush=True)
"""


def test_processes_that_die_or_hang_are_findings_and_others_go_on(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text(STUMBLES)
    monkeypatch.setattr(_fuzz_run, "_WORKER", tmp_path / "worker.py")
    monkeypatch.setattr(_fuzz_run, "HANG_S", 0.3)
    seen = []
    tallies = _fuzz_run.campaign(
        (("wav", n) for n in range(5)), seed=0, report=lambda kind, _: seen.append(kind)
    )
    assert seen == ["wav"]
    assert tallies["wav"].counts == {"result": 2, "finding": 3}
    words = {finding.number: finding.words for finding in tallies["wav"].findings}
    assert "SIGSEGV" in words[1]
    assert "exit code 3" in words[2]
    assert words[3].startswith("it hangs")


def test_every_format_that_is_read_is_damaged():
    assert SOUND_KINDS == ("wav", "rf64", "w64", "aiff", "caf", "flac", "ogg", "opus", "mp3")
    assert set(SOUND_KINDS) < set(KINDS)
