"""The two sides of a WebSocket connection, as `twisted.web.websocket` has them.

A protocol that was written for Twisted's runs on `mynet.websocket.connection`; the reverse holds
for whatever keeps to these.
"""

from __future__ import annotations

import typing

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure

from mynet.websocket.codes import NORMAL


class WebSocketTransport(typing.Protocol):
    """What a protocol may ask of its connection: what `twisted.web.websocket` has, and more."""

    def sendTextMessage(self, text: str) -> None:
        """Send a text."""

    def sendBytesMessage(self, data: bytes) -> None:
        """Send bytes."""

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping, of at most 125 bytes; `pongReceived` tells of its answer."""

    def loseConnection(self, code: int = NORMAL, reason: str = "") -> None:
        """Close, when all has been sent."""

    def attachProducer(self, producer: IPushProducer) -> None:
        """Pause this producer while the peer takes less than it is sent."""

    def detachProducer(self) -> None:
        """Do so no longer."""


class WebSocketProtocol(typing.Protocol):
    """What happens on a connection. Those who derive from it write only what they need.

    It is what `twisted.web.websocket.WebSocketProtocol` is. An exception of a method closes the
    connection: a `WebSocketError` with its code; any other with 1011, and it is logged.
    """

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """There is a connection."""
        return

    def negotiationFinished(self) -> None:
        """It is open: messages may be sent."""
        return

    def textMessageReceived(self, message: str) -> None:
        """A text has arrived."""
        return

    def bytesMessageReceived(self, data: bytes) -> None:
        """Bytes have arrived."""
        return

    def pongReceived(self, payload: bytes) -> None:
        """The answer to a ping has arrived, or one that nobody asked for."""
        return

    def connectionLost(self, reason: Failure) -> None:
        """The connection is over.

        The failure's value is a `WebSocketDone` or a `WebSocketLost`, which are a ConnectionDone
        and a ConnectionLost of Twisted's, and have the close code.
        """
        return
