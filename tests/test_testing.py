"""The tools that users test with: they must be as strict as what they stand for."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import pytest
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet import App, Handler
from mynet.http import ClientGone, HTTPError, HTTPFactory, Limits, Request, Response, Upgrade
from mynet.testing import (
    CLIENT,
    HIGH_WATER,
    SERVER,
    Client,
    MemoryExchange,
    MemoryTransport,
    Peer,
    Refused,
    Wire,
    make_request,
    result_of,
)
from mynet.websocket import Deflate, WebSocket, WebSocketClosed, WebSocketDone
from mynet.websocket.connection import State
from mynet.websocket.handshake import HandshakeError

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


def test_exchange_is_cut():
    """A handler that cuts its client off is seen to have done so, and its client is gone."""
    exchange = MemoryExchange()
    gone = make_request(exchange=exchange).disconnected()
    exchange.abort()
    assert exchange.aborted
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


# WebSockets


class Chat:
    """What is said is said to all."""

    def __init__(self, **fields: Any) -> None:
        self.app = App()
        self.sockets: list[WebSocket] = []
        self.ends: list[int | None] = []
        self.app.websocket("/chat", **fields)(self.chat)

    async def chat(self, socket: WebSocket) -> None:
        await socket.accept()
        self.sockets.append(socket)
        async for message in socket:
            for each in self.sockets:
                await each.send(message)
            if message == "enough":
                await socket.close(4000, "you say so")
        self.sockets.remove(socket)
        self.ends.append(socket.close_code)


@pytest.fixture
def chat() -> Chat:
    return Chat()


def connect(handler: Handler, **options: Any) -> Peer:
    return result_of(Client(handler).websocket("/chat", **options))


def test_websocket(chat):
    """Several clients talk to one another, in a test without a single `await`."""
    client = Client(chat.app)
    alice, bob = (result_of(client.websocket("/chat")) for _ in range(2))
    alice.send("hello")
    bob.send(b"\x00\xff")
    assert alice.take() == bob.take() == ["hello", b"\x00\xff"]
    assert bob.take() == []
    assert result_of(alice.close()) is None
    assert (alice.close_code, bob.close_code) == (1000, None)
    assert len(chat.sockets) == len(chat.ends) == 1
    assert chat.ends == [1000]
    assert (repr(alice), repr(bob)) == ("<Peer, lost>", "<Peer, open>")


def test_websocket_awaited(chat):
    """Or in one that waits, with blocks at whose ends they are closed."""

    async def test() -> list[str | bytes]:
        client = Client(chat.app)
        async with await client.websocket("/chat") as alice:
            async with await client.websocket("/chat") as bob:
                await bob.send("a")
                assert await alice.receive() == await bob.receive() == "a"
                assert await alice.ping() == 0
            assert bob.close_code == 1000
            await alice.send("b")
            await alice.send("enough")
            messages = [message async for message in alice]
        assert (alice.close_code, alice.close_reason) == (4000, "you say so")
        return messages

    assert result_of(Deferred.fromCoroutine(test())) == ["b", "enough"]


def test_websocket_receives_later(chat):
    """Who waits gets what comes, and hears when nothing will come any more."""
    peer = connect(chat.app)
    waiting = peer.receive()
    assert not waiting.called
    peer.send("a")
    assert result_of(waiting) == "a"
    waiting = peer.receive()
    result_of(peer.close(3000, "bye"))
    for each in (waiting, peer.receive()):
        with pytest.raises(WebSocketDone, match=r"^3000$"):
            result_of(each)
    with pytest.raises(WebSocketClosed):
        peer.send("too late")


@pytest.mark.parametrize("code", [1005, 2999, 5000])
def test_websocket_checks_codes(chat, code):
    """No client can close with what is no code to be sent."""
    peer = connect(chat.app)
    with pytest.raises(ValueError, match="not a close code"):
        result_of(peer.close(code))
    assert peer.close_code is None


def test_websocket_refused():
    """What is not opened tells the answer, as it would be read."""

    async def refuse(request: Request) -> Response:
        return Response(b"wait", 429, {"Retry-After": "5"})

    for refused, status, body in ((refuse, 429, b"wait"), (App(), 404, b"404 Not Found\n")):
        with pytest.raises(Refused) as caught:
            connect(refused)
        answer = caught.value.answer
        assert (answer.status, answer.body) == (status, body)
        assert str(caught.value) == f"<Answer {status} {body!r}>"


def test_websocket_handler_fails():
    """What a handler raises, the test gets; once it is open, its client gets 1011."""
    app = App()

    @app.websocket("/chat")
    async def fail_early(socket: WebSocket) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connect(app)


def test_websocket_is_not_what_was_asked_for():
    """No client takes an upgrade to something else, or a field that cannot be sent."""
    with pytest.raises(HandshakeError, match="does not upgrade to websocket"):
        connect(lambda request: Upgrade("echo", Protocol()))
    with pytest.raises(ValueError, match="not a valid header field"):
        connect(lambda request: Upgrade("websocket", Protocol(), {"A": "b\r\nc"}))


def test_websocket_request():
    """The handler sees what the client asked with, and the client what it was answered."""
    seen: list[Request] = []
    app = App()

    @app.websocket("/chat", subprotocols=["b", "c"])
    async def chat(socket: WebSocket) -> None:
        seen.append(socket.request)
        await socket.accept(headers=[("X-Room", "5")])

    headers = {"Cookie": "a=b", "host": "example.test", "Origin": "http://example.test"}
    peer = result_of(Client(app).websocket("/chat?a=b", subprotocols=["a", "b"], headers=headers))
    assert (peer.subprotocol, peer.answer.headers["X-Room"]) == ("b", "5")
    assert seen[0].target == b"/chat?a=b"
    assert [seen[0].headers[name] for name in headers] == [*headers.values()]
    assert seen[0].finished
    with pytest.raises(ValueError, match="is for the handshake to set"):
        connect(app, headers={"Upgrade": "websocket"})
    with pytest.raises(Refused, match="403"):
        connect(app, headers={"Origin": "http://elsewhere.test"})


def test_websocket_compressed(chat):
    """It is compressed if one asks for that, and not else."""
    text = "the same " * 100
    counts = []
    for deflate in (None, Deflate()):
        peer = connect(chat.app, deflate=deflate)
        peer.send(text)
        assert peer.take() == [text]
        counts.append(peer.connection.shared.stats.bytes_received)
        result_of(peer.close())
    assert counts[0] > len(text) > 5 * counts[1]


def test_websocket_time_passes(chat):
    """Time is the client's: deadlines pass when it says so, and pings are answered."""
    client = Client(chat.app)
    alive, dead = (result_of(client.websocket("/chat")) for _ in range(2))
    dead.stop_reading()
    client.advance(50)
    assert chat.ends == [1006]
    assert alive.connection.state is State.OPEN
    assert dead.close_code is None  # for it does not read
    dead.read()
    assert dead.close_code == 1006
    latency = alive.ping()
    assert result_of(latency) == 0


