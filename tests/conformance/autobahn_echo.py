"""What Autobahn|Testsuite tests: a server that echoes, as a coroutine and as a protocol.

    python -m tests.conformance.autobahn_echo REACTOR serve PORT

REACTOR is `uv` or `default`. The server's `/` is a coroutine, its `/protocol` a protocol class.
Nothing is printed unless something is wrong.
"""

from __future__ import annotations

import sys
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
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketTransport,
)

POLICY = Policy(
    max_message_size=17 * MIB,  # cases 9.1.6 and 9.2.6: 16 MiB
    max_frames=128 * 1024,  # cases 9.3.1 and 9.4.1: 4 MiB in frames of 64 bytes
    deflate=Deflate(window_bits=15),  # cases 13.4 and 13.6: their server wants the largest window
)

app = App()


@app.websocket("/", policy=POLICY)
async def echo(socket: WebSocket) -> None:
    """Send all back."""
    async for message in socket:
        await socket.send(message)


class Echo(WebSocketProtocol):
    """The same."""

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


MODES = {"serve": serve}


def main(kind: str, mode: str, *arguments: str) -> None:
    """Do what the command line says, on a reactor of that kind."""
    if kind == "uv":
        uvreactor.install()
    react(lambda reactor: ensureDeferred(MODES[mode](reactor, *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
