"""ASGI applications on one connection in memory, and short words for their events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mynet.handlers.asgi import ASGIHandler
from mynet.http import Limits
from mynet.testing import Answer, Client, Wire

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
DISCONNECT = {"type": "http.disconnect"}

TURNS = 8
"""More of a loop's than anything here takes."""


def start(status: Any = 200, *headers: Any, **more: Any) -> Event:
    """The event that begins a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: Any = b"", **more: Any) -> Event:
    """An event of its body."""
    return {"type": "http.response.body", "body": data, **more}


def post(data: bytes, length: int | None = None, more: bytes = b"") -> bytes:
    """A request with a body, or with the beginning of one."""
    declared = len(data) if length is None else length
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n%b\r\n"
    return head % (declared, more) + data


async def ok(scope: Any, receive: Receive, send: Send) -> None:
    """An application that answers with `ok`."""
    await send(start())
    await send(body(b"ok"))


class Page:
    """An application, and a client with one connection to it."""

    def __init__(self, app: App, limits: Limits | None = None, **options: Any) -> None:
        """Serve it.

        Args:
            app: The application.
            limits: Those of HTTP.
            options: Of the handler.
        """
        self.handler = ASGIHandler(app, lifespan="off", **options)
        self.wire = Wire(self.handler, limits)

    async def ask(self, request: bytes = GET) -> bytes:
        """Send a request; what has been received when all has happened that does."""
        self.wire.send(request)
        await self.settle()
        return self.wire.take()

    async def settle(self) -> None:
        """Let all happen that is due."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            self.wire.clock.advance(0)

    async def hang_up(self) -> None:
        """The client goes."""
        self.wire.hang_up()
        await self.settle()


async def answer_of(app: App, method: str = "GET", target: str = "/", **options: Any) -> Answer:
    """What an application answers to one request."""
    client = Client(ASGIHandler(app, lifespan="off"))
    return await client.request(method, target, **options).asFuture(asyncio.get_running_loop())


class Asked:
    """An application that keeps its scopes, and the events that it receives."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.events: list[Event] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        more = True
        while more:
            self.events.append(await receive())
            more = self.events[-1].get("more_body", False)
        await ok(scope, receive, send)

    @property
    def scope(self) -> dict[str, Any]:
        """The only one there has been."""
        (only,) = self.scopes
        return only
