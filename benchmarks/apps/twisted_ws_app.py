"""WebSockets by twisted.web, on a reactor of that name: `twisted_ws_app.py REACTOR PORT`."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from twisted.application.reactors import installReactor
from twisted.internet.endpoints import serverFromString
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.websocket import WebSocketProtocol, WebSocketResource, WebSocketTransport


class Echo(WebSocketProtocol):
    """Sends back what it is sent."""

    # WebSocketServerFactory, which is this class

    @classmethod
    def buildProtocol(cls, request: object) -> Echo:
        return cls()

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.transport.sendBytesMessage(bytes(data))


class FanOut(Echo):
    """What one is sent, all send."""

    everybody: ClassVar[set[FanOut]] = set()

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        self.everybody.add(self)

    def textMessageReceived(self, message: str) -> None:
        for each in self.everybody:
            each.transport.sendTextMessage(message)

    def connectionLost(self, reason: Failure) -> None:
        self.everybody.discard(self)


def site() -> Any:
    """A new one."""
    root = Resource()
    root.putChild(b"echo", WebSocketResource(Echo))
    root.putChild(b"fanout", WebSocketResource(FanOut))
    return Site(root, timeout=75)


def main(reactor_name: str, port: str) -> None:
    """Serve until the process is ended."""
    reactor = installReactor(reactor_name)
    endpoint = serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1:backlog=4096")
    endpoint.listen(site())
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
