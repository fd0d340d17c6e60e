"""The greeting, uploads, streams and WebSockets, as an ASGI application without a framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

BODY = b"Hello, World!"
TEXT = (b"content-type", b"text/plain; charset=utf-8")
FIELDS = [TEXT, (b"content-length", b"%d" % len(BODY))]

FILLING = b"What is long is made of this sentence, which has 64 characters.\n"
PIECE = FILLING * 256
PIECES = 100


subscribers: set[Send] = set()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Whatever is asked for is answered with it, but for what has a path of its own."""
    assert scope["type"] != "lifespan"
    if other := OTHERS.get(scope["path"]):
        await other(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": BODY})


async def length(receive: Receive, send: Send) -> None:
    """Answer with the length of what is uploaded."""
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    body = b"%d" % size
    fields = [TEXT, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def stream(receive: Receive, send: Send) -> None:
    """Answer with pieces of 16 KiB, whose number is not told before."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


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


OTHERS = {"/length": length, "/stream": stream, "/echo": echo, "/fanout": fan_out}
