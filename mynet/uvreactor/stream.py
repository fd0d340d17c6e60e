"""A connection as Twisted knows it, on a transport of libuv's.

A `Stream` stands between the two. What arrives can go from uvloop straight to the protocol's
`dataReceived`; what is written in one turn of the loop is given to uvloop as one. What it adds is
what Twisted promises of a transport and uvloop does not: its producers, how it closes, and why it
was lost.

uvloop takes over a socket in the next turn of its loop. Until then a Stream keeps what it is
told: it holds what is written, and remembers to pause or to close.
"""

from __future__ import annotations

import socket
import struct
from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from functools import cached_property, lru_cache
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ILoggingContext,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.python.log import callWithLogger
from zope.interface import directlyProvides, implementer

COPIED = 2**17
"""Up to how many bytes are copied, so that uvloop has one piece to send instead of many."""

LARGE = 2**12
"""Pieces that are so large on average are not copied."""

HIGH_WATER = 2**16
"""How many bytes wait to be sent before a producer is paused: Twisted's own measure."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing the socket resets the connection."""

DONE = Failure(CONNECTION_DONE)
LOST = Failure(CONNECTION_LOST)

log = Logger()


class Home(Protocol):
    """What a Stream asks of its reactor."""

    loop: AbstractEventLoop
    context: Context
    """Nobody's in particular: where is run what is not of one connection alone."""
    streams: set[Stream]
    """All whose connection is not over."""

    unflushed: list[Stream]
    """Those whose `flush` will be called at the end of this turn. Where there is one, others may
    be put to it."""

    def flush_soon(self, stream: Stream) -> None:
        """Put one there, which may be the first."""


