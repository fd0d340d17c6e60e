"""Uploads of any size, written to disk as they arrive: `twistd -n mynet --app upload:app`.

    curl --upload-file large.iso http://127.0.0.1:8080/files/large.iso
    curl --remote-name http://127.0.0.1:8080/files/large.iso

While a piece is written, in a thread, no more is read: a client that is faster than the disk
waits, and memory stays flat. `Limits.body` says how large a body may be: 1 GiB.
"""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from twisted.internet.threads import deferToThread

from mynet import App, HTTPError, Request, Response

app = App()

FOLDER = Path("uploads")

NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)
"""No slash, and no dot in front: what such a name says is inside the folder."""


@app.put("/files/{name}")
async def upload(request: Request, name: str) -> Response:
    """Keep a file. Nobody sees it before it is whole, and of one that breaks off nothing stays."""
    path = path_of(name)
    FOLDER.mkdir(exist_ok=True)
    part = FOLDER / f".{uuid4()}"
    try:
        with part.open("xb") as file:
            async for chunk in request:
                await deferToThread(file.write, chunk)
        size = part.stat().st_size
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Response.json({"name": name, "size": size}, status=201)


@app.get("/files/{name}")
def download(request: Request, name: str) -> Response:
    """Send a file, as fast as the client reads."""
    try:
        return Response.file(path_of(name))
    except FileNotFoundError:
        raise HTTPError(404) from None


def path_of(name: str) -> Path:
    """Where a file of this name is kept."""
    if not NAME.fullmatch(name):
        raise HTTPError(400, "This is no name for a file.")
    return FOLDER / name
