"""The course of an HTTP/1.1 connection: one request after the other, until it ends or changes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
)
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet.http.factory import HTTPFactory
from mynet.http.http1 import READ_AHEAD
from mynet.http.limits import KIB, Limits
from mynet.http.message import Request, Response, Upgrade
from mynet.http.shared import Access
from mynet.testing import Wire
from tests.conversation import (
    BEHIND,
    GET,
    UPGRADE,
    Echo,
    Recorder,
    Waiting,
    head,
    post,
    replies,
    reply,
)


def get(path: str, *fields: bytes, version: str = "1.1") -> bytes:
    return head(*fields, line=f"GET {path} HTTP/{version}".encode())


def writes_of(wire: Wire) -> list[bytes]:
    """What is written to a connection's transport from now on, call by call."""
    calls: list[bytes] = []
    write = wire.transport.write

    def note(data: bytes) -> None:
        calls.append(data)
        write(data)

    wire.transport.write = note  # type: ignore[method-assign]
    return calls


def test_interfaces():
    """Twisted's transports find what they ask for."""
    wire = Wire(Recorder())
    for interface in (IProtocol, IHalfCloseableProtocol, IPushProducer):
        assert verifyObject(interface, wire.protocol)


# One request after the other


@pytest.mark.parametrize(
    ("version", "fields", "is_kept"),
    [
        ("1.1", [], True),
        ("1.1", [b"Connection: keep-alive"], True),
        ("1.1", [b"Connection: close"], False),
        ("1.1", [b"Connection: CLOSE"], False),
        ("1.1", [b"Connection: x, \tclose ,y"], False),
        ("1.1", [b"Connection: x", b"connection: close"], False),
        ("1.1", [b"Connection: keep-alive, close"], False),
        ("1.1", [b"Connection: closed"], True),
        ("1.1", [b"Connection: x close"], True),
        ("1.1", [b"Connection:"], True),
        ("1.1", [b"Proxy-Connection: close"], True),
        ("1.0", [], False),
        ("1.0", [b"Connection: keep-alive"], True),
        ("1.0", [b"Connection: Keep-Alive, x"], True),
        ("1.0", [b"Connection: x", b"connection: keep-alive"], True),
        ("1.0", [b"Connection: close"], False),
        ("1.0", [b"Connection: keep-alive, close"], False),
        ("1.0", [b"Connection: x"], False),
    ],
)
@pytest.mark.parametrize("size", [None, 1])
def test_whether_a_connection_is_kept(version, fields, is_kept, size):
    """A connection is kept, or not, as its client wishes (RFC 9112 section 9.3)."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(get("/", *fields, version=version) + BEHIND, size)
    answers = replies(wire, "GET", "GET") if is_kept else replies(wire)
    assert answers[0].closes is not is_kept
    assert answers[0].version == "1.1"
    assert handler.requests[0].version == version
    assert len(handler.requests) == (2 if is_kept else 1)
    assert wire.closed is not is_kept


def test_connection_that_was_to_close_is_deaf():
    """Nothing behind the last request is a request."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/", b"Connection: close"))
    wire.send(GET)
    handler.answers[0].callback(Response())
    wire.send(GET)
    assert reply(wire).closes
    wire.send(GET)
    wire.advance(3)
    assert wire.received == b""
    assert wire.transport.disconnected
    assert len(handler.requests) == 1


def test_many_requests():
    """Heads that repeat, and heads that nearly do, are each read for what they say."""
    handler = Recorder()
    wire = Wire(handler)
    heads = [
        get("/a"), get("/b"), get("/b?c"), head(line=b"POST /d HTTP/1.1"), get("http://e.test/f"),
        get("/g"), get("/h", version="1.0"), get("/i", b"Connection: keep-alive", version="1.0"),
        get("/j", b"A: b"), get("/k", b"A: c"), get("/l"), get("/l"),
    ]  # fmt: skip
    del heads[6]
    for data in heads:
        wire.send(data)
        assert reply(wire).status == 200
    assert [request.target for request in handler.requests] == [
        b"/a", b"/b", b"/b?c", b"/d", b"http://e.test/f", b"/g", b"/i", b"/j", b"/k", b"/l", b"/l",
    ]  # fmt: skip
    assert [request.host for request in handler.requests[3:6]] == [
        "example.test", "e.test", "example.test",
    ]  # fmt: skip
    assert [request.version for request in handler.requests[5:8]] == ["1.1", "1.0", "1.1"]
    assert [request.headers.get("a") for request in handler.requests[7:10]] == ["b", "c", None]


