"""`HTTPFactory`: one HTTP service, to be added to any reactor by any endpoint.

What its connections share is in `Shared`; here is only what Twisted asks of a factory.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from mynet.http.http1 import HTTP1Connection
from mynet.http.shared import Shared


@implementer(IProtocolFactory, IProtocolNegotiationFactory)
class HTTPFactory(Shared):
    """Serves a handler over HTTP on any stream transport.

    Its connections are counted and limited, their deadlines kept, and on `drain` they all
    end in order.
    """

    # IProtocolFactory

    def doStart(self) -> None:
        """A port listens for this factory."""

    def doStop(self) -> None:
        """A port listens no more; connections go on, until `drain`."""

    def buildProtocol(self, addr: IAddress | None) -> HTTP1Connection | Refusal:
        """A connection; one that is cut off at once where there are too many."""
        if self._is_full(addr):
            self.stats.refused += 1
            return Refusal()
        return HTTP1Connection(self, addr)

    # IProtocolNegotiationFactory

    def acceptableProtocols(self) -> list[bytes]:
        """For TLS (ALPN): without it, Twisted turns away whoever asks for a protocol."""
        return [b"http/1.1", b"http/1.0"]


class Refusal(Protocol):
    """What a connection gets that is one too many: None would do, but not for Twisted's TLS."""

    def makeConnection(self, transport: ITransport) -> None:
        cast(ITCPTransport, transport).abortConnection()
