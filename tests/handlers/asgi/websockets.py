"""Applications of WebSockets that are told what to do, and strict clients of them, in one loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from mynet.handlers.asgi import ASGIHandler
from mynet.http import Limits
from mynet.testing import Wire
from tests.handlers.asgi.driving import drive
from tests.websocket.line import Browser

TURNS = 8
"""More of a loop's than anything here takes."""

Event = dict[str, Any]
Send = Callable[[Event], Awaitable[None]]
Receive = Callable[[], Awaitable[Event]]
Does = Callable[["Talk"], Awaitable[object]]


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorate a test that is a coroutine, and is run in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        drive(functools.partial(test, *args, **named))

    return run


class Talk:
    """What an application has of one WebSocket, in words that are shorter than events."""

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def begin(self) -> None:
        """Be told of the handshake."""
        assert await self.receive() == {"type": "websocket.connect"}

    async def accept(self, **fields: Any) -> None:
        """Be told of the handshake, and accept it."""
        await self.begin()
        await self.send({"type": "websocket.accept", **fields})

    async def say(self, message: str | bytes) -> None:
        """Send a message."""
        kind = "text" if isinstance(message, str) else "bytes"
        await self.send({"type": "websocket.send", kind: message})

    async def close(self, **fields: Any) -> None:
        """Close, or refuse."""
        await self.send({"type": "websocket.close", **fields})

    async def respond(self, *pieces: bytes, status: int = 403, headers: Any = ()) -> None:
        """Refuse by a response, in such pieces."""
        await self.begin_response(status, headers)
        for piece in pieces[:-1]:
            await self.body(piece, more_body=True)
        await self.body(pieces[-1])

    async def begin_response(self, status: int = 403, headers: Any = ()) -> None:
        """Its head."""
        kind = "websocket.http.response.start"
        await self.send({"type": kind, "status": status, "headers": list(headers)})

    async def body(self, data: bytes, **fields: Any) -> None:
        """Some of its body."""
        await self.send({"type": "websocket.http.response.body", "body": data, **fields})


class Site:
    """An application, what came of it, and who serves it."""

    def __init__(self, does: Does, limits: Limits | None = None, **fields: Any) -> None:
        """Serve it.

        Args:
            does: What the application does with each WebSocket.
            limits: Those of HTTP.
            fields: Of the handler, and of the policy.
        """
        self.talks: list[Talk] = []
        self.ends: list[str] = []
        """How each has ended: `returned`, or the name of an error."""
        self._does = does
        self.handler = ASGIHandler(self.run, lifespan="off", **fields)
        self.limits = limits

    async def run(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The application."""
        self.talks.append(Talk(scope, receive, send))
        try:
            await self._does(self.talks[-1])
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("returned")

    @property
    def talk(self) -> Talk:
        """The only one there has been."""
        (only,) = self.talks
        return only

    @property
    def stats(self) -> Any:
        """The endpoint's counts."""
        return self.handler.shared.stats

    async def visit(self, path: str = "/", **options: Any) -> Browser:
        """Ask for a WebSocket, and let all happen that does."""
        browser = Browser(Wire(self.handler, self.limits), path, **options)
        await settle(browser)
        return browser


async def settle(*browsers: Browser) -> None:
    """Let all happen that is due."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
        for browser in browsers:
            browser.turn()


async def echo(talk: Talk) -> None:
    """An application that sends back what it receives."""
    await talk.accept()
    while (event := await talk.receive())["type"] == "websocket.receive":
        await talk.send({**event, "type": "websocket.send"})