@pytest.mark.parametrize(
    "target", [b"/#a", b"/\xe9", b"/\0", b"/\x7f", b"/ ", b"", b"*", b"/" + b"a" * 9000, b"x"]
)
def test_head_that_repeats_but_for_what_is_wrong(target):
    """A head whose fields have been seen before is judged by its target all the same."""
    wire = Wire(Recorder())
    for _ in range(3):
        wire.send(GET)
        assert reply(wire).status == 200
    wire.send(head(line=b"GET " + target + b" HTTP/1.1"))
    assert reply(wire).status == (414 if len(target) > 8192 else 400)
    assert wire.closed


# Pipelining


def test_pipelined_requests_are_answered_in_order():
    """A request is begun when the one before it has been answered, and not earlier."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/1") + get("/2") + get("/3"))
    for number in (1, 2, 3):
        assert len(handler.requests) == number
        handler.answers[-1].callback(Response(b"%d" % number))
    assert [answer.body for answer in replies(wire, *["GET"] * 3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("seed", range(5))
def test_pipelined_requests_in_any_pieces(seed):
    """However a pipeline is cut, its requests are read and answered the same."""
    random.seed(seed)
    data = b"".join(
        random.choice(
            [
                get(f"/{number}"),
                head(line=f"HEAD /{number} HTTP/1.1".encode()),
                post(b"Content-Length: 5", body=b"hello"),
                post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
                b"\r\n" + get(f"/{number}", b"Connection: keep-alive", version="1.0"),
            ]
        )
        for number in range(20)
    )
    whole, handler = Wire(Recorder()), Recorder()
    whole.send(data)
    wire = Wire(handler)
    while data:
        size = random.randint(1, 60)
        wire.send(data[:size])
        data = data[size:]
    methods = [request.method for request in handler.requests]
    assert len(methods) == 20
    expected, found = replies(whole, *methods), replies(wire, *methods)
    assert [answer.body for answer in found] == [answer.body for answer in expected]


def test_pipelined_responses_are_one_write():
    """Responses to requests that came together leave together."""
    wire = Wire(Recorder())
    calls = writes_of(wire)
    wire.send(get("/1") + get("/2") + get("/3"))
    assert len(calls) == 1
    assert len(replies(wire, *["GET"] * 3)) == 3


def test_large_pipelined_responses_are_not_gathered():
    """They leave before they are too much to hold."""
    wire = Wire(lambda request: Response(b"x" * 30 * KIB))
    calls = writes_of(wire)
    wire.send(GET * 10)
    assert max(map(len, calls)) < 100 * KIB
    assert len(replies(wire, *["GET"] * 10)) == 10


def test_response_is_one_write():
    """A response in one piece is one write: head and body."""
    for response in (Response(b"x" * 60 * KIB), Response(b"hello", headers={"A": "b"})):
        wire = Wire(lambda request, response=response: response)  # type: ignore[misc]
        calls = writes_of(wire)
        wire.send(GET)
        assert len(calls) == 1


def test_reading_ahead_is_bounded():
    """What a client sends behind a request in progress is let in up to a limit."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(GET)
    request = get("/" + "a" * 1000)
    sent = 0
    while not wire.transport.paused:
        wire.send(request)
        sent += 1
    assert READ_AHEAD <= sent * len(request) < READ_AHEAD + 2 * len(request)
    while len(handler.answers) < 1 + sent:
        handler.answers[-1].callback(Response())
    assert not wire.transport.paused
    handler.answers[-1].callback(Response())
    assert len(replies(wire, *["GET"] * (1 + sent))) == 1 + sent


