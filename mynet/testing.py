"""Test what runs on mynet in memory: no sockets, no waiting, no reactor.

`Client` drives a handler, and raises what it raises; it opens WebSockets, too. `Wire` drives a
whole connection of an `HTTPFactory`, byte by byte if you like. Both have a `Clock` in place of
time: their clients may stop reading, hang up half-way, or let a deadline pass.

    async def test_hello():
        answer = await Client(app).get("/hello/you")
        assert answer.text == "Hello, you!"

    async def test_chat():
        client = Client(app)
        alice, bob = await client.websocket("/chat"), await client.websocket("/chat")
        await alice.send("hello")
        assert await bob.receive() == "hello"
"""

from __future__ import annotations

import string
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import copy_context
from math import inf
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec
from multidict import CIMultiDict
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IPullProducer,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.body import RequestBody
from mynet.http.coroutines import start
from mynet.http.errors import HTTPError
from mynet.http.exchange import RawHeaders
from mynet.http.factory import HTTPFactory
from mynet.http.file import FileBody
from mynet.http.limits import KIB, Limits
from mynet.http.message import Handler, Request, Response, Upgrade, error_response
from mynet.http.outgoing import frame_response
from mynet.http.reading import parse_fields, split_target
from mynet.http.sending import close_body, send_body
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import TLS
from mynet.http.writing import response_fields, status_line
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.codes import NORMAL
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.deflate import Deflate, accept_response, make_offer
from mynet.websocket.handshake import check_response, make_key, request_head
from mynet.websocket.message import Message
from mynet.websocket.policy import Policy
from mynet.websocket.shared import Shared
from mynet.websocket.socket import Socket

__all__ = [
    "CLIENT",
    "HIGH_WATER",
    "SERVER",
    "Answer",
    "Client",
    "MemoryExchange",
    "MemoryTransport",
    "Peer",
    "Refused",
    "Wire",
    "make_request",
    "result_of",
]

T = TypeVar("T")

CLIENT = IPv4Address("TCP", "192.0.2.1", 50000)
SERVER = IPv4Address("TCP", "192.0.2.2", 80)

HIGH_WATER = 64 * KIB
"""How much a transport takes before it pauses its producer; that of Twisted's."""


def result_of(deferred: Deferred[T]) -> T:
    """The result of a Deferred that must have fired.

    Raises:
        AssertionError: It has not.
        Exception: That with which it failed.
    """
    results: list[Any] = []
    deferred.addBoth(results.append)
    if not results:
        raise AssertionError(f"{deferred} has not fired")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return cast(T, results[0])


class Answer:
    """A response that has been received whole."""

    def __init__(self, response: Response, body: bytes, exchange: MemoryExchange) -> None:
        self.status = response.status
        """Its status."""
        self.headers: CIMultiDict[str] = CIMultiDict(response.headers)
        """Its fields, as the handler set them."""
        self.body = body
        """Its body, in bytes."""
        self.trailers: CIMultiDict[str] = CIMultiDict(response.trailers)
        """What followed the body."""
        self.interim = exchange.interim
        """The interim responses before it: pairs of status and raw fields."""
        self.response = response
        """The `Response` itself, such as an `Upgrade`."""

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:60]!r}>"

    @property
    def text(self) -> str:
        """The body, which must be UTF-8."""
        return self.body.decode()

    def json(self, type: Any = Any) -> Any:
        """The body decoded from JSON, and checked against a type."""
        return msgspec.json.decode(self.body, type=type)


