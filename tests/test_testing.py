"""The tools that users test with: they must be as strict as what they stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet.http import ClientGone, HTTPError, HTTPFactory, Limits, Request, Response, Upgrade
from mynet.testing import (
    CLIENT,
    HIGH_WATER,
    SERVER,
    Client,
    MemoryExchange,
    MemoryTransport,
    Wire,
    make_request,
    result_of,
)

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


# result_of


def test_result_of():
    """What has fired has a result, or raises its error; what has not is a mistake."""
    assert result_of(succeed(5)) == 5
    with pytest.raises(ValueError, match="broken"):
        result_of(fail(ValueError("broken")))
    with pytest.raises(AssertionError, match="has not fired"):
        result_of(Deferred())


# Client


async def echo(request: Request) -> Response:
    body = await request.read()
    response = Response(
        body, 201, {"X-Method": request.method, "X-Target": request.target.decode()}
    )
    response.headers["X-Type"] = request.content_type
    response.headers["X-Host"] = request.headers["Host"]
    return response


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(method):
    """Every usual method has its function, and any other can be asked for."""
    client = Client(echo)
    for deferred in (
        getattr(client, method.lower())("/a?b", body=b"hello"),
        client.request(method, "/a?b", body=b"hello"),
    ):
        answer = result_of(deferred)
        assert (answer.status, answer.body, answer.text) == (201, b"hello", "hello")
        assert (answer.headers["x-method"], answer.headers["X-Target"]) == (method, "/a?b")
        assert repr(answer) == "<Answer 201 b'hello'>"


def test_head():
    """The answer to HEAD has no body, and what would have given it is closed."""
    file = BytesIO(b"hello")
    answer = result_of(Client(lambda request: Response(file)).head("/"))
    assert (answer.status, answer.body) == (200, b"")
    assert file.closed


def test_bodies():
    """A body may be bytes, a value as JSON, or the fields of a form."""
    client = Client(echo)
    answer = result_of(client.post("/", json={"a": [1]}))
    assert (answer.json(), answer.headers["X-Type"]) == ({"a": [1]}, "application/json")
    assert answer.json(dict[str, list[int]]) == {"a": [1]}
    answer = result_of(client.post("/", form={"a b": "c&d"}))
    assert answer.text == "a+b=c%26d"
    assert answer.headers["X-Type"] == "application/x-www-form-urlencoded"
    answer = result_of(client.post("/", body=b"x", headers={"content-type": "a/b"}))
    assert answer.headers["X-Type"] == "a/b"


@pytest.mark.parametrize("name", ["Host", "host"])
def test_host(name):
    """There is a Host, which may be another."""
    assert result_of(Client(echo).get("/")).headers["X-Host"] == "test"
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response()

    result_of(Client(handler).get("/", headers={name: "other:80"}))
    assert seen[0].host == "other:80"
    assert seen[0].headers.getall("Host") == ["other:80"]


def test_target_is_encoded():
    """A target is what stands on the wire; what cannot is a mistake of the test."""
    with pytest.raises(ValueError, match=r"percent-encode the target .* /%C3%A9%20a\?b=%C3%BC$"):
        Client(echo).get("/é a?b=ü")


def test_streams():
    """A body is collected, whatever it comes from, with what follows it."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"hello "
        yield b"world"
        response.trailers["A"] = "b"

    response = Response(pieces())
    assert len(response.trailers) == 0
    answer = result_of(Client(lambda request: response).get("/"))
    assert answer.body == b"hello world"
    assert answer.trailers == {"A": "b"}


def test_interim():
    """Interim responses are kept."""

    def handler(request: Request) -> Response:
        request.early_hints("</a>; rel=preload")
        return Response()

    answer = result_of(Client(handler).get("/"))
    assert answer.interim == [(103, [(b"link", b"</a>; rel=preload")])]


def test_upgrade():
    """An upgrade is answered as what it is."""
    upgrade = Upgrade("x", Protocol())
    answer = result_of(Client(lambda request: upgrade).get("/"))
    assert answer.status == 101
    assert answer.response is upgrade


def test_http_error():
    """An HTTPError is an answer, as it is on a connection."""

    def at_once(request: Request) -> Response:
        raise HTTPError(404, "Nothing.", {"A": "b"})

    async def later(request: Request) -> Response:
        return at_once(request)

    for handler in (at_once, later):
        answer = result_of(Client(handler).get("/"))
        assert (answer.status, answer.text) == (404, "404 Not Found\nNothing.\n")
        assert answer.headers["A"] == "b"


