"""``audiosep studio``: a local page to separate, listen, correct and save."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from audiosep.cli.options import Debug, Quiet, Threads

__all__ = ["studio"]


def studio(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[IN]", help="A recording, or a folder of stems as 'audiosep split' leaves it."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=65535,
            help="Port on this computer; by default one that is free.",
        ),
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    n_threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Open a page in the browser to separate, listen, correct by hand, and save.

    It is served on this computer only, until Ctrl-C.
    """
    import webbrowser

    from audiosep.cli.talk import Talk
    from audiosep.studio.running import run_studio

    talk = Talk(quiet=quiet, debug=debug)

    def ready(address: str) -> None:
        talk.result(address)
        sys.stdout.flush()
        if browser and _has_screen():
            # Some browsers do not come back before they are closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        talk.say("The studio is at this address, on this computer only; Ctrl-C ends it.")

    try:
        run_studio(source, port=port, n_threads=n_threads, ready=ready)
    except KeyboardInterrupt:  # the way to end it
        talk.say("The studio has ended; what was not saved is gone.")


def _has_screen() -> bool:
    """Whether a browser would open a window, and not take this terminal."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
