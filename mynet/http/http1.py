"""HTTP/1.1 on one connection (RFC 9110, 9112): bytes in, one handler, bytes out.

Requests are read one at a time, and answered in the order in which they came: while
one is in progress what follows it waits, unparsed. A request is in progress from the
end of its head until its response has been handed to the transport; its body may
arrive all that time. The connection is its own `Exchange`, for that request.

What arrives goes through `dataReceived`, which is an attribute so that an upgrade can
replace it. Time is looked at once a second, by the factory's sweep, which calls
`check_deadlines`.
"""

from __future__ import annotations

from asyncio import CancelledError as AsyncioCancelledError
from collections.abc import Awaitable
from math import inf
from types import CoroutineType
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorFDSet,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.body import RequestBody
from mynet.http.connection import Connection, State
from mynet.http.coroutines import start, wait_for
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.file import FileBody
from mynet.http.incoming import IncomingBody
from mynet.http.limits import KIB
from mynet.http.message import Request, Response, Upgrade, error_response
from mynet.http.outgoing import BODILESS, PIECE, Outgoing, frame_response
from mynet.http.reading import END, Head, bad
from mynet.http.sendfile import can_send_files, send_file
from mynet.http.sending import discard, send_body
from mynet.http.shared import Shared
from mynet.http.writing import (
    CLOSE_LINE,
    chunk,
    field_lines,
    last_chunk,
    response_fields,
    status_line,
)

log = Logger()

READ_AHEAD = 64 * KIB
"""How much may wait unparsed behind a request in progress; then the client waits. It is what
Twisted reads at once."""

_ANSWERS = (Response, Deferred)  # a union is made anew each time that it is written

CLIENT_GONE = 499
"""nginx's status, in logs only, of a request whose client went before it was answered."""