class MemoryExchange:
    """An `Exchange` with nothing below it; its attributes may be set before its request runs."""

    def __init__(self) -> None:
        self.client: IAddress = CLIENT
        self.server: IAddress = SERVER
        self.scheme = "http"
        self.tls: TLS | None = None
        self.sweep: Sweep[Deadlines] = Sweep(Clock())
        self.sent: list[bytes] = []
        """The pieces of the response's body."""
        self.interim: list[tuple[int, RawHeaders]] = []
        """Interim responses."""
        self.wanted = False
        """Whether the request's body has been asked for."""
        self.paused = False
        """Whether the request's body is to wait."""
        self.aborted = False
        """Whether the handler has cut the exchange off; whoever drives it acts upon that."""
        self._gone: list[Deferred[None]] = []

    def send(self, data: bytes) -> Deferred[None] | None:
        self.sent.append(bytes(data))
        return None

    def send_file(self, file: FileBody) -> None:
        """Here it is read."""

    def send_informational(self, status: int, headers: RawHeaders) -> None:
        self.interim.append((status, headers))

    def disconnected(self) -> Deferred[None]:
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        return gone

    def abort(self) -> None:
        self.aborted = True
        self.disconnect()

    def disconnect(self) -> None:
        """The client goes."""
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)

    # BodySource

    def want_body(self) -> None:
        self.wanted = True

    def pause_body(self) -> None:
        self.paused = True

    def resume_body(self) -> None:
        self.paused = False


