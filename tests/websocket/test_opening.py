"""The opening handshake as it is asked for over HTTP, and protocols that are served by it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mynet.http import HTTPError, HTTPFactory, Limits, Request, Response
from mynet.http.limits import KIB
from mynet.testing import Wire, make_request
from mynet.websocket.handshake import accept_key
from mynet.websocket.opening import Opening, WebSocketHandler
from mynet.websocket.policy import Policy
from mynet.websocket.shared import Shared
from tests.conversation import head, reply
from tests.websocket.line import Browser, Noting, masked

try:
    from twisted.web.websocket import WebSocketProtocol as _Base

    TwistedProtocol: Any = _Base
except ImportError:  # before Twisted 26.10; there it declares methods, and nothing else
    TwistedProtocol = object

WAYS = pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
TEXT, CLOSE = 1, 8

FIELDS = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def asks(line: bytes = b"GET / HTTP/1.1", **fields: str | None) -> bytes:
    """A request for a WebSocket, with other fields than usual (`_` stands for `-`)."""
    changed = FIELDS | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}".encode() for name, value in changed.items() if value is not None]
    return head(*lines, line=line)


class Echo(Noting):
    """Says what it is told."""

    def textMessageReceived(self, message: str) -> None:
        super().textMessageReceived(message)
        self.transport.sendTextMessage(message)


class Served:
    """A handler, and the protocols it has made."""

    def __init__(self, **fields: Any) -> None:
        self.protocols: list[Noting] = []
        self.requests: list[Request] = []
        self.handler = WebSocketHandler(self.build, **fields)

    def build(self, request: Request) -> Noting:
        self.requests.append(request)
        self.protocols.append(Echo())
        return self.protocols[-1]

    @property
    def stats(self) -> Any:
        return self.handler.shared.stats


@pytest.fixture
def served() -> Served:
    return Served()


# The handshake


@WAYS
def test_opens(served, size):
    """A client opens a WebSocket, talks, and closes it."""
    browser = Browser(served.handler, "/chat?a=b", size=size)
    assert browser.status == 101
    browser.sends("a", "\u20ac")
    assert browser.got() == ["a", "\u20ac"]
    browser.closes(4000, "bye")
    assert browser.close == (4000, "")
    assert browser.wire.transport.disconnected
    assert served.requests[0].target == b"/chat?a=b"
    (ours,) = served.protocols
    assert ours.take()[-1] == ("lost", "WebSocketDone", 4000, "bye")
    assert (served.stats.accepted, served.stats.refused) == (1, 0)
    assert served.requests[0].finished


@WAYS
def test_bytes_behind_the_handshake(served, size):
    """Messages that come with the request, before it is answered, are received."""
    behind = masked(TEXT, b"a") + masked(TEXT, b"b") + masked(CLOSE)
    browser = Browser(served.handler, behind=behind, size=size)
    assert browser.got() == ["a", "b"]
    assert browser.close == (1005, "")
    assert browser.wire.transport.disconnected


def test_answer():
    """The 101 has what RFC 6455 asks for (this is its example), and no more."""
    wire = Wire(Served(deflate=None).handler)
    wire.send(asks())
    lines = sorted(wire.take().split(b"\r\n"))
    assert lines == sorted(
        [
            b"HTTP/1.1 101 Switching Protocols",
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"",
            b"",
        ]
    )


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (asks(Upgrade=None), 426),
        (asks(Upgrade="h2c"), 426),
        (asks(Connection="keep-alive"), 426),
        (asks(Sec_WebSocket_Version="8"), 426),
        (asks(Sec_WebSocket_Version=None), 400),
        (asks(Sec_WebSocket_Key=None), 400),
        (asks(Sec_WebSocket_Key="dGhlIHNhbXBsZQ=="), 400),
        (asks(Sec_WebSocket_Protocol="a, a"), 400),
        (asks(Sec_WebSocket_Extensions=";"), 400),
        (asks(line=b"POST / HTTP/1.1", Content_Length="0"), 405),
        (asks(line=b"GET / HTTP/1.0"), 400),
        (asks(Origin="https://elsewhere.test"), 403),
        (head(), 426),
    ],
)
def test_wrong_handshake(served, request_bytes, status):
    """What is no handshake is answered as HTTP, and no protocol is made; the client may ask on."""
    wire = Wire(served.handler)
    wire.send(request_bytes)
    answer = reply(wire)
    assert answer.status == status
    assert answer.text.startswith(f"{status} ")
    if status == 426:
        assert answer.headers["Sec-WebSocket-Version"] == "13"
        assert answer.headers["Upgrade"] == "websocket"
    if status == 405:
        assert answer.headers["Allow"] == "GET"
    assert served.protocols == []
    assert (served.stats.accepted, served.stats.refused) == (0, 1)
    if not answer.closes:
        wire.send(asks())
        assert wire.take().startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        (None, "http://test", 101),
        (None, "http://elsewhere.test", 403),
        (["https://a.test"], "https://a.test", 101),
        (["https://a.test"], "http://test", 403),
        (["*"], "https://anywhere.test", 101),
    ],
)
def test_origins(origins, origin, status):
    """A page of the same host may connect, or of those that are named; others get 403."""
    served = Served(origins=origins)
    assert Browser(served.handler, headers={"Origin": origin}).status == status
    assert served.stats.refused == (status == 403)


def test_subprotocols():
    """The first of ours that the client offers, too, is spoken; if there is none, none."""
    served = Served(subprotocols=["a", "b", "c"])
    for offered, chosen in ((["c", "b"], "b"), (["d"], None), (None, None)):
        browser = Browser(served.handler, subprotocols=offered)
        assert browser.status == 101
        assert browser.protocol.subprotocol == chosen


def test_compression():
    """It is agreed on if both want it, and then used."""
    served = Served()
    browser = Browser(served.handler, compressed=True)
    assert len(browser.protocol.extensions) == 1
    text = "the same " * 1000
    browser.sends(text, text)
    assert browser.got() == [text, text]
    assert served.stats.bytes_sent < len(text)
    for handler, compressed in ((served.handler, False), (Served(deflate=None).handler, True)):
        browser = Browser(handler, compressed=compressed)
        assert browser.protocol.extensions == []
        browser.sends(text)
        assert browser.got() == [text]


# Who decides


def test_refused_by_a_response():
    """A protocol's maker may refuse with any Response, by an HTTPError, or with None: 403."""

    def refuse(request: Request) -> Response | None:
        if request.query.get("none"):
            return None
        if request.query.get("raise"):
            raise HTTPError(403, "Not you.")
        return Response(b"later", 503, {"Retry-After": "5"})

    handler = WebSocketHandler(refuse)
    browser = Browser(handler)
    assert (browser.status, browser.body) == (503, b"later")
    browser = Browser(handler, "/?raise=1")
    assert browser.status == 403
    assert b"Not you." in browser.body
    assert Browser(handler, "/?none=1").status == 403
    assert (handler.shared.stats.refused, handler.shared.stats.accepted) == (3, 0)


