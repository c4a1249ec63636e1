"""The studio over HTTP: addresses to a session, sentences and codes out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from audiosep.errors import AudiosepError, InputError, OutputError, RefusedError, UsageError
from audiosep.io.naming import display
from audiosep.presets import load_preset, preset_names
from audiosep.studio.changes import do
from audiosep.studio.security import Gate, cookie_name
from audiosep.studio.session import Session
from audiosep.studio.view import components_view, state_of

__all__ = ["MOST_UPLOAD_BYTES", "Server"]

MOST_UPLOAD_BYTES = 2_000_000_000
_MOST_JSON_BYTES = 1_000_000
_LONGEST_WAIT_S = 10.0
_LEAST_WAIT_S = 0.05
_PIECE_BYTES = 1 << 20

_ASSETS = {
    "page.css": ("audiosep.report", "text/css"),
    "drawing.js": ("audiosep.report", "text/javascript"),
    "levels.js": ("audiosep.report", "text/javascript"),
    "studio.css": ("audiosep.studio", "text/css"),
    "player.js": ("audiosep.studio", "text/javascript"),
    "server.js": ("audiosep.studio", "text/javascript"),
    "rows.js": ("audiosep.studio", "text/javascript"),
    "components.js": ("audiosep.studio", "text/javascript"),
    "painting.js": ("audiosep.studio", "text/javascript"),
    "studio.js": ("audiosep.studio", "text/javascript"),
}

Answer = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers the requests of one page about one session.

    Parameters
    ----------
    session : Session
        The session.
    port : int
        Where it listens.
    token : str
        What every request must know.
    """

    def __init__(self, session: Session, *, port: int, token: str) -> None:
        self._session = session
        self._port, self._token = port, token
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False
        session.on_change = self._tell
        routes = [
            Route("/", self._page),
            Route("/assets/{name}", self._asset),
            Route("/api/state", _told(self._state)),
            Route("/api/components/{root:int}", _told(self._components)),
            Route("/api/upload", _told(self._upload), methods=["PUT"]),
            Route("/api/do/{name}", _told(self._do), methods=["POST"]),
            Route("/sound/component/{root:int}/{number:int}/{block:int}", _told(self._component)),
            Route("/sound/{step:int}/{stem:int}/{kind:int}/{block:int}", _told(self._stem)),
            Route("/picture/{step:int}/{what}", _told(self._picture)),
        ]
        self.app = Gate(Starlette(routes=routes), port=port, token=token)

    def end(self) -> None:
        """Answer everyone who waits for news: there will be none."""
        self._ending = True
        self._tell()

    def _tell(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    # --- the page ---------------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        if "token" in request.query_params:
            # The word need not stay in the address, where shoulders and histories see it.
            answer: Response = RedirectResponse("/", status_code=303)
            answer.set_cookie(
                cookie_name(self._port), self._token, httponly=True, samesite="strict", path="/"
            )
            return answer
        return Response(_asset("audiosep.studio", "page.html"), media_type="text/html")

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        package, kind = _ASSETS[name]
        return Response(_asset(package, name), media_type=kind)

    # --- what is known ----------------------------------------------------------------------------

    async def _state(self, request: Request) -> Response:
        """State of the session, as soon as it is another than the page knows."""
        self._loop = asyncio.get_running_loop()
        try:
            known = int(request.query_params.get("since", "0"))
        except ValueError:
            raise UsageError("The page asked for a state that cannot be.") from None
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while self._session.serial == known and not self._ending:
            self._news.clear()
            left = deadline - time.monotonic()
            if left <= 0 or await request.is_disconnected():
                break
            try:
                await asyncio.wait_for(self._news.wait(), min(left, 1.0))
            except TimeoutError:
                continue
        else:
            if known:  # changes come in bursts
                await asyncio.sleep(_LEAST_WAIT_S)
        state = await asyncio.to_thread(state_of, self._session)
        return JSONResponse({**state, "ending": self._ending, **_constants()})

    async def _components(self, request: Request) -> Response:
        with self._session.lock:
            step = self._session.history.step(request.path_params["root"])
        if step is None or step.root != step.number:
            raise InputError("These components are not there any more; load the page again.")
        return JSONResponse(await asyncio.to_thread(components_view, step))

    async def _picture(self, request: Request) -> Response:
        number, what = request.path_params["step"], request.path_params["what"]
        drawing = self._session.drawings.get(number)
        stems = () if drawing is None else drawing["stems"]
        if drawing is not None and what == "mixture":
            return Response(drawing["mixture"], media_type="application/octet-stream")
        if re.fullmatch(r"\d{1,4}", what) is None or int(what) >= len(stems):
            raise InputError("This picture is not there any more; load the page again.")
        return Response(stems[int(what)], media_type="application/octet-stream")

    # --- what is heard ----------------------------------------------------------------------------

    async def _stem(self, request: Request) -> Response:
        asked = request.path_params
        with self._session.lock:
            history = self._session.history
        mixer = self._session.mixer
        return await _sound(mixer.stem, history, asked["step"], asked["stem"], asked["block"])

    async def _component(self, request: Request) -> Response:
        asked = request.path_params
        mixer = self._session.mixer
        return await _sound(mixer.component, asked["root"], asked["number"], asked["block"])

    # --- what is done -----------------------------------------------------------------------------

    async def _do(self, request: Request) -> Response:
        asked = await _json(request)
        name = request.path_params["name"]
        await asyncio.to_thread(do, self._session, name, asked)
        return JSONResponse(await asyncio.to_thread(state_of, self._session))

    async def _upload(self, request: Request) -> Response:
        name = Path(request.query_params.get("name", "")).name or "recording"
        length = request.headers.get("content-length", "")
        if not length.isdigit():
            raise UsageError("The browser does not say how large the file is; use another one.")
        if int(length) > MOST_UPLOAD_BYTES:
            raise TooLargeError(
                f"{display(name)} has {int(length) / 1e9:.1f} GB, and the studio takes "
                f"{MOST_UPLOAD_BYTES / 1e9:.0f} GB at most; start it with 'audiosep studio FILE' "
                "for a larger one."
            )
        try:
            version = int(request.query_params.get("version", ""))
        except ValueError:
            version = 0
        with self._session.lock:
            self._session.check_version(version, closing=True)
        ending = Path(name).suffix if len(Path(name).suffix) <= 8 else ""
        number = self._session.next_number()
        path = self._session.uploads / f"{number:04}{ending if ending.isprintable() else ''}"
        try:
            await _received(request, path, int(length))
            await asyncio.to_thread(self._choose, version, path, name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return JSONResponse(await asyncio.to_thread(state_of, self._session))

    def _choose(self, version: int, path: Path, name: str) -> None:
        with self._session.lock:
            # Again: the file was minutes on its way, and another window may have gone on.
            self._session.check_version(version, closing=True)
            self._session.choose(path, name, uploaded=True)


class TooLargeError(RefusedError):
    """A file larger than the studio takes."""


def _asset(package: str, name: str) -> bytes:
    return files(package).joinpath("assets", name).read_bytes()


@cache
def _constants() -> dict[str, Any]:
    """What a page is told once and for all."""
    found = []
    for name in preset_names():
        preset = load_preset(name)
        if preset.examples == "needed" or preset.score == "needed":
            continue  # they need more than a recording
        summary = preset.summary.split(": ", 1)[-1] if preset.chooses else preset.summary
        found.append({"name": name, "summary": summary, "free": preset.n_sources_free})
    return {"presets": found, "mostUpload": MOST_UPLOAD_BYTES}


def _told(answer: Answer) -> Answer:
    """Turn errors into sentences for the page."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except AudiosepError as error:
            return _problem(str(error), _status(error))
        except ClientDisconnect:
            return Response(status_code=400)
        except OSError as error:
            why = error.strerror or type(error).__name__
            return _problem(f"The disk does not do what it should: {why}.", 507)
        except Exception as error:
            sentence = f"Unexpected {type(error).__name__}: {error}; please report it."
            return _problem(sentence, 500)

    return answered


def _problem(sentence: str, status: int) -> Response:
    close = {"connection": "close"} if status == 413 else {}
    text = display(sentence[:1].upper() + sentence[1:])
    return JSONResponse({"problem": text}, status, headers=close)


def _status(error: AudiosepError) -> int:
    if isinstance(error, TooLargeError):
        return 413
    if isinstance(error, RefusedError | OutputError):
        return 409
    return 422 if isinstance(error, InputError) else 400


async def _sound(make: Callable[..., Any], *arguments: Any) -> Response:
    samples = await asyncio.to_thread(make, *arguments)
    # One channel after the other, as the page's buffers are.
    content = np.ascontiguousarray(samples, dtype="<f4").tobytes()
    return Response(content, media_type="application/octet-stream")


async def _json(request: Request) -> dict[str, Any]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MOST_JSON_BYTES:
            raise TooLargeError("The page asked for more at once than the studio can do.")
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise UsageError("What the page asked for cannot be understood; load it again.")
    return asked


async def _received(request: Request, path: Path, length: int) -> None:
    """Write what is sent, as it comes."""
    n_bytes, waiting = 0, bytearray()
    with path.open("wb") as file:
        async for part in request.stream():
            n_bytes += len(part)
            if n_bytes > length:
                raise TooLargeError("The file is larger than the browser said; choose it again.")
            waiting += part
            if len(waiting) >= _PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        file.write(waiting)
        await asyncio.to_thread(os.fsync, file.fileno())
    if n_bytes != length:
        raise InputError("The file did not arrive as a whole; choose it again.")
