"""The tables of the comparison as markdown, between ``<!-- comparison:NAME -->`` of its page."""

from __future__ import annotations

from pathlib import Path

from _compare_catalogue import BY_NAME, FEATURES, NO, PEERS, ROOT, YES
from _compare_probes import CASES
from _compare_tasks import TASKS
from _quality_docs import fill, number, table

PAGE = "docs/comparison.md"
FAMILY = "comparison"
OURS = "audiosep"


def write_page(content: dict, root: Path = ROOT) -> list[str]:
    """Fill the marks of the page; return the names of the tables written."""
    path = root / PAGE
    text, names = fill(path.read_text(encoding="utf-8"), tables_of(content), FAMILY)
    path.write_text(text, encoding="utf-8")
    return names


def tables_of(content: dict) -> dict[str, str]:
    """All tables by name."""
    return {
        "run": words_of_the_run(content),
        "installed": installed(content),
        "quality": quality(content),
        "features": features(),
        "behaviour": behaviour(content),
        "not-run": not_run(content),
    }


def words_of_the_run(content: dict) -> str:
    run = content["run"]
    parts = f", in {run['parts']} parts that were joined" if run["parts"] > 1 else ""
    return (
        f"Last run: {run['date']}, Python {run['python']}, audiosep {run['audiosep']}{parts}; "
        f"recordings of each task: {run['items']}, evenly spread by name."
    )


def text_table(heads: list[str], lines: list[list[str]]) -> str:
    """Like `table`, all columns to the left."""
    first, rule, *rest = table(heads, lines).split("\n")
    return "\n".join([first, rule.replace(":", ""), *rest])


def named(name: str) -> str:
    return f"**{name}**" if name == OURS else name


def installed(content: dict) -> str:
    """Every way that was tried to install each peer, and what came of it."""
    lines = []
    for peer in PEERS:
        outcome = content["installed"].get(peer.name)
        if outcome is None:
            continue
        for tried in outcome["tried"]:
            works = tried["reason"] is None
            lines.append(
                [
                    f"[{peer.name}]({peer.page})",
                    " && ".join(f"`{command}`" for command in tried["commands"]),
                    why(f"works, {outcome['version']}" if works else tried["reason"], peer.aside),
                    str(tried["megabytes"]) if works else "–",
                ]
            )
    return text_table(["peer", "tried", "outcome", "MB on disk"], lines)


def why(reason: str, aside: str) -> str:
    return cell(reason) + (f" ({aside})" if aside else "")


def cell(text: str) -> str:
    """Text that cannot end a table's cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def quality(content: dict) -> str:
    """For each task the methods that ran, best first, between doing nothing and the oracle."""
    lines = []
    for task in TASKS:
        runs = [run for run in content["runs"] if run["task"] == task.name]
        if not runs:
            continue
        oracle = content["oracles"].get(task.name)
        ran = sorted(summaries(runs), key=lambda line: -line["improvement"])
        head = f"{task.name}: {task.words}"
        for line in ran:
            own = line["peer"] == OURS
            improvement = f"{line['improvement']:.1f}"
            lines.append(
                [
                    head,
                    f"{named(line['peer'])}, {line['words']}",
                    f"**{improvement}**" if own else improvement,
                    f"{line['worst']:.1f}",
                    f"{line['cpu_s']:.1f}",
                    f"{line['megabytes']:.0f}",
                    sum_words(line["sum_db"]),
                ]
            )
            head = ""
        lines.append(["", "*oracle ratio mask*", number(oracle), "", "", "", ""])
    heads = [
        "task",
        "method",
        "SI-SDR improvement, dB",
        "worst stem",
        "processor s",
        "peak MB",
        "sum of stems",
    ]
    return table(heads, lines)


def summaries(runs: list[dict]) -> list[dict]:
    """One line per method that scored on every item of its task."""
    lines = []
    methods = dict.fromkeys((run["peer"], run["method"]) for run in runs)
    for peer, method in methods:
        own = [run for run in runs if (run["peer"], run["method"]) == (peer, method)]
        if any("why_not" in run for run in own):
            continue
        every = [value for run in own for value in run["improvements"].values()]
        means = [sum(run["improvements"].values()) / len(run["improvements"]) for run in own]
        lines.append(
            {
                "peer": peer,
                "words": own[0]["words"],
                "improvement": sum(means) / len(means),
                "worst": min(every),
                "cpu_s": sum(run["cpu_s"] for run in own) / len(own),
                "megabytes": max(run["megabytes"] for run in own),
                "sum_db": max(run["form"]["sum_db"] for run in own),
            }
        )
    return lines


def sum_words(sum_db: float) -> str:
    """How far the sum of the stems is from the mixture."""
    return "exact" if sum_db <= -120.0 else f"{sum_db:.0f} dB"


def not_run(content: dict) -> str:
    """Methods that were not scored, and why."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for run in content["runs"]:
        if "why_not" in run:
            key = (run["peer"], run["words"], run["why_not"])
            reasons.setdefault(key, []).append(run["task"])
    lines = [
        [peer, words, ", ".join(dict.fromkeys(tasks)), why(reason, aside_of(peer, content))]
        for (peer, words, reason), tasks in reasons.items()
    ]
    return text_table(["peer", "method", "task", "why"], lines)


def aside_of(peer: str, content: dict) -> str:
    """What has to be known of a peer that did not run."""
    if not content["installed"][peer]["works"]:
        return BY_NAME[peer].aside
    needs_weights = BY_NAME[peer].facts.get("needs trained weights", (NO, ""))[0] == YES
    return "its trained weights come over the network" if needs_weights else ""


def features() -> str:
    """What each offers by its own documentation."""
    lines = []
    for peer in PEERS:
        row = []
        for feature in FEATURES:
            words, page = peer.facts.get(feature, (NO, ""))
            row.append("–" if words == NO else f"[{words}]({page})")
        lines.append([named(peer.name), peer.kind, *row])
    return text_table(["", "is a", *FEATURES], lines)


def behaviour(content: dict) -> str:
    """What was measured of the form of the stems and of bad files."""
    lines = []
    for peer in PEERS:
        found = content["probes"].get(peer.name)
        if found is None or "why_not" in found:
            continue
        form = found["form"]
        kept = [what for what in ("rate", "channels", "length") if form[what]]
        lines.append(
            [
                named(peer.name),
                sum_words(form["sum_db"]),
                "all" if len(kept) == 3 else ", ".join(kept) or "none",
                *(found["cases"].get(case, {"words": "–"})["words"] for case in CASES),
            ]
        )
    heads = ["", "sum of stems", "rate, channels, length kept"]
    return text_table([*heads, "missing file", "cut file", "not numbers"], lines)