def test_nothing_is_begun_for_a_client_that_does_not_read():
    """A client that asks and asks and does not read makes nobody work."""
    asked: list[Request] = []

    def handler(request: Request) -> Response:
        asked.append(request)
        return Response(b"x" * 70 * KIB if len(asked) < 5 else b"")

    wire = Wire(handler)
    wire.stop_reading()
    wire.send(GET * 100)
    assert len(asked) == 1
    wire.send(GET)
    assert len(asked) == 1
    for count in (2, 3, 4):
        wire.read(len(wire.transport.waiting))
        assert len(asked) == count
    while not wire.transport.paused:
        wire.send(GET * 100)
    assert len(asked) == 4
    wire.read()
    assert not wire.transport.paused
    assert len(asked) > 1000


def test_body_and_response_at_once():
    """A response may stream while the body of its request still comes."""

    async def echo(request: Request) -> AsyncIterator[bytes]:
        async for data in request:
            yield data.upper()

    wire = Wire(lambda request: Response(echo(request)))
    wire.send(post(b"Transfer-Encoding: chunked"))
    wire.send(b"5\r\nhello\r\n")
    assert wire.received.endswith(b"5\r\nHELLO\r\n")
    wire.send(b"1\r\n!\r\n0\r\n\r\n" + GET)
    assert [answer.body for answer in replies(wire, "POST", "GET")] == [b"HELLO!", b""]


# Clients that close their sending side


@pytest.mark.parametrize("size", [None, 1])
def test_half_closed_client(size):
    """A client that closes its sending side, as `nc -N` does, gets all its answers."""
    wire = Wire(Recorder())
    wire.send(get("/1") + get("/2"), size)
    wire.half_close()
    assert [answer.body for answer in replies(wire, "GET", "GET")] == [b"/1", b"/2"]
    assert wire.transport.disconnected


def test_half_closed_client_whose_handlers_wait():
    """Also when they take their time, one after the other; then the connection ends."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/1") + get("/2"))
    wire.half_close()
    handler.answers[0].callback(Response(b"1"))
    assert not wire.closed
    handler.answers[1].callback(Response(b"2"))
    assert [answer.body for answer in replies(wire, "GET", "GET")] == [b"1", b"2"]
    assert wire.transport.disconnected


def test_half_closed_client_may_have_gone():
    """Whoever asks is told, since it may have gone; what it had asked before is another matter."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/1") + get("/2"))
    told: list[int] = []
    handler.requests[0].disconnected().addCallback(lambda _: told.append(1))
    wire.half_close()
    assert told == [1]
    handler.answers[0].callback(Response(b"1"))
    handler.requests[1].disconnected().addCallback(lambda _: told.append(2))
    assert told == [1]
    wire.hang_up()
    assert told == [1, 2]
    assert reply(wire).body == b"1"


