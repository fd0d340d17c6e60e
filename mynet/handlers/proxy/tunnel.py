"""A connection of a client joined to one of an upstream: bytes pass both ways, whatever they are.

Each end is held back as long as the other takes less than it is sent. An end that sends no more
is told to the other, which may still send; where only one of them can be closed by half, both are
closed. One that is cut off cuts off the other: what was lost must not look complete.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.client_response import ClientResponse
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import is_tls

ENDING = 30.0
"""Seconds that one end may take once the other is done."""


class Tunnel:
    """Both ends of it, and their deadlines."""

    def __init__(
        self,
        response: ClientResponse,
        sweep: Sweep[Deadlines],
        *,
        idle_timeout: float,
        send_timeout: float,
        on_end: Callable[[], object],
    ) -> None:
        """It begins when its `client` is given a transport.

        Args:
            response: The 101 whose connection is the upstream's end.
            sweep: Looks at its deadlines.
            idle_timeout: Seconds after which it is cut off, if nothing passes either way.
            send_timeout: The same, if one end takes nothing of what waits to be sent.
            on_end: Called once, when it is over or has been given up.
        """
        self.client = _ClientEnd(self)
        self.upstream = _End(self)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        self.send_timeout = send_timeout
        self.sweep = sweep
        self.is_busy = True
        """Whether anything has passed since that was last looked at."""
        self.ends_by = inf
        """When it is to be over, now that an end is done."""
        self._idle_timeout = idle_timeout
        self._idle_since = inf
        self._response: ClientResponse | None = response
        self._on_end: Callable[[], object] | None = on_end

    def open(self) -> None:
        """The client's end is there: take the upstream's."""
        response, self._response = self._response, None
        assert response is not None
        self.sweep.add(self)
        response.hand_over(self.upstream)

    def give_up(self) -> None:
        """It is not wanted, if it has not begun."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
            self._ended()

    def close(self) -> None:
        """Close both ends, once what waits for them has been sent."""
        self.upstream.close()
        self.client.close()

    def end_soon(self) -> None:
        """An end is done."""
        self.ends_by = min(self.ends_by, self.sweep.now + ENDING)

    def lost(self) -> None:
        """An end is gone."""
        if self.client.is_lost and self.upstream.is_lost:
            self.sweep.discard(self)
            self._ended()

    def _ended(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def check_deadlines(self, now: float) -> None:
        """Cut it off, if it is time for that."""
        if self.is_busy:
            self.is_busy = False
            self._idle_since = now
        idle = now - self._idle_since >= self._idle_timeout
        if idle or min(self.ends_by, self.client.send_by, self.upstream.send_by) <= now:
            self.client.abort()
            self.upstream.abort()


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class _End:
    """One end; it produces what is written to the other."""

    peer: _End

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.transport: Any = None
        self.is_lost = False
        self.send_by = inf  # when what the other end is sent has to have been taken
        self._is_closed = False  # nothing more is written to it
        self._is_done = False  # nothing more comes from it

    # Of the other end, and the tunnel

    def write(self, data: bytes) -> None:
        """Send what has come from the other end."""
        if not self._is_closed:
            self.transport.write(data)

    def end_output(self) -> None:
        """The other end sends no more."""
        if self._is_closed or self._is_done or not can_half_close(self.transport):
            self.tunnel.close()
            return
        self._is_closed = True
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def close(self) -> None:
        """Close it, once what waits has been sent."""
        if self.transport is None or self.is_lost:
            return
        self.tunnel.end_soon()
        if not self._is_closed:
            self._is_closed = True
            self.transport.unregisterProducer()
        if not self._is_done:
            self.transport.resumeProducing()  # TLS ends only when it is read
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut it off."""
        if self.transport is not None and not self.is_lost:
            self.transport.abortConnection()

    # IProtocol

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        transport.registerProducer(self.peer, True)

    def connectionMade(self) -> None:
        """See `makeConnection`."""

    def dataReceived(self, data: bytes) -> None:
        self.tunnel.is_busy = True
        self.peer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = self._is_closed = self._is_done = True
        if reason.check(ConnectionDone):
            self.peer.close()
        else:
            self.peer.abort()
        self.tunnel.lost()

    # IHalfCloseableProtocol

    def readConnectionLost(self) -> None:
        """It sends no more."""
        self._is_done = True
        self.tunnel.end_soon()
        self.peer.end_output()

    def writeConnectionLost(self) -> None:
        """Its output has ended, as it was told to."""

    # IPushProducer: the other end's transport tells how fast that takes what comes from here

    def pauseProducing(self) -> None:
        self.send_by = self.tunnel.sweep.now + self.tunnel.send_timeout
        if not self.is_lost:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.send_by = inf
        if not self.is_lost:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The other end is gone; its connectionLost follows."""


class _ClientEnd(_End):
    """The end that a client is at, as the protocol of an `Upgrade`."""

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self.tunnel.open()

    def drain(self) -> None:
        """The server is about to stop."""
        self.tunnel.close()


def can_half_close(transport: Any) -> bool:
    """Whether its output can end before its input; that of TLS cannot."""
    return hasattr(transport, "loseWriteConnection") and not is_tls(transport)
