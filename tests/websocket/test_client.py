"""Clients: how a WebSocket is opened, all the ways in which it is not, and what is left then."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from OpenSSL.SSL import Error as TLSError
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IHostnameResolver,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from mynet.http.limits import Limits
from mynet.http.message import Request
from mynet.http.reading import HeadReader
from mynet.testing import SERVER, MemoryTransport, Wire, result_of
from mynet.websocket import client
from mynet.websocket.answer import HandshakeRefused
from mynet.websocket.client import Accepted, Attempt, ClientWebSocket, connect, connect_protocol
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.codes import INTERNAL_ERROR
from mynet.websocket.deflate import Deflate
from mynet.websocket.frames import BINARY, CLOSE, FINAL, TEXT, frame
from mynet.websocket.handshake import HandshakeError, accept_key, check_request
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from mynet.websocket.opening import WebSocketHandler
from mynet.websocket.policy import Policy
from tests.asking import errors_logged, start

URL = "ws://example.test/chat?room=1"
REFUSAL = b"HTTP/1.1 403 Forbidden\r\nX-Why: so\r\nContent-Length: 4\r\n\r\nnope"
MANY = [None, 1, 5]


@implementer(IStreamClientEndpoint)
class Endpoint:
    """A way to a server that a test plays."""

    def __init__(self, clock: Clock | None = None, *, late: bool = False) -> None:
        self.clock = clock or Clock()
        self.transport = MemoryTransport(self.clock)
        self.factory: Any = None
        self.connected: Deferred[Any] | None = Deferred(self._cancel) if late else None
        self.cancelled = False

    def _cancel(self, _: object) -> None:
        self.cancelled = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        self.factory = protocolFactory
        return succeed(self.make_connection()) if self.connected is None else self.connected

    def make_connection(self) -> Any:
        """It is there."""
        self.factory.doStart()
        protocol = self.factory.buildProtocol(SERVER)
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        return protocol

    # The server's part

    @property
    def request(self) -> Request:
        """What the client has asked."""
        head = HeadReader(Limits()).read(self.transport.received)
        assert head is not None
        method, target, version, framing, fields, path, query, _ = head
        exchange: Any = None
        return Request(exchange, method, target, version, framing.host, fields, None, path, query)

    def send(self, data: bytes, size: int | None = None) -> None:
        """The server sends, so many bytes at a time, as long as somebody is there."""
        step = size or max(1, len(data))
        for begin in range(0, len(data), step):
            if not self.transport.disconnected:
                protocol: Any = self.transport.protocol
                protocol.dataReceived(data[begin : begin + step])
        self.clock.advance(0)

    def accept(self, *more: bytes, behind: bytes = b"", size: int | None = None) -> None:
        """The server agrees."""
        self.send(self.acceptance(*more) + behind, size)

    def acceptance(self, *more: bytes) -> bytes:
        """A 101 with these fields, too."""
        key = self.request.headers["Sec-WebSocket-Key"].encode()
        fields = [
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + accept_key(key),
            *more,
        ]
        return b"HTTP/1.1 101 OK\r\n" + b"".join(each + b"\r\n" for each in fields) + b"\r\n"

    @property
    def is_left(self) -> bool:
        """Whether nothing is left: no connection, and nothing that is due."""
        self.clock.advance(0)
        return self.transport.aborted and self.clock.getDelayedCalls() == []


class Recorder(WebSocketProtocol):
    """A protocol that notes what happens to it."""

    def __init__(self, accepted: Accepted) -> None:
        self.accepted = accepted
        self.events: list[Any] = []
        self.transport: Any = None

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        self.events.append("started")

    def negotiationFinished(self) -> None:
        self.events.append("finished")

    def textMessageReceived(self, message: str) -> None:
        self.events.append(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure) -> None:
        assert isinstance(reason.value, WebSocketClosed)
        self.events.append(reason.value.code)


def attempt(endpoint: Endpoint, **options: Any) -> Deferred[Recorder]:
    """Connect a Recorder."""
    options = {"endpoint": endpoint, "reactor": endpoint.clock, **options}
    return connect_protocol(URL, Recorder, **options)


def opened(endpoint: Endpoint, **options: Any) -> ClientWebSocket:
    """A WebSocket that is open."""
    options = {"endpoint": endpoint, "reactor": endpoint.clock, "deflate": None, **options}
    opening = connect(URL, **options)
    endpoint.accept()
    return result_of(opening)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[BaseException]]:
    """Errors that are logged, or lost in a Deferred; a test that expects some takes them away."""
    with errors_logged() as errors:
        yield errors
        gc.collect()
    assert errors == []


# The request


def test_request():
    """The server is asked for what the URL says, by a request that every server understands."""
    endpoint = Endpoint()
    attempt(endpoint)
    request = endpoint.request
    assert (request.method, request.target, request.host) == (
        "GET",
        b"/chat?room=1",
        "example.test",
    )
    handshake = check_request(request.method, request.version, request.raw_headers)
    assert (handshake.subprotocols, handshake.origin) == ((), None)
    assert {each.name for each in handshake.extensions} == {"permessage-deflate"}


def test_request_of_ones_own():
    """Subprotocols, an origin and any other fields can be sent along."""
    endpoint = Endpoint()
    attempt(
        endpoint,
        subprotocols=["chat.v2", "chat"],
        origin="https://example.test",
        headers=[("Cookie", "a=b"), ("X-Two", "1"), ("X-Two", "2")],
        deflate=None,
    )
    request = endpoint.request
    handshake = check_request(request.method, request.version, request.raw_headers)
    assert handshake.subprotocols == ("chat.v2", "chat")
    assert handshake.origin == "https://example.test"
    assert handshake.extensions == []
    assert request.headers["Cookie"] == "a=b"
    assert request.headers.getall("X-Two") == ["1", "2"]


def test_keys():
    """No two requests have the same key."""
    endpoints = [Endpoint() for _ in range(3)]
    for endpoint in endpoints:
        attempt(endpoint)
    assert len({each.request.headers["Sec-WebSocket-Key"] for each in endpoints}) == 3


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("http://example.test", {}, ValueError),
        ("ws://me:secret@example.test", {}, ValueError),
        ("ws://example.test/#there", {}, ValueError),
        ("ws://exa mple.test/", {}, ValueError),
        (URL, {"headers": {"Upgrade": "h2c"}}, ValueError),
        (URL, {"headers": {"X": "a\r\nb: c"}}, ValueError),
        (URL, {"origin": "a\nb"}, ValueError),
        (URL, {"subprotocols": ["a", "a"]}, ValueError),
        (URL, {"subprotocols": ["a b"]}, ValueError),
        (URL, {"max_message_size": -1}, ValueError),
        (URL, {"tls": object()}, ValueError),
        (URL, {"max_size": 1}, TypeError),
        (URL, {"origins": ["*"]}, TypeError),
        (URL, {"leave_timeout": 1}, TypeError),
    ],
)
def test_mistakes(url, options, error):
    """A mistake is found before anybody is connected to."""
    endpoint = Endpoint()
    with pytest.raises(error):
        connect(url, endpoint=endpoint, reactor=endpoint.clock, **options)
    assert endpoint.factory is None
    assert endpoint.clock.getDelayedCalls() == []


# Opening


@pytest.mark.parametrize("size", MANY)
def test_open(size):
    """A protocol is told that it is open, and then of all messages, also those that came along."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    before: list[Any] = []

    def note(protocol: Recorder) -> Recorder:
        before.extend(protocol.events)
        return protocol

    opening.addCallback(note)
    behind = frame(FINAL | TEXT, b"one") + frame(FINAL | BINARY, b"two")
    endpoint.accept(b"X-Served-By: me", behind=behind, size=size)
    protocol = result_of(opening)
    assert before == ["started", "finished"]
    assert protocol.events == ["started", "finished", "one", b"two"]
    assert (protocol.accepted.url, protocol.accepted.subprotocol) == (URL, None)
    assert protocol.accepted.headers["X-Served-By"] == "me"
    endpoint.send(frame(FINAL | TEXT, b"three"), size)
    assert protocol.events[-1] == "three"


