"""WebSocket clients that people use, each behind the same few calls."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any, Protocol, Self, TypeVar, cast

import aiohttp
import pytest
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from twisted.internet.defer import DeferredQueue
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol
from zope.interface import implementer

from tests.integration.clients import aiohttp_session
from tests.integration.serving import TCP, TIMEOUT, TLS, UNIX, Service
from tests.integration.websocket_loop import Loop
from tests.integration.websocket_node import Node, path_of_ws

Data = str | bytes

Closed = tuple[int, str]
"""A close code, and a reason."""

LARGEST = 32 * 1024 * 1024
"""The largest message that a client takes."""

Sliced = TypeVar("Sliced", str, bytes, str | bytes)


class Refused(Exception):  # noqa: N818  (it is what was to happen)
    """The server has answered with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Client(Protocol):
    """One connection of a client that somebody else wrote."""

    fragments: bool
    """Whether it can send a message in pieces."""
    negotiates: bool
    """Whether it knows of subprotocols and compression."""
    tells_close: bool
    """Whether it tells with what code and reason it was closed."""

    subprotocol: str | None
    """The one that was agreed on."""
    compresses: bool
    """Whether compression was agreed on."""

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        """Connect. Raises Refused."""

    async def send(self, message: Data, pieces: int = 1) -> None:
        """Send a message, in so many pieces."""

    async def receive(self) -> Data:
        """The next message."""

    async def ping(self, payload: bytes) -> None:
        """Send a ping, and wait for its answer."""

    async def close(self, code: int, reason: str) -> None:
        """Close."""

    async def closed(self) -> Closed:
        """Wait for the server's Close, which comes next."""

    async def aclose(self) -> None:
        """Let go of it, whatever its state."""


