"""What once went wrong with real clients, as small as it can be said."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocolFactory,
    IProtocolNegotiationFactory,
    ISSLTransport,
)
from twisted.internet.task import Clock
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from mynet.http import HTTPFactory, Request, Response
from mynet.testing import CLIENT, MemoryTransport


def hello(request: Request) -> Response:
    return Response.text("Hello, World!")


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
    transport.protocol = connection = factory.buildProtocol(CLIENT)
    connection.makeConnection(transport)
    connection.dataReceived(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n")
    connection.dataReceived(bytes(100_000))
    assert transport.paused
    answer.callback(Response.text("No, thank you.", 403))
    assert transport.disconnecting
    assert not transport.paused
