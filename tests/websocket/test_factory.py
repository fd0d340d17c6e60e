"""`WebSocketFactory`: what a Twisted project needs for WebSocket alone."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.http.shared import Access
from mynet.testing import Wire, result_of
from mynet.websocket.factory import WebSocketFactory
from mynet.websocket.frames import CLOSE, FINAL, TEXT, frame
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from mynet.websocket.policy import Policy
from tests.conversation import GET, head, replies, reply

MASK = b"\x01\x02\x03\x04"
HANDSHAKE = head(
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)


class Echo(WebSocketProtocol):
    """It sends back what it gets."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)


def test_interfaces():
    """An endpoint finds a whole factory, that knows what it was made with."""
    limits = Limits(head=4096)
    factory = WebSocketFactory(Echo, limits=limits, policy=Policy(max_frames=5), send_limit=6)
    assert verifyObject(IProtocolFactory, factory)
    assert factory.limits is limits
    assert (factory.shared.policy.max_frames, factory.shared.policy.send_limit) == (5, 6)
    assert WebSocketFactory(Echo).limits == Limits()
    assert WebSocketFactory(Echo).shared.policy == Policy()


def test_reactor():
    """Its time is the global reactor's, unless it is given another."""
    assert WebSocketFactory(Echo).clock is reactor
    clock = Clock()
    assert WebSocketFactory(Echo, reactor=clock).clock is clock


@pytest.mark.parametrize("size", [None, 1])
def test_echo(size):
    """Each connection has a protocol of its own, which knows the request; all are counted."""
    factory = WebSocketFactory(Echo, reactor=Clock())
    wires = [Wire(factory) for _ in range(2)]
    for number, wire in enumerate(wires):
        wire.send(HANDSHAKE + frame(FINAL | TEXT, b"hello %d" % number, MASK), size)
        answer, _, message = wire.take().partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert message == frame(FINAL | TEXT, b"hello %d" % number)
    assert (factory.stats.accepted, factory.stats.responses[1]) == (2, 2)
    assert (factory.shared.stats.accepted, factory.shared.stats.messages_sent) == (2, 2)


def test_anything_else():
    """Who does not ask for a WebSocket is told that there is nothing else, and may ask again."""
    wire = Wire(WebSocketFactory(Echo, reactor=Clock()))
    wire.send(GET)
    answer = reply(wire)
    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    wire.send(HANDSHAKE)
    assert wire.take().startswith(b"HTTP/1.1 101 ")
    assert wire.factory.shared.stats.refused == 1
    assert wire.factory.stats.responses[4] == 1


def test_refusing():
    """A protocol need not be made: any response is sent instead."""
    factory = WebSocketFactory(lambda request: Response.text("no", 403), reactor=Clock())
    wire = Wire(factory)
    wire.send(HANDSHAKE)
    (answer,) = replies(wire)
    assert (answer.status, answer.text) == (403, "no")
    assert factory.shared.stats.refused == 1


def test_limits():
    """Its connections are limited like any of HTTP's, and its messages by the policy."""
    factory = WebSocketFactory(
        Echo, limits=Limits(connections=1), reactor=Clock(), max_message_size=3
    )
    wire = Wire(factory)
    assert Wire(factory).closed
    wire.send(HANDSHAKE)
    wire.take()
    wire.send(frame(FINAL | TEXT, b"four", MASK))
    assert wire.take()[2:4] == (1009).to_bytes(2)


def test_access_log():
    """Openings are logged like any response."""
    entries: list[Access] = []
    wire = Wire(WebSocketFactory(Echo, access_log=entries.append, reactor=Clock()))
    wire.send(HANDSHAKE)
    assert [entry.status for entry in entries] == [101]


def test_drain():
    """When the server stops, peers are told so, and have their time to answer."""
    clock = Clock()
    factory = WebSocketFactory(Echo, reactor=clock)
    wire = Wire(factory, clock=clock)
    wire.send(HANDSHAKE)
    wire.take()
    drained = factory.drain(10)
    assert wire.take() == frame(FINAL | CLOSE, b"\x03\xe9the server stops")
    assert not drained.called
    wire.send(frame(FINAL | CLOSE, b"\x03\xe9", MASK))
    assert result_of(drained) is None
    assert clock.getDelayedCalls() == []


def test_mistakes():
    """What is no policy is refused when the factory is made."""
    options: list[tuple[type[Exception], dict[str, Any]]] = [
        (ValueError, {"max_frames": 0}),
        (TypeError, {"max_size": 5}),
    ]
    for error, fields in options:
        with pytest.raises(error):
            WebSocketFactory(Echo, **fields)
