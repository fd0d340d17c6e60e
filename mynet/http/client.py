"""HTTP/1.1 on one connection to another server: one request at a time, and its response.

A request goes out in one write, with its body if that is here already; else the body is sent at
the server's pace, while the response may come. The response is given on when its head is here,
and, where it is small, its body. Whatever cannot be understood, comes unasked, or ends early ends
the connection: nothing that was cut looks complete, and nothing that is left over is read as the
answer to another request.

What arrives goes through `dataReceived`, an attribute, so that after a 101 it can be another
protocol's. Time is looked at once a second, by a sweep, which calls `check_deadlines`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
    IPushProducer,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.client_errors import (
    BadResponse,
    ClientError,
    NotAnswered,
    ResponseCut,
    UpstreamTimeout,
)
from mynet.http.client_limits import ClientLimits
from mynet.http.client_request import BodyStream, Call, end_of_chunks
from mynet.http.client_response import ClientResponse, ResponseBody
from mynet.http.limits import Limits
from mynet.http.response_reading import BodyReader, ResponseHead, ResponseReader
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import is_tls
from mynet.http.writing import chunk

log = Logger()

GOODBYE = 2.0
"""How long a connection that was closed may take to end."""


class Home(Protocol):
    """What a connection belongs to."""

    sweep: Sweep[Deadlines]
    limits: ClientLimits
    chunk_limits: Limits
    reader: ResponseReader

    def connected(self, connection: ClientConnection) -> None:
        """It is there, with TLS if there is to be any: it waits for a request."""

    def rests(self, connection: ClientConnection) -> None:
        """It has served a request, and waits for another."""

    def retired(self, connection: ClientConnection) -> None:
        """It takes no more requests."""

    def switched(self, connection: ClientConnection) -> None:
        """It is another protocol's from here on."""

    def failed(self, call: Call, reason: Failure) -> None:
        """There will be no response to this."""

    def lost(self, connection: ClientConnection, reason: Failure) -> None:
        """It is over."""