@implementer(
    ITCPTransport,
    ITLSTransport,
    IConsumer,
    IPushProducer,
    IHalfCloseableDescriptor,
    ISystemHandle,
    ILoggingContext,
)
class Stream:
    """The transport of one TCP connection; for uvloop, the protocol of its transport.

    Like Twisted's own it looks up `protocol.dataReceived` for each piece of data, and calls it in
    the protocol's log context. But a protocol with the class attribute `direct = True` promises
    that its `dataReceived` stays what it is until `transport.protocol` is assigned again: then
    that is what uvloop calls, with nothing in between.

    Like Twisted's own it joins what is written in one turn of the loop, and sends it at its end.
    """

    __slots__ = (
        "__dict__",  # of what few have; made only when there is something in it
        "__weakref__",
        "_adopting",
        "_flush_due",
        "_held",
        "_host",
        "_no_delay",
        "_peer",
        "_protocol",
        "_reason",
        "_send",
        "_socket",
        "_uv",
        "_where",
        "_written",
        "client",
        "connected",
        "data_received",
        "disconnected",
        "disconnecting",
        "producer",
        "producerPaused",
        "reactor",
        "server",
        "sessionno",
        "streamingProducer",
        "write",
    )

    can_send_files = True
    """For whoever would use sendfile: that it is nothing but its socket, unless it has TLS."""
    TLS = False
    """Whether startTLS has been called."""
    _is_client = False
    _aborting = False
    bufferSize = HIGH_WATER
    _notices_drains = False  # uvloop calls resume_writing whenever nothing waits any more
    _paused = False  # while uvloop has not taken over
    _switched = False  # data_received is not what it was when uvloop looked it up
    _unread: bytes | None = None  # what arrived nonetheless, if paused then
    _resuming = False
    _ended = False  # the other side sends no more
    _half_closing = False
    _writeDisconnected = False

    def __init__(
        self,
        skt: socket.socket,
        protocol: IProtocol,
        client: Any,
        server: Any,
        sessionno: int,
        reactor: Home,
    ) -> None:
        """What a Twisted Port calls; then it makes the protocol's connection.

        Args:
            skt: Connected.
            protocol: The connection's.
            client: Address of the other side, as the socket module has it.
            server: The port that accepted it, if one did.
            sessionno: How many it accepted before.
            reactor: Runs it.
        """
        self._socket = skt
        self._uv: Any = None
        self._protocol: Any = None
        self._held: list[bytes] | None = None  # what was written in this turn
        self._written = 0  # bytes that were written and had not been sent when last looked at
        self._flush_due = False  # flush will be called at the end of this turn
        self._reason: Failure | None = None
        self._no_delay = False
        self._host: IAddress | None = None
        self._peer: IAddress | None = None
        self.client = client
        self.server = server
        self.sessionno = sessionno
        self.reactor = reactor
        self.producer: Any = None
        self.streamingProducer = False
        self.producerPaused = False
        self._where = skt.getsockname() if server is None else _port_number(server)
        self.connected = True
        self.disconnecting = False
        self.disconnected = False
        gather: Callable[[bytes], None] = self._gather
        self.write = self._send = gather
        self.data_received: Callable[[bytes], None] = self._deliver
        self._adopting: Any = None
        self.protocol = protocol
        reactor.streams.add(self)
        self._adopt()

    def __repr__(self) -> str:
        where = self._where[1] if isinstance(self._where, tuple) else self._where
        return f"<{type(self._protocol).__name__} #{self.sessionno} on {where}>"

    # Its beginning

    def _adopt(self) -> None:
        """Have uvloop take over the socket: `connection_made` is called in the next turn."""
        loop = self.reactor.loop
        adopting = loop.connect_accepted_socket(lambda: cast(Any, self), self._socket)
        try:
            made = cast(Any, adopting).send(None)
        except OSError:  # what we have is no connection any more
            self._socket.close()
            loop.call_soon(self._end, CONNECTION_LOST)
            return
        self._adopting = adopting
        made.add_done_callback(self._adopted)

    def _adopted(self, made: Any) -> None:
        """Let uvloop's coroutine end, which has nothing more to tell."""
        adopting, self._adopting = self._adopting, None
        with suppress(StopIteration, RuntimeError):  # the latter: it was closed meanwhile
            adopting.send(None)

    def connection_made(self, transport: Any) -> None:
        """The socket is uvloop's from now on."""
        self._uv = transport
        given_up = cast(Any, self._socket)._closed  # for another who has its descriptor
        if given_up or self.disconnected or self._reason is not None:
            transport.abort()
            return
        self._use_no_delay()
        if self._paused or self.disconnecting:
            self._keep_unread()
        elif self._switched:
            transport.set_protocol(self)
        self.flush()

    def _use_no_delay(self) -> None:
        # uvloop has switched it on; Twisted's connections begin without.
        if not self._no_delay:
            with suppress(OSError):  # it is reset already, as we shall be told
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, False)

    # What arrives

    @property
    def protocol(self) -> Any:
        """Who gets what arrives; assign another to hand the connection over."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        if self._unread is None:
            self._receive_with(protocol.dataReceived if is_direct(protocol) else self._deliver)

    def _receive_with(self, receive: Callable[[bytes], None]) -> None:
        if receive != self.data_received:
            self.data_received = receive
            if self._uv is not None:
                self._uv.set_protocol(self)  # it has looked up data_received before
            elif self._adopting is not None:
                self._switched = True

    def _deliver(self, data: bytes) -> None:
        callWithLogger(self, self._tell, self._protocol.dataReceived, data)

    def _tell(self, method: Callable[..., object], *arguments: object) -> None:
        """Call what is the protocol's or its producer's; an exception ends the connection."""
        try:
            method(*arguments)
        except (Exception, CancelledError):  # asyncio's, which is no Exception
            self.fail()

    def fail(self) -> None:
        """End the connection for the exception that is being handled."""
        failure = Failure()
        self.tell_failure(failure)
        self._cut(failure)

    def tell_failure(self, failure: Failure) -> None:
        """Log what its protocol has raised."""
        log.failure("{stream} failed", failure, stream=self)

    def _keep_unread(self) -> None:
        """Be paused although uvloop reads as soon as it has taken over."""
        self._unread = b""
        self.data_received = self._keep
        self._uv.set_protocol(self)

    def _keep(self, data: bytes) -> None:
        self._unread = data
        self._uv.pause_reading()

    def eof_received(self) -> bool:
        """The other side sends no more."""
        self._ended = True
        if self._unread is None:
            self._tell_ended()
        return True  # what follows is up to us

    def _tell_ended(self) -> None:
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is None:
            self._cut(DONE)
        else:
            self._tell(half_closeable.readConnectionLost)

    # IPushProducer

    @property
    def reading(self) -> bool:
        """Whether what arrives is delivered."""
        if self.disconnected or self.disconnecting:
            return False
        if self._uv is None:
            return not self._paused
        return self._resuming if self._unread is not None else bool(self._uv.is_reading())

    def pauseProducing(self) -> None:
        self._resuming = False
        if self._uv is None:
            self._paused = True
        elif self._unread is None:
            self._uv.pause_reading()

    def resumeProducing(self) -> None:
        if not self.connected or self.disconnecting:
            return
        if self._uv is None:
            self._paused = False
        elif self._unread is None:
            if not self._ended:
                self._uv.resume_reading()
        elif not self._resuming:
            self._resuming = True
            reactor = self.reactor
            reactor.loop.call_soon(self._read_what_was_kept, context=reactor.context)

    def _read_what_was_kept(self) -> None:
        unread = self._unread
        if unread is None or not self._resuming or not self.reading:
            return
        self._resuming = False
        self._unread = None
        self._uv.pause_reading()
        self.protocol = self._protocol
        if not self._ended:
            self._uv.resume_reading()
        if unread:
            self._deliver(unread)
        if self._ended and self.connected and not self.disconnecting:
            self._tell_ended()

    stopReading = pauseProducing
    startReading = resumeProducing

    def stopProducing(self) -> None:
        self.loseConnection()

    # What is sent

    def _set_write(self, write: Callable[[bytes], None]) -> None:
        self._send = write
        if not self.TLS:
            self.write = write

    def _gather(self, data: bytes) -> None:
        """Write, at the end of this turn, or when uvloop has taken over."""
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if self._held is None:
            self._held = [data]
        else:
            self._held.append(data)
        self._written += len(data)
        if self._written > self.bufferSize:
            self._pause_producer()
        if not self._flush_due and self._uv is not None:
            self._flush_due = True
            if unflushed := self.reactor.unflushed:
                unflushed.append(self)
            else:
                self.reactor.flush_soon(self)

    def _flush_soon(self) -> None:
        """Have `flush` called at the end of this turn, though nothing may be written."""
        if self._uv is not None and not self._flush_due:
            self._flush_due = True
            self.reactor.flush_soon(self)

    def flush(self) -> None:
        """Send what was written, and see to what comes when all has been sent."""
        self._flush_due = False
        uv = self._uv
        if uv is None or self._reason is not None:
            return
        held = self._held
        if held:
            self._held = None
            if len(held) == 1:
                uv.write(held[0])
            elif self._written < COPIED and self._written < LARGE * len(held):
                uv.write(b"".join(held))
            else:
                uv.writelines(held)
        self._written = uv.get_write_buffer_size()
        if self.producer is None and self.disconnecting:
            uv.close()  # which sends the rest before
        elif (
            self.producerPaused
            or self.disconnecting
            or self._half_closing
            or (not self.streamingProducer and self.producer is not None)
        ):
            self._see_to_drains()

    def _see_to_drains(self) -> None:
        """Do what is to be done when all has been sent, now or when that is so."""
        if not self._written:
            self._drained()
        elif not self._notices_drains:
            self._notices_drains = True
            self._uv.set_write_buffer_limits(0)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write them all, as one; those that are large are not copied for that."""
        pieces = list(iovec)
        if not all(isinstance(piece, bytes) for piece in pieces):
            raise TypeError("Data must be bytes")
        length = sum(map(len, pieces))
        if length < COPIED or self.TLS or self.write is _drop:
            self.write(b"".join(pieces))
            return
        self._held = [*(self._held or ()), *pieces]
        self._written += length
        if self._written > self.bufferSize:
            self._pause_producer()
        self._flush_soon()

    @property
    def bytes_waiting(self) -> int:
        """How many bytes wait to be sent."""
        held = sum(map(len, self._held or ()))
        return held + (0 if self._uv is None else self._uv.get_write_buffer_size())

    @property
    def writing(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._held or (self._uv is not None and self._uv.get_write_buffer_size()))

    @property
    def _tempDataBuffer(self) -> list[bytes]:
        """Not empty while something waits to be sent; by the name that others look for."""
        return [b"?"] if self.writing else []

    def pause_writing(self) -> None:
        """Not all could be sent at once, as we have seen for ourselves."""

    def _pause_producer(self) -> None:
        if self.producer is not None and self.streamingProducer and not self.producerPaused:
            self.producerPaused = True
            self._tell(self.producer.pauseProducing)

    def resume_writing(self) -> None:
        """All has been sent, or all but 16 bytes: unless told otherwise, uvloop is as exact."""
        if not self._held and not self._uv.get_write_buffer_size():
            self._drained()

    @property
    def _producer_waits(self) -> bool:
        """Whether there is a producer that wants to hear when all has been sent."""
        return self.producer is not None and (not self.streamingProducer or self.producerPaused)

    def _drained(self) -> None:
        """Nothing waits to be sent: what was to come then comes now."""
        self._written = 0
        if self._reason is not None:
            return
        if self._producer_waits:
            self.producerPaused = False
            self._tell(self.producer.resumeProducing)
        elif self.disconnecting:
            self._uv.close()
        elif self._half_closing:
            self._half_close()

    # IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have `producer` paused while more than 64 KiB wait to be sent.

        One that does not stream is asked for more each time that all has been sent.

        Raises:
            RuntimeError: There is one already.
        """
        if self.TLS:
            self._protocol.registerProducer(producer, streaming)
        else:
            self._register(producer, streaming)

    def unregisterProducer(self) -> None:
        if self.TLS:
            self._protocol.unregisterProducer()
        else:
            self._unregister()

    def _register(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never "
                "unregistered."
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            producer.resumeProducing()
            self._flush_soon()

    def _unregister(self) -> None:
        self.producer = None
        self.producerPaused = False
        if self.disconnecting:
            self._flush_soon()

    # IHalfCloseableDescriptor

    def loseWriteConnection(self) -> None:
        """Send what was written, and that no more will come."""
        if self._writeDisconnected or not self.connected:
            return
        self._half_closing = True
        self._flush_soon()

    def _half_close(self) -> None:
        self._half_closing = False
        self._writeDisconnected = True
        self._set_write(_drop)
        with suppress(OSError):  # the other side has gone, as reading will tell
            self._socket.shutdown(socket.SHUT_WR)
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is not None:
            self._tell(half_closeable.writeConnectionLost)

    # Its end

    def loseConnection(self) -> None:
        """Send what was written, then close.

        A producer that was paused, or that does not stream, is let finish first.
        """
        if not self.connected or self.disconnecting:
            return
        if self.TLS:
            self._protocol.loseConnection()
        else:
            self._lose()

    def _lose(self) -> None:
        if not self.connected or self.disconnecting:
            return
        self.disconnecting = True
        if self._uv is not None:
            self._uv.pause_reading()
            self._flush_soon()

    def abortConnection(self) -> None:
        """Cut the connection off: the other side sees a reset."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        with suppress(OSError):  # it is not of the kind that can, or closed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._cut(Failure(ConnectionAborted()))

    def _cut(self, reason: Failure) -> None:
        """Close at once, for this reason."""
        self._reason = reason
        self._set_write(_drop)
        if self._uv is not None:
            self._uv.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """It is lost; uvloop closes the socket when this returns."""
        self._uv = None
        self._socket.detach()  # for Twisted's order: nobody can use it when its loss is told
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        reason = self._reason or _reason(error)
        if isinstance(error, OSError) and reason.value is error:
            self.tell_failure(reason)
        self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """Tell everyone, once. The reactor calls this, too, when it stops."""
        if self.disconnected:
            return
        self.connected = False
        self.disconnected = True
        self.write = self._send = _drop
        self.data_received = _drop
        self.reactor.streams.discard(self)
        if self._uv is not None:
            self._uv.abort()
        producer, self.producer = self.producer, None
        if producer is not None:
            self._tell(producer.stopProducing)
        try:
            self._tell(self._protocol.connectionLost, reason)
        finally:
            self._protocol = None

    def stopConsuming(self) -> None:
        """Close, whatever the producer has left."""
        self.unregisterProducer()
        self.loseConnection()

    def readConnectionLost(self, reason: Failure) -> None:
        """The other side sends no more, says the reactor."""
        self.eof_received()

    def writeConnectionLost(self, reason: Failure) -> None:
        """Nothing more can be sent, says the reactor."""
        self.connectionLost(reason)

    # ITLSTransport

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """Speak TLS from here on, as client or server as the connection began, or the reverse."""
        producer, streaming = self.producer, self.streamingProducer
        if producer is not None:
            self.unregisterProducer()
        # It wraps no factory, only a protocol.
        factory = TLSMemoryBIOFactory(contextFactory, self._is_client == normal, cast(Any, None))
        tls = factory.protocol(factory, self._protocol, False)
        self.protocol = tls
        extra = cast(Any, self)
        extra.getHandle = tls.getHandle
        extra.getPeerCertificate = tls.getPeerCertificate
        directlyProvides(self, ISSLTransport)
        self.TLS = True
        self.write = tls.write
        tls.makeConnection(cast(Any, _Beneath(self)))
        if producer is not None:
            self.registerProducer(producer, streaming)

    # ITCPTransport, ISystemHandle, ILoggingContext

    def getHost(self) -> Any:
        if self._host is None:
            self._host = self._find_host()
        return self._host

    def getPeer(self) -> Any:
        if self._peer is None:
            self._peer = self._find_peer()
        return self._peer

    def _find_host(self) -> IAddress:
        return _host_address(scoped(self._socket.getsockname()))

    def _find_peer(self) -> IAddress:
        return tcp_address(self.client)

    def getHandle(self) -> Any:
        """The socket: its options are yours, what it receives and sends is not."""
        return self._socket

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def getTcpNoDelay(self) -> bool:
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._no_delay = bool(enabled)
        if self._uv is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._no_delay)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enabled))

    @property
    def socket(self) -> Any:
        """What getHandle returns without TLS."""
        return self._socket

    def logPrefix(self) -> str:
        """Of the protocol that it was made for."""
        return self.logstr

    @cached_property
    def logstr(self) -> str:
        """What logPrefix returns."""
        protocol = self._protocol
        named = ILoggingContext.providedBy(protocol)
        name = protocol.logPrefix() if named else type(protocol).__name__
        return f"{name},{self._log_suffix}"

    @property
    def _log_suffix(self) -> str:
        return f"{self.sessionno},{self.client[0]}"


