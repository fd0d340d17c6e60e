"""mynet, the event-driven web server of the Twisted world: what applications import.

Other Twisted projects find its protocols in `mynet.http` and `mynet.websocket`, tests their tools
in `mynet.testing`; operators run `twistd mynet`.
"""

from typing import TYPE_CHECKING

from mynet.app import App
from mynet.http import (
    ClientGone,
    FormLimits,
    Handler,
    HTTPError,
    Middleware,
    Request,
    Response,
    Upgrade,
)
from mynet.late import import_late

if TYPE_CHECKING:
    from mynet.websocket import WebSocket, WebSocketClosed, WebSocketError

__version__ = "0.1.0"

__all__ = [
    "App",
    "ClientGone",
    "FormLimits",
    "HTTPError",
    "Handler",
    "Middleware",
    "Request",
    "Response",
    "Upgrade",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketError",
]

__getattr__ = import_late(
    __name__, dict.fromkeys(["WebSocket", "WebSocketClosed", "WebSocketError"], "mynet.websocket")
)
