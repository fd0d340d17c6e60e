"""A site of FastAPI's: models, uploads, dependencies, and a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from pydantic import BaseModel, Field

from mynet.handlers.asgi import ASGIHandler

noted: list[str] = []
"""What has happened, for who asks later."""


class Item(BaseModel):
    """Something to sell."""

    name: str
    price: Annotated[float, Field(gt=0)]
    tags: list[str] = []


async def session() -> AsyncIterator[str]:
    """What a request has while it runs."""
    noted.append("begun")
    try:
        yield "a session"
    finally:
        noted.append("ended")


Session = Annotated[str, Depends(session)]

app = FastAPI(title="A shop")


@app.post("/items/{number}", status_code=201)
async def create(number: int, item: Item, urgent: bool = False) -> dict[str, object]:
    return {"number": number, "item": item, "urgent": urgent}


@app.get("/session")
async def with_session(held: Session) -> str:
    return held


@app.get("/fails")
async def fails(held: Session) -> str:
    raise HTTPException(409, "Not now.", {"X-Why": "because"})


@app.get("/in_a_thread")
def in_a_thread(held: Session) -> str:
    return f"{held} in a thread"


@app.post("/upload")
async def upload(files: list[UploadFile]) -> list[dict[str, object]]:
    return [{"name": each.filename, "size": len(await each.read())} for each in files]


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(noted.append, "the work is done")
    return "soon"


@app.get("/notes")
async def notes() -> list[str]:
    return noted


async def token(token: str = "") -> str:
    """Who has none may not open a WebSocket."""
    if not token:
        raise WebSocketException(1008, "no token")
    return token


@app.websocket("/shout/{name}")
async def shout(socket: WebSocket, name: str, token: Annotated[str, Depends(token)]) -> None:
    await socket.accept()
    try:
        while True:
            item = Item.model_validate(await socket.receive_json())
            await socket.send_json({"to": name, "shout": item.name.upper(), "token": token})
    except WebSocketDisconnect as left:
        noted.append(f"left with {left.code}")


served = ASGIHandler(app)