class Client:
    """Sends requests to a handler, and collects its responses; opens WebSockets."""

    def __init__(self, handler: Handler, clock: IReactorTime | None = None) -> None:
        """One or several clients of a handler, who have their time in common.

        Args:
            handler: What answers, such as an `App`.
            clock: Their time: a `Clock` unless given, or a reactor, which moves by itself.
        """
        self._handler = handler
        self.clock = clock or _WoundClock()
        """Their time."""
        self._sweep: Sweep[Deadlines] = Sweep(self.clock)

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        json: object = None,
        form: Mapping[str, str] | None = None,
    ) -> Deferred[Answer]:
        """Send one request.

        Args:
            method: Its method.
            target: Its path, with percent-encodings where they belong, and its query.
            headers: Its fields; Host is added.
            body: Its body.
            json: A value to send as JSON instead.
            form: Fields to send as an urlencoded form instead.

        Returns:
            A Deferred of the answer. An `HTTPError` becomes an answer; anything else that
            the handler, or the body of its response, raises fails the Deferred, and so does
            a response that no connection would send. Cancelling it is the client going away.
        """
        fields = CIMultiDict(headers or {})
        fields.setdefault("Host", "test")
        if json is not None:
            body = msgspec.json.encode(json)
            fields["Content-Type"] = "application/json"
        elif form is not None:
            body = urlencode(form).encode()
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        exchange = self._new_exchange()
        request = make_request(method, target, fields, body, exchange)
        return self._run(self._exchange(request, exchange))

    def websocket(
        self,
        target: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        deflate: Deflate | None = None,
    ) -> Deferred[Peer]:
        """Open a WebSocket.

        Args:
            target: As in `request`.
            subprotocols: What to offer, the best first.
            headers: More fields of the handshake: a Cookie, an Origin.
            deflate: How to offer compression; None: not at all.

        Returns:
            A Deferred of the client's side. It fails with `Refused` if the handler answers with
            anything else, with what the handler raises, and with a `HandshakeError` if no client
            would take the answer. Cancelling it is the client going away.

        Raises:
            ValueError: The handshake is not one that a client sends.
        """
        fields = CIMultiDict(headers or {})
        host, origin = fields.pop("Host", "test"), fields.pop("Origin", None)
        key = make_key()
        head = request_head(
            target.encode(),
            host,
            key,
            subprotocols=subprotocols,
            extensions=make_offer(deflate) if deflate else None,
            origin=origin,
            headers=fields.items(),
        )
        exchange = self._new_exchange()
        request = make_request("GET", target, _sent_fields(head), b"", exchange)
        shared = Shared(_PATIENT, deflate=deflate)
        return self._run(self._open(request, exchange, shared, key, subprotocols))

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time; and all happen that is due.

        Raises:
            TypeError: Its clock is a reactor, which does that by itself.
        """
        if not isinstance(self.clock, Clock):
            raise TypeError(f"the time of {self.clock!r} passes by itself")
        _advance(self.clock, seconds)

    def _settle(self) -> None:
        """Let all happen that is due."""
        if isinstance(self.clock, Clock):
            self.clock.advance(0)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        try:
            result = start(coroutine, copy_context(), self.clock)
        except Exception:
            return fail()
        self._settle()
        return result if isinstance(result, Deferred) else succeed(result)

    def _new_exchange(self) -> MemoryExchange:
        exchange = MemoryExchange()
        exchange.sweep = self._sweep
        return exchange

    async def _exchange(self, request: Request, exchange: MemoryExchange) -> Answer:
        try:
            return await self._ask(request, exchange)
        finally:
            request.finish()

    async def _open(
        self,
        request: Request,
        exchange: MemoryExchange,
        shared: Shared,
        key: bytes,
        subprotocols: Sequence[str],
    ) -> Peer:
        try:
            answer = await self._ask(request, exchange)
            if not isinstance(answer.response, Upgrade):
                raise Refused(answer)
            raw = parse_fields(response_fields(answer.response.raw_headers).lines)
            subprotocol, extensions = check_response(raw, key, subprotocols)
            parameters = accept_response(extensions, shared.policy.deflate)
        except BaseException:
            request.finish()
            raise
        side = _Side()
        connection = WebSocketConnection(shared, side, self._sweep, parameters, client=True)
        client_end, server_end = _join(self.clock, connection, answer.response.protocol)
        server_end.on_lost = [exchange.disconnect, request.finish]
        server_end.connect()
        client_end.connect()
        return Peer(self, side, client_end, subprotocol, answer)

    async def _ask(self, request: Request, exchange: MemoryExchange) -> Answer:
        try:
            response = await self._respond(request)
            return Answer(response, await _body_of(response, request, exchange), exchange)
        except CancelledError:
            exchange.disconnect()
            raise

    async def _respond(self, request: Request) -> Response:
        try:
            response = await self._handler(request)
        except HTTPError as error:
            return error_response(error)
        if not isinstance(response, Response):
            kind = type(response).__name__
            raise TypeError(f"a handler must return a Response, not {kind}")
        return response

    def get(self, target: str, **options: Any) -> Deferred[Answer]:
        """GET; see `request`."""
        return self.request("GET", target, **options)

    def head(self, target: str, **options: Any) -> Deferred[Answer]:
        """HEAD; see `request`."""
        return self.request("HEAD", target, **options)

    def post(self, target: str, **options: Any) -> Deferred[Answer]:
        """POST; see `request`."""
        return self.request("POST", target, **options)

    def put(self, target: str, **options: Any) -> Deferred[Answer]:
        """PUT; see `request`."""
        return self.request("PUT", target, **options)

    def patch(self, target: str, **options: Any) -> Deferred[Answer]:
        """PATCH; see `request`."""
        return self.request("PATCH", target, **options)

    def delete(self, target: str, **options: Any) -> Deferred[Answer]:
        """DELETE; see `request`."""
        return self.request("DELETE", target, **options)

    def options(self, target: str, **options: Any) -> Deferred[Answer]:
        """OPTIONS; see `request`."""
        return self.request("OPTIONS", target, **options)


def _sent_fields(head: bytes) -> CIMultiDict[str]:
    fields = parse_fields(head.partition(b"\r\n")[2])
    return CIMultiDict((name.decode(), value.decode("latin-1")) for name, value in fields)


def _advance(clock: Clock, seconds: float) -> None:
    while seconds > 0:
        clock.advance(min(1, seconds))
        seconds -= 1
    clock.advance(0)


class _WoundClock(Clock):
    """One that stands still, but lets happen at once what is due, where a reactor runs."""

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> IDelayedCall:
        call: IDelayedCall = super().callLater(delay, callable, *args, **kw)
        reactor: Any = sys.modules.get("twisted.internet.reactor")
        if not delay and getattr(reactor, "running", False):
            reactor.callLater(0, self.advance, 0)
        return call


async def _body_of(response: Response, request: Request, exchange: MemoryExchange) -> bytes:
    """What a client gets of a response's body, if it is one that can be sent."""
    if isinstance(response, Upgrade):
        return b""
    framed = frame_response(response, request.method, request.version, True, status_line)
    if framed.body is not None:
        await close_body(response.body)
        return framed.body
    await send_body(exchange, response.body, framed.length)
    body = b"".join(exchange.sent)
    if framed.length is not None and len(body) != framed.length:
        raise ValueError(f"Content-Length is {framed.length}, but the body has {len(body)} bytes")
    return body


