"""Upstreams in memory, that say what a test has them say, and proxies in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from mynet.handlers.proxy import ReverseProxy, Upstream
from mynet.testing import MemoryTransport, Wire

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello"


class Line:
    """An upstream's side of one connection."""

    def __init__(self, clock: Clock, factory: Any) -> None:
        self.clock = clock
        self.transport = MemoryTransport(clock)
        self.protocol = self.transport.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def take(self) -> bytes:
        """What it was sent since the last call."""
        taken, self.transport.received = self.transport.received, b""
        return taken

    def say(self, data: bytes, size: int | None = None) -> None:
        """Send bytes, all at once or so many at a time."""
        for start in range(0, len(data), size or len(data)):
            if not self.transport.disconnected:
                self.protocol.dataReceived(data[start : start + (size or len(data))])
        self.clock.advance(0)

    def half_close(self) -> None:
        """Send no more."""
        IHalfCloseableProtocol(self.protocol).readConnectionLost()
        self.clock.advance(0)

    def end(self) -> None:
        """Close the connection."""
        self.transport.lose(ConnectionDone())
        self.clock.advance(0)

    def cut(self) -> None:
        """Reset it."""
        self.transport.lose(ConnectionLost())
        self.clock.advance(0)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self.transport.disconnected


@implementer(IStreamClientEndpoint)
class Server:
    """An upstream, as an endpoint."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[Line] = []
        """Its connections, in order."""
        self.refuses = False
        """Whether there is nobody who listens."""
        self.is_slow = False
        """Whether a connection takes for ever."""

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        if self.is_slow:
            return Deferred()
        self.lines.append(Line(self.clock, protocolFactory))
        return succeed(self.lines[-1].protocol)

    @property
    def line(self) -> Line:
        """Its latest connection."""
        return self.lines[-1]

    def take(self) -> bytes:
        """What it was sent on its one connection."""
        (only,) = self.lines
        return only.take()


class Setting:
    """Servers, a proxy in front of them, and clients."""

    def __init__(self, count: int = 1, prefix: str = "", **options: Any) -> None:
        self.clock = Clock()
        self.servers = [Server(self.clock) for _ in range(count)]
        upstreams = [
            Upstream(f"http://server{number}{prefix}", endpoint=server)
            for number, server in enumerate(self.servers)
        ]
        self.proxy = ReverseProxy(*upstreams, reactor=self.clock, **options)

    @property
    def server(self) -> Server:
        """The only one."""
        (only,) = self.servers
        return only

    def client(self, request: bytes = b"") -> Wire:
        """A new connection, on which this is sent."""
        wire = Wire(self.proxy, clock=self.clock)
        wire.send(request)
        return wire

    @property
    def records(self) -> list[Any]:
        """How each upstream did."""
        return [member.record for member in self.proxy._members]


@contextmanager
def said() -> Iterator[list[str]]:
    """What is logged meanwhile, line by line."""
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)