def test_websocket_stops_reading():
    """Who reads no more gets all in order when it reads again."""
    chat = Chat(slow_consumer="drop-oldest", send_limit=10_000, max_message_size=None)
    peer = connect(chat.app)
    peer.stop_reading()
    for number in range(300):
        peer.send(f"{number:1000}")
    assert peer.take() == []
    peer.read()
    numbers = [int(message) for message in peer.take()]
    assert numbers == sorted(numbers)
    assert 60 < len(numbers) < 100
    assert numbers[-1] == 299


def test_websocket_waits_to_send():
    """Who sends more than is received has to wait."""
    app = App()
    sockets = []

    @app.websocket("/chat")
    async def idle(socket: WebSocket) -> None:
        await socket.accept()
        sockets.append(socket)
        await socket.request.exchange.disconnected()

    client = Client(app)
    peer = result_of(client.websocket("/chat"))
    sent = [peer.send(bytes(50_000)) for _ in range(20)]
    assert not sent[-1].called
    for _ in range(20):
        client.advance(0)
        assert result_of(Deferred.fromCoroutine(sockets[0].receive())) == bytes(50_000)
    assert sent[-1].called


def test_websocket_hangs_up(chat):
    """A client may be gone without a word: to it the connection is lost, and so to the handler."""
    peer = connect(chat.app)
    peer.hang_up()
    assert (peer.close_code, chat.ends) == (1006, [1006])
    peer.hang_up()
    assert chat.sockets == []


def test_websocket_client_goes_before():
    """A client may go while the handler has not decided."""
    app = App()
    cancelled: list[object] = []

    @app.websocket("/chat")
    async def slow(socket: WebSocket) -> None:
        await Deferred(cancelled.append)

    opening = Client(app).websocket("/chat")
    opening.cancel()
    with pytest.raises(CancelledError):
        result_of(opening)
    assert len(cancelled) == 1


def test_websocket_too_late():
    """Deadlines of the handshake are those of the client's clock, too."""
    app = App()

    @app.websocket("/chat", handshake_timeout=5)
    async def slow(socket: WebSocket) -> None:
        await Deferred()

    client = Client(app)
    opening = client.websocket("/chat")
    client.advance(4)
    assert not opening.called
    client.advance(1)
    with pytest.raises(Refused, match="503"):
        result_of(opening)


def test_websocket_violation(chat):
    """A client may break the rules below its connection, and is told so like any other."""
    peer = connect(chat.app)
    peer.transport.write(b"\xff\xff")
    assert peer.take() == []
    assert peer.close_code == 1002


@ensureDeferred
async def test_websocket_with_what_is_real():
    """Where a reactor runs a handler may wait for it; its client gets to know by itself."""
    app = App()

    @app.websocket("/chat")
    async def threaded(socket: WebSocket) -> None:
        await sleep(0)
        await socket.send(await deferToThread(str, 5))
        await deferToThread(str, 5)

    for clock in (None, reactor):
        peer = await Client(app, clock).websocket("/chat")
        assert await peer.receive() == "5"
        with pytest.raises(WebSocketDone, match="1000"):
            await peer.receive()


def test_time_of_a_reactor():
    """A reactor's time passes by itself, and nobody can let it pass."""
    with pytest.raises(TypeError, match="passes by itself"):
        Client(App(), reactor).advance(1)


def test_asyncio_sleep():
    """A handler that only lets others go first need not wait for anybody."""

    async def handler(request: Request) -> Response:
        await sleep(0)
        return Response(b"hello")

    assert result_of(Client(handler).get("/")).text == "hello"
