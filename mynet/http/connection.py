"""A connection and its transport: how it is read, written, and how it ends. No HTTP yet.

The transport tells, as to any push producer, how fast the client takes what is written;
reading is paused and resumed at will; and there are three ways to end: `close` once all has
been sent, `linger` where the client may still be sending, `abort` where what it has must not
look complete.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from math import inf
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, ITransport
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

from mynet.http.limits import KIB
from mynet.http.shared import Shared, countable
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import TLS, is_tls, tls_of

CORKED = 64 * KIB
"""How much is joined into one write while corked."""

TURN = 512 * KIB
"""How much of a stream is written before others have their turn, if nothing ever pauses it."""


class State(Enum):
    """The course of a connection."""

    OPEN = auto()
    """Requests are read and answered."""
    LINGERING = auto()
    """The last response has been sent; what still comes is thrown away."""
    CLOSING = auto()
    """It closes once all has been sent."""
    UPGRADED = auto()
    """Another protocol has it."""
    LOST = auto()


@implementer(IPushProducer)
class Connection(ABC):
    """What an `HTTP1Connection` is before it knows HTTP."""

    direct = True
    """For the uv reactor: that what is received may come straight from libuv, see `_receive_by`."""

    __slots__ = (
        "_corked",
        "_drained",
        "_half_closed",
        "_read_deadline",
        "_reading_paused",
        "_send_now",
        "_server",
        "_state",
        "_tls",
        "_write_deadline",
        "_write_paused",
        "_written_at_once",
        "client",
        "counted_as",
        "dataReceived",
        "factory",
        "transport",
    )

    def __init__(
        self, factory: Shared, client: IAddress | None, receive: Callable[[bytes], None]
    ) -> None:
        self.factory = factory
        self.client: Any = client  # an IAddress, from makeConnection on
        self.counted_as = countable(client)
        self._server: IAddress | None = None
        self.transport: Any = None
        self.dataReceived = receive
        self._state = State.OPEN
        self._tls = False
        self._reading_paused = False
        self._half_closed = False  # the client sends no more
        self._write_paused = False
        self._corked: bytearray | None = None
        self._send_now: Callable[[bytes], object] | None = None
        self._drained: list[Deferred[None]] | None = None  # who waits for that
        self._written_at_once = 0  # of a stream, since it last waited
        # In the factory's time: when something should have arrived, or should have been taken
        self._read_deadline = inf
        self._write_deadline = inf

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self.client}, {self._state.name.lower()}>"

    @property
    def server(self) -> IAddress:
        """The address at which the client arrived."""
        if self._server is None:
            self._learn_addresses()
            assert self._server is not None
        return self._server

    @property
    def scheme(self) -> str:
        """Of the URLs that lead here."""
        return "https" if self._tls else "http"

    @property
    def sweep(self) -> Sweep[Deadlines]:
        """The factory's."""
        return self.factory.sweep

    @property
    def tls(self) -> TLS | None:
        """What the TLS handshake settled; None without TLS."""
        return tls_of(self.transport) if self._tls else None

    def _learn_addresses(self) -> None:
        """Ask the transport, which may have learnt from the first bytes (HAProxy's protocol)."""
        if self.client is None or isinstance(self.transport, ProtocolWrapper):
            self.client = self.transport.getPeer()
        self._server = self.transport.getHost()

    @property
    def _below(self) -> Any:
        """What carries TLS, where it is Twisted's; else None."""
        return getattr(self.transport, "transport", None) if self._tls else None

    # Reading

    def _ignore(self, data: bytes) -> None:
        self.factory.stats.bytes_received += len(data)

    def _deafen(self) -> None:
        """Nothing that still comes can be understood."""
        self._receive_by(self._ignore)

    def _receive_by(self, receive: Callable[[bytes], None]) -> None:
        """Have this called from now on with what arrives."""
        self.dataReceived = receive
        if getattr(self.transport, "protocol", None) is self:
            self.transport.protocol = self  # it may have looked up dataReceived already

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._state is State.OPEN:
            self._reading_paused = True
            self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._half_closed and self._state is not State.LOST:
            self._reading_paused = False
            self.transport.resumeProducing()

    # Writing

    def _write(self, data: bytes) -> None:
        """Write what is whole: a response that needs no streaming."""
        self.factory.stats.bytes_sent += len(data)
        if self._corked is None:
            self._transmit(data)
            return
        self._corked += data
        if len(self._corked) > CORKED:
            self._uncork()
            self._cork()

    def _write_piece(self, data: bytes) -> None:
        """Write a part of a stream.

        It goes through the transport's buffer: were it sent at once, a body that never
        waits would keep the reactor from everything else.
        """
        self.factory.stats.bytes_sent += len(data)
        self._uncork()
        self._send_now = None
        self._written_at_once += len(data)
        self.transport.write(data)

    def _transmit(self, data: bytes) -> None:
        """Hand data to the kernel at once, as long as it takes all, else to the transport.

        Twisted's own TCP transports send only when the reactor comes round to it, which
        costs as much again as all of HTTP. Nothing can be overtaken: what once went
        through the transport's buffer does so for good.
        """
        if self._send_now is not None:
            sent = self._send_now(data)
            if sent == len(data):
                return
            self._send_now = None
            if isinstance(sent, int):  # else the connection is lost: the transport will find out
                data = data[sent:]
        self.transport.write(data)

    def _cork(self) -> None:
        """Join what is written until `_uncork`."""
        self._corked = bytearray()

    def _uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked:
            self._transmit(bytes(corked))

    def _wait_until_drained(self) -> Deferred[None] | None:
        """A Deferred that fires when the client has taken enough; None if it has.

        Or when it is the turn of others: a transport may take everything, and never pause.
        """
        if not self._write_paused:
            if self._written_at_once < TURN:
                return None
            self._written_at_once = 0
            return deferLater(self.factory.clock, 0)
        drained: Deferred[None] = Deferred()
        if self._drained is None:
            self._drained = []
        self._drained.append(drained)
        return drained

    # Ending

    def _close(self) -> None:
        """Close once all has been sent. The client is not expected to send any more."""
        self._say_goodbye()
        # TLS would wait for the client's goodbye, and who keeps a connection for later does not
        # look for ours. One side's is enough (RFC 8446 section 6.1).
        if self._below is not None:
            self._below.loseConnection()

    def _say_goodbye(self) -> None:
        self._leave(State.CLOSING)
        self._resume_reading()  # TLS ends only when the client has said so too
        self._read_deadline = inf
        self._write_deadline = self.factory.now + self.factory.limits.send_timeout
        self.transport.loseConnection()

    def _linger(self) -> None:
        """Close our side, and read on for a while.

        Closing both at once would reset the connection, and might take the response
        from a client that still sends (RFC 9112 section 9.6).
        """
        if self._tls:
            self._say_goodbye()
            return
        if self._half_closed or not hasattr(self.transport, "loseWriteConnection"):
            self._close()
            return
        self._leave(State.LINGERING)
        self._resume_reading()
        self.transport.loseWriteConnection()
        self._read_deadline = self.factory.now + self.factory.limits.linger_timeout

    def _leave(self, state: State) -> None:
        if self._state is State.OPEN:
            self._uncork()
            self._deafen()
            self.transport.unregisterProducer()
        self._state = state

    def _is_forsaken(self) -> bool:
        """Whether TLS has ended below us and nobody will ever tell.

        Twisted's does so when its client says goodbye while some of what we sent still waits.
        """
        return getattr(self._below, "disconnecting", False) and self._state is State.OPEN

    def abort(self) -> None:
        """Cut the connection off. What is in progress is cancelled, and logged as cut."""
        self._send_now = None
        self.transport.abortConnection()

    @abstractmethod
    def drain(self) -> None:
        """Close if idle; a request in progress is answered first, and told so."""

    @abstractmethod
    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now; called by the factory's sweep."""

    # IProtocol, in part

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = transport
        self._tls = is_tls(transport)
        if self.client is None:
            self.client = transport.getPeer()
        self._set_no_delay()
        self.connectionMade()

    def _set_no_delay(self) -> None:
        """No small write waits until the client has confirmed the one before (Nagle, RFC 896)."""
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None and not isinstance(self.client, UNIXAddress):
            with suppress(OSError):  # the client may have gone
                set_no_delay(True)

    def connectionMade(self) -> None:
        if type(self.transport) is tcp.Server and not self._tls:
            self._send_now = self.transport.writeSomeData
        self.transport.registerProducer(self, True)
        self.factory.connected(self)
        self._read_deadline = self.factory.now + self.factory.limits.header_timeout

    def _lost(self) -> None:
        """The connection is over: let go of everything."""
        self._state = State.LOST
        self.dataReceived = _drop
        self._corked = self._send_now = None
        self._drained = None
        self._read_deadline = self._write_deadline = inf

    # IPushProducer: the transport tells how fast the client takes what is written

    def pauseProducing(self) -> None:
        self._write_paused = True
        self._write_deadline = self.factory.now + self.factory.limits.send_timeout

    def resumeProducing(self) -> None:
        self._write_paused = False
        self._written_at_once = 0
        self._write_deadline = inf
        drained, self._drained = self._drained, None
        for waiting in drained or ():
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""
        self._write_deadline = inf


def _drop(data: bytes) -> None:
    """What a transport delivers after all."""
