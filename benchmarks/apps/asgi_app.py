"""The greeting as an ASGI application without a framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b"Hello, World!"
FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(BODY))]


async def app(
    scope: dict[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]
) -> None:
    """Whatever is asked for is answered with it."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": BODY})
