"""A connection and its transport: what is sent at once, and what waits."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock

from mynet.http import HTTPFactory, Limits, Request, Response

PEER = ("192.0.2.1", 50000)
GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Socket:
    """A socket whose kernel takes so many bytes, and no more until the client reads."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sent = b""
        self.calls = 0
        self.broken = False

    def send(self, data: bytes) -> int:
        self.calls += 1
        if self.broken:
            raise OSError(errno.EPIPE, "broken pipe")
        if not self.room:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def fileno(self) -> int:
        return 99

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.2", 80)

    def setblocking(self, blocking: bool) -> None:
        pass

    def setsockopt(self, *option: object) -> None:
        pass


class Port:
    """What accepted the connection."""

    _realPortNumber = 80


class Served:
    """A handler that answers with so many bytes, on Twisted's own TCP transport."""

    def __init__(self, size: int, room: int) -> None:
        self.size = size
        self.socket = Socket(room)
        self.reactor = MemoryReactorClock()
        factory = HTTPFactory(self.answer, Limits(), reactor=self.reactor)
        protocol = factory.buildProtocol(IPv4Address("TCP", *PEER))
        assert protocol is not None
        self.protocol = protocol
        socket: Any = self.socket
        port: Any = Port()
        self.transport = tcp.Server(socket, self.protocol, PEER, port, 1, self.reactor)
        self.protocol.makeConnection(self.transport)

    def answer(self, request: Request) -> Response:
        body = request.raw_path[1:] * self.size
        return Response(iter([body, body])) if request.query_string else Response(body)

    def flush(self) -> None:
        """The client reads, and the reactor comes round, until all has been sent."""
        while self.reactor.getWriters():
            self.socket.room += 1000
            self.transport.doWrite()


@pytest.fixture
def answers():
    """What a client reads, without the heads' changing part."""

    def split(sent: bytes) -> list[bytes]:
        parts = sent.split(b"HTTP/1.1 200 OK\r\n")
        assert parts[0] == b""
        return [part.partition(b"\r\n\r\n")[2] for part in parts[1:]]

    return split


def test_small_responses_go_out_at_once(answers):
    """A response that the kernel takes whole does not wait for the reactor to come round."""
    served = Served(10, room=1_000_000)
    for number in range(3):
        served.protocol.dataReceived(GET % number)
        assert served.reactor.getWriters() == []
    assert answers(served.socket.sent) == [b"0" * 10, b"1" * 10, b"2" * 10]
    assert served.socket.calls == 3


@pytest.mark.parametrize("room", [0, 1, 50, 200, 1000, 1500])
def test_nothing_overtakes_what_waits(answers, room):
    """With a client that reads slowly, responses arrive whole and in their order."""
    served = Served(300, room)
    for number in range(5):
        served.protocol.dataReceived(GET % number)
    assert served.reactor.getWriters() == [served.transport]
    served.flush()
    assert answers(served.socket.sent) == [b"%d" % number * 300 for number in range(5)]


def test_pipelined_responses_go_out_together(answers):
    """Requests that come together are answered together."""
    served = Served(10, room=1_000_000)
    served.protocol.dataReceived(b"".join(GET % number for number in range(5)))
    assert answers(served.socket.sent) == [b"%d" % number * 10 for number in range(5)]
    assert served.socket.calls == 1


def test_streams_go_through_the_buffer(answers):
    """A body that never waits leaves the reactor to others between its pieces."""
    served = Served(10, room=1_000_000)
    served.protocol.dataReceived(b"GET /1?stream HTTP/1.1\r\nHost: a\r\n\r\n")
    served.protocol.dataReceived(GET % 2)
    assert served.socket.sent == b""
    served.flush()
    one = b"a\r\n1111111111\r\n"
    assert answers(served.socket.sent) == [one + one + b"0\r\n\r\n", b"2" * 10]


def test_broken_connection_is_found_by_the_transport():
    """A client that has gone is noticed as on any transport, and nothing else happens."""
    served = Served(10, room=1_000_000)
    served.socket.broken = True
    served.protocol.dataReceived(GET % 1)
    assert served.reactor.getWriters() == [served.transport]
    assert isinstance(served.transport.doWrite(), Exception)