def cut(message: Sliced, pieces: int) -> list[Sliced]:
    """A message in so many pieces."""
    size = -(-len(message) // pieces)
    return [message[size * n : size * (n + 1)] for n in range(pieces)]


def websocket_url(service: Service, path: str) -> str:
    """A URL of a service, for WebSockets."""
    return "ws" + service.url(path).removeprefix("http")


# websockets


class Websockets:
    """The library, in a loop of asyncio's."""

    fragments = negotiates = tells_close = True
    subprotocol: str | None
    compresses: bool

    def __init__(self) -> None:
        self._loop = Loop()
        self._stack = AsyncExitStack()
        self._connection: ClientConnection | None = None

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        connection = await self._loop.run(self._open(service, path, subprotocols))
        self._connection = connection
        self.subprotocol = connection.subprotocol
        self.compresses = bool(connection.protocol.extensions)

    async def _open(
        self, service: Service, path: str, subprotocols: Sequence[str]
    ) -> ClientConnection:
        transport = service.transport
        below = TCP() if isinstance(transport, TLS) else transport
        connecting = connect(
            websocket_url(service, path),
            sock=below.connect(service.port),
            ssl=transport.context() if isinstance(transport, TLS) else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            max_size=LARGEST,
        )
        try:
            return await self._stack.enter_async_context(connecting)
        except InvalidStatus as error:
            raise Refused(error.response.status_code) from None

    async def send(self, message: Data, pieces: int = 1) -> None:
        await self._loop.run(self._opened.send(message if pieces == 1 else cut(message, pieces)))

    @property
    def _opened(self) -> ClientConnection:
        assert self._connection is not None
        return self._connection

    async def receive(self) -> Data:
        return await self._loop.run(self._opened.recv())

    async def ping(self, payload: bytes) -> None:
        await self._loop.run(self._ping(payload))

    async def _ping(self, payload: bytes) -> None:
        await (await self._opened.ping(payload))

    async def close(self, code: int, reason: str) -> None:
        await self._loop.run(self._opened.close(code, reason))

    async def closed(self) -> Closed:
        with pytest.raises(ConnectionClosed) as closed:
            await self.receive()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def aclose(self) -> None:
        await self._loop.run(self._stack.aclose())
        await self._loop.aclose()


# aiohttp


class Aiohttp:
    """The client of the asyncio world; in threads, since it needs a loop of its own."""

    fragments = False
    negotiates = tells_close = True
    subprotocol: str | None
    compresses: bool

    def __init__(self) -> None:
        self._loop = Loop()
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        await self._loop.run(self._open(service, path, subprotocols))

    async def _open(self, service: Service, path: str, subprotocols: Sequence[str]) -> None:
        self._session = aiohttp_session(service)
        try:
            self._socket = socket = await self._session.ws_connect(
                service.url(path),
                protocols=subprotocols,
                compress=15,
                autoping=False,
                max_msg_size=LARGEST,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from None
        self.subprotocol = socket.protocol
        self.compresses = bool(socket.compress)

    @property
    def _opened(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket

    async def send(self, message: Data, pieces: int = 1) -> None:
        assert pieces == 1
        send = self._opened.send_str if isinstance(message, str) else self._opened.send_bytes
        await self._loop.run(send(message))  # type: ignore[arg-type]

    async def receive(self) -> Data:
        message = await self._loop.run(self._next())
        assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
        data: Data = message.data
        return data

    async def _next(self) -> aiohttp.WSMessage:
        while (message := await self._opened.receive()).type is aiohttp.WSMsgType.PING:
            await self._opened.pong(message.data)
        return message

    async def ping(self, payload: bytes) -> None:
        await self._loop.run(self._opened.ping(payload))
        message = await self._loop.run(self._next())
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, payload)

    async def close(self, code: int, reason: str) -> None:
        await self._loop.run(self._opened.close(code=code, message=reason.encode()))

    async def closed(self) -> Closed:
        message = await self._loop.run(self._next())
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return message.data, message.extra or ""

    async def aclose(self) -> None:
        if self._session is not None:
            await self._loop.run(self._session.close())
        await self._loop.aclose()


# What tells of events


class Eventful:
    """A client which tells what happens, when it does: `open`, `refused`, `message`, `pong`,
    `close`.
    """

    def __init__(self) -> None:
        self.happened: DeferredQueue[tuple[str, Any]] = DeferredQueue()

    async def next(self, name: str) -> Any:
        """What belongs to the next event, which must be this one."""
        event, value = await self.event()
        if event == "refused":
            raise Refused(value)
        assert event == name, (event, value)
        return value

    async def event(self) -> tuple[str, Any]:
        """The next event."""
        return await self.happened.get()

    async def receive(self) -> Data:
        message: Data = await self.next("message")
        return message

    async def closed(self) -> Closed:
        code, reason = await self.next("close")
        return code, reason


# autobahn


class AutobahnProtocol(WebSocketClientProtocol):
    """Puts to a queue what happens."""

    happened: DeferredQueue[tuple[str, Any]]

    def onConnect(self, response: Any) -> None:
        self.agreed = response.protocol, bool(response.extensions)

    def onOpen(self) -> None:
        self.happened.put(("open", self.agreed))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.happened.put(("message", payload if isBinary else payload.decode()))

    def onPong(self, payload: bytes) -> None:
        self.happened.put(("pong", payload))

    def onClose(self, wasClean: bool, code: int, reason: str | None) -> None:
        refused = re.search(r"upgrade failed \W(\d{3})", reason or "")
        event = ("refused", int(refused[1])) if refused else ("close", (code, reason or ""))
        self.happened.put(event)


class Autobahn(Eventful):
    """The older library of the Twisted world."""

    fragments = negotiates = tells_close = True
    subprotocol: str | None
    compresses: bool
    _protocol: AutobahnProtocol | None = None

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        url = websocket_url(service, path)
        factory = WebSocketClientFactory(url, protocols=list(subprotocols))
        factory.protocol = AutobahnProtocol
        factory.setProtocolOptions(
            perMessageCompressionOffers=[PerMessageDeflateOffer()],
            perMessageCompressionAccept=accept_deflate,
        )
        self._protocol = cast(AutobahnProtocol, await service.client().connect(factory))
        self._protocol.happened = self.happened
        self.subprotocol, self.compresses = await self.next("open")

    async def send(self, message: Data, pieces: int = 1) -> None:
        payload = message.encode() if isinstance(message, str) else message
        size = -(-len(payload) // pieces) if pieces > 1 else None
        self._opened.sendMessage(payload, isinstance(message, bytes), size)

    @property
    def _opened(self) -> AutobahnProtocol:
        assert self._protocol is not None
        return self._protocol

    async def ping(self, payload: bytes) -> None:
        self._opened.sendPing(payload)
        assert await self.next("pong") == payload

    async def close(self, code: int, reason: str) -> None:
        self._opened.sendClose(code, reason)

    async def aclose(self) -> None:
        if self._protocol is not None:
            self._protocol.dropConnection(abort=True)
            await self._protocol.is_closed


def accept_deflate(response: object) -> PerMessageDeflateResponseAccept | None:
    """Compression is welcome to an autobahn client."""
    if isinstance(response, PerMessageDeflateResponse):
        return PerMessageDeflateResponseAccept(response)
    return None


# Twisted


@implementer(IAgentEndpointFactory)
class At:
    """Wherever a URL points to, it is reached over one endpoint."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._endpoint


class Twisted(Eventful):
    """Twisted's own, from 26.10 on."""

    fragments = negotiates = tells_close = False
    subprotocol: str | None = None
    compresses = False
    _transport: Any = None

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        from twisted.web.websocket import ConnectionRejected, WebSocketClientEndpoint

        assert not subprotocols
        endpoint = WebSocketClientEndpoint(At(service.client()), websocket_url(service, path))
        try:
            await endpoint.connect(self)
        except ConnectionRejected as error:
            raise Refused(error.response.code) from None

    async def send(self, message: Data, pieces: int = 1) -> None:
        assert pieces == 1
        if isinstance(message, str):
            self._transport.sendTextMessage(message)
        else:
            self._transport.sendBytesMessage(message)

    async def ping(self, payload: bytes) -> None:
        self._transport.ping(payload)
        assert await self.next("pong") == payload

    async def close(self, code: int, reason: str) -> None:
        self._transport.loseConnection(code, reason)

    async def aclose(self) -> None:
        if self._transport is not None:
            self._transport.transport.abortConnection()

    # WebSocketClientFactory, WebSocketProtocol

    def buildProtocol(self, url: str) -> Self:
        return self

    def negotiationStarted(self, transport: Any) -> None:
        self._transport = transport

    def negotiationFinished(self) -> None:
        """It is open."""

    def textMessageReceived(self, message: str) -> None:
        self.happened.put(("message", message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.happened.put(("message", bytes(data)))

    def pongReceived(self, payload: bytes) -> None:
        self.happened.put(("pong", bytes(payload)))

    def connectionLost(self, reason: Failure) -> None:
        self._transport = None
        self.happened.put(("close", (0, "it does not tell")))


# Node


class NodeWS(Eventful):
    """The library ws of Node.js."""

    fragments = negotiates = tells_close = True
    subprotocol: str | None
    compresses: bool

    def __init__(self) -> None:
        super().__init__()
        self._node = Node()

    async def open(self, service: Service, path: str, subprotocols: Sequence[str] = ()) -> None:
        transport, ca = service.transport, None
        url = websocket_url(service, path)
        if isinstance(transport, UNIX):
            url = f"ws+unix:{transport.path}:{path}"
        elif isinstance(transport, TLS):
            ca = transport.certificates.authority.read_text()
        await self._node.tell("connect", url, list(subprotocols), ca)
        subprotocol, extensions = await self.next("open")
        self.subprotocol = subprotocol or None
        self.compresses = extensions != ""

    async def event(self) -> tuple[str, Any]:
        """The next event."""
        name, *values = await self._node.event()
        if name in {"text", "bytes"}:
            (data,) = values
            return "message", data if name == "text" else b64decode(data)
        return name, values if len(values) > 1 else values[0]

    async def send(self, message: Data, pieces: int = 1) -> None:
        if isinstance(message, str):
            await self._node.tell("text", cut(message, pieces))
        else:
            encoded = [b64encode(piece).decode() for piece in cut(message, pieces)]
            await self._node.tell("bytes", encoded)

    async def ping(self, payload: bytes) -> None:
        await self._node.tell("ping", b64encode(payload).decode())
        assert b64decode(await self.next("pong")) == payload

    async def close(self, code: int, reason: str) -> None:
        await self._node.tell("close", code, reason)

    async def aclose(self) -> None:
        await self._node.aclose()


CLIENTS: dict[str, type[Client]] = {
    "websockets": Websockets,
    "aiohttp": Aiohttp,
    "autobahn": Autobahn,
}
"""Those that there are."""

if find_spec("wsproto") and find_spec("twisted.web.websocket"):
    CLIENTS["twisted"] = Twisted
if path_of_ws() is not None:
    CLIENTS["node"] = NodeWS