def test_half_closed_client_may_have_gone_already():
    """Who asks only afterwards is told at once: nothing else would ever tell."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/1") + get("/2"))
    wire.half_close()
    assert handler.requests[0].disconnected().called
    handler.answers[0].callback(Response(b"1"))
    assert not handler.requests[1].disconnected().called


def test_half_closed_client_is_answered_when_that_is_told():
    """What comes of being told is one request's own, and not the next one's."""
    handler = Waiting()
    wire = Wire(handler)
    wire.send(get("/1") + get("/2"))
    told = handler.requests[0].disconnected()
    told.addCallback(lambda _: handler.answers[0].callback(Response(b"1")))
    wire.half_close()
    assert not handler.requests[1].disconnected().called


def test_half_closed_client_that_does_not_read():
    """Also when it reads slowly: the connection ends when it has read all."""
    wire = Wire(lambda request: Response(b"x" * 100 * KIB))
    wire.stop_reading()
    wire.send(GET)
    wire.half_close()
    assert not wire.transport.disconnected
    wire.read()
    assert len(reply(wire).body) == 100 * KIB
    assert wire.transport.disconnected


def test_half_closed_client_that_said_nothing():
    """Where nothing was asked, nothing is said."""
    for data in (b"", b"\r\n"):
        wire = Wire(Recorder())
        wire.send(data)
        wire.half_close()
        assert wire.received == b""
        assert wire.transport.disconnected


def test_half_closed_client_between_requests():
    """A client that has had its answers may end the connection so."""
    wire = Wire(Recorder())
    wire.send(GET)
    assert reply(wire).status == 200
    wire.half_close()
    assert wire.received == b""
    assert wire.transport.disconnected


def test_half_closed_client_within_a_head():
    """A head that will never be whole is answered as what it is."""
    wire = Wire(Recorder())
    wire.send(GET + GET[:-1])
    wire.half_close()
    first, second = replies(wire, "GET", "GET")
    assert (first.status, second.status) == (200, 400)
    assert wire.transport.disconnected


# Upgrades


@implementer(IHalfCloseableProtocol)
class HalfCloseableEcho(Echo):
    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"


@pytest.mark.parametrize("size", [None, 1])
def test_upgrade(size):
    """After 101 the connection is the other protocol's, with what was sent behind the request."""
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(UPGRADE + BEHIND, size)
    assert wire.take() == SWITCHED + BEHIND.upper()
    assert echo.events[0] == "made"
    assert b"".join(event for event in echo.events if isinstance(event, bytes)) == BEHIND
    wire.send(b"hello")
    assert wire.take() == b"HELLO"
    wire.hang_up()
    assert echo.events[-1] == "lost: ConnectionLost"
    assert len(wire.factory.connections) == 0


def test_upgrade_in_its_turn():
    """It switches after what came before it has been answered; behind it is no request."""
    echo = Echo()
    asked: list[bytes] = []
    held: Deferred[None] = Deferred()

    async def handler(request: Request) -> Response:
        asked.append(request.target)
        if request.target == b"/first":
            return Response(b"first")
        await held
        return Upgrade("echo", echo)

    wire = Wire(handler)
    wire.send(get("/first") + UPGRADE + BEHIND)
    assert reply(wire).body == b"first"
    held.callback(None)
    assert wire.take() == SWITCHED + BEHIND.upper()
    assert asked == [b"/first", b"/"]


def test_upgrade_ends_with_its_connection():
    """The request of an upgrade is over when the connection is; it is logged once, as 101."""
    entries: list[Access] = []
    events: list[str] = []

    def handler(request: Request) -> Response:
        request.on_finish(lambda: events.append("finished"))
        return Upgrade("echo", Echo(), {"X-A": "b", "Connection": "close"})

    wire = Wire(HTTPFactory(handler, access_log=entries.append))
    wire.send(UPGRADE)
    assert b"X-A: b\r\n" in wire.received
    assert b"close" not in wire.received
    assert events == []
    assert [entry.status for entry in entries] == [101]
    wire.protocol.transport.loseConnection()
    wire.advance(1)
    assert events == ["finished"]
    assert [entry.status for entry in entries] == [101]


@pytest.mark.parametrize(
    "data",
    [
        GET,
        head(b"Upgrade: echo"),
        head(b"Connection: Upgrade"),
        head(b"Connection: Upgrade", b"Upgrade: other"),
        head(b"Connection: Upgrade", b"Upgrade: echoes, x echo"),
        head(b"Connection: Upgrade, keep-alive", b"Upgrade: echo", line=b"GET / HTTP/1.0"),
    ],
)
def test_upgrade_not_asked_for(data):
    """Nobody is switched to a protocol that was not asked for (RFC 9110 section 7.8): 426."""
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(data)
    answer = reply(wire)
    assert (answer.status, answer.headers["Upgrade"]) == (426, "echo")
    assert "upgrade" in ",".join(answer.headers.getall("Connection")).lower()
    assert echo.events == []


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("field", "body"),
    [
        (b"Content-Length: 5", b""),
        (b"Content-Length: 5", b"hello"),
        (b"Content-Length: 5", b"hello, echo"),
        (b"Transfer-Encoding: chunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n, echo"),
    ],
)
def test_upgrade_with_a_body(field, body, size):
    """A request with a body cannot switch, whether that body comes with its head or later."""
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(head(b"Connection: Upgrade", b"Upgrade: echo", field) + body, size)
    answer = reply(wire)
    assert (answer.status, answer.closes) == (400, True)
    assert "body" in answer.text
    assert echo.events == []