def make_request(
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    exchange: MemoryExchange | None = None,
) -> Request:
    """A request whose body, if any, has arrived.

    Raises:
        ValueError: The target is not ASCII, as none is that a client sends.
    """
    if not target.isascii():
        encoded = quote(target, string.punctuation)
        raise ValueError(f"percent-encode the target {target!r}, as clients do: {encoded}")
    exchange = exchange or MemoryExchange()
    fields = CIMultiDict(headers or {})
    incoming = None
    if body:
        incoming = RequestBody(exchange, len(body), HIGH_WATER)
        incoming.feed(body)
        incoming.end()
        fields.setdefault("Content-Length", str(len(body)))
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    host = fields.get("Host", "test").encode()
    line = target.encode("ascii")
    return Request(exchange, method, line, "1.1", host, raw, incoming, *split_target(line))


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """A server's side of a connection in memory, with the manners of Twisted's own.

    It tells a producer to pause past `HIGH_WATER` bytes that its client has not read; it
    ends, and says so by `connectionLost`, only after the call that ends it.
    """

    def __init__(
        self, clock: IReactorTime, client: IAddress = CLIENT, server: IAddress = SERVER
    ) -> None:
        self.protocol: IProtocol | None = None
        self.received = b""
        """What the client has read."""
        self.waiting = b""
        """What has been written, and the client has not read."""
        self.reading = True
        """Whether the client reads; see `read`."""
        self.paused = False
        """Whether the server does not read."""
        self.half_closed = False
        """Whether the server has closed its sending side."""
        self.disconnecting = False
        self.disconnected = False
        """Whether the connection is over."""
        self.aborted = False
        """Whether it was cut off by the server."""
        self.producer: IPushProducer | IPullProducer | None = None
        self._producer_paused = False
        self._clock = clock
        self._client = client
        self._server = server

    def read(self, size: int | None = None) -> None:
        """The client reads: as much of what waits, or all and whatever comes."""
        if size is None:
            self.reading = True
            size = len(self.waiting)
        self.received += self.waiting[:size]
        self.waiting = self.waiting[size:]
        if self._producer_paused and not self.waiting and self.producer is not None:
            self._producer_paused = False
            self.producer.resumeProducing()
        if self.disconnecting and not self.waiting:
            self.lose(ConnectionDone())

    def lose(self, reason: Exception) -> None:
        """The connection is over."""
        if not self.disconnected and self.protocol is not None:
            self.disconnected = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))

    # ITransport

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"transports take bytes, not {type(data).__name__}")
        if self.half_closed:
            raise AssertionError(f"written after the sending side was closed: {data[:60]!r}")
        if self.disconnecting or self.disconnected:
            return
        self.waiting += data
        if self.reading:
            self.read()
        elif self.producer is not None and len(self.waiting) > HIGH_WATER:
            self._producer_paused = True
            cast(IPushProducer, self.producer).pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    @property
    def bytes_waiting(self) -> int:
        """How much of what was written the client has not read."""
        return len(self.waiting)

    def loseConnection(self) -> None:
        if self.producer is not None:
            raise AssertionError("a registered producer keeps the connection open")
        self.disconnecting = True
        self._clock.callLater(0, self._lose_if_flushed)

    def _lose_if_flushed(self) -> None:
        if not self.waiting:
            self.lose(ConnectionDone())

    def loseWriteConnection(self) -> None:
        self.half_closed = True
        self._clock.callLater(0, self._half_close_if_flushed)

    def _half_close_if_flushed(self) -> None:
        protocol: Any = IHalfCloseableProtocol(self.protocol, None)
        if protocol is not None and not self.waiting:
            protocol.writeConnectionLost()

    def abortConnection(self) -> None:
        self.aborted = True
        self._clock.callLater(0, self.lose, ConnectionAborted())

    def getPeer(self) -> IAddress:
        return self._client

    def getHost(self) -> IAddress:
        return self._server

    # IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("there is a producer already")
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self._producer_paused = False

    # IPushProducer

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.loseConnection()


