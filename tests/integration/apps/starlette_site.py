"""A site of Starlette's: each of the things that its documentation tells of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twisted.logger import Logger

from mynet.handlers.asgi import ASGIHandler

log = Logger()

PIECES = 100
PIECE = bytes(range(256)) * 64

noted: list[str] = []
"""What has happened, for who asks later."""


class State(TypedDict):
    """What the lifespan gives to each request."""

    greeting: str


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[State]:
    log.info("Starlette starts")
    yield {"greeting": "Hello from the lifespan"}
    log.info("Starlette stops")


async def greeting(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


async def asked(request: Request) -> Response:
    return JSONResponse(
        {
            "number": request.path_params["number"],
            "query": request.query_params.multi_items(),
            "cookie": request.cookies.get("name"),
            "url": str(request.url),
            "client": request.client.host if request.client else None,
            "root_path": request.scope.get("root_path"),
            "path": request.scope["path"],
            "link": str(request.url_for("greeting")) if request.app is app else None,
        }
    )


async def upload(request: Request) -> Response:
    seen, size = hashlib.sha256(), 0
    async for piece in request.stream():
        seen.update(piece)
        size += len(piece)
    return JSONResponse({"size": size, "sha256": seen.hexdigest()})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        photo: Any = fields["photo"]
        return JSONResponse({"name": photo.filename, "size": len(await photo.read())})


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    return StreamingResponse(pieces())


async def endless(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PIECE
                await asyncio.sleep(0)
        finally:
            noted.append("the stream was left")

    return StreamingResponse(pieces())


class Listening(StreamingResponse):
    """A stream that is ended when its client leaves, as sse-starlette's is: by who receives."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        older = scope["asgi"] | {"spec_version": "2.3"}  # which makes Starlette do that itself
        await super().__call__(scope | {"asgi": older}, receive, send)


async def events(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"data: hello\n\n"
            await asyncio.Event().wait()
        finally:
            noted.append("the events were left")

    return Listening(pieces(), media_type="text/event-stream")


async def file(request: Request) -> Response:
    return FileResponse(__file__, filename="site.py")


async def background(request: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(0)
        noted.append("the work is done")

    return PlainTextResponse("soon", background=BackgroundTask(work))


async def notes(request: Request) -> Response:
    return JSONResponse(noted)


async def error(request: Request) -> Response:
    raise RuntimeError("a bug of the site")


async def teapot(request: Request) -> Response:
    raise HTTPException(418, "I am one.")


async def echo(socket: WebSocket) -> None:
    await socket.accept(headers=[(b"x-greeting", socket.state.greeting.encode())])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message["reason"])
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect as left:
        noted.append(f"left with {left.code} {left.reason}")


async def chosen(socket: WebSocket) -> None:
    await socket.accept(subprotocol=socket.scope["subprotocols"][-1])
    await socket.send_json({"subprotocols": socket.scope["subprotocols"]})
    await socket.close(4001, "that was all")


async def denied(socket: WebSocket) -> None:
    await socket.send_denial_response(JSONResponse({"pay": "first"}, 402))


async def refused(socket: WebSocket) -> None:
    await socket.close()


async def broken(socket: WebSocket) -> None:
    await socket.accept()
    raise RuntimeError("a bug of the socket")


class Marked(BaseHTTPMiddleware):
    """Middleware of Starlette's own kind, which has tasks of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["X-Marked"] = "yes"
        return response


app = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(Marked)],
    routes=[
        Route("/", greeting),
        Route("/asked/{number:int}", asked),
        Route("/upload", upload, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/events", events),
        Route("/file", file),
        Route("/background", background),
        Route("/notes", notes),
        Route("/error", error),
        Route("/teapot", teapot),
        Mount("/mounted", Starlette(routes=[Route("/asked/{number:int}", asked)])),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/chosen", chosen),
        WebSocketRoute("/denied", denied),
        WebSocketRoute("/refused", refused),
        WebSocketRoute("/broken", broken),
    ],
)

served = ASGIHandler(app)
