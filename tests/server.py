"""Another server, in memory: what a client's connections meet."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from zope.interface import implementer

from mynet.testing import SERVER, MemoryTransport


class Line:
    """One connection to the server, as that sees it."""

    def __init__(self, clock: Clock, factory: IProtocolFactory) -> None:
        self.clock = clock
        self.transport = MemoryTransport(clock, SERVER)
        self.protocol: Any = factory.buildProtocol(SERVER)
        self.transport.protocol = self.protocol
        self.ended = False

    def connect(self) -> None:
        """Let it begin."""
        self.protocol.makeConnection(self.transport)

    @property
    def closed(self) -> bool:
        """Whether the client has ended it."""
        return self.transport.disconnected and not self.ended

    def take(self) -> bytes:
        """What the client has sent since the last call."""
        taken, self.transport.received = self.transport.received, b""
        return taken

    def send(self, data: bytes, size: int | None = None) -> None:
        """Send bytes, all at once or so many at a time, as long as the client reads."""
        step = size or len(data) or 1
        for start in range(0, len(data), step):
            assert not self.transport.paused, "the client does not read"
            if self.transport.disconnected:
                return
            self.protocol.dataReceived(data[start : start + step])
            self.clock.advance(0)

    def finish(self) -> None:
        """Send no more, as TCP tells it."""
        IHalfCloseableProtocol(self.protocol).readConnectionLost()
        self.clock.advance(0)

    def end(self) -> None:
        """Close, as TLS tells it."""
        self.ended = True
        self.transport.lose(ConnectionDone())
        self.clock.advance(0)

    def reset(self) -> None:
        """Break off."""
        self.ended = True
        self.transport.lose(ConnectionLost())
        self.clock.advance(0)


@implementer(IStreamClientEndpoint)
class Server:
    """Where a client connects to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[Line] = []
        """All connections there ever were."""
        self.error: Exception | None = None
        """Why it cannot be reached now."""
        self.silent = False
        """Whether it does not answer those who wish to connect."""
        self.given_up = 0
        """How many of those have given up."""
        self._knocking: list[tuple[IProtocolFactory, Deferred[Any]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        if self.silent:
            waiting: Deferred[Any] = Deferred(self._give_up)
            self._knocking.append((protocolFactory, waiting))
            return waiting
        return succeed(self._connect(protocolFactory).protocol)

    def let_in(self) -> None:
        """Answer the first who knocked, whether they still wait or not."""
        self._connect(self._knocking.pop(0)[0])

    def turn_away(self, error: Exception) -> None:
        """Refuse the first who knocked."""
        self._knocking.pop(0)[1].errback(error)

    def _connect(self, factory: IProtocolFactory) -> Line:
        line = Line(self.clock, factory)
        self.lines.append(line)
        line.connect()
        return line

    def _give_up(self, _: Deferred[Any]) -> None:
        self.given_up += 1

    @property
    def line(self) -> Line:
        """The latest connection."""
        return self.lines[-1]
