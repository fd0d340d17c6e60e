"""How a WebSocket ended: what Twisted's reasons of a lost connection tell, and its close code."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost

from mynet.websocket.codes import NO_STATUS


class WebSocketClosed(Exception):  # noqa: N818  (an event, in Twisted's manner)
    """The connection is closed, or about to be.

    `code` and `reason` are the peer's, if it sent a Close; else ours, if we did because something
    was wrong; else 1006, with what is known of the cause. They are what a browser would tell.
    """

    def __init__(self, code: int = NO_STATUS, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}" if self.reason else f"{self.code}"


class WebSocketDone(WebSocketClosed, ConnectionDone):
    """It was closed in good order: both sides have said so."""


class WebSocketLost(WebSocketClosed, ConnectionLost):
    """It was not."""
