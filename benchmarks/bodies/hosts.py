"""What is asked for large bodies: a handler of each kind, with the same paths as far as it can.

    /hello      a short answer
    /read       reads the body, and answers with its length
    /refuse     answers without reading it
    /wait       neither reads nor answers
    /stream     answers with a large body

Files have the paths of their names: `hello` and `stream`.
"""

from __future__ import annotations

from asyncio import Event as AsyncioEvent
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred

from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.proxy import ReverseProxy
from mynet.handlers.static import StaticFiles
from mynet.handlers.wsgi import WSGIHandler
from mynet.http import Request, Response

PIECE = bytes(64 * 1024)

REFUSAL = b"No, thank you."


def pieces(size: int) -> Iterator[bytes]:
    """A body of that size, which is a multiple of a piece's."""
    for _ in range(size // len(PIECE)):
        yield PIECE


class Native:
    """Handlers, by their path; and streams of other kinds."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, request: Request) -> Any:
        return getattr(self, request.path[1:])(request)

    def hello(self, request: Request) -> Response:
        return Response.text("Hello!")

    async def read(self, request: Request) -> Response:
        size = 0
        async for chunk in request:
            size += len(chunk)
        return Response.text(f"{size}")

    def refuse(self, request: Request) -> Response:
        return Response(REFUSAL)

    def wait(self, request: Request) -> Deferred[Response]:
        return Deferred()

    def stream(self, request: Request) -> Response:
        return Response(self._async_pieces())

    def generator(self, request: Request) -> Response:
        return Response(pieces(self._size))

    async def _async_pieces(self) -> AsyncIterator[bytes]:
        for piece in pieces(self._size):
            yield piece


class ASGI:
    """The same as an ASGI application."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send_all(getattr(self, scope["path"][1:])(receive), send)

    async def hello(self, receive: Any) -> AsyncIterator[bytes]:
        yield b"Hello!"

    async def read(self, receive: Any) -> AsyncIterator[bytes]:
        size, more = 0, True
        while more:
            event = await receive()
            size += len(event["body"])
            more = event["more_body"]
        yield b"%d" % size

    async def refuse(self, receive: Any) -> AsyncIterator[bytes]:
        yield REFUSAL

    async def wait(self, receive: Any) -> AsyncIterator[bytes]:
        await AsyncioEvent().wait()
        yield b"never"

    async def stream(self, receive: Any) -> AsyncIterator[bytes]:
        for piece in pieces(self._size):
            yield piece


async def send_all(body: AsyncIterator[bytes], send: Any) -> None:
    """Answer with a body, an event for each piece."""
    started = False
    async for piece in body:
        if not started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            started = True
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


class WSGI:
    """The same as a WSGI application."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        answer: Iterator[bytes] = getattr(self, environ["PATH_INFO"][1:])(environ["wsgi.input"])
        return answer

    def hello(self, body: Any) -> Iterator[bytes]:
        yield b"Hello!"

    def read(self, body: Any) -> Iterator[bytes]:
        size = 0
        while data := body.read(len(PIECE)):
            size += len(data)
        yield b"%d" % size

    def refuse(self, body: Any) -> Iterator[bytes]:
        yield REFUSAL

    def wait(self, body: Any) -> Iterator[bytes]:
        Event().wait()
        yield b"never"

    def stream(self, body: Any) -> Iterator[bytes]:
        return pieces(self._size)


HOSTS: Mapping[str, Callable[[int, str], Any]] = {
    "native": lambda size, _: Native(size),
    "asgi": lambda size, _: ASGIHandler(ASGI(size)),
    "wsgi": lambda size, _: WSGIHandler(WSGI(size)),
    "static": lambda size, folder: StaticFiles(folder),
    "proxy": lambda size, url: ReverseProxy(url),
}
"""What makes each of a size, and of what else it needs."""
