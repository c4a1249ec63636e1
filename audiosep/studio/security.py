"""Who may speak with the studio: this browser, from this page, with the word it was given."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import cookie_parser

__all__ = ["HEADERS", "Gate", "cookie_name"]

_Message = MutableMapping[str, Any]
_App = Callable[
    [
        _Message,
        Callable[[], Awaitable[_Message]],
        Callable[[_Message], Awaitable[None]],
    ],
    Awaitable[None],
]

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer."""

_SAFE = ("GET", "HEAD")
_LONGEST_PATH = 1000
"""Longer than any of ours; numbers of thousands of digits are no numbers to Python."""


def cookie_name(port: int) -> str:
    """Name of the cookie: browsers do not tell the ports of a computer apart, we must."""
    return f"audiosep-studio-{port}"


class Gate:
    """Lets in who names this host, comes from this page, and knows the word.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    port : int
        Of the server.
    token : str
        The word.
    """

    def __init__(self, app: _App, *, port: int, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = cookie_name(port)
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        if sentence := self._why_not(scope):
            await _refuse(send, sentence)
            return

        async def send_guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _why_not(self, scope: _Message) -> str:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)

        if len(scope["path"]) > _LONGEST_PATH:
            return "There is nothing at this address."

        def only(name: bytes) -> str:
            values = headers.get(name, [])
            return values[0].decode("latin-1") if len(values) == 1 else ""

        if only(b"host") not in self._hosts:
            return "The studio answers only under the address that it printed."
        if b"origin" in headers and only(b"origin") not in self._origins:
            return "Another page asked for this; the studio answers only its own."
        clicked = scope["method"] in _SAFE and only(b"sec-fetch-mode") == "navigate"
        # A link that was clicked leads here; nothing else on another page may.
        if only(b"sec-fetch-site") in ("cross-site", "same-site") and not clicked:
            return "Another page asked for this; the studio answers only its own."
        if scope["method"] not in _SAFE and b"origin" not in headers:
            return "The studio does not know which page asked for this."
        if not self._knows_token(scope, only(b"cookie"), only(b"x-audiosep-token")):
            return (
                "This address needs the word that belongs to it; open the one that 'audiosep "
                "studio' printed."
            )
        return ""

    def _knows_token(self, scope: _Message, cookies: str, header: str) -> bool:
        # Not http.cookies: a cookie of another server of this computer that it does not understand
        # would hide ours.
        found = [header, cookie_parser(cookies).get(self._cookie, "")]
        if scope["path"] == "/":
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            found += query.get("token", [])[:1]
        return any(hmac.compare_digest(word.encode(), self._token) for word in found)


async def _refuse(send: Callable[[_Message], Awaitable[None]], sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers = {
        **HEADERS,
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "connection": "close",  # what else was sent is not read
    }
    await send(
        {
            "type": "http.response.start",
            "status": 403,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