_TOLD: list[Deferred[None]] = []
"""Stands for those who wait for the client to go, once that has been told: it stays empty."""


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class HTTP1Connection(Connection):
    """One connection of an `HTTPFactory`, over any stream transport."""

    __slots__ = (
        "_advancing",
        "_buffer",
        "_chunked",
        "_context",
        "_gone",
        "_handler_deadline",
        "_incoming",
        "_keep_alive",
        "_last_head",
        "_owed",
        "_request",
        "_searched",
        "_sends_file",
        "_sent",
        "_sent_before",
        "_status",
        "_task",
        "_upgrade",
        "_upgraded",
    )

    def __init__(self, factory: Shared, client: IAddress | None) -> None:
        super().__init__(factory, client, self._receive)
        # Input
        self._last_head: Head | None = None
        self._buffer = b""  # what is not parsed yet, and how much of it is known to be no head
        self._searched = 0
        self._incoming: IncomingBody | None = None  # what is still to come of a request
        self._advancing = False
        # The request in progress: its handler runs, then its body is sent
        self._request: Request | None = None
        self._context = factory.context
        self._task: Deferred[None] | None = None
        self._handler_deadline = inf
        self._keep_alive = True
        self._upgrade = b""
        self._upgraded: IProtocol | None = None
        self._gone: list[Deferred[None]] | None = None  # fired when the client goes
        # Its response
        self._status = 0  # 0 until its head has been sent
        self._chunked = False
        self._owed: int | None = None  # of its Content-Length
        self._sends_file = False  # past the transport, which does not know whether that is taken
        self._sent = 0  # bytes of its body, and how many it was when that was last looked at
        self._sent_before = 0

    # Reading requests

    def _receive(self, data: bytes) -> None:
        factory = self.factory
        factory.stats.bytes_received += len(data)
        if self._incoming is not None:
            self._receive_body(data)
            return
        if self._request is not None or self._buffer or self._write_paused:
            self._buffer += data
            self._advance()
            return
        head = self._last_head or factory.reader.latest
        if head is None or head[7] != data:  # clients do repeat a request to the letter
            try:
                head = factory.reader.read(data, head) if data.endswith(END) else None
            except HTTPError as error:
                self._refuse(error)
                return
        if head is not None:
            self._begin(head)
        else:
            self._buffer = data
            self._advance()

    def _advance(self) -> None:
        """Read and answer what waits, request by request, as far as that can be done now."""
        if self._advancing:
            return
        self._advancing = True
        self._cork()
        while self._may_begin() and self._read_head():
            pass
        self._advancing = False
        self._uncork()
        self._check_input()

    def _may_begin(self) -> bool:
        return (
            self._request is None
            and self._incoming is None
            and not self._write_paused
            and self._state is State.OPEN
            and bool(self._buffer)
        )

    def _read_head(self) -> bool:
        """Begin the first request that waits; False if its head is not all here."""
        data = self._buffer.lstrip(b"\r\n")
        reader = self.factory.reader
        try:
            head_bytes, end = reader.take_head(data, self._searched) if data else (b"", 0)
            head = reader.read(head_bytes, self._last_head or reader.latest) if end else None
        except HTTPError as error:
            self._refuse(error)
            return False
        if head is None:
            if data and not self._searched:
                self._read_deadline = self.factory.now + self.factory.limits.header_timeout
            self._buffer = data
            self._searched = len(data)
            return False
        self._buffer = data[end:]
        self._searched = 0
        self._begin(head)
        return True

    def _check_input(self) -> None:
        """All that could be read has been: does more have to come, or is it too much already?"""
        if self._state is not State.OPEN or self._advancing:
            return
        busy = self._request is not None or self._write_paused
        if busy and len(self._buffer) >= READ_AHEAD:
            self._pause_reading()
        elif self._incoming is None or not self._incoming.paused:
            self._resume_reading()
        if self._half_closed and not busy:
            if self._buffer:
                self._refuse(bad("The request ended early."))
            else:
                self._close()

    # The request in progress

    def _begin(self, head: Head) -> None:
        self._last_head = head
        method, target, version, framing, fields, path, query, _ = head
        factory = self.factory
        factory.stats.requests += 1
        self._keep_alive = framing.keep_alive
        self._upgrade = framing.upgrade
        self._read_deadline = inf
        body = None
        if framing.length:
            try:
                body = self._open_body(framing.length, framing.expects_continue)
            except HTTPError as error:
                request = Request(
                    self, method, target, version, framing.host, fields, None, path, query
                )
                self._refuse(error, request)
                return
        if self._server is None:
            self._learn_addresses()
        request = Request(self, method, target, version, framing.host, fields, body, path, query)
        self._request = request
        self._context = context = factory.context.copy()
        try:
            result = context.run(factory.handler, request)
            if isinstance(result, CoroutineType):
                result = start(result, context, factory.clock)
            elif not isinstance(result, _ANSWERS):
                result = start(wait_for(result), context, factory.clock)
        except (Exception, AsyncioCancelledError):
            self._failed(Failure(), request)
            return
        if isinstance(result, Deferred):
            self._wait(result, request)
        else:
            self._respond(result, request)

    def _wait(self, result: Deferred[Any], request: Request) -> None:
        gone = request is not self._request  # its client went while the handler ran
        if not gone:
            self._task = result
            if self.factory.limits.handler_timeout is not None:
                self._handler_deadline = self.factory.now + self.factory.limits.handler_timeout
            if self._half_closed:
                self._expect_progress()
        result.addCallbacks(
            self._respond, self._failed, callbackArgs=(request,), errbackArgs=(request,)
        )
        if gone:
            cancel(result)

    def _expect_progress(self) -> None:
        """A client that has closed its sending side may have gone: do not work for it for ever."""
        deadline = self.factory.now + self.factory.limits.half_closed_timeout
        self._handler_deadline = min(self._handler_deadline, deadline)
        self._sent_before = self._sent

    def _respond(self, response: Any, request: Request) -> None:
        """Send a handler's response, or what it returned instead."""
        if request is not self._request:  # it is over: its client has gone, or did not get it
            if isinstance(response, Response):
                self._discard(response)
            return
        self._task = None
        self._handler_deadline = inf
        try:
            if not isinstance(response, Response):
                kind = type(response).__name__
                raise TypeError(f"a handler must return a Response, not {kind}")
            if not self._send_plain(response, request):
                self._send_response(response, request)
        except Exception:
            failure = Failure()
            if isinstance(response, Response):
                self._discard(response)
            self._failed(failure, request)

    def _failed(self, failure: Failure, request: Request) -> None:
        """A handler, or the body of its response, has failed: say so, or break off."""
        error = failure.value
        if request is not self._request:
            if not isinstance(error, CancelledError | ClientGone | HTTPError):
                log.failure("{request} failed after it was over", failure, request=request)
            return
        self._task = None
        self._handler_deadline = inf
        if isinstance(error, HTTPError) and not self._status:
            self._keep_alive = self._keep_alive and not error.close
            self._respond(error_response(error), request)
            return
        if isinstance(error, HTTPError):  # it comes too late for an answer, but is no bug
            log.warn("{request} is cut off: {error}", request=request, error=error)
        else:
            log.failure("{request} failed", failure, request=request)
        if self._status:
            self.abort()  # what has been sent must not look complete
        else:
            self._respond(error_response(HTTPError(500)), request)

    def _finish(self, request: Request) -> None:
        """The response has been handed to the transport."""
        self._request = None
        self._task = None
        self.factory.responded(request, self.client, self._status, self._sent)
        self._status = 0
        self._handler_deadline = inf
        incoming = self._incoming
        if request.body is not None:
            request.body.detach()
            if incoming is not None:
                self._keep_alive = self._keep_alive and incoming.drainable
                incoming.abandon()
                incoming.resume(self.factory.now)
        request.finish()
        self._gone = None
        if not self._keep_alive:
            self._end()
            return
        self._read_deadline = self.factory.sweep.next + self.factory.limits.idle_timeout
        if self._buffer or self._reading_paused or self._half_closed:
            self._advance()

    def _refuse(self, error: HTTPError, request: Request | None = None) -> None:
        """Answer what is no request, or none that may be read, and go no further."""
        self._deafen()
        self._request = None
        outgoing = frame_response(
            error_response(error),
            request.method if request is not None else "GET",
            "1.1",
            False,
            self.factory.status_and_date,
        )
        body = outgoing.body or b""
        self._write(outgoing.head + body)
        self.factory.responded(request, self.client, error.status, len(body))
        self._linger()

    # The body of a request: BodySource

    def _open_body(self, length: int, expected: bool) -> RequestBody:
        """Make ready for a body, and take what there is of it already."""
        factory = self.factory
        incoming = IncomingBody(self, length, expected, factory.limits, factory.now)
        body = incoming.body
        assert body is not None
        self._incoming = incoming
        if self._buffer:
            data, self._buffer = self._buffer, b""
            try:
                self._take(incoming, *incoming.receive(data, factory.now))
            except HTTPError:
                self._incoming = None
                raise
        return body

    def _receive_body(self, data: bytes) -> None:
        incoming = self._incoming
        assert incoming is not None
        try:
            piece, rest = incoming.receive(data, self.factory.now)
        except (HTTPError, ClientGone) as error:
            self._body_failed(incoming, error)
            return
        self._take(incoming, piece, rest)
        if incoming.ended:
            if self._request is None and self.factory.draining:
                self._end()
            self._advance()

    def _take(self, incoming: IncomingBody, piece: bytes, rest: bytes) -> None:
        """Pass on what has arrived. The handler may answer meanwhile, and all go on."""
        body = incoming.body
        if incoming.ended:
            self._incoming = None
            self._buffer = rest
            self._searched = 0
        if body is None:
            return
        if piece:
            body.feed(piece)
        if incoming.ended:
            body.end(incoming.trailers)

    def _body_failed(self, incoming: IncomingBody, error: Exception) -> None:
        """The rest of the body cannot be read, nor what follows it.

        Whoever reads it right now is told, and may make an answer of that; else nobody might
        ever notice, so that the answer is made here.
        """
        self._incoming = None
        self._keep_alive = False
        self._deafen()
        request, body = self._request, incoming.body
        if request is None or body is None:
            self._linger()
            return
        self._pause_reading()
        has_reader = body.awaited
        body.fail(error)
        if self._request is request and not self._status and not has_reader:
            task = self._task
            self._failed(Failure(error), request)
            cancel(task)

    def want_body(self) -> None:
        incoming = self._incoming
        if incoming is not None and incoming.expected:
            incoming.resume(self.factory.now)
            if not self._status:
                incoming.expected = False
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause_body(self) -> None:
        if self._incoming is not None and self._incoming.body is not None:
            self._incoming.pause(self.factory.now)
            self._pause_reading()

    def resume_body(self) -> None:
        if self._incoming is not None and self._incoming.body is not None:
            self._incoming.resume(self.factory.now)
            self._resume_reading()

    # Writing responses: the rest of Exchange

    def disconnected(self) -> Deferred[None]:
        if self._state is State.LOST or self._gone is _TOLD:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        if self._gone is None:
            self._gone = []
        self._gone.append(gone)
        return gone

    def send_informational(self, status: int, headers: RawHeaders) -> None:
        request = self._request
        if request is not None and request.version == "1.1" and not self._status:
            self._write(b"".join((status_line(status), field_lines(headers), b"\r\n")))

    def send(self, data: bytes) -> Deferred[None] | None:
        if self._owed is not None:
            self._owed -= len(data)
            if self._owed < 0:
                raise ValueError("the body is longer than its Content-Length")
        self._sent += len(data)
        self._write_piece(chunk(data) if self._chunked else data)
        return self._wait_until_drained()

    def send_file(self, file: FileBody) -> Awaitable[None] | None:
        reactor = self.factory.clock
        if self._chunked or self._tls or not can_send_files(self.transport):
            return None
        if not IReactorFDSet.providedBy(reactor):
            return None
        self._uncork()
        self._sends_file = True
        self._write_deadline = self.factory.now + self.factory.limits.send_timeout
        return send_file(self.transport, reactor, file, self._took)

    def _took(self, size: int) -> None:
        """The client has taken so much of a file."""
        self._sent += size
        self.factory.stats.bytes_sent += size
        if self._owed is not None:
            self._owed -= size
        self._write_deadline = self.factory.now + self.factory.limits.send_timeout

    def _send_response(self, response: Response, request: Request) -> None:
        """Send the head, and with it the body if that is at hand and not too large.

        Raises:
            ValueError, TypeError: The response is not valid; nothing has been sent.
        """
        if response.status == 101:
            self._send_upgrade(response, request)
            return
        method, version = request.method, request.version
        keep_alive = self._keep_alive and not self._must_close(response, request)
        framed = frame_response(response, method, version, keep_alive, self.factory.status_and_date)
        self._status = response.status
        self._send_framed(framed, response, request)

    def _send_plain(self, response: Response, request: Request) -> bool:
        """Send a response as most are: bytes, in one piece, to a request that has been read whole.

        Any other is left to `_send_response`: it returns False. It does in one go what `_write`
        and `_finish` do in theirs, and asks for no more than it needs.

        Raises:
            ValueError, TypeError: As `_send_response`.
        """
        body = response.body
        if (
            response._trailers is not None
            or not isinstance(body, bytes)
            or len(body) > PIECE
            or self._incoming is not None
            or request.version != "1.1"
            or request.method == "HEAD"
        ):
            return False
        factory = self.factory
        if factory.draining:
            self._keep_alive = False
        frame = self._frame_fields if response.has_headers else self._frame_plain
        data = frame(response, body)
        if data is None:
            return False
        self._request = None
        if self._corked is None and self._send_now is None:
            factory.stats.bytes_sent += len(data)
            self.transport.write(data)
        else:
            self._write(data)
        factory.responded(request, self.client, response.status, len(body))
        if request.body is not None:
            request.body.detach()
        request.finish()
        self._gone = None
        if not self._keep_alive:
            self._end()
            return True
        self._read_deadline = factory.sweep.next + factory.limits.idle_timeout
        if self._buffer or self._reading_paused or self._half_closed:
            self._advance()
        return True

    def _frame_plain(self, response: Response, body: bytes) -> bytes | None:
        """A whole response that has no more than a Content-Type; None if it is out of order."""
        factory = self.factory
        status = response.status
        template = factory.templates.get((status, response._content_type, self._keep_alive))
        if template is None:
            if status < 200 or status in BODILESS:
                return None
            template = factory.plain_template(status, response._content_type, self._keep_alive)
        return template % (len(body), body)

    def _frame_fields(self, response: Response, body: bytes) -> bytes | None:
        """A whole response; None if it is out of order."""
        status = response.status
        if status < 200 or status in BODILESS:
            return None
        lines, length, close, dated = response.check_fields()
        if length is not None and length != len(body):
            return None
        if close:
            self._keep_alive = False
        return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (
            status_line(status) if dated else self.factory.status_and_date(status),
            lines,
            b"" if self._keep_alive else CLOSE_LINE,
            len(body),
            body,
        )

    def _send_framed(self, outgoing: Outgoing, response: Response, request: Request) -> None:
        head, body, self._chunked, self._owed, self._keep_alive = outgoing
        if body is None:
            self._sent = 0
            if isinstance(response.body, FileBody):
                self._write(head)
            else:
                self._write_piece(head)
            self._stream(response, request)
            return
        self._sent = len(body)
        self._write(head + body)
        self._discard(response)
        self._finish(request)

    def _must_close(self, response: Response, request: Request) -> bool:
        """Whether, apart from what client and handler want, this response is the last."""
        if self.factory.draining:
            return True
        if self._incoming is None or self._incoming.drainable:
            return False
        # While a body streams out, that of the request may still be read, but not asked for.
        streams = request.method != "HEAD" and response.status not in BODILESS
        streams = streams and not isinstance(response.body, bytes)
        return self._incoming.expected or not streams

    def _stream(self, response: Response, request: Request) -> None:
        try:
            sent = send_body(self, response.body, self._owed)
            result = start(sent, self._context, self.factory.clock)
        except Exception:
            self._failed(Failure(), request)
            return
        if result is None:
            self._body_sent(None, response, request)
        else:
            self._task = result
            if self._half_closed:
                self._expect_progress()
            result.addCallback(self._body_sent, response, request)
            result.addErrback(self._failed, request)

    def _body_sent(self, _: None, response: Response, request: Request) -> None:
        if request is not self._request:
            return
        try:
            if self._owed:
                raise ValueError(f"the body is {self._owed} bytes short of its Content-Length")
            if self._chunked:
                trailers = response.trailers.items() if response.has_trailers else ()
                self._write_piece(last_chunk(trailers))
        except ValueError:
            self._failed(Failure(), request)
            return
        self._chunked = self._sends_file = False
        self._owed = None
        if not self._write_paused:
            self._write_deadline = inf
        self._finish(request)

    def _discard(self, response: Response) -> None:
        discard(response, self._context, self.factory.clock)

    def _send_upgrade(self, response: Response, request: Request) -> None:
        if not isinstance(response, Upgrade):
            raise TypeError("a response with status 101 must be an Upgrade")
        if self.factory.draining:
            error = HTTPError(503, "The server is about to stop.", close=True)
            self._respond(error_response(error), request)
            return
        token = response.headers["Upgrade"]
        offered = [each.strip() for each in self._upgrade.decode("latin-1").lower().split(",")]
        if token.lower() not in offered:
            error = HTTPError(426, f"This needs an upgrade to {token}.", {"Upgrade": token})
            self._respond(error_response(error), request)
            return
        if request.body is not None:  # however much of it is here already
            raise HTTPError(400, "A request with a body cannot be upgraded.", close=True)
        lines = response_fields(response.raw_headers).lines
        self._status = 101
        self._write(b"".join((status_line(101), lines, b"\r\n")))
        self._uncork()
        self.factory.responded(request, self.client, 101, 0)
        self._hand_over(response.protocol)

    def _hand_over(self, protocol: IProtocol) -> None:
        """From here on the connection is the other protocol's; we only see its end."""
        self._state = State.UPGRADED
        self._upgraded = protocol
        self._context = self.factory.context
        self.factory.sweep.discard(self)
        self._receive_by(protocol.dataReceived)
        self._resume_reading()
        self.transport.unregisterProducer()
        self._write_deadline = inf
        leftover, self._buffer = self._buffer, b""
        protocol.makeConnection(self.transport)
        if leftover and self._state is State.UPGRADED:
            protocol.dataReceived(leftover)
        if self._half_closed and self._upgraded is not None:
            self._half_close(protocol)

    def _half_close(self, protocol: IProtocol) -> None:
        """Its client sends no more."""
        half_closeable = IHalfCloseableProtocol(protocol, None)
        if half_closeable is not None:
            half_closeable.readConnectionLost()
        else:
            self.transport.loseConnection()

    # Its end

    def _deafen(self) -> None:
        super()._deafen()
        self._buffer = b""

    def _leave(self, state: State) -> None:
        super()._leave(state)
        self._incoming = None

    def _end(self) -> None:
        """After the last response."""
        if self._incoming is not None or self._buffer or self.dataReceived != self._receive:
            self._linger()
        else:
            self._close()

    def drain(self) -> None:
        """Close if idle; a request in progress is answered first, and told so."""
        if self._state is State.UPGRADED:
            getattr(self._upgraded, "drain", self.transport.loseConnection)()
        elif self._request is not None:
            self._keep_alive = False
        elif self._state is State.OPEN and not self._buffer:
            self._end()

    # The factory's sweep

    def check_deadlines(self, now: float) -> None:
        """Act upon what should have happened by now."""
        if self._is_forsaken():
            self.abort()
            return
        incoming = self._incoming
        if incoming is not None:
            if incoming.deadline <= now:
                self.factory.stats.timeouts += 1
                self._body_failed(incoming, HTTPError(408, "The body came too slowly."))
        elif self._read_deadline <= now:
            if not self._write_paused or self._state is not State.OPEN:
                self._read_timed_out()
        elif self._request is None:
            self._last_head = None  # what rests holds no more than it must
        if self._write_deadline <= now:
            self._write_deadline = inf
            self.factory.stats.timeouts += 1
            self.abort()
        elif self._handler_deadline <= now:
            self._handler_deadline = inf
            self.factory.stats.timeouts += 1
            self._handler_timed_out()

    def _read_timed_out(self) -> None:
        self._read_deadline = inf
        if self._buffer:
            self.factory.stats.timeouts += 1
            self._refuse(HTTPError(408, "The request did not come in time.", close=True))
        else:
            self._close()

    def _handler_timed_out(self) -> None:
        request, task = self._request, self._task
        if request is None:
            return
        if not self._status:
            self._keep_alive = self._keep_alive and not self._half_closed
            self._respond(error_response(HTTPError(503, "This took too long.")), request)
            cancel(task)
        elif self._sent > self._sent_before:
            self._expect_progress()
        else:
            self.abort()

    # IProtocol

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        try:
            self._end_all(reason)
        finally:
            self.factory.disconnected(self)

    def _end_all(self, reason: Failure) -> None:
        """Tell all whom it concerns that the connection is over."""
        request, self._request = self._request, None
        self._incoming = None
        task, self._task = self._task, None
        upgraded, self._upgraded = self._upgraded, None
        self._handler_deadline = inf
        self._buffer = b""
        self._lost()
        if upgraded is not None:
            try:
                upgraded.connectionLost(reason)
            except Exception:
                log.failure("connectionLost of {protocol} failed", protocol=upgraded)
        elif request is not None:
            status, sent = (self._status, self._sent) if self._status else (CLIENT_GONE, 0)
            self.factory.responded(request, self.client, status, sent)
        if request is not None and request.body is not None:
            request.body.fail(ClientGone("the client has gone"))
        cancel(task)
        self._tell_gone()
        if request is not None:
            request.finish()

    def _tell_gone(self) -> None:
        gone, self._gone = self._gone, _TOLD
        for waiting in gone or ():
            waiting.callback(None)

    # IHalfCloseableProtocol

    def readConnectionLost(self) -> None:
        """The client sends no more; it may still wait for answers."""
        self._half_closed = True
        if self._upgraded is not None:
            self._half_close(self._upgraded)
        elif self._state is not State.OPEN:
            self._close()
        else:
            if self._request is not None:
                self._expect_progress()
                self._tell_gone()
            if self._incoming is not None:
                self._body_failed(self._incoming, bad("The body ended early."))
            else:
                self._advance()

    def writeConnectionLost(self) -> None:
        """Our side is closed, as we asked."""
        half_closeable = IHalfCloseableProtocol(self._upgraded, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    # IPushProducer

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._sends_file:
            self._write_deadline = self.factory.now + self.factory.limits.send_timeout
        if self._request is None:  # now that the client has it all, it is idle
            self._read_deadline = self.factory.sweep.next + self.factory.limits.idle_timeout
        if self._buffer or self._half_closed:
            self._advance()


def cancel(task: Deferred[Any] | None) -> None:
    """Cancel what a handler waits for; a canceller that fails is logged."""
    if task is not None:
        try:
            task.cancel()
        except Exception:
            log.failure("a canceller failed")