def test_opening_is_decided_later():
    """Whoever has a handshake may decide later, choose a subprotocol, and add fields."""
    fields = FIELDS | {"Sec-WebSocket-Protocol": "a, b"}
    request = make_request("GET", "/", fields)
    shared = Shared(subprotocols=["a"])
    opening = Opening(request, shared)
    assert (opening.subprotocols, opening.subprotocol) == (("a", "b"), "a")
    with pytest.raises(ValueError, match="the client did not offer the subprotocol 'c'"):
        opening.accept(Noting(), "c")
    with pytest.raises(ValueError, match="Upgrade is for the handshake to set"):
        opening.accept(Noting(), "b", [("Upgrade", "h2c")])
    assert opening.subprotocol == "a"
    upgrade = opening.accept(Noting(), "b", [("X-A", "1"), ("X-A", "2")])
    assert upgrade.headers["Sec-WebSocket-Protocol"] == opening.subprotocol == "b"
    assert upgrade.headers.getall("X-A") == ["1", "2"]
    key = FIELDS["Sec-WebSocket-Key"].encode()
    assert upgrade.headers["Sec-WebSocket-Accept"] == accept_key(key).decode()


def test_no_subprotocol():
    """Whoever has a handshake may choose that none is spoken, although one could be."""
    fields = FIELDS | {"Sec-WebSocket-Protocol": "a, b"}
    opening = Opening(make_request("GET", "/", fields), Shared(subprotocols=["a"]))
    upgrade = opening.accept(Noting(), None)
    assert "Sec-WebSocket-Protocol" not in upgrade.headers
    assert opening.subprotocol is None


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("how", ["another answer", "a body", "an error", "gone", "draining"])
def test_never_opened(served, how, size, logged):
    """A protocol that was made, but is not what the client gets, is told of its end, and counted.

    However that came about; and nothing else is told to it.
    """
    held: Deferred[Response] = Deferred()

    def handle(request: Request) -> Response | Deferred[Response]:
        answer = served.handler(request)
        if how == "another answer":
            return Response(b"", 418)
        if how == "an error":
            raise ZeroDivisionError
        return answer if how == "a body" else held.addCallback(lambda _: answer)

    wire = Wire(handle)
    data = asks(Content_Length="5") + b"hello" if how == "a body" else asks()
    wire.send(data, size)
    (ours,) = served.protocols
    if how == "gone":
        wire.hang_up()
    elif how == "draining":
        wire.factory.drain(30)
        held.callback(Response())
    assert ours.take() == [("lost", "WebSocketLost", 1006, "")]
    assert (served.stats.accepted, served.stats.refused) == (0, 1)
    assert served.stats.closed == {}
    wire.hang_up()
    assert ours.take() == []
    if how == "an error":
        logged.take(ZeroDivisionError)


