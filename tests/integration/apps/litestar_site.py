"""A site of Litestar's: bodies, streams, and WebSockets."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Litestar, Request, WebSocket, get, post, websocket, websocket_listener
from litestar.datastructures import State, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import PermissionDeniedException
from litestar.params import Body
from litestar.response import Stream
from twisted.logger import Logger

from mynet.handlers.asgi import ASGIHandler

log = Logger()


@dataclass
class Item:
    """Something to sell."""

    name: str
    price: float


@post("/items/{number:int}")
async def create(number: int, data: Item, urgent: bool = False) -> dict[str, Any]:
    return {"number": number, "item": data, "urgent": urgent}


@post("/upload")
async def upload(request: Request[Any, Any, State]) -> dict[str, Any]:
    seen = hashlib.sha256()
    async for piece in request.stream():
        seen.update(piece)
    return {"sha256": seen.hexdigest()}


@post("/form")
async def form(
    data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    return {"name": data.filename, "size": len(await data.read())}


@get("/stream")
async def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number

    return Stream(pieces())


@get("/error")
async def error() -> str:
    raise RuntimeError("a bug of the site")


@websocket("/echo")
async def echo(socket: WebSocket[Any, Any, State]) -> None:
    await socket.accept()
    async for text in socket.iter_data("text"):
        await socket.send_data(text)


@websocket_listener("/shout")
async def shout(data: str) -> str:
    return data.upper()


@websocket("/denied")
async def denied(socket: WebSocket[Any, Any, State]) -> None:
    raise PermissionDeniedException("You may not.")


async def begin(app: Litestar) -> None:
    log.info("Litestar starts")


async def end(app: Litestar) -> None:
    log.info("Litestar stops")


app = Litestar(
    [create, upload, form, stream, error, echo, shout, denied],
    on_startup=[begin],
    on_shutdown=[end],
)

served = ASGIHandler(app)
