"""What once went wrong with real clients, as small as it can be said."""

from __future__ import annotations

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocolFactory,
    IProtocolNegotiationFactory,
    ISSLTransport,
)
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from mynet.http import Access, HTTPFactory, Limits, Request, Response
from mynet.http.http1 import HTTP1Connection
from mynet.testing import CLIENT, MemoryTransport, Wire


def hello(request: Request) -> Response:
    return Response.text("Hello, World!")


def connect(factory: HTTPFactory, transport: MemoryTransport) -> HTTP1Connection:
    connection = factory.buildProtocol(CLIENT)
    assert isinstance(connection, HTTP1Connection)
    connection.makeConnection(transport)
    return connection


def test_protocol_negotiation():
    """A client that asks over TLS for HTTP/1.1 (ALPN), as curl and browsers do, gets it."""
    factory = HTTPFactory(hello)
    assert verifyObject(IProtocolFactory, factory)
    assert verifyObject(IProtocolNegotiationFactory, factory)
    assert factory.acceptableProtocols() == [b"http/1.1", b"http/1.0"]


def test_tls_unread_body():
    """A client over TLS whose large body nobody read can still end the connection with us.

    TLS ends when both sides have said so, and what the client says is behind its body.
    """
    clock = Clock()
    answer: Deferred[Response] = Deferred()
    factory = HTTPFactory(lambda request: answer, reactor=clock)
    transport = MemoryTransport(clock)
    alsoProvides(transport, ISSLTransport)
    transport.protocol = connection = connect(factory, transport)
    connection.dataReceived(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n")
    connection.dataReceived(bytes(100_000))
    assert transport.paused
    answer.callback(Response.text("No, thank you.", 403))
    assert transport.disconnecting
    assert not transport.paused


class TCPTransport(MemoryTransport):
    """One that can be told not to wait."""

    no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled


@pytest.mark.parametrize("is_unix", [False, True])
def test_small_pieces(is_unix):
    """The pieces of a streamed response leave when they are written, each one.

    Else TCP holds a small one back until the client has confirmed the one before, and clients
    take their time for that: 40 ms. UNIX sockets have no such option, though
    Twisted's can be asked.
    """
    clock = Clock()
    transport = TCPTransport(clock)
    client = UNIXAddress(b"/run/client") if is_unix else CLIENT
    connection = HTTPFactory(hello, reactor=clock).buildProtocol(client)
    assert connection is not None
    connection.makeConnection(transport)
    assert transport.no_delay != is_unix


def test_too_many_over_tls():
    """Over TLS too, a connection that is one too many is closed at once, without a word.

    Twisted's TLS does not know that a factory may build none.
    """
    clock = Clock()
    factory = HTTPFactory(hello, Limits(connections=0), reactor=clock)
    transport = MemoryTransport(clock)
    transport.protocol = TLSMemoryBIOFactory(CertificateOptions(), False, factory).buildProtocol(
        CLIENT
    )
    transport.protocol.makeConnection(transport)
    clock.advance(0)
    assert transport.disconnected
    assert factory.stats.refused == 1


def test_idle_over_tls():
    """An idle connection over TLS is closed even if its client does not say goodbye.

    Clients do not look at connections that they keep for later; each of them would hold up the
    end of the server.
    """
    clock = Clock()
    factory = HTTPFactory(hello, reactor=clock)
    transport = LayeredTransport(clock)
    alsoProvides(transport, ISSLTransport)
    connect(factory, transport)
    factory.drain(10)
    assert transport.disconnecting
    assert transport.transport.disconnecting


class LayeredTransport(MemoryTransport):
    """One with another below, as that of TLS has."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.transport = MemoryTransport(clock)


def test_length_of_what_was_not_answered():
    """The access log tells of a client that went before its answer that nothing was sent."""
    logged: list[Access] = []
    waiting: Deferred[Response] = Deferred()

    def handler(request: Request) -> Response | Deferred[Response]:
        return waiting if request.path == "/waits" else Response([b"x" * 1000])

    wire = Wire(HTTPFactory(handler, access_log=logged.append))
    wire.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.send(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.hang_up()
    assert [(access.status, access.length) for access in logged] == [(200, 1000), (499, 0)]
