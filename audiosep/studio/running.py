"""The studio from its beginning to its end: folder, server, browser, and all removed again."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.errors import OutputError, UsageError
from audiosep.io.naming import display

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["run_studio"]

_GRACE_S = 1


def run_studio(
    source: Path | None = None,
    *,
    port: int = 0,
    n_threads: int | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve the studio on this computer until it is interrupted.

    Parameters
    ----------
    source : Path, optional
        A recording, or a folder of stems, to begin with.
    port : int
        Where to listen on 127.0.0.1; 0 takes one that is free.
    n_threads : int, optional
        Threads of the work; by default all processors.
    ready : callable
        Called with the address when it can be opened.

    Raises
    ------
    UsageError
        If what serves pages is not installed.
    InputError
        If `source` is no recording; folders are looked into by the page.
    OutputError
        If the port is taken, or there is no room for a temporary folder.
    KeyboardInterrupt
        When it is interrupted; all has been cleaned up.
    """
    try:
        import uvicorn

        from audiosep.studio.server import Server
    except ImportError as error:
        raise UsageError(
            f"the studio needs {error.name}, which is not installed; install it with: pip install "
            '"audiosep[studio]"'
        ) from None
    from audiosep.io.scratch import scratch
    from audiosep.studio.folders import Places
    from audiosep.studio.session import Session, header_of

    if source is not None and not source.is_dir():
        header_of(source, display(source))
    roots = [Path.cwd()] + ([] if source is None else [source.absolute().parent])
    closed = [source] if source is not None and source.is_dir() else []
    with _listening(port) as listener, scratch() as work:
        session = Session(work, Places(roots=roots, closed=closed), n_threads)
        try:
            token = secrets.token_urlsafe(24)
            number = listener.getsockname()[1]
            serving = Server(session, port=number, token=token)
            config = uvicorn.Config(
                serving.app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
            session.foreman.start()
            if source is not None:
                threading.Thread(target=session.open, args=(source,), daemon=True).start()
            ready(f"http://127.0.0.1:{number}/?token={token}")
            _serve(config, listener, serving.end)
        finally:
            session.close()


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"port {port} cannot be used: {why}; choose another --port, or leave it out."
        ) from None
    return listener


def _serve(config: Any, listener: socket.socket, end: Callable[[], None]) -> None:
    """Serve until a signal; who waits for news is told first, or the end would wait for them."""
    import uvicorn

    server = uvicorn.Server(config)
    handle = server.handle_exit

    def told_and_handled(number: int, frame: FrameType | None) -> None:
        end()
        handle(number, frame)

    server.handle_exit = told_and_handled
    server.run(sockets=[listener])
