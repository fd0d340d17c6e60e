"""Files that applications have sent, and the positions of those that are open."""

from __future__ import annotations

import asyncio
import os
from io import BytesIO
from typing import Any

import pytest

from mynet.handlers.asgi import files
from mynet.handlers.asgi.contract import ContractError
from mynet.handlers.asgi.files import open_path, open_shared, pieces_of
from mynet.http.file import PIECE, FileBody
from tests.handlers.asgi.driving import drive, in_a_loop
from tests.handlers.asgi.hosting import Page, start

KIND = "http.response.zerocopysend"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "letters"
    path.write_bytes(b"abcdefghij")
    return path


def content(file: FileBody) -> bytes:
    """All of it, read by a task."""

    async def read() -> bytes:
        return b"".join([piece async for piece in pieces_of(file, asyncio.get_running_loop())])

    try:
        return drive(read)
    finally:
        file.close()


@pytest.mark.parametrize(
    ("part", "expected", "position"),
    [
        ({}, b"cdefghij", 10),
        ({"count": 3}, b"cde", 5),
        ({"count": 0}, b"", 2),
        ({"count": 99}, b"cdefghij", 10),
        ({"offset": 0}, b"abcdefghij", 2),
        ({"offset": 8, "count": 1}, b"i", 2),
        ({"offset": 99}, b"", 2),
    ],
)
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_parts(path, part, expected, position, by_descriptor):
    """A part begins at the offset, or else at the position of the file, which moves with it."""
    with path.open("rb", buffering=0) as file:
        file.seek(2)
        given: Any = file.fileno() if by_descriptor else file
        body = open_shared({"type": KIND, "file": given, **part})
        assert content(body) == expected
        assert file.tell() == position


def test_buffered_files(path):
    """What has been read ahead does not count."""
    with path.open("rb") as file:
        assert file.read(1) == b"a"
        assert content(open_shared({"type": KIND, "file": file, "count": 2})) == b"bc"
        assert file.read(1) == b"d"


def test_stays_open_after_it_is_closed(path):
    """Who has opened a file may close it at once."""
    with path.open("rb") as file:
        body = open_shared({"type": KIND, "file": file})
    assert content(body) == b"abcdefghij"


@pytest.mark.parametrize("file", [BytesIO(b"x"), None, b"x"])
def test_no_files(file):
    """What is no file of the system cannot be sent."""
    with pytest.raises(ContractError, match="has no descriptor"):
        open_shared({"type": KIND, "file": file})


@pytest.mark.parametrize("part", [{"offset": -1}, {"count": -1}, {"count": "1"}, {"offset": 0.5}])
def test_no_parts(path, part):
    """Offset and count are ints from 0 on."""
    with path.open("rb") as file, pytest.raises(ContractError, match="are ints from 0 on"):
        open_shared({"type": KIND, "file": file, **part})


@pytest.mark.parametrize("wrong", [None, "relative", b"/bytes", 7])
def test_no_paths(wrong):
    """A path is absolute, and a str."""
    with pytest.raises(ContractError, match="is absolute"):
        open_path({"type": "http.response.pathsend", "path": wrong})


@in_a_loop
async def test_path_that_is_not_there():
    """A file that cannot be opened is the application's error, and may be dealt with."""

    async def app(scope, receive, send):
        await send(start())
        try:
            await send({"type": "http.response.pathsend", "path": "/no/such/file"})
        except FileNotFoundError:
            await send({"type": "http.response.body", "body": b"instead"})

    assert (await Page(app).ask()).endswith(b"instead")


def test_no_regular_files(tmp_path):
    """What has no size, such as a pipe, is refused: it would be waited for, or empty."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ContractError, match="is a regular one"):
        open_path({"type": "http.response.pathsend", "path": str(pipe)})
    reading, writing = os.pipe()
    with pytest.raises(ContractError, match="is a regular one"):
        open_shared({"type": KIND, "file": reading})
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_large_files(tmp_path):
    """Large ones come in pieces."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 * PIECE + 5))
    assert content(open_path({"type": "", "path": path})) == path.read_bytes()


def test_what_is_not_in_memory(path, monkeypatch):
    """What would have to be fetched from a disk is read in a thread."""
    monkeypatch.setattr(files, "read_resident", lambda *_: None)
    assert content(open_path({"type": "", "path": str(path)})) == b"abcdefghij"


def test_file_that_becomes_shorter(path):
    """A file that ends too early is an error."""
    body = open_path({"type": "", "path": str(path)})
    body.length = 11
    with pytest.raises(OSError, match="1 bytes too early"):
        content(body)
