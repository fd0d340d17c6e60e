"""Files sent by the kernel, at the client's pace, beside a transport that knows nothing of it."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IWriteDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from mynet.http.coroutines import start
from mynet.http.file import FileBody
from mynet.http.limits import KIB
from mynet.http.sendfile import TURN, _Room, can_send_files, send_file

DATA = os.urandom(3000 * KIB)


class Socket:
    """A transport: one side of a pair of sockets, of which the other is the client's."""

    can_send_files = True

    def __init__(self) -> None:
        self.socket, self.client = socket.socketpair()
        self.socket.setblocking(False)
        self.client.setblocking(False)
        self.bytes_waiting = 0
        self.flushed = 0
        self.aborted = False

    def fileno(self) -> int:
        return self.socket.fileno()

    def flush(self) -> None:
        self.flushed += 1

    def abortConnection(self) -> None:
        self.aborted = True

    def read(self) -> bytes:
        """All that the client finds."""
        data = b""
        try:
            while piece := self.client.recv(2**20):
                data += piece
        except BlockingIOError:
            pass
        return data

    def close(self) -> None:
        self.socket.close()
        self.client.close()


class Watcher:
    """A reactor that tells who can write when it is asked to."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> bool:
        """Tell whoever can write; whether there was one."""
        ready = select.select([], list(self.writers), [], 0)[1]
        for writer in ready:
            writer.doWrite()
        return bool(ready)


@pytest.fixture
def connection() -> Iterator[Socket]:
    made = Socket()
    yield made
    made.close()


@pytest.fixture
def body(tmp_path: Path) -> Iterator[FileBody]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    body = FileBody(path.open("rb"))
    yield body
    body.close()


def begin(
    connection: Socket, reactor: Watcher, body: FileBody
) -> tuple[Deferred[None] | None, list[int]]:
    """What sending it returns, and how much was sent each time."""
    taken: list[int] = []
    sending = send_file(connection, cast(IReactorFDSet, reactor), body, taken.append)
    return start(sending, copy_context(), Clock()), taken


def test_small_file(connection, body):
    """A small file is sent at once, and nothing is watched for that."""
    reactor = Watcher()
    body.offset, body.length = 10, 1000
    assert begin(connection, reactor, body) == (None, [1000])
    assert connection.read() == DATA[10:1010]
    assert connection.flushed == 1
    assert not reactor.writers


def test_large_file(connection, body):
    """A large one is sent as the client reads it, and others have their turn meanwhile."""
    reactor = Watcher()
    sending, taken = begin(connection, reactor, body)
    assert sending is not None
    read = b""
    while reactor.writers:
        if not reactor.turn():
            read += connection.read()
    assert sending.called
    assert read + connection.read() == DATA
    assert sum(taken) == len(DATA)
    assert max(taken) <= TURN
    body.file.seek(0)


def test_after_what_was_written(connection, body):
    """What the transport still holds goes before: a file never overtakes its own head."""
    reactor = Watcher()
    connection.bytes_waiting = 1
    body.length = 100
    sending, taken = begin(connection, reactor, body)
    assert sending is not None
    assert reactor.turn()
    assert (sending.called, taken) == (False, [])
    connection.bytes_waiting = 0
    reactor.turn()
    assert (sending.called, taken) == (True, [100])


def test_nothing(connection, body):
    """An empty part is sent without more ado."""
    body.length = 0
    assert begin(connection, Watcher(), body) == (None, [0])


def test_shrunk(connection, body, tmp_path):
    """It ends where the file does, and whoever promised more is told by what was sent."""
    os.truncate(tmp_path / "file", 10)
    reactor = Watcher()
    sending, taken = begin(connection, reactor, body)
    reactor.turn()
    assert sending is not None
    assert sending.called
    assert taken == [10, 0]


def test_client_goes(connection, body):
    """A client that goes is the transport's to notice; then this is cancelled, and lets go."""
    reactor = Watcher()
    sending, _ = begin(connection, reactor, body)
    connection.client.close()
    reactor.turn()
    assert sending is not None
    assert (connection.aborted, sending.called) == (True, False)
    (room,) = reactor.writers
    errors: list[Failure] = []
    sending.addErrback(errors.append)
    sending.cancel()
    assert len(errors) == 1
    assert not reactor.writers
    with pytest.raises(OSError, match="9"):
        os.fstat(room.fileno())


def test_room(connection):
    """What watches is what a reactor expects."""
    room = _Room(connection, cast(IReactorFDSet, Watcher()))
    verifyObject(IWriteDescriptor, room)
    assert room.fileno() != connection.fileno()
    assert room.logPrefix() == "sendfile"
    room.connectionLost(Failure(Exception()))
    assert connection.aborted
    room.close()


def test_transports(connection):
    """Only what is nothing but a socket is given files: not TLS, nor anything that is wrapped."""
    assert can_send_files(connection)
    for kind in (tcp.Server, unix.Server):
        assert can_send_files(kind.__new__(kind))
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.transport = connection
    for other in (wrapper, StringTransport(), None):
        assert not can_send_files(other)
