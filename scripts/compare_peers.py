"""Compare audiosep with its peers in one go: what installs, how well, how fast, and what it offers.

    python scripts/compare_peers.py CORPUS --install [--write-docs]
    python scripts/compare_peers.py CORPUS [--tasks drums vocals] [--peers librosa nussl]

Every peer gets an environment of its own below --envs, made by --install from the package index; it
is run there as a process of its own, on one core, on files. CORPUS is that of ``bench_quality.py``.
What comes out is written to --json, and with --write-docs put into docs/comparison.md.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import queue
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _compare_catalogue import BY_NAME, PEERS, ROOT, Peer
from _compare_docs import write_page
from _compare_install import install, outcome_of
from _compare_probes import probe, write_cases
from _compare_runs import LIMIT_S, estimates_of, form_of, run
from _compare_tasks import TASKS, Task, job_of, load, paths_of
from _quality_corpus import Item, Signals, matched
from _quality_methods import oracle, scores, with_names, with_rest
from _quality_summaries import separated

RESULT = ROOT / "docs" / "comparison.json"
ENVS = Path(tempfile.gettempdir()) / "audiosep-peers"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [peer.name for peer in PEERS]
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--envs", type=Path, default=ENVS, help="where the environments are")
    parser.add_argument("--install", nargs="*", choices=names, help="make them anew; all, or these")
    parser.add_argument("--peers", nargs="+", choices=names, default=names)
    parser.add_argument("--tasks", nargs="+", choices=[t.name for t in TASKS])
    parser.add_argument("--items", type=int, default=2, help="of each task")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for one run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on its own core")
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument(
        "--reuse",
        type=Path,
        help="--json of an earlier run: what it has of these items is not run again",
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="fill docs/comparison.md; without CORPUS, from --json",
    )
    options = parser.parse_args(arguments)
    peers = [peer for peer in PEERS if peer.name in options.peers]
    if options.install is not None:
        for peer in peers:
            if not options.install or peer.name in options.install:
                say(f"installing {peer.name}")
                outcome = install(options.envs, peer)
                say("works" if outcome["works"] else outcome["tried"][-1]["reason"])
    if options.corpus is not None:
        write(options.json, compared(options, peers))
    elif options.install is None and not options.write_docs:
        parser.error("give a CORPUS, --install, or --write-docs and the --json of an earlier run")
    if options.write_docs:
        for name in write_page(json.loads(options.json.read_text(encoding="utf-8"))):
            say(f"written: {name}")
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def compared(options: argparse.Namespace, peers: list[Peer]) -> dict:
    """Run everything and return what came out; what there is so far is kept after each run."""
    import audiosep

    earlier = json.loads(options.reuse.read_text()) if options.reuse else {}
    installed = {peer.name: outcome_of(options.envs, peer) for peer in peers}
    content = {
        "run": {
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "python": "{}.{}.{}".format(*sys.version_info),
            "audiosep": audiosep.__version__,
            "items": options.items,
            "parts": earlier.get("run", {}).get("parts", 0) + 1,
        },
        "installed": {name: outcome for name, outcome in installed.items() if outcome},
        "probes": {},
        "oracles": {},
        "runs": [],
    }
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        work = Path(folder)
        content["probes"] = probed(peers, installed, options, work, earlier.get("probes", {}))
        why_not = {p.name: reason_of(installed[p.name], content["probes"], p) for p in peers}
        known = {key_of(row): row for row in earlier.get("runs", []) if "why_not" not in row}
        for task in TASKS:
            if options.tasks is None or task.name in options.tasks:
                done = list(content["runs"])
                keep = functools.partial(kept, content, options.json, threading.Lock())
                known_or_new = functools.partial(one, options=options, known=known, keep=keep)
                calls, ceiling = of_task(task, options, why_not, work / task.name, known_or_new)
                content["oracles"][task.name] = ceiling
                content["runs"] = done + together(options.jobs, calls)
    return content


def kept(content: dict, path: Path, lock: threading.Lock, row: dict) -> dict:
    """Put a row where it stays, whatever happens to those after it."""
    with lock:
        content["runs"].append(row)
        write(path, content)
    return row


def write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def key_of(row: dict) -> tuple[str, str, str]:
    return row["task"], row["item"], row["method"]


def together(jobs: int, calls: list) -> list:
    """Results of calls in their order, so many at once; each is given a core."""
    cores: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in range(jobs):
        cores.put(core)

    def on_a_core(call):
        core = cores.get()
        try:
            return call(core)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(on_a_core, calls))


def probed(peers, installed, options, work: Path, known: dict) -> dict:
    """What was found of every peer that can be used."""
    cases = write_cases(work / "cases")
    usable = [peer for peer in peers if installed[peer.name] and installed[peer.name]["works"]]

    def call(peer: Peer, core: int) -> dict:
        found = known.get(peer.name)
        if found is None:
            found = probe(options.envs, peer, cases, work / "probes" / peer.name, core)
        say(f"probed {peer.name}: {found.get('why_not', 'runs')}")
        return found

    found = together(options.jobs, [functools.partial(call, peer) for peer in usable])
    return {peer.name: probe_of for peer, probe_of in zip(usable, found, strict=True)}


def reason_of(outcome: dict | None, probes: dict, peer: Peer) -> str | None:
    """Why a peer cannot be run at all, if so."""
    if outcome is None:
        return "no environment: run with --install"
    if not outcome["works"]:
        return outcome["tried"][-1]["reason"]
    return probes[peer.name].get("why_not")


def of_task(
    task: Task, options: argparse.Namespace, why_not: dict[str, str | None], work: Path, call
) -> tuple[list, float | None]:
    """Calls for the runs of all methods of a task, and the mean improvement of the oracle."""
    calls, ceilings = [], []
    for index, path in enumerate(paths_of(task, options.corpus, options.items)):
        item = load(task, path)
        folder = work / item.name
        folder.mkdir(parents=True)
        job = job_of(item, path, folder)
        ceilings.append(mean_of(improvements(item, oracle(item, 1.0))))
        for number, (name, method, words) in enumerate(task.methods):
            if name in why_not:
                row = {"task": task.name, "item": item.key, "peer": name}
                row |= {"method": method, "words": words}
                if why_not[name]:
                    row["why_not"] = why_not[name]
                place = folder / str(number)
                calls.append(functools.partial(call, row, item, job, place, first=index == 0))
    return calls, mean_of(dict(enumerate(ceilings)))


def one(row, item: Item, job: dict, place: Path, core: int, *, first: bool, options, known, keep):
    """One run with its scores; what is known, or cannot be run, as it is."""
    if "why_not" in row or key_of(row) in known:
        return keep(known.get(key_of(row), row))
    peer = BY_NAME[row["peer"]]
    if first and row["peer"] == "audiosep":  # kernels of this preset are compiled now
        run(options.envs, peer, row["method"], job, place / "first", options.limit, core)
    ran = run(options.envs, peer, row["method"], job, place / "run", options.limit, core)
    row = {**row, **result_of(ran, item)}
    say(f"{row['task']}, {item.name}, {row['peer']} {row['words']}: {in_words(row)}")
    return keep(row)


def result_of(ran, item: Item) -> dict:
    """Scores of a run, or why there are none."""
    if ran.why_not:
        return {"why_not": ran.why_not}
    found = improvements(item, estimates_of(ran, item))
    return {
        "seconds": round(ran.seconds, 2),
        "cpu_s": round(ran.cpu_s, 2),
        "megabytes": round(ran.megabytes, 1),
        "improvements": {name: round(value, 2) for name, value in found.items()},
        "form": {k: round(v, 1) if k == "sum_db" else v for k, v in form_of(ran, item).items()},
    }


def improvements(item: Item, estimates: Signals) -> dict[str, float]:
    """SI-SDR improvement of each source in dB, by the rules of ``bench_quality.py``."""
    if item.evidence is not None:
        estimates = with_rest(item, estimates)
    pairs = matched(item.references, with_names(item, estimates))
    every = {name: scores(item, *pair) for name, pair in pairs.items()}
    return {name: s["si_sdr_improvement"] for name, s in every.items() if separated(s)}


def mean_of(values: dict) -> float | None:
    return sum(values.values()) / len(values) if values else None


def in_words(row: dict) -> str:
    if "why_not" in row:
        return row["why_not"]
    mean = mean_of(row["improvements"])
    return f"{mean:.1f} dB, {row['cpu_s']:.1f} s, {row['megabytes']:.0f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