class Wire:
    """A client's side of one connection to an `HTTPFactory`, or to any factory."""

    def __init__(
        self,
        served: Handler | IProtocolFactory,
        limits: Limits | None = None,
        clock: Clock | None = None,
        client: IAddress = CLIENT,
    ) -> None:
        """Connect.

        Args:
            served: A handler, for which a factory is made, or a factory.
            limits: For the factory that is made.
            clock: The time of the factory that is made; shared with a given one.
            client: Where the connection seems to come from.
        """
        self.clock = clock or Clock()
        if not IProtocolFactory.providedBy(served):
            served = HTTPFactory(served, limits, reactor=self.clock)
        self.factory: Any = served
        self.transport = MemoryTransport(self.clock, client)
        self.protocol: Any = self.factory.buildProtocol(client)
        if self.protocol is None:
            self.transport.disconnected = True
        else:
            self.transport.protocol = self.protocol
            self.protocol.makeConnection(self.transport)
            self.clock.advance(0)

    def send(self, data: bytes, size: int | None = None) -> None:
        """Send bytes, all at once or so many at a time; none after the connection is over."""
        step = size or len(data)
        for start_at in range(0, len(data), step or 1):
            if self.transport.disconnected:
                return
            self.protocol.dataReceived(data[start_at : start_at + step])
            self.clock.advance(0)

    @property
    def received(self) -> bytes:
        """All that the server has sent and the client has read."""
        return self.transport.received

    def take(self) -> bytes:
        """What has been received since the last call."""
        taken, self.transport.received = self.transport.received, b""
        return taken

    @property
    def closed(self) -> bool:
        """Whether the server has closed, or only its sending side."""
        return self.transport.disconnected or self.transport.half_closed

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        _advance(self.clock, seconds)

    def stop_reading(self) -> None:
        """The client reads no more, until `read`."""
        self.transport.reading = False

    def read(self, size: int | None = None) -> None:
        """The client reads so many bytes of what waits, or from now on everything."""
        self.transport.read(size)
        self.clock.advance(0)

    def half_close(self) -> None:
        """The client closes its sending side, and waits."""
        protocol = IHalfCloseableProtocol(self.protocol, None)
        if protocol is None:
            self.transport.lose(ConnectionDone())
        elif not self.transport.disconnected:
            protocol.readConnectionLost()
        self.clock.advance(0)

    def hang_up(self) -> None:
        """The client is gone, without a word."""
        self.transport.lose(ConnectionLost())
        self.clock.advance(0)


# WebSockets

_PATIENT = Policy(
    max_message_size=None, receive_limit=sys.maxsize, ping_interval=None, send_timeout=inf
)
"""That of a peer: it takes everything, and as long as it is told to."""