def test_open_at_once():
    """A server may answer before the endpoint has said that it is connected."""

    class Prompt(Endpoint):
        def make_connection(self) -> Any:
            protocol = super().make_connection()
            self.accept(behind=frame(FINAL | TEXT, b"one"))
            return protocol

    protocol = result_of(attempt(Prompt()))
    assert protocol.events == ["started", "finished", "one"]


def test_refused_at_once():
    """Or refuse as soon."""

    class Prompt(Endpoint):
        def make_connection(self) -> Any:
            protocol = super().make_connection()
            self.send(REFUSAL)
            return protocol

    endpoint = Prompt()
    with pytest.raises(HandshakeRefused):
        result_of(attempt(endpoint))
    assert endpoint.is_left


def test_deliveries_are_direct():
    """Once it is open there is nothing between the transport and the connection."""
    endpoint = Endpoint()
    socket = opened(endpoint)
    protocol: Any = endpoint.transport.protocol
    assert isinstance(protocol, Attempt)
    assert protocol.direct
    assert protocol.dataReceived == socket.connection.dataReceived
    assert socket.connection.transport is endpoint.transport


def test_subprotocol():
    """What the server has chosen of what was offered is known before there is a protocol."""
    endpoint = Endpoint()
    opening = attempt(endpoint, policy=Policy(subprotocols=["a", "b"]))
    endpoint.accept(b"Sec-WebSocket-Protocol: b")
    assert result_of(opening).accepted.subprotocol == "b"