def broken() -> Iterator[bytes]:
    yield b"hello"
    raise ValueError("broken")


def fails(request: Request) -> Response:
    raise ValueError("broken")


async def fails_later(request: Request) -> Response:
    return fails(request)


@pytest.mark.parametrize("handler", [fails, fails_later, lambda request: Response(broken())])
def test_errors(handler):
    """Any other error is the test's to see, by its Deferred."""
    with pytest.raises(ValueError, match="broken"):
        result_of(Client(handler).get("/"))


@pytest.mark.parametrize(
    "wrong",
    [
        "text", None, Response(b"", headers={"A": "b\r\nc"}), Response(b"", 99),
        Response(b"hello", headers={"Content-Length": "4"}),
        Response(iter([b"hello"]), headers={"Content-Length": "4"}),
        Response(iter([b"hello"]), headers={"Content-Length": "6"}),
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_responses(wrong):
    """What a connection would not send is an error here too."""
    with pytest.raises((TypeError, ValueError)):
        result_of(Client(lambda request: wrong).get("/"))


def test_client_goes():
    """Cancelling is the client going away: what waits is cancelled, and told."""
    events: list[Any] = []

    async def handler(request: Request) -> Response:
        request.on_finish(lambda: events.append("finished"))
        request.disconnected().addCallback(lambda _: events.append("gone"))
        try:
            await Deferred()
        except CancelledError:
            events.append("cancelled")
            raise
        return Response()

    answer = Client(handler).get("/")
    assert events == []
    answer.cancel()
    assert sorted(events) == ["cancelled", "finished", "gone"]
    with pytest.raises(CancelledError):
        result_of(answer)


def test_finished():
    """What ends with a request ends when it has been answered, or has failed."""
    events: list[str] = []

    def handler(request: Request) -> Response:
        request.on_finish(lambda: events.append(request.path))
        if request.path == "/fail":
            raise ValueError
        return Response()

    result_of(Client(handler).get("/"))
    with pytest.raises(ValueError):  # noqa: PT011
        result_of(Client(handler).get("/fail"))
    assert events == ["/", "/fail"]


def test_own_clock():
    """A handler that waits for time waits for that of the test."""
    clock = Clock()

    async def handler(request: Request) -> Response:
        later: Deferred[None] = Deferred()
        clock.callLater(5, later.callback, None)
        await later
        return Response()

    answer = Client(handler, clock).get("/")
    clock.advance(4)
    assert not answer.called
    clock.advance(1)
    assert result_of(answer).status == 200


# Requests on their own


def test_make_request():
    """A request can be made of as little as nothing."""
    request = make_request()
    assert (request.method, request.path, request.host) == ("GET", "/", "test")
    assert (request.client, request.server, request.body) == (CLIENT, SERVER, None)
    request = make_request("POST", "/a", {"X-A": "é"}, b"hello")
    assert request.raw_headers == [(b"x-a", b"\xe9"), (b"content-length", b"5")]
    assert result_of(request.read()) == b"hello"


def test_exchange():
    """What a request asks of its protocol is noted."""
    exchange = MemoryExchange()
    request = make_request(exchange=exchange)
    gone = request.disconnected()
    exchange.pause_body()
    assert exchange.paused
    exchange.resume_body()
    assert not exchange.paused
    exchange.disconnect()
    assert gone.called


# MemoryTransport


class Noting(Protocol):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(type(reason.value))

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def transport(clock: Clock) -> MemoryTransport:
    made = MemoryTransport(clock)
    made.protocol = Noting()
    return made


def events_of(transport: MemoryTransport) -> list[Any]:
    assert isinstance(transport.protocol, Noting)
    return transport.protocol.events


def test_transport_interfaces(transport):
    """A protocol finds a whole transport."""
    for interface in (ITransport, IConsumer, IPushProducer):
        assert verifyObject(interface, transport)
    assert (transport.getPeer(), transport.getHost()) == (CLIENT, SERVER)


def test_transport_tells_its_producer(transport):
    """It pauses past its limit, and resumes when the client has read all, as Twisted's do."""
    transport.registerProducer(transport.protocol, True)
    transport.reading = False
    transport.write(b"x" * HIGH_WATER)
    assert events_of(transport) == []
    transport.write(b"x")
    assert events_of(transport) == ["pause"]
    transport.read(HIGH_WATER)
    assert events_of(transport) == ["pause"]
    transport.read(1)
    assert events_of(transport) == ["pause", "resume"]
    with pytest.raises(RuntimeError):
        transport.registerProducer(transport.protocol, True)


def test_transport_ends_later(transport, clock):
    """It ends after the call that ends it, when all has been read."""
    transport.reading = False
    transport.writeSequence([b"he", b"llo"])
    transport.loseConnection()
    transport.write(b"late")
    clock.advance(0)
    assert events_of(transport) == []
    transport.read()
    assert transport.received == b"hello"
    assert events_of(transport) == [ConnectionDone]


def test_transport_is_cut(transport, clock):
    """It may be cut off, by either side."""
    transport.reading = False
    transport.write(b"x")
    transport.abortConnection()
    assert events_of(transport) == []
    clock.advance(0)
    assert events_of(transport) == [ConnectionAborted]
    transport.lose(ConnectionLost())
    assert events_of(transport) == [ConnectionAborted]


def test_transport_half_closes(clock):
    """A protocol that knows half-closed connections is told when its side is closed."""

    @implementer(IHalfCloseableProtocol)
    class HalfClosing(Noting):
        def writeConnectionLost(self) -> None:
            self.events.append("write lost")

        def readConnectionLost(self) -> None:
            raise NotImplementedError

    for protocol, events in ((HalfClosing(), ["write lost"]), (Noting(), [])):
        transport = MemoryTransport(clock)
        transport.protocol = protocol
        transport.loseWriteConnection()
        assert protocol.events == []
        clock.advance(0)
        assert protocol.events == events
        assert transport.half_closed


def test_transport_is_strict(transport):
    """It refuses what Twisted's would not do, or would do silently."""
    with pytest.raises(TypeError):
        transport.write("text")
    with pytest.raises(TypeError):
        transport.write(bytearray(b"x"))
    transport.registerProducer(transport.protocol, True)
    with pytest.raises(AssertionError):
        transport.loseConnection()
    transport.unregisterProducer()
    transport.loseWriteConnection()
    with pytest.raises(AssertionError):
        transport.write(b"x")


# Wire


def test_wire():
    """A connection in memory: bytes in, bytes out."""
    wire = Wire(lambda request: Response(b"hello"))
    wire.send(GET)
    assert wire.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.take().endswith(b"\r\n\r\nhello")
    assert wire.received == b""
    wire.send(b"")
    wire.send(GET, 1)
    assert wire.received.endswith(b"hello")
    assert not wire.closed


def test_wire_of_a_factory():
    """It connects to any factory, also to one that takes no more connections."""
    factory = HTTPFactory(lambda request: Response(), Limits(connections=1), reactor=Clock())
    assert not Wire(factory).closed
    wire = Wire(factory)
    assert wire.closed
    wire.send(GET)
    assert wire.received == b""

    class Refusing(Factory):
        def buildProtocol(self, addr: object) -> None:
            return None

    assert Wire(Refusing()).closed


def test_wire_of_another_protocol():
    """It need not speak HTTP."""
    noting = Noting()

    class Making(Factory):
        def buildProtocol(self, addr: object) -> Noting:
            return noting

    wire = Wire(Making())
    wire.send(b"hello", 4)
    wire.half_close()
    assert noting.events == [b"hell", b"o", ConnectionDone]
    assert wire.closed


def test_time():
    """Time passes when it is told to."""
    wire = Wire(lambda request: Response(), Limits(header_timeout=5))
    wire.advance(4.5)
    assert not wire.closed
    wire.advance(2)
    assert wire.closed
    assert wire.clock.seconds() == 6.5


def test_slow_reader():
    """The client reads as it likes."""
    wire = Wire(lambda request: Response(b"x" * 100))
    wire.stop_reading()
    wire.send(GET)
    assert wire.received == b""
    waiting = len(wire.transport.waiting)
    wire.read(10)
    assert len(wire.received) == 10
    wire.read()
    assert len(wire.received) == waiting


def test_hang_up():
    """The client goes without a word."""

    async def handler(request: Request) -> Response:
        with pytest.raises(ClientGone):
            await request.read()
        events.append("gone")
        return Response()

    events: list[str] = []
    wire = Wire(handler)
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh")
    wire.hang_up()
    assert events == ["gone"]
    assert wire.closed
    wire.send(GET)
    wire.half_close()
    wire.hang_up()