class Refused(Exception):  # noqa: N818  (it may be just what a test expects)
    """A WebSocket was not opened, because the answer was another one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer
        """The answer."""

    def __str__(self) -> str:
        return f"{self.answer!r}"


class Peer:
    """A client's side of a WebSocket in memory, see `Client.websocket`.

    It answers pings and closing handshakes as browsers do. What it does, and what that leads to
    on the other side, has happened when a method returns. It is closed with 1000 at the end of an
    `async with`, and an `async for` has its messages until it is closed.
    """

    def __init__(
        self,
        client: Client,
        side: _Side,
        transport: MemoryTransport,
        subprotocol: str | None,
        answer: Answer,
    ) -> None:
        self.subprotocol = subprotocol
        """The one that is spoken."""
        self.answer = answer
        """The answer that opened it, whose headers may be of interest."""
        self.transport = transport
        """Its end of the connection."""
        self._client = client
        self._side = side

    def __repr__(self) -> str:
        return f"<Peer, {self.connection.state.name.lower()}>"

    @property
    def connection(self) -> WebSocketConnection:
        """Its side of the connection, which also sends pings, say."""
        return self._side.connection

    @property
    def close_code(self) -> int | None:
        """With what code it was closed, see `WebSocketClosed`; None while it is open."""
        return self._side.close_code

    @property
    def close_reason(self) -> str:
        """With what reason."""
        return self._side.close_reason

    # Messages

    def send(self, message: str | bytes | Message) -> Deferred[None]:
        """Send a message: a str as text, bytes as binary.

        Returns:
            A Deferred that has fired, unless the other side has long taken less than it is sent.

        Raises:
            WebSocketClosed: It is closed.
        """
        waiting = self.connection.send(message)
        self._client._settle()
        return waiting or succeed(None)

    def receive(self) -> Deferred[str | bytes]:
        """The next message: a str if it is text, else bytes.

        Returns:
            A Deferred. It fails with `WebSocketClosed` when all has been received, and with
            RuntimeError if one waits already.
        """
        self._client._settle()
        return self._client._run(self._side.receive())

    def take(self) -> list[str | bytes]:
        """All messages that have arrived, and were not received yet: maybe none."""
        self._client._settle()
        return self._side.take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    def ping(self) -> Deferred[float]:
        """Ask for a sign of life: a Deferred of how long it took, in seconds."""
        return self._client._run(self._side.ping())

    # How it behaves

    def stop_reading(self) -> None:
        """It reads no more, until `read`; and so learns of nothing, not even that it is closed."""
        self.connection.pause_reading()
        self._client._settle()

    def read(self) -> None:
        """It reads again, first what has arrived meanwhile."""
        self.connection.resume_reading()
        self._client._settle()

    def hang_up(self) -> None:
        """It is gone, without a word."""
        self.transport.abortConnection()
        self._client._settle()

    # Its end

    def close(self, code: int = NORMAL, reason: str = "") -> Deferred[None]:
        """Close it: a Deferred that fires when that is done.

        Raises:
            ValueError: This is no code that can be sent, or the reason is longer than 123 bytes.
        """
        return self._client._run(self._side.close(code, reason))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Side(Socket):
    """A `Peer`'s protocol."""

    def take(self) -> list[str | bytes]:
        """All messages that have arrived."""
        return [self._inbox.take() for _ in range(len(self._inbox))]


class _End(MemoryTransport):
    """One end of a connection: what is written to it arrives at the other, in a turn to come.

    Who does not read learns of nothing. What is under way when a connection is cut off arrives,
    but what waits is lost.
    """

    other: _End

    def __init__(
        self, clock: IReactorTime, protocol: IProtocol, client: IAddress, server: IAddress
    ) -> None:
        super().__init__(clock, client, server)
        self.protocol = protocol
        self.on_lost: list[Callable[[], object]] = []
        self._passing = False

    def connect(self) -> None:
        """Let it begin."""
        assert self.protocol is not None
        self.protocol.makeConnection(self)

    def read(self, size: int | None = None) -> None:
        super().read(size)
        self._pass_on_later()

    def lose(self, reason: Exception) -> None:
        if not self.disconnected:
            super().lose(reason)
            for call in self.on_lost:
                call()
            self._pass_on_later()

    def _pass_on_later(self) -> None:
        if not self._passing:
            self._passing = True
            self._clock.callLater(0, self._pass_on)

    def _pass_on(self) -> None:
        self._passing = False
        other = self.other
        if other.paused or other.disconnected:
            return
        data, self.received = self.received, b""
        if data:
            assert other.protocol is not None
            other.protocol.dataReceived(data)
        if self.aborted:
            other.lose(ConnectionLost())
        elif self.disconnected or (self.half_closed and not self.waiting):
            other.lose(ConnectionDone())

    # ITransport

    def loseWriteConnection(self) -> None:
        super().loseWriteConnection()
        self._pass_on_later()

    def abortConnection(self) -> None:
        self.waiting = b""
        super().abortConnection()

    # IPushProducer

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self.other.reading = False

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self.other.read()


def _join(clock: IReactorTime, client: IProtocol, server: IProtocol) -> tuple[_End, _End]:
    """The two ends of a connection between two protocols."""
    ends = _End(clock, client, SERVER, CLIENT), _End(clock, server, CLIENT, SERVER)
    ends[0].other, ends[1].other = ends[1], ends[0]
    return ends
