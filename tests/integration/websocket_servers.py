"""WebSocket servers that people use.

They send back what they get, but for the texts `pieces`, `close`, and `ping`: a ping is sent then,
and `alive` when it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from typing import Any, Protocol

from aiohttp import WSMsgType, web
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.pages import forbidden
from twisted.web.resource import Resource
from twisted.web.server import Site
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.integration.serving import TCP, number_of
from tests.integration.websocket_loop import Loop
from tests.integration.websocket_node import Node, path_of_ws

Closed = tuple[int, str]
"""A close code, and a reason."""

PIECES = ["Grü", "", "ße, ", "世界!"]
"""What is sent at `pieces`: one text."""

GOODBYE = 4001, "Schluß"
"""With what a server closes at `close`."""


class Server(Protocol):
    """A server that somebody else wrote. It refuses `/refused` with 403."""

    fragments: bool
    """Whether it can send a message in pieces."""
    negotiates: bool
    """Whether it knows of subprotocols (`chat`) and compression."""
    closes: bool
    """Whether it tells clients why it closes, and users why a client did."""
    closed: list[Closed]
    """With what clients have closed."""

    async def start(self) -> int:
        """Listen on a port of 127.0.0.1."""

    async def aclose(self) -> None:
        """End it."""


# websockets


class Websockets:
    """The library, in a loop of asyncio's."""

    fragments = negotiates = closes = True

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self._loop = Loop()
        self._stack = AsyncExitStack()

    async def start(self) -> int:
        return await self._loop.run(self._start())

    async def _start(self) -> int:
        server = await self._stack.enter_async_context(
            serve(
                self._handle,
                "127.0.0.1",
                0,
                select_subprotocol=self._choose,
                process_request=self._admit,
            )
        )
        (listening,) = server.sockets
        port: int = listening.getsockname()[1]
        return port

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(403, "no") if request.path == "/refused" else None

    def _choose(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        return next((name for name in offered if name == "chat"), None)

    async def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                await self._answer(connection, message)
        protocol = connection.protocol
        self.closed.append((protocol.close_code or 0, protocol.close_reason or ""))

    async def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        if message == "pieces":
            await connection.send(PIECES)
        elif message == "ping":
            await (await connection.ping())
            await connection.send("alive")
        elif message == "close":
            await connection.close(*GOODBYE)
        else:
            await connection.send(message)

    async def aclose(self) -> None:
        await self._loop.run(self._stack.aclose())
        await self._loop.aclose()


# aiohttp

ENDS = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}


class Aiohttp:
    """The framework, in a loop of asyncio's."""

    fragments = False
    negotiates = closes = True

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self._loop = Loop()
        app = web.Application()
        app.router.add_get("/", self._handle)
        app.router.add_get("/refused", self._refuse)
        self._runner = web.AppRunner(app, shutdown_timeout=1)

    async def start(self) -> int:
        return await self._loop.run(self._start())

    async def _start(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPForbidden

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["chat"], autoping=False)
        await socket.prepare(request)
        while (message := await socket.receive()).type not in ENDS:
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                await socket.send_str("alive")
            elif message.data == "ping":
                await socket.ping(b"are you there?")
            elif message.data == "close":
                await socket.close(code=GOODBYE[0], message=GOODBYE[1].encode())
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        if message.type is WSMsgType.CLOSE:
            self.closed.append((message.data, message.extra or ""))
        return socket

    async def aclose(self) -> None:
        await self._loop.run(self._runner.cleanup())
        await self._loop.aclose()


# Those that run in the tests' own reactor


class Listener:
    """Listens with a factory of Twisted's."""

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self.connections: set[Any] = set()
        self._port: IListeningPort | None = None

    async def listen(self, factory: IProtocolFactory) -> int:
        """Listen on any port."""
        self._port = await TCP().server().listen(factory)
        return number_of(self._port)

    async def aclose(self) -> None:
        for transport in list(self.connections):
            transport.abortConnection()
        if self._port is not None and (stopped := self._port.stopListening()) is not None:
            await stopped


