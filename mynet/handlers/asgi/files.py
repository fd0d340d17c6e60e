"""Files that an application has sent for it: by a path, or open already."""

from __future__ import annotations

import os
import stat
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from typing import Any

from mynet.handlers.asgi.contract import ContractError
from mynet.http.file import PIECE, FileBody, read_anyway, read_resident


def open_path(event: dict[str, Any]) -> FileBody:
    """The file of `http.response.pathsend`.

    Raises:
        ContractError: There is no absolute path, or that of something else than a file.
        OSError: It cannot be opened.
    """
    path = event.get("path")
    if not isinstance(path, str | os.PathLike) or not os.path.isabs(path):
        raise ContractError(f"the path of {event['type']} is absolute, and a str, not {path!r}")
    _check_kind(event, os.stat(path))  # to open a pipe could take for ever
    return FileBody(open(path, "rb"))


def open_shared(event: dict[str, Any]) -> FileBody:
    """The part of a file that `http.response.zerocopysend` means.

    The file stays the application's, which may close it at once. Where it is read from its
    position, that is moved to behind what is sent.

    Raises:
        ContractError: It is no file of the system, or no part of one.
        OSError: It cannot be used.
    """
    file, offset, count = event.get("file"), event.get("offset"), event.get("count")
    for number in (offset, count):
        if number is not None and (not isinstance(number, int) or number < 0):
            wrong = f"offset and count of {event['type']} are ints from 0 on"
            raise ContractError(f"{wrong}, not {number!r}")
    try:
        descriptor = file if isinstance(file, int) else file.fileno()  # type: ignore[union-attr]
    except (AttributeError, OSError):  # which is what an io.BytesIO raises
        raise ContractError(f"the file of {event['type']} has no descriptor: {file!r}") from None
    status = os.fstat(descriptor)
    _check_kind(event, status)
    whole = status.st_size
    start = _position(file) if offset is None else offset
    length = max(0, whole - start if count is None else min(count, whole - start))
    if offset is None:
        _move(file, start + length)
    return FileBody(os.fdopen(os.dup(descriptor), "rb", buffering=0), start, length)


def _check_kind(event: dict[str, Any], status: os.stat_result) -> None:
    """Others have no size that says how much there is to read."""
    if not stat.S_ISREG(status.st_mode):
        raise ContractError(f"the file of {event['type']} is a regular one")


def _position(file: Any) -> int:
    return os.lseek(file, 0, os.SEEK_CUR) if isinstance(file, int) else int(file.tell())


def _move(file: Any, position: int) -> None:
    if isinstance(file, int):
        os.lseek(file, position, os.SEEK_SET)
    else:
        file.seek(position)


async def pieces_of(body: FileBody, loop: AbstractEventLoop) -> AsyncIterator[bytes]:
    """The pieces of a file, for tasks of asyncio's. Reading does not keep others waiting.

    Raises:
        OSError: It has become shorter.
    """
    offset, end = body.offset, body.offset + body.length
    while offset < end:
        size = min(PIECE, end - offset)
        piece = read_resident(body.file, offset, size)
        if piece is None:
            piece = await loop.run_in_executor(None, read_anyway, body.file, offset, size)
        if not piece:
            raise OSError(f"a file has ended {end - offset} bytes too early")
        offset += len(piece)
        yield piece