@implementer(IProtocol, IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class ClientConnection:
    """One connection to a server."""

    direct = True
    """For the uv reactor: `dataReceived` stays what it is until it is told."""

    __slots__ = (
        "__weakref__",
        "_body",
        "_buffer",
        "_call",
        "_drained",
        "_frame",
        "_gathered",
        "_half_closed",
        "_home",
        "_interims",
        "_is_plain",
        "_keep_alive",
        "_length",
        "_lost_because",
        "_read_deadline",
        "_reading_paused",
        "_response",
        "_rested",
        "_retired",
        "_searched",
        "_send_now",
        "_sending",
        "_switching",
        "_upgraded",
        "_write_deadline",
        "_write_paused",
        "dataReceived",
        "transport",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self.transport: Any = None
        self.dataReceived: Callable[[bytes], None] = self._receive
        self._send_now: Callable[[bytes], object] | None = None
        self._reading_paused = False
        self._write_paused = False
        self._drained: Deferred[None] | None = None  # what the sending of a body waits for
        self._read_deadline = inf
        self._write_deadline = inf
        self._retired = False  # it takes no more requests
        self._rested = False  # it has waited for one
        self._lost_because: Failure | None = None
        # The request in progress
        self._call: Call | None = None  # until its response is complete
        self._sending: Deferred[None] | None = None
        self._is_plain = False  # it was sent as a whole, is no HEAD, and nothing has come yet
        # Its response
        self._buffer = b""  # what has arrived of its head
        self._searched = 0
        self._interims = 0
        self._keep_alive = False
        self._length: int | None = None
        self._response: ClientResponse | None = None
        self._frame: BodyReader | None = None
        self._gathered: list[bytes] | None = None  # of a small body, with its head
        self._body: ResponseBody | None = None
        # After a 101
        self._switching = False  # and before it is handed over
        self._half_closed = False
        self._upgraded: IProtocol | None = None

    def __repr__(self) -> str:
        peer = None if self.transport is None else self.transport.getPeer()
        return f"<{type(self).__name__} to {peer}>"

    # Requests

    def send(self, call: Call) -> None:
        """Send a request. None other is in progress, and the connection is not retired."""
        self._call = call
        call.carrier = self
        if call.stream is None:
            self._is_plain = call.method != "HEAD"
            self._await_head()
            self._write_now(call.data)
        else:
            self._read_deadline = inf
            self._write_stream(call, call.stream)

    def _await_head(self) -> None:
        home = self._home
        self._read_deadline = home.sweep.next + home.limits.response_timeout

    def _write_now(self, data: bytes) -> None:
        """Hand data to the kernel, as long as it takes all; see `mynet.http.connection`."""
        if self._send_now is not None:
            sent = self._send_now(data)
            if sent == len(data):
                return
            self._send_now = None
            if isinstance(sent, int):
                data = data[sent:]
        self.transport.write(data)

    def _write_stream(self, call: Call, stream: BodyStream) -> None:
        self._send_now = None
        self.transport.write(call.data)
        sending = self._sending = Deferred.fromCoroutine(self._send_body(stream))
        sending.addCallbacks(self._sent, self._not_sent, callbackArgs=(call,), errbackArgs=(call,))

    async def _send_body(self, stream: BodyStream) -> None:
        owed = stream.declared
        async for piece in stream:
            if owed is not None:
                owed -= len(piece)
                if owed < 0:
                    break
            self.transport.write(chunk(piece) if owed is None else piece)
            if self._write_paused:
                self._drained = Deferred()
                await self._drained
        if owed:
            raise ValueError("the body of a request has not the length that it declared")
        if owed is None:
            self.transport.write(end_of_chunks(stream.trailers))

    def _sent(self, _: None, call: Call) -> None:
        self._sending = None
        if self._call is call and self._response is None and self._frame is None:
            self._await_head()

    def _not_sent(self, failure: Failure, call: Call) -> None:
        if self._call is call:
            self._fail(failure)

    def _stop_sending(self) -> bool:
        """Send no more of the request; whether there was more to send."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
        return sending is not None

    def forget(self, call: Call) -> None:
        """Nobody waits for the response any more: that is to be cut off."""
        if self._call is call:
            self.abandon()

    # Responses

    def _receive(self, data: bytes) -> None:
        if self._is_plain:
            self._is_plain = False
            head = self._home.reader.latest
            if head is not None and head.announces(data):
                self._answer_at_once(head, data)
                return
        try:
            if self._frame is not None:
                self._receive_body(self._frame, data)
            elif self._call is not None:
                self._receive_head(self._call, data)
            elif self._switching:  # TLS had more at hand when it was told to pause
                self._buffer += data
            else:
                self._abort()
        except Exception:
            self._fail(Failure())

    def _answer_at_once(self, head: ResponseHead, data: bytes) -> None:
        """Give on a response as most are: a head that is known, and its body, in one piece.

        It does in one go what `_begin` and `_release` do in theirs.
        """
        call = self._call
        assert call is not None
        self._call = None
        self._rested = True
        home = self._home
        self._read_deadline = home.sweep.next + home.limits.idle_timeout
        home.rests(self)
        call.callback(ClientResponse(head, head.length, data[head.size :]))

    def _receive_head(self, call: Call, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        while data:
            head = self._home.reader.read(data, self._searched)
            if head is None:
                self._buffer = data
                self._searched = len(data)
                return
            self._buffer = b""
            self._searched = 0
            rest = data[len(head.data) :]
            if head.status >= 200:
                self._begin(call, head, rest)
                return
            if head.status == 101:
                self._switch(call, head, rest)
                return
            self._pass_on(call, head)
            if self._call is not call:  # it was given up
                return
            data = rest

    def _pass_on(self, call: Call, head: ResponseHead) -> None:
        """An interim response."""
        self._interims += 1
        if self._interims > self._home.limits.interim:
            raise BadResponse(
                f"it has more than {self._home.limits.interim} interim ones before it"
            )
        if self._sending is None:
            self._await_head()
        if call.interim is not None:
            call.interim(head.status, head.fields)

    def _begin(self, call: Call, head: ResponseHead, rest: bytes) -> None:
        length = head.length_for(call.method)
        self._keep_alive = head.keep_alive
        self._interims = 0
        if length == len(rest):
            self._complete(call, ClientResponse(head, length, rest), b"")
        elif not length:
            self._complete(call, ClientResponse(head, 0, b""), rest)
        else:
            self._begin_body(call, head, length, rest)

    def _begin_body(self, call: Call, head: ResponseHead, length: int, rest: bytes) -> None:
        home = self._home
        frame = BodyReader(length, home.chunk_limits)
        piece, rest = frame.receive(rest) if rest else (b"", b"")
        known = None if length < 0 else length
        if frame.ended:
            self._complete(call, ClientResponse(head, known, piece, frame.trailers), rest)
            return
        self._write_deadline = inf  # as it answers, it may leave the rest of the request
        self._read_deadline = home.sweep.next + home.limits.body_timeout
        self._frame = frame
        if 0 < length <= home.limits.gather and self._sending is None:
            self._gathered = [piece]
            self._response = ClientResponse(head, length, b"")
            return
        body = self._body = ResponseBody(self, known)
        response = self._response = ClientResponse(head, known, body)
        if piece:
            body.feed(piece)
        call.callback(response)
        if not body.started and self._frame is frame:
            self.pause_body()

    def _receive_body(self, frame: BodyReader, data: bytes) -> None:
        piece, rest = frame.receive(data)
        if not self._reading_paused:
            self._read_deadline = self._home.sweep.next + self._home.limits.body_timeout
        if piece:
            if self._gathered is not None:
                self._gathered.append(piece)
            elif self._body is not None:
                self._body.feed(piece)
        if frame.ended and self._frame is frame:
            self._end_body(frame, rest)

    def _end_body(self, frame: BodyReader, rest: bytes) -> None:
        call, response, body = self._call, self._response, self._body
        assert call is not None
        assert response is not None
        if body is None:
            assert self._gathered is not None
            response.body = b"".join(self._gathered)
            self._complete(call, response, rest)
        else:
            response.trailers = frame.trailers
            self._release(rest)
            body.end()

    def _complete(self, call: Call, response: ClientResponse, rest: bytes) -> None:
        """All of a response is here."""
        self._release(rest)
        call.callback(response)

    def _release(self, rest: bytes) -> None:
        """The request in progress is none any more; what follows its response is not its own."""
        self._clear()
        unsent = self._stop_sending() or self._write_paused
        self._rested = True
        if rest or unsent:
            self._abort()
        elif not self._keep_alive:
            self.close()
        else:
            self._resume_reading()
            self._read_deadline = self._home.sweep.next + self._home.limits.idle_timeout
            self._home.rests(self)

    def _clear(self) -> None:
        self._call = self._response = self._frame = self._gathered = self._body = None
        self._buffer = b""
        self._is_plain = False
        self._searched = self._interims = 0
        self._read_deadline = self._write_deadline = inf

    def _fail(self, reason: Failure) -> None:
        """There will be no response, or no more of it."""
        call, body = self._call, self._body
        self._clear()
        self._stop_sending()
        if call is not None and body is None:
            self._home.failed(call, reason)  # before others get the room that this leaves
        self._abort()
        if body is not None:
            body.fail(reason)
        elif call is None and not isinstance(reason.value, ClientError):
            log.failure("{connection} failed", reason, connection=self)

    # The body of a response: BodyOrigin

    def pause_body(self) -> None:
        if not self._reading_paused and self._lost_because is None:
            self._reading_paused = True
            self._read_deadline = inf
            self.transport.pauseProducing()

    def resume_body(self) -> None:
        self._read_deadline = self._home.sweep.next + self._home.limits.body_timeout
        self._resume_reading()

    def abandon(self) -> None:
        """What is in progress is not wanted any more."""
        self._clear()
        self._stop_sending()
        self._abort()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._lost_because is None:
            self._reading_paused = False
            self.transport.resumeProducing()

    # Another protocol

    def _switch(self, call: Call, head: ResponseHead, rest: bytes) -> None:
        if not call.upgrade or head.version == "1.0" or self._sending is not None:
            raise BadResponse("it changes the protocol (101), which it was not asked to")
        self._clear()
        self._buffer = rest
        self._home.sweep.discard(self)
        self.pause_body()
        self._retire()
        self._switching = True
        self._home.switched(self)
        call.callback(ClientResponse(head, 0, b"", (), self))

    def hand_over(self, protocol: IProtocol) -> None:
        """See `ClientResponse.hand_over`."""
        self._upgraded = protocol
        self._switching = False
        self.transport.unregisterProducer()
        self.dataReceived = protocol.dataReceived
        if getattr(self.transport, "protocol", None) is self:
            self.transport.protocol = self  # it may have looked up dataReceived already
        rest, self._buffer = self._buffer, b""
        protocol.makeConnection(self.transport)
        if rest:
            protocol.dataReceived(rest)
        if self._lost_because is not None:
            self._upgraded = None
            protocol.connectionLost(self._lost_because)
        elif self._half_closed:
            self.readConnectionLost()
        else:
            self._resume_reading()

    # Its end

    def close(self) -> None:
        """End it in good order. No request is in progress."""
        self._retire()
        self._clear()
        if self._lost_because is not None:
            return
        self._resume_reading()
        self._write_deadline = self._home.sweep.next + GOODBYE
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def cut(self, error: ClientError) -> None:
        """Cut it off; a request in progress fails with this."""
        self._fail(Failure(error))

    def _abort(self) -> None:
        self._retire()
        if self.transport is not None and self._lost_because is None:
            self.transport.abortConnection()

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self._home.retired(self)

    # The sweep

    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now."""
        if self._write_deadline <= now:
            self._write_deadline = inf
            if self._call is None:
                self._abort()
            else:
                self._fail_late("send", self._home.limits.send_timeout)
        elif self._read_deadline <= now:
            self._read_deadline = inf
            if self._call is None:
                self.close()
            elif self._frame is None:
                self._fail_late("response", self._home.limits.response_timeout)
            else:
                self._fail_late("body", self._home.limits.body_timeout)

    def _fail_late(self, kind: str, seconds: float) -> None:
        self._fail(Failure(UpstreamTimeout(kind, seconds)))

    # IProtocol, besides dataReceived

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        below = getattr(transport, "protocol", None)
        if getattr(below, "_wrappedProtocol", None) is self:
            transport.protocol = self  # what Twisted's endpoints put between has done its part
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            with suppress(OSError):  # a UNIX socket has no Nagle, or the server has gone
                set_no_delay(True)
        transport.registerProducer(self, True)
        self._home.sweep.add(self)
        if not is_tls(transport):
            if type(transport) is tcp.Client:
                self._send_now = transport.writeSomeData
            self._be_ready()

    def _be_ready(self) -> None:
        home = self._home
        self._read_deadline = home.sweep.next + home.limits.idle_timeout
        home.connected(self)
        self._rested = self._call is None

    def connectionMade(self) -> None:
        """See `makeConnection`."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost_because = reason
        self.dataReceived = _ignore
        self._send_now = None
        upgraded, self._upgraded = self._upgraded, None
        try:
            if upgraded is not None:
                upgraded.connectionLost(reason)
            elif self._call is not None:
                self._end_input(reason)
        finally:
            self._home.sweep.discard(self)
            self._retire()
            self._home.lost(self, reason)

    def _end_input(self, reason: Failure) -> None:
        """The connection has ended while a request is in progress."""
        frame = self._frame
        if frame is not None and reason.check(ConnectionDone) and frame.end():
            self._keep_alive = False
            self._end_body(frame, b"")
        elif frame is None and not self._buffer and not self._interims:
            self._fail(Failure(NotAnswered(self._rested)))
        else:
            part = "body" if frame is not None else "head"
            self._fail(Failure(ResponseCut(f"the response was cut off in its {part}")))

    # IHandshakeListener

    def handshakeCompleted(self) -> None:
        self._be_ready()

    # IHalfCloseableProtocol

    def readConnectionLost(self) -> None:
        """The server sends no more."""
        half_closeable: Any = IHalfCloseableProtocol(self._upgraded, None)
        if half_closeable is not None:
            half_closeable.readConnectionLost()
        elif self._upgraded is not None:
            self.transport.loseConnection()
        elif self._switching:
            self._half_closed = True
        elif self._call is not None:
            self._end_input(connectionDone)
        else:
            self.close()

    def writeConnectionLost(self) -> None:
        """Our side is closed, as the other protocol asked."""
        half_closeable: Any = IHalfCloseableProtocol(self._upgraded, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    # IPushProducer: the transport tells how fast the server takes what is written

    def pauseProducing(self) -> None:
        self._write_paused = True
        if self._frame is None:
            self._is_plain = False
            self._read_deadline = inf
            self._write_deadline = self._home.sweep.next + self._home.limits.send_timeout

    def resumeProducing(self) -> None:
        self._write_paused = False
        self._write_deadline = inf
        if self._call is not None and self._frame is None and self._sending is None:
            self._await_head()
        drained, self._drained = self._drained, None
        if drained is not None and not drained.called:
            drained.callback(None)

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""


def _ignore(data: bytes) -> None:
    """What arrives after all."""
