"""Files as bodies: read in pieces, and never waited for by the reactor."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from mynet.http import file as module
from mynet.http.coroutines import start
from mynet.http.file import PIECE, FileBody, read_anyway, read_resident
from mynet.testing import result_of

DATA = os.urandom(3 * PIECE + 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def pieces_of(body: FileBody) -> list[bytes]:
    """What is read of it, piece by piece."""

    async def read() -> list[bytes]:
        return [piece async for piece in body]

    result = start(read(), copy_context(), Clock())
    body.close()
    return result_of(result) if isinstance(result, Deferred) else result


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, None), (0, 0), (0, 1), (5, 10), (PIECE, PIECE), (7, 2 * PIECE), (len(DATA), None)],
)
def test_parts(path, offset, length):
    """Any part of a file can be a body, and its length is known."""
    body = FileBody(path.open("rb"), offset, length)
    expected = DATA[offset:][:length]
    assert body.length == len(expected)
    pieces = pieces_of(body)
    assert b"".join(pieces) == expected
    assert all(len(piece) <= PIECE for piece in pieces)
    assert body.file.closed


def test_position(path):
    """A descriptor that is shared with others has its position when its file has been read."""
    with path.open("rb", buffering=0) as file:
        file.seek(3)
        shared = FileBody(os.fdopen(os.dup(file.fileno()), "rb"), 5, 10)
        assert read_anyway(shared.file, 5, 10) == DATA[5:15]
        assert pieces_of(shared) == [DATA[5:15]]
        assert file.tell() == 3


def test_empty_and_beyond(tmp_path, path):
    """Where there is nothing there are no pieces."""
    (tmp_path / "empty").touch()
    assert pieces_of(FileBody((tmp_path / "empty").open("rb"))) == []
    beyond = FileBody(path.open("rb"), len(DATA) + 5)
    assert beyond.length == 0
    assert pieces_of(beyond) == []


def test_changing(path):
    """What was promised is the most that is read of a file that grows; one may shrink, too."""
    body = FileBody(path.open("rb"))
    with path.open("ab") as file:
        file.write(b"more")
    assert b"".join(pieces_of(body)) == DATA
    body = FileBody(path.open("rb"))
    os.truncate(path, PIECE + 1)
    assert b"".join(pieces_of(body)) == DATA[: PIECE + 1]


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read in a thread, if a thread is what runs it at once."""
    calls: list[str] = []

    def defer(function: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        calls.append(function.__name__)
        return succeed(function(*arguments))

    monkeypatch.setattr(module, "deferToThread", defer)
    return calls


def test_not_in_the_cache(path, monkeypatch, in_threads):
    """What a disk has to be asked for is read in a thread."""
    monkeypatch.setattr(os, "preadv", _raise(BlockingIOError()), raising=False)
    monkeypatch.setattr(module, "_RESIDENT", 8)
    assert b"".join(pieces_of(FileBody(path.open("rb")))) == DATA
    assert in_threads == ["read_anyway"] * 4


@pytest.mark.parametrize("flag", [0, 8])
def test_untold(path, monkeypatch, in_threads, flag):
    """Where the system, or the file system, does not tell what it has, it is read at once."""
    monkeypatch.setattr(os, "preadv", _raise(OSError(errno.EOPNOTSUPP, "")), raising=False)
    monkeypatch.setattr(module, "_RESIDENT", flag)
    assert b"".join(pieces_of(FileBody(path.open("rb")))) == DATA
    assert in_threads == []


def test_broken(path, monkeypatch):
    """Any other error is the body's."""
    monkeypatch.setattr(os, "preadv", _raise(OSError(errno.EIO, "")), raising=False)
    monkeypatch.setattr(module, "_RESIDENT", 8)
    with path.open("rb") as file, pytest.raises(OSError, match="5"):
        read_resident(file, 0, 1)


def test_load(path, monkeypatch, in_threads):
    """Before the kernel sends what it would have to fetch, that is fetched in a thread."""
    body = FileBody(path.open("rb"))
    monkeypatch.setattr(module, "read_resident", lambda file, offset, size: b"x")
    start(body.load(0, PIECE), copy_context(), Clock())
    assert in_threads == []
    monkeypatch.setattr(module, "read_resident", lambda file, offset, size: None)
    start(body.load(0, 0), copy_context(), Clock())
    assert in_threads == []
    start(body.load(0, PIECE), copy_context(), Clock())
    assert in_threads == ["read_anyway"]
    body.close()


def _raise(error: Exception) -> Callable[..., Any]:
    def call(*arguments: object) -> Any:
        raise error

    return call