def test_compression():
    """Messages are compressed as was agreed on, both ways."""
    endpoint = Endpoint()
    handler = WebSocketHandler(lambda request: Echo(), deflate=Deflate(threshold=0))
    opening = connect(URL, endpoint=endpoint, reactor=endpoint.clock, deflate=Deflate(threshold=0))
    wire = Wire(handler, clock=endpoint.clock)
    pass_on = conversation(endpoint, wire)
    socket = result_of(opening)
    assert "permessage-deflate" in socket.response_headers["Sec-WebSocket-Extensions"]
    start(socket.send("hello " * 1000))
    pass_on()
    assert result_of(start(socket.receive())) == "hello " * 1000
    assert handler.shared.stats.bytes_received < 200
    assert socket.connection.shared.stats.bytes_received < 200


class Echo(WebSocketProtocol):
    """It sends back what it gets."""

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)


def conversation(endpoint: Endpoint, wire: Wire) -> Callable[[], None]:
    """Let a client and a server of ours talk; call the result when there is more to pass on."""

    def pass_on() -> None:
        while endpoint.transport.received or wire.received:
            sent, endpoint.transport.received = endpoint.transport.received, b""
            wire.send(sent)
            endpoint.send(wire.take())

    pass_on()
    return pass_on


def test_socket():
    """Coroutines get a socket that knows what was agreed on, and closes itself."""
    endpoint = Endpoint()
    wire = Wire(WebSocketHandler(lambda request: Echo(), subprotocols=["b"]), clock=endpoint.clock)
    said: list[Any] = []

    async def talk() -> None:
        options: Any = {"endpoint": endpoint, "reactor": endpoint.clock}
        async with await connect(URL, subprotocols=["a", "b"], **options) as socket:
            said.extend([socket.url, socket.subprotocol, repr(socket)])
            said.append(socket.response_headers["Upgrade"])
            await socket.send("hello")
            said.append(await socket.receive())
        said.extend([socket.close_code, socket.close_reason])

    done = start(talk())
    conversation(endpoint, wire)
    endpoint.transport.lose(ConnectionDone())  # as it is the server that closes it
    assert result_of(done) is None
    assert said == [URL, "b", f"<ClientWebSocket to {URL}>", "websocket", "hello", 1000, ""]
    assert wire.factory.handler.shared.stats.closed == {1000: 1}
    assert endpoint.clock.getDelayedCalls() == []


def test_socket_that_is_closed_already():
    """To leave the block of one that has been closed is nothing special; errors get through it."""
    endpoint = Endpoint()
    socket = opened(endpoint)

    async def talk() -> None:
        async with socket:
            await socket.receive()

    done = start(talk())
    endpoint.send(frame(FINAL | CLOSE, b"\x0f\xa0done"))
    endpoint.transport.lose(ConnectionDone())
    with pytest.raises(WebSocketClosed, match="4000: done"):
        result_of(done)
    assert (socket.close_code, socket.close_reason) == (4000, "done")


