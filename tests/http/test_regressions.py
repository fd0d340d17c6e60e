"""What once went wrong with real clients, as small as it can be said."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory, IProtocolNegotiationFactory
from zope.interface.verify import verifyObject

from mynet.http import HTTPFactory, Request, Response


def hello(request: Request) -> Response:
    return Response.text("Hello, World!")


def test_protocol_negotiation():
    """A client that asks over TLS for HTTP/1.1 (ALPN), as curl and browsers do, gets it."""
    factory = HTTPFactory(hello)
    assert verifyObject(IProtocolFactory, factory)
    assert verifyObject(IProtocolNegotiationFactory, factory)
    assert factory.acceptableProtocols() == [b"http/1.1", b"http/1.0"]
