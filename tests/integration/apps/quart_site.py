"""A site of Quart's: bodies, streams, and a WebSocket."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, abort, request, websocket
from twisted.logger import Logger

from mynet.handlers.asgi import ASGIHandler

log = Logger()

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024

noted: list[str] = []
"""What has happened, for who asks later."""


@app.before_serving
async def begin() -> None:
    log.info("Quart starts")


@app.after_serving
async def end() -> None:
    log.info("Quart stops")


@app.get("/asked/<int:number>")
async def asked(number: int) -> dict[str, Any]:
    return {
        "number": number,
        "query": request.args.getlist("tag"),
        "cookie": request.cookies.get("name"),
        "url": request.url,
        "client": request.remote_addr,
    }


@app.post("/upload")
async def upload() -> dict[str, Any]:
    seen = hashlib.sha256()
    async for piece in request.body:
        seen.update(piece)
    return {"sha256": seen.hexdigest()}


@app.post("/form")
async def form() -> dict[str, Any]:
    photo = (await request.files)["photo"]
    return {"name": photo.filename, "size": len(photo.read())}


@app.get("/stream")
async def stream() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number

    return Response(pieces())


@app.get("/error")
async def error() -> str:
    raise RuntimeError("a bug of the site")


@app.get("/notes")
async def notes() -> list[str]:
    return noted


@app.websocket("/echo")
async def echo() -> None:
    await websocket.accept(subprotocol=next(iter(websocket.requested_subprotocols), None))
    try:
        while True:
            await websocket.send(await websocket.receive())
    finally:
        noted.append("left")


@app.websocket("/denied")
async def denied() -> None:
    abort(403)


@app.websocket("/closes")
async def closes() -> None:
    await websocket.accept()
    await websocket.close(4001, "that was all")


served = ASGIHandler(app)