def test_policy():
    """What holds for the connection is said when it is opened."""
    endpoint = Endpoint()
    policy = Policy(max_message_size=3, close_timeout=1)
    socket = opened(endpoint, policy=policy, ping_interval=5)
    assert socket.connection.shared.policy.max_message_size == 3
    assert socket.connection.shared.policy.ping_interval == 5
    endpoint.send(frame(FINAL | TEXT, b"four"))
    endpoint.clock.pump([1, 1, 1])
    assert socket.close_code == 1009
    assert endpoint.transport.aborted


def test_no_delay():
    """Small messages leave at once; transports that cannot be told so are left alone."""
    told: list[bool] = []
    for outcome in (None, OSError()):
        endpoint = Endpoint()

        def set_no_delay(enabled: bool, outcome: OSError | None = outcome) -> None:
            told.append(enabled)
            if outcome is not None:
                raise outcome

        transport: Any = endpoint.transport
        transport.setTcpNoDelay = set_no_delay
        opened(endpoint)
    assert told == [True, True]


# Not opening


@pytest.mark.parametrize("size", MANY)
def test_refused(size):
    """A refusal is told with all that the server said, and the connection is closed."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.send(REFUSAL, size)
    with pytest.raises(HandshakeRefused, match="403 Forbidden") as caught:
        result_of(opening)
    assert (caught.value.status, caught.value.body) == (403, b"nope")
    assert caught.value.headers["X-Why"] == "so"
    assert endpoint.is_left


@pytest.mark.parametrize("size", MANY)
@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Accept"),
        (b"Upgrade: h2c", "upgrade"),
        (b"Sec-WebSocket-Protocol: c", "subprotocol"),
        (b"Sec-WebSocket-Extensions: x-unknown", "extensions"),
        (b"Sec-WebSocket-Extensions: permessage-deflate; x=1", "permessage-deflate"),
        (b"Sec-WebSocket-Extensions: ;", "malformed"),
        (b"Folded: a\r\n b", "malformed"),
        (b"Bad Name: a", "malformed"),
    ],
)
def test_wrong_answers(more, problem, size):
    """What the server did not get from us is no answer; nothing behind it is looked at."""
    endpoint = Endpoint()
    built: list[Accepted] = []

    def build(accepted: Accepted) -> Recorder:
        built.append(accepted)
        return Recorder(accepted)

    opening = connect_protocol(
        URL, build, endpoint=endpoint, reactor=endpoint.clock, subprotocols=["a"]
    )
    endpoint.accept(more, behind=frame(FINAL | TEXT, b"hello"), size=size)
    with pytest.raises(HandshakeError, match=problem):
        result_of(opening)
    assert built == []
    assert endpoint.is_left


def test_not_http():
    """A server of something else is found out at its first word."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(HandshakeError, match="not HTTP"):
        result_of(opening)
    assert endpoint.is_left


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"])
def test_closed_early(sent):
    """A server that closes instead of answering is told from one that refuses."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.send(sent)
    endpoint.transport.lose(ConnectionDone())
    with pytest.raises(HandshakeError, match="closed the connection before it answered"):
        result_of(opening)
    assert not endpoint.transport.aborted
    assert endpoint.clock.getDelayedCalls() == []


@pytest.mark.parametrize("reason", [ConnectionLost("reset"), TLSError([("a", "b", "c")])])
def test_lost_early(reason):
    """A connection that fails tells why, in Twisted's words."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.transport.lose(reason)
    with pytest.raises(type(reason)) as caught:
        result_of(opening)
    assert caught.value is reason
    assert endpoint.clock.getDelayedCalls() == []


