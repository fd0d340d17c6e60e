"""What Autobahn|Testsuite tests: a server that echoes, and a client that does.

    python -m tests.conformance.autobahn_echo REACTOR serve PORT
    python -m tests.conformance.autobahn_echo REACTOR connect URL AGENT

REACTOR is `uv` or `default`. The server's `/` is a coroutine, its `/protocol` a protocol class. The
client asks the suite's server how many cases it has, and goes through them. Nothing is printed
unless something is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from mynet import App, uvreactor
from mynet.http import HTTPFactory
from mynet.http.limits import MIB
from mynet.websocket import (
    Deflate,
    Policy,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketTransport,
)
from mynet.websocket.client import connect
from mynet.websocket.socket import Socket

POLICY = Policy(
    max_message_size=17 * MIB,  # cases 9.1.6 and 9.2.6: 16 MiB
    max_frames=128 * 1024,  # cases 9.3.1 and 9.4.1: 4 MiB in frames of 64 bytes
    deflate=Deflate(window_bits=15),  # cases 13.4 and 13.6: their server wants the largest window
)

app = App()


@app.websocket("/", policy=POLICY)
async def echo(socket: WebSocket) -> None:
    """A coroutine that sends all back."""
    await send_back(socket)


async def send_back(socket: Socket) -> None:
    """Send all back."""
    async for message in socket:
        await socket.send(message)


class Echo(WebSocketProtocol):
    """A protocol that does."""

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport

    def textMessageReceived(self, message: str) -> None:
        self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self._transport.sendBytesMessage(data)


app.add_route("/protocol", WebSocketHandler(lambda request: Echo(), policy=POLICY))


async def serve(reactor: Any, port: str) -> None:
    """Serve them, until the process is ended."""
    endpoint = TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1")
    await endpoint.listen(HTTPFactory(app))
    await Deferred()


async def go_through(reactor: Any, url: str, agent: str) -> None:
    """Echo what the suite sends in each of its cases, then have it write its report."""
    async with await connect(f"{url}/getCaseCount", reactor=reactor) as socket:
        count = int(await socket.receive())
    for number in range(1, count + 1):
        case = f"{url}/runCase?case={number}&agent={agent}"
        async with await connect(case, policy=POLICY, reactor=reactor) as socket:
            with suppress(WebSocketClosed):
                await send_back(socket)
    async with await connect(f"{url}/updateReports?agent={agent}", reactor=reactor) as socket:
        async for message in socket:
            raise AssertionError(message)


MODES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "serve": serve,
    "connect": go_through,
}


def main(kind: str, mode: str, *arguments: str) -> None:
    """Do what the command line says, on a reactor of that kind."""
    if kind == "uv":
        uvreactor.install()
    react(lambda reactor: ensureDeferred(MODES[mode](reactor, *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
