"""Test what runs on mynet in memory: no sockets, no waiting, no reactor.

`Client` drives a handler, and raises what it raises. `Wire` drives a whole connection of
an `HTTPFactory`, byte by byte if you like, with a `Clock` in place of time: its client may
stop reading, hang up half-way, or let a deadline pass.

    async def test_hello():
        answer = await Client(app).get("/hello/you")
        assert answer.text == "Hello, you!"
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec
from multidict import CIMultiDict
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
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
from mynet.http.limits import KIB, Limits
from mynet.http.message import Handler, Request, Response, Upgrade, error_response
from mynet.http.outgoing import frame_response
from mynet.http.reading import split_target
from mynet.http.sending import close_body, send_body
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import TLS
from mynet.http.writing import status_line

__all__ = [
    "CLIENT",
    "HIGH_WATER",
    "SERVER",
    "Answer",
    "Client",
    "MemoryExchange",
    "MemoryTransport",
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
        self._gone: list[Deferred[None]] = []

    def send(self, data: bytes) -> Deferred[None] | None:
        self.sent.append(bytes(data))
        return None

    def send_informational(self, status: int, headers: RawHeaders) -> None:
        self.interim.append((status, headers))

    def disconnected(self) -> Deferred[None]:
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        return gone

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
    """Sends requests to a handler, and collects its responses."""

    def __init__(self, handler: Handler, clock: IReactorTime | None = None) -> None:
        self._handler = handler
        self._clock = clock or Clock()

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
        exchange = MemoryExchange()
        request = make_request(method, target, fields, body, exchange)
        try:
            answer = start(self._exchange(request, exchange), copy_context(), self._clock)
        except Exception:
            return fail()
        return answer if isinstance(answer, Deferred) else succeed(answer)

    async def _exchange(self, request: Request, exchange: MemoryExchange) -> Answer:
        try:
            response = await self._respond(request)
            body = await _body_of(response, request, exchange)
            return Answer(response, body, exchange)
        except CancelledError:
            exchange.disconnect()
            raise
        finally:
            request.finish()

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

    def __init__(self, clock: Clock, client: IAddress = CLIENT, server: IAddress = SERVER) -> None:
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
        while seconds > 0:
            self.clock.advance(min(1, seconds))
            seconds -= 1
        self.clock.advance(0)

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