@pytest.mark.parametrize("reason", [ConnectionDone(), ConnectionLost()])
def test_closed_while_refusing(reason):
    """A refusal holds, however its connection ends; for some its body has no other end."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.send(b"HTTP/1.1 503 Unavailable\r\n\r\nsorry")
    assert not opening.called
    endpoint.transport.lose(reason)
    with pytest.raises(HandshakeRefused, match="503") as caught:
        result_of(opening)
    assert caught.value.body == b"sorry"
    assert endpoint.clock.getDelayedCalls() == []


def test_no_connection():
    """Where there is nobody, that is told as Twisted does."""
    endpoint = Endpoint(late=True)
    opening = attempt(endpoint)
    assert endpoint.connected is not None
    endpoint.connected.errback(ConnectionRefusedError())
    with pytest.raises(ConnectionRefusedError):
        result_of(opening)
    assert endpoint.clock.getDelayedCalls() == []


@pytest.mark.parametrize("raises", [True, False])
def test_endpoint_that_fails_at_once(raises):
    """So is what an endpoint finds wrong before it begins."""

    class Broken(Endpoint):
        def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
            if raises:
                raise RuntimeError("no")
            return fail(RuntimeError("no"))

    endpoint = Broken()
    with pytest.raises(RuntimeError, match="no"):
        result_of(attempt(endpoint))
    assert endpoint.clock.getDelayedCalls() == []


def test_no_protocol():
    """What goes wrong in making the protocol is told to who connects, and the server not kept."""
    endpoint = Endpoint()

    def build(accepted: Accepted) -> Recorder:
        raise LookupError(accepted.url)

    opening = connect_protocol(URL, build, endpoint=endpoint, reactor=endpoint.clock)
    endpoint.accept(behind=frame(FINAL | TEXT, b"hello"))
    with pytest.raises(LookupError, match="chat"):
        result_of(opening)
    assert endpoint.is_left


def test_protocol_that_fails(logged):
    """A protocol that fails as it begins is closed with 1011, as at any other time."""

    class Failing(Recorder):
        def negotiationFinished(self) -> None:
            raise LookupError

    endpoint = Endpoint()
    opening = connect_protocol(
        URL, Failing, endpoint=endpoint, reactor=endpoint.clock, close_timeout=1
    )
    endpoint.accept(behind=frame(FINAL | TEXT, b"hello"))
    assert type(logged.pop()) is LookupError
    endpoint.clock.pump([1, 1, 1])
    assert result_of(opening).events == ["started", INTERNAL_ERROR]


# Deadlines


def test_deadline_of_connecting():
    """Nobody waits for ever for a server that cannot be reached."""
    endpoint = Endpoint(late=True)
    opening = attempt(endpoint, handshake_timeout=3)
    endpoint.clock.advance(2.9)
    assert not opening.called
    endpoint.clock.advance(0.1)
    with pytest.raises(TimeoutError, match="after 3 s"):
        result_of(opening)
    assert endpoint.cancelled
    assert endpoint.clock.getDelayedCalls() == []


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"])
def test_deadline_of_answering(sent):
    """Nor for one that does not answer, or not to the end; connecting counts, too."""
    endpoint = Endpoint(late=True)
    opening = attempt(endpoint, policy=Policy(handshake_timeout=3))
    endpoint.clock.advance(2)
    assert endpoint.connected is not None
    endpoint.connected.callback(endpoint.make_connection())
    endpoint.send(sent)
    endpoint.clock.advance(1)
    with pytest.raises(TimeoutError):
        result_of(opening)
    assert endpoint.is_left


def test_deadline_of_refusing():
    """A refusal that does not come to its end is told as far as it is known."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.send(REFUSAL[:-1])
    endpoint.clock.advance(10)
    with pytest.raises(HandshakeRefused) as caught:
        result_of(opening)
    assert caught.value.body == b"nop"
    assert endpoint.is_left


def test_no_deadline_once_open():
    """A WebSocket that is open stays so."""
    endpoint = Endpoint()
    socket = opened(endpoint, handshake_timeout=3, ping_interval=None)
    endpoint.clock.pump([1] * 100)
    assert socket.close_code is None
    assert not endpoint.transport.aborted


# Cancelling


def assert_cancelled(opening: Deferred[Any]) -> None:
    with pytest.raises(CancelledError):
        result_of(opening)