# autobahn


class AutobahnProtocol(WebSocketServerProtocol):
    """One connection."""

    def onConnect(self, request: Any) -> str | None:
        if request.path == "/refused":
            raise ConnectionDeny(403, "no")
        return "chat" if "chat" in request.protocols else None

    def onOpen(self) -> None:
        self.factory.server.connections.add(self.transport)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if payload == b"pieces":
            self.beginMessage()
            for piece in PIECES:
                self.sendMessageFrame(piece.encode())
            self.endMessage()
        elif payload == b"ping":
            self.sendPing(b"are you there?")
        elif payload == b"close":
            self.sendClose(*GOODBYE)
        else:
            self.sendMessage(payload, isBinary)

    def onPong(self, payload: bytes) -> None:
        self.sendMessage(b"alive")

    def onClose(self, wasClean: bool, code: int, reason: str | None) -> None:
        self.factory.server.closed.append((code, reason or ""))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.server.connections.discard(self.transport)


class Autobahn(Listener):
    """The older library of the Twisted world."""

    fragments = negotiates = closes = True

    async def start(self) -> int:
        factory = WebSocketServerFactory(protocols=["chat"])
        factory.protocol = AutobahnProtocol
        factory.server = self
        factory.setProtocolOptions(perMessageCompressionAccept=accept_deflate)
        return await self.listen(factory)


def accept_deflate(offers: list[object]) -> PerMessageDeflateOfferAccept | None:
    """Compression is welcome to an autobahn server."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None


# Twisted


class TwistedProtocol:
    """One connection."""

    transport: Any

    def __init__(self, server: Listener, transport: Any) -> None:
        self._server = server
        self._below = transport
        server.connections.add(transport)

    def negotiationStarted(self, transport: Any) -> None:
        self._transport = transport

    def negotiationFinished(self) -> None:
        """It is open."""

    def textMessageReceived(self, message: str) -> None:
        if message == "ping":
            self._transport.ping(b"are you there?")
        elif message == "close":
            self._transport.loseConnection(*GOODBYE)
        else:
            self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._transport.sendBytesMessage(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        self._transport.sendTextMessage("alive")

    def connectionLost(self, reason: Failure) -> None:
        self._server.connections.discard(self._below)


class Twisted(Listener):
    """Twisted's own, from 26.10 on."""

    fragments = negotiates = closes = False

    async def start(self) -> int:
        from twisted.web.websocket import WebSocketResource

        root = Resource()
        root.putChild(b"", WebSocketResource(self))
        root.putChild(b"refused", forbidden())
        return await self.listen(Site(root))

    def buildProtocol(self, request: Any) -> TwistedProtocol:
        """Its WebSocketServerFactory is this."""
        return TwistedProtocol(self, request.channel.transport)


# Node


class NodeWS:
    """The library ws of Node.js."""

    fragments = negotiates = closes = True

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self._node = Node()

    async def start(self) -> int:
        await self._node.tell("listen", PIECES, GOODBYE)
        event, port = await self._node.event()
        assert event == "listening"
        self._following = ensureDeferred(self._follow())
        number: int = port
        return number

    async def _follow(self) -> None:
        while event := await self._node.event():
            name, *values = event
            if name == "close":
                code, reason = values
                self.closed.append((code, reason))

    async def aclose(self) -> None:
        await self._node.kill()
        await self._following
        await self._node.aclose()


SERVERS: dict[str, type[Server]] = {
    "websockets": Websockets,
    "aiohttp": Aiohttp,
    "autobahn": Autobahn,
}
"""Those that there are."""

if find_spec("wsproto") and find_spec("twisted.web.websocket"):
    SERVERS["twisted"] = Twisted
if path_of_ws() is not None:
    SERVERS["node"] = NodeWS
