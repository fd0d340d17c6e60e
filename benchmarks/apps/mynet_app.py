"""Apps of mynet: `app`, and `coroutines`, whose WebSockets are coroutines instead of protocols."""

from __future__ import annotations

from mynet import App, Request
from mynet.realtime import MemoryTopics
from mynet.websocket import (
    WebSocket,
    WebSocketConnection,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketTransport,
)

app = App()
coroutines = App()
topics = MemoryTopics()


@app.get("/")
async def hello(request: Request) -> str:
    """The whole greeting."""
    return "Hello, World!"


@app.get("/hello/{name}")
async def hello_name(request: Request, name: str) -> str:
    """One that is routed."""
    return f"Hello, {name}!"


class Echo(WebSocketProtocol):
    """Sends back what it is sent."""

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def textMessageReceived(self, message: str) -> None:
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self.transport.sendBytesMessage(data)


class FanOut(WebSocketProtocol):
    """What one is sent, all send."""

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        assert isinstance(transport, WebSocketConnection)
        topics.subscribe("all", transport)

    def textMessageReceived(self, message: str) -> None:
        topics.publish("all", message)


app.add_route("/echo", WebSocketHandler(lambda request: Echo(), ping_interval=None))
app.add_route("/fanout", WebSocketHandler(lambda request: FanOut(), ping_interval=None))


@coroutines.websocket("/echo", ping_interval=None)
async def echo(socket: WebSocket) -> None:
    """Send back what is received."""
    async for message in socket:
        await socket.send(message)


@coroutines.websocket("/fanout", ping_interval=None)
async def fan_out(socket: WebSocket) -> None:
    """What one is sent, all send."""
    async with topics.subscription("all", socket):
        async for message in socket:
            await topics.publish("all", message)