def test_cancel_connecting():
    """Who gives up before there is a connection leaves none behind."""
    endpoint = Endpoint(late=True)
    opening = attempt(endpoint)
    opening.cancel()
    assert_cancelled(opening)
    assert endpoint.cancelled
    assert endpoint.clock.getDelayedCalls() == []


@pytest.mark.parametrize("late", ["cancelled", "timed out"])
def test_endpoint_that_goes_on(late):
    """Where an endpoint connects all the same, that connection is cut off, and asked nothing."""
    endpoint = Endpoint(late=True)
    endpoint.connected = Deferred(lambda _: None)
    opening = attempt(endpoint)
    opening.addErrback(lambda failure: None)
    if late == "cancelled":
        opening.cancel()
    else:
        endpoint.clock.advance(10)
    endpoint.make_connection()
    assert endpoint.is_left
    assert endpoint.transport.received == b""
    endpoint.send(REFUSAL)


@pytest.mark.parametrize("sent", [0, 1, 60])
def test_cancel_waiting(sent):
    """Who gives up before there is an answer closes the connection; what still comes is ignored."""
    built: list[Accepted] = []

    def build(accepted: Accepted) -> Recorder:
        built.append(accepted)
        return Recorder(accepted)

    endpoint = Endpoint()
    opening = connect_protocol(URL, build, endpoint=endpoint, reactor=endpoint.clock)
    answer = endpoint.acceptance()
    endpoint.send(answer[:sent])
    opening.cancel()
    protocol: Any = endpoint.transport.protocol
    protocol.dataReceived(answer[sent:])
    assert_cancelled(opening)
    assert endpoint.is_left
    assert built == []


def test_cancel_in_the_middle():
    """Who gives up just when it opens leaves nothing behind either."""
    protocols: list[Recorder] = []

    def build(accepted: Accepted) -> Recorder:
        opening.cancel()
        protocols.append(Recorder(accepted))
        return protocols[0]

    endpoint = Endpoint()
    opening = connect_protocol(URL, build, endpoint=endpoint, reactor=endpoint.clock)
    endpoint.accept()
    assert_cancelled(opening)
    assert endpoint.is_left
    assert protocols[0].events == []


def test_cancel_at_the_last_moment():
    """So does a protocol that gives up when it is told that it begins."""
    protocols: list[Recorder] = []

    class Hasty(Recorder):
        def negotiationStarted(self, transport: WebSocketTransport) -> None:
            super().negotiationStarted(transport)
            protocols.append(self)
            opening.cancel()

    endpoint = Endpoint()
    opening = connect_protocol(URL, Hasty, endpoint=endpoint, reactor=endpoint.clock)
    endpoint.accept()
    assert_cancelled(opening)
    assert endpoint.is_left
    assert protocols[0].events == ["started", "finished", 1006]


