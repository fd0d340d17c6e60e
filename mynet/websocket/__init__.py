"""WebSocket for Twisted (RFC 6455, RFC 7692): for protocols, and for coroutines.

Protocols are those of `twisted.web.websocket`, served by a `WebSocketHandler` wherever a Handler
can be, or by a `WebSocketFactory`; coroutines are served by `App.websocket`. `connect` is the
client's side.
"""

from typing import TYPE_CHECKING

from mynet.late import import_late
from mynet.websocket.answer import HandshakeRefused
from mynet.websocket.closed import WebSocketClosed, WebSocketDone, WebSocketLost
from mynet.websocket.codes import WebSocketError
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.deflate import Deflate
from mynet.websocket.endpoint import WebSocket, WebSocketEndpoint
from mynet.websocket.factory import WebSocketFactory
from mynet.websocket.handshake import HandshakeError
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from mynet.websocket.message import Message
from mynet.websocket.opening import Opening, WebSocketHandler
from mynet.websocket.policy import Policy, SlowConsumer
from mynet.websocket.stats import Stats

if TYPE_CHECKING:
    from mynet.websocket.client import Accepted, ClientWebSocket, connect, connect_protocol

__all__ = [
    "Accepted",
    "ClientWebSocket",
    "Deflate",
    "HandshakeError",
    "HandshakeRefused",
    "Message",
    "Opening",
    "Policy",
    "SlowConsumer",
    "Stats",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketConnection",
    "WebSocketDone",
    "WebSocketEndpoint",
    "WebSocketError",
    "WebSocketFactory",
    "WebSocketHandler",
    "WebSocketLost",
    "WebSocketProtocol",
    "WebSocketTransport",
    "connect",
    "connect_protocol",
]

__getattr__ = import_late(
    __name__,
    dict.fromkeys(
        ["Accepted", "ClientWebSocket", "connect", "connect_protocol"], "mynet.websocket.client"
    ),
)
