"""The greeting, and WebSockets, as an ASGI application without a framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

BODY = b"Hello, World!"
FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(BODY))]


subscribers: set[Send] = set()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Whatever is asked for is answered with it, but for WebSockets."""
    if scope["type"] == "websocket":
        await (fan_out if scope["path"] == "/fanout" else echo)(receive, send)
        return
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": BODY})


async def messages(receive: Receive, send: Send) -> AsyncIterator[dict[str, Any]]:
    """Accept a WebSocket, and make what sends its messages again."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if (text := event.get("text")) is not None:
            yield {"type": "websocket.send", "text": text}
        else:
            yield {"type": "websocket.send", "bytes": event["bytes"]}


async def echo(receive: Receive, send: Send) -> None:
    """Send back what is received."""
    async for message in messages(receive, send):
        await send(message)


async def fan_out(receive: Receive, send: Send) -> None:
    """What one is sent, all send."""
    subscribers.add(send)
    async for message in messages(receive, send):
        for each in tuple(subscribers):
            await each(message)
    subscribers.discard(send)