def test_cancel_too_late():
    """Once it is open, it is the socket that is closed, not the opening."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.accept()
    protocol = result_of(opening)
    opening.cancel()
    endpoint.clock.advance(1)
    assert protocol.events == ["started", "finished"]
    assert not endpoint.transport.aborted


# Afterwards


def test_loss():
    """The end of the connection is told once, to whom it belongs."""
    endpoint = Endpoint()
    opening = attempt(endpoint)
    endpoint.accept()
    protocol = result_of(opening)
    endpoint.transport.lose(ConnectionLost())
    assert protocol.events == ["started", "finished", 1006]
    handler: Any = endpoint.transport.protocol
    handler.connectionLost(Failure(ConnectionLost()))
    handler.dataReceived(b"late")
    assert protocol.events == ["started", "finished", 1006]
    assert endpoint.clock.getDelayedCalls() == []


def test_nothing_is_kept():
    """A connection that is over is let go of at once, without a search for garbage."""
    gc.collect()
    gc.disable()
    try:
        endpoint = Endpoint()
        opening = attempt(endpoint)
        endpoint.accept()
        held: Any = endpoint.transport.protocol  # as by endpoints of Twisted's, in their cycles
        protocol: Any = opening.result
        connection = protocol.transport
        kept = (protocol, connection, endpoint.transport)
        ends: list[weakref.ref[Any]] = [weakref.ref(each) for each in kept]
        endpoint.transport.lose(ConnectionDone())
        endpoint.transport.producer = None  # Twisted's own forget it
        del endpoint, opening, protocol, connection, kept
        assert [end() for end in ends] == [None, None, None]
        assert held.transport is None
    finally:
        gc.enable()


def test_time_is_shared():
    """All clients of a reactor have their deadlines looked at together, and of others apart."""
    clock = Clock()
    first, second = Endpoint(clock), Endpoint(clock)
    sockets = [opened(first), opened(second)]
    assert sockets[0].connection.sweep is sockets[1].connection.sweep
    assert len(clock.getDelayedCalls()) == 1
    elsewhere = opened(Endpoint())
    assert elsewhere.connection.sweep is not sockets[0].connection.sweep
    first.transport.lose(ConnectionDone())
    assert len(clock.getDelayedCalls()) == 1
    second.transport.lose(ConnectionDone())
    assert clock.getDelayedCalls() == []


def test_reactors_are_let_go_of():
    """A reactor that was used is not kept for that."""
    endpoint = Endpoint()
    socket = opened(endpoint)
    clock = weakref.ref(endpoint.clock)
    endpoint.transport.lose(ConnectionDone())
    before = len(client._sweeps)
    del endpoint, socket
    gc.collect()
    assert clock() is None
    assert len(client._sweeps) < before


def test_peer_that_is_dead():
    """A server that gives no sign of life is missed."""
    endpoint = Endpoint()
    socket = opened(endpoint, ping_interval=20, ping_timeout=20)
    endpoint.clock.pump([1] * 45)
    assert (socket.close_code, socket.close_reason) == (1006, "no sign of life")


# Where it connects


@implementer(IHostnameResolver)
class Resolver:
    """It knows one address, and notes for which names it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(None)
        resolutionReceiver.addressResolved(IPv4Address("TCP", "192.0.2.7", portNumber))
        resolutionReceiver.resolutionComplete()


def memory_reactor() -> Any:
    """A reactor that connects to nobody."""
    reactor: Any = MemoryReactorClock()
    reactor.nameResolver = Resolver()
    alsoProvides(reactor, IReactorPluggableNameResolver)
    return reactor


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("ws://example.test", "example.test", 80),
        ("ws://example.test:8080/x", "example.test", 8080),
        ("ws://bücher.example", "xn--bcher-kva.example", 80),
        ("ws://127.0.0.1", "127.0.0.1", 80),
        ("ws://[2001:db8::1]:81", "2001:db8::1", 81),
    ],
)
def test_where_it_connects(url, host, port):
    """The URL's host is looked up, its port connected to; whoever gives up stops that."""
    reactor = memory_reactor()
    opening = connect(url, reactor=reactor)
    assert reactor.nameResolver.asked == [host]
    (client_of,) = reactor.tcpClients
    assert client_of[:2] == ("192.0.2.7", port)
    opening.cancel()
    assert_cancelled(opening)
    assert reactor.connectors[0].stoppedConnecting
    assert reactor.getDelayedCalls() == []


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.parametrize("given", [True, False])
def test_tls(given):
    """With wss TLS is begun before anything is said, also where an endpoint is given."""
    reactor = memory_reactor()
    endpoint = TCP4ClientEndpoint(reactor, "192.0.2.8", 99) if given else None
    opening = connect("wss://example.test/secret", reactor=reactor, endpoint=endpoint)
    (client_of,) = reactor.tcpClients
    assert client_of[:2] == (("192.0.2.8", 99) if given else ("192.0.2.7", 443))
    transport = StringTransport()
    client_of[2].buildProtocol(SERVER).makeConnection(transport)
    said = transport.value()
    assert said.startswith(b"\x16\x03")  # a ClientHello
    assert b"example.test" in said
    assert b"secret" not in said
    opening.cancel()
    assert_cancelled(opening)
    assert transport.disconnected


def test_global_reactor():
    """Its time is the global reactor's, unless it is given another."""
    from twisted.internet import reactor

    endpoint = Endpoint()
    opening = connect(URL, endpoint=endpoint)
    endpoint.accept()
    socket = result_of(opening)
    assert socket.connection.sweep.clock is reactor
    endpoint.transport.lose(ConnectionDone())