def test_opened_needs_nothing_of_its_request(served):
    """A connection that is open keeps nothing to be called when its request is over."""
    browser = Browser(served.handler)
    (request,) = served.requests
    assert request._finishers is None
    browser.closes()
    assert (served.stats.accepted, served.stats.refused) == (1, 0)


def test_policy():
    """An endpoint's policy is its own, given whole or by what is different in it."""
    handler = WebSocketHandler(
        lambda request: Noting(), policy=Policy(max_frames=7), max_message_size=9
    )
    assert handler.shared.policy == Policy(max_frames=7, max_message_size=9)
    browser = Browser(handler)
    browser.sends(bytes(10))
    assert browser.close is not None
    assert browser.close[0] == 1009


# On a server's connection


def test_peer_that_reads_nothing(served):
    """A client that does not read its echoes is not read either, and later gets all of them."""
    browser = Browser(served.handler)
    browser.wire.stop_reading()
    for number in range(100):
        browser.sends(f"{number:04}" + "x" * KIB)
    assert browser.wire.transport.paused
    assert len(browser.wire.transport.waiting) < 70 * KIB
    browser.wire.read()
    assert [int(text[:4]) for text in browser.got()] == [*range(100)]


def test_half_closed(served):
    """A client that closes its sending side has lost its WebSocket."""
    browser = Browser(served.handler)
    browser.wire.half_close()
    browser.turn()
    assert browser.wire.transport.disconnected
    assert served.protocols[0].take()[-1] == ("lost", "WebSocketLost", 1006, "")


def test_error_over_http(served):
    """A client that breaks the rules is told, and its connection ends with its own goodbye."""
    browser = Browser(served.handler)
    browser.wire.send(b"\xff\xff")
    browser.turn()
    assert browser.close is not None
    assert browser.close[0] == 1002
    assert not browser.wire.transport.disconnected
    browser.wire.half_close()
    browser.turn()
    assert browser.wire.transport.disconnected
    assert served.stats.closed == {1002: 1}


def test_lost(served):
    """A client that goes without a word is missed at once."""
    browser = Browser(served.handler)
    browser.hang_up()
    assert served.protocols[0].take()[-1] == ("lost", "WebSocketLost", 1006, "")
    assert served.requests[0].finished
    assert browser.wire.clock.getDelayedCalls() == []


def test_time(served):
    """HTTP's deadlines are not those of a WebSocket, which are looked at by the same sweep."""
    limits = Limits(header_timeout=1, idle_timeout=1, send_timeout=1, handler_timeout=1)
    browser = Browser(Wire(served.handler, limits))
    browser.advance(100)
    assert browser.close is None
    assert len(browser.wire.clock.getDelayedCalls()) == 1
    browser.wire.advance(45)  # in which it does not answer
    assert browser.wire.transport.aborted
    assert served.stats.dead == 1


def test_drain(served):
    """A server that stops closes with 1001, and waits for the answers."""
    factory_wire = Wire(served.handler)
    browser = Browser(factory_wire)
    factory: HTTPFactory = browser.wire.factory
    drained = factory.drain(30)
    assert not drained.called
    browser.turn()
    assert browser.close == (1001, "the server stops")
    assert drained.called
    assert not browser.wire.transport.aborted


def test_drain_without_an_answer(served):
    """Who never answers that is cut off after its own deadline, if the server's is later."""
    browser = Browser(served.handler)
    drained = browser.wire.factory.drain(30)
    browser.wire.advance(12)
    assert browser.wire.transport.aborted
    assert drained.called


# Protocols of Twisted's


class Counting(TwistedProtocol):  # type: ignore[misc]
    """As one is written for `twisted.web.websocket`."""

    def __init__(self) -> None:
        self.lost: list[object] = []

    def negotiationStarted(self, transport: Any) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None:
        self.transport.ping(b"latency")

    def pongReceived(self, payload: bytes) -> None:
        self.transport.sendTextMessage(f"pong {payload.decode()}")

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(str(len(message)))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.transport.sendBytesMessage(bytes(data[::-1]))
        self.transport.loseConnection()

    def connectionLost(self, reason: Any) -> None:
        self.lost.append(reason.type.__name__)


def test_protocol_of_twisted():
    """A protocol that was written for Twisted's own WebSocket runs as it is."""
    protocol = Counting()
    browser = Browser(WebSocketHandler(lambda request: protocol))
    browser.sends("four", b"abc")
    assert browser.got() == ["pong latency", "4", b"cba"]
    assert browser.close == (1000, "")
    assert protocol.lost == ["WebSocketDone"]