def test_upgrade_with_an_empty_body():
    """A Content-Length of 0 says that there is no body."""
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(head(b"Connection: Upgrade", b"Upgrade: echo", b"Content-Length: 0"))
    assert wire.received == SWITCHED


def test_upgrade_that_is_declined():
    """An Upgrade field is no more than an offer."""
    wire = Wire(Recorder())
    wire.send(UPGRADE + GET)
    assert [answer.status for answer in replies(wire, "GET", "GET")] == [200, 200]


def test_upgraded_connection_has_no_deadlines():
    """The other protocol has its own limits, and its own back-pressure."""
    echo = Echo()
    limits = Limits(idle_timeout=5, header_timeout=5, send_timeout=5, handler_timeout=5)
    wire = Wire(lambda request: Upgrade("echo", echo), limits)
    wire.send(UPGRADE)
    wire.stop_reading()
    wire.send(b"x" * 100 * KIB)
    wire.advance(100)
    assert not wire.closed
    assert wire.transport.producer is None


def test_upgrade_of_a_client_that_reads_slowly():
    """What was written before it does not count against it."""

    def handler(request: Request) -> Response:
        for _ in range(3):
            request.early_hints("</" + "a" * 30 * KIB + ">; rel=preload")
        return Upgrade("echo", Echo())

    wire = Wire(handler, Limits(send_timeout=5))
    wire.stop_reading()
    wire.send(UPGRADE)
    wire.advance(20)
    assert not wire.closed


def test_no_hints_after_an_upgrade():
    """A request that was upgraded writes nothing on the other protocol's connection."""
    requests: list[Request] = []

    def handler(request: Request) -> Response:
        requests.append(request)
        return Upgrade("echo", Echo())

    wire = Wire(handler)
    wire.send(UPGRADE)
    requests[0].early_hints("</a>; rel=preload")
    assert wire.received == SWITCHED


def test_upgraded_client_half_closes():
    """A protocol that knows half-closed connections has one; any other is closed."""
    echo: Echo = HalfCloseableEcho()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(UPGRADE)
    wire.half_close()
    wire.protocol.writeConnectionLost()
    assert echo.events == ["made", "read lost", "write lost"]
    assert not wire.transport.disconnected
    echo = Echo()
    wire = Wire(lambda request: Upgrade("echo", echo))
    wire.send(UPGRADE)
    wire.half_close()
    assert echo.events == ["made", "lost: ConnectionDone"]


def test_client_half_closes_before_it_is_upgraded():
    """A protocol is told what happened before its time."""
    held: Deferred[Response] = Deferred()
    echo = HalfCloseableEcho()
    wire = Wire(lambda request: held)
    wire.send(UPGRADE + b"hello")
    wire.half_close()
    held.callback(Upgrade("echo", echo))
    assert echo.events == ["made", b"hello", "read lost"]


def test_upgraded_protocol_that_ends_at_once():
    """What was sent behind the request is not for a protocol that has gone."""

    class Gone(Echo):
        def connectionMade(self) -> None:
            super().connectionMade()
            wire.transport.lose(ConnectionError())

    gone = Gone()
    wire = Wire(lambda request: Upgrade("echo", gone))
    wire.send(UPGRADE + b"hello")
    assert gone.events == ["made", "lost: ConnectionError"]