class _Beneath:
    """The transport that TLS has, where `startTLS` was called: the Stream without TLS."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.registerProducer = stream._register
        self.unregisterProducer = stream._unregister
        self.loseConnection = stream._lose

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> None:
        self._stream._send(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self._stream._send(b"".join(iovec))


def is_direct(protocol: object) -> bool:
    """Whether a protocol wants nothing between it and uvloop; see `Stream`."""
    return getattr(protocol, "direct", False)


def _port_number(server: Any) -> int | None:
    """What a port was told or given; a connector and a port for UNIX sockets have none."""
    return getattr(server, "_realPortNumber", None)


def scoped(address: Any) -> Any:
    """An address as the socket module tells it, with the scope that it leaves out."""
    if len(address) == 2:
        return address
    host, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return host, *address[1:]


def tcp_address(address: Any) -> IPv4Address | IPv6Address:
    """Twisted's form of such an address."""
    kind = IPv4Address if len(address) == 2 else IPv6Address
    return kind("TCP", *address)


_host_address = lru_cache(tcp_address)  # the same for all whom a port accepts


def _drop(data: bytes) -> None:
    """Nobody will get this."""


def _reason(error: Exception | None) -> Failure:
    """What Twisted would say of why a connection was lost."""
    if error is None:
        return DONE
    # An error of the network has come from uvloop as it is; one of a protocol was raised.
    if isinstance(error, OSError) and error.__traceback__ is None:
        return LOST
    return Failure(error)
