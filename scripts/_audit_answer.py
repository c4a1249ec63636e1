"""What pip-audit answered, as an exit code: 0 for no known hole, 1 for one, 2 for no answer."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def main() -> None:
    asked, answered = (Path(argument) for argument in sys.argv[1:3])
    sys.exit(answer(asked.read_text("utf-8"), answered.read_text("utf-8")))


def answer(asked: str, answered: str) -> int:
    """Print what was found.

    Parameters
    ----------
    asked : str
        Requirements, ``name==version`` a line.
    answered : str
        JSON of pip-audit; empty where it failed.

    Returns
    -------
    int
        0 if each package was looked up and none has a known hole, 1 if one has, 2 otherwise.
    """
    try:
        found = json.loads(answered)["dependencies"]
        looked_up = {_plain(one["name"]): one["vulns"] for one in found if "vulns" in one}
    except (ValueError, KeyError, TypeError):
        return 2
    wanted = {_plain(line.partition("==")[0]) for line in asked.splitlines() if "==" in line}
    holes = [(name, hole) for name, some in sorted(looked_up.items()) for hole in some]
    for name, hole in holes:
        fixed = ", ".join(hole.get("fix_versions", ())) or "no version"
        print(f"{name}: {hole['id']}, mended in {fixed}")
    if holes:
        return 1
    # A package that the service does not know is left out without an error.
    missing = sorted(wanted - looked_up.keys())
    if missing or not wanted:
        print(f"not looked up: {', '.join(missing) or 'anything'}")
        return 2
    print(f"{len(wanted)} packages have no known hole")
    return 0


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


if __name__ == "__main__":
    main()
