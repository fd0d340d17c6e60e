"""A connection of ours, in memory, with the library `websockets` at its other end.

That is strict, and knows nothing of how mynet reads and writes. What it would never send is made
by hand: `masked`, and `Line.feed`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from mynet.http.sweep import Deadlines, Sweep
from mynet.testing import MemoryTransport, Wire
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.deflate import Deflate, Parameters
from mynet.websocket.interfaces import WebSocketProtocol
from mynet.websocket.shared import Shared
from tests.websocket.arriving import KEY, raw

URI = parse_uri("ws://test/")


def masked(opcode: int, data: bytes = b"", fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame, right or wrong."""
    return raw(opcode | fin << 7 | rsv1 << 6, data, KEY)


class Noting(WebSocketProtocol):
    """A protocol that notes what happens, and does what it is told."""

    def __init__(self, controls_reading: bool = False) -> None:
        self.controls_reading = controls_reading
        self.events: list[Any] = []
        self.transport: Any = None
        self.does: dict[str, Any] = {}
        """What to do when something of that name happens: called with the transport."""

    def _note(self, name: str, *values: Any) -> None:
        self.events.append((name, *values) if values else name)
        if name in self.does:
            self.does[name](self.transport, *values)

    def take(self) -> list[Any]:
        """What has happened since the last call."""
        events, self.events = self.events, []
        return events

    def negotiationStarted(self, transport: Any) -> None:
        self.transport = transport
        self._note("started")

    def negotiationFinished(self) -> None:
        self._note("open")

    def textMessageReceived(self, message: str) -> None:
        self._note("text", message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self._note("bytes", data)

    def pongReceived(self, payload: bytes) -> None:
        self._note("pong", payload)

    def connectionLost(self, reason: Failure) -> None:
        closed: Any = reason.value
        self._note("lost", type(closed).__name__, closed.code, closed.reason)


class Strict:
    """The far end: what `websockets` makes of what it gets, over whatever carries bytes."""

    def __init__(self, protocol: ClientProtocol | ServerProtocol) -> None:
        self.protocol = protocol
        self.frames: list[Frame] = []
        self.response: Response | None = None
        self._ended = False

    def receive(self, data: bytes, ended: bool) -> None:
        """What has come from ours, and whether that was all there will be."""
        if data:
            self.protocol.receive_data(data)
        if ended and not self._ended:
            self._ended = True
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            else:
                assert isinstance(event, Frame)
                self.frames.append(event)
        assert self.protocol.parser_exc is None or self._ended, self.protocol.parser_exc

    def take(self) -> list[str | bytes]:
        """The messages received since the last call; ours come in one frame each."""
        frames, self.frames = self.frames, []
        messages: list[str | bytes] = []
        for frame in frames:
            if frame.opcode is Opcode.TEXT:
                messages.append(bytes(frame.data).decode())
            elif frame.opcode is Opcode.BINARY:
                messages.append(bytes(frame.data))
        return messages

    def turn(self) -> None:
        """Let each have what the other has sent, until all is still."""
        raise NotImplementedError

    def sends(self, *messages: str | bytes) -> None:
        """The far end sends messages."""
        for message in messages:
            if isinstance(message, str):
                self.protocol.send_text(message.encode())
            else:
                self.protocol.send_binary(message)
        self.turn()

    def closes(self, code: int | None = 1000, reason: str = "") -> None:
        """The far end begins to close."""
        self.protocol.send_close(code, reason)
        self.turn()

    def got(self) -> list[str | bytes]:
        """The messages that the far end has received since the last call."""
        self.turn()
        return self.take()

    @property
    def close(self) -> tuple[int, str] | None:
        """The Close that it got."""
        close = self.protocol.close_rcvd
        return None if close is None else (close.code, close.reason)


class Line(Strict):
    """One connection without its handshake."""

    def __init__(
        self,
        protocol: WebSocketProtocol | None = None,
        *,
        client: bool = False,
        size: int | None = None,
        compressed: bool = False,
        made: bool = True,
        **fields: Any,
    ) -> None:
        """Connect.

        Args:
            protocol: A `Noting` unless given.
            client: Whether ours is the client's side.
            size: How many bytes arrive at a time.
            compressed: Whether compression was agreed on, with the defaults of `Deflate`.
            made: Whether it is open already.
            fields: Of the policy.
        """
        super().__init__(
            ServerProtocol(state=OPEN, max_size=None)
            if client
            else ClientProtocol(URI, state=OPEN, max_size=None)
        )
        self.clock = Clock()
        self.sweep: Sweep[Deadlines] = Sweep(self.clock)
        self.shared = Shared(**fields)
        self.ours: Any = protocol or Noting()
        parameters = None
        if compressed:
            bits = Deflate().window_bits
            parameters = Parameters(False, False, bits, bits)
            self.protocol.extensions = [PerMessageDeflate(False, False, bits, bits)]
        self.connection: Any = WebSocketConnection(
            self.shared, self.ours, self.sweep, parameters, client=client
        )
        self.transport = MemoryTransport(self.clock)
        self.size = size
        if made:
            self.make()

    def make(self) -> None:
        """Open it."""
        self.transport.protocol = self.connection
        self.connection.makeConnection(self.transport)

    def feed(self, data: bytes) -> None:
        """Let ours receive this."""
        step = self.size or len(data)
        for at in range(0, len(data), step or 1):
            if self.transport.disconnected:
                return
            self.connection.dataReceived(data[at : at + step])
            self.clock.advance(0)

    def turn(self) -> None:
        still = False
        while not still:
            self.clock.advance(0)
            data, self.transport.received = self.transport.received, b""
            sends = b"".join(self.protocol.data_to_send())
            ended = self.transport.disconnected or self.transport.half_closed
            ended = ended and not self.transport.waiting
            still = not data and not sends and ended == self._ended
            self.receive(data, ended)
            self.feed(sends)

    def opcodes(self) -> list[str]:
        """The frames that it has received since the last call."""
        self.turn()
        frames, self.frames = self.frames, []
        return [frame.opcode.name for frame in frames]

    def stop_reading(self) -> None:
        """The far end reads no more, until `read`."""
        self.turn()
        self.transport.reading = False

    def read(self) -> None:
        """It reads again, all that waits."""
        self.transport.read()
        self.turn()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        while seconds > 0:
            self.clock.advance(min(1, seconds))
            self.turn()
            seconds -= 1

    def lose(self) -> None:
        """The TCP connection ends without a word, at last in the order of things."""
        self.transport.lose(Exception("lost"))


class Browser(Strict):
    """A strict client of all that an `HTTPFactory` serves."""

    def __init__(
        self,
        served: Any,
        path: str = "/",
        *,
        size: int | None = None,
        subprotocols: Any = None,
        compressed: bool = False,
        behind: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Connect, and ask for a WebSocket.

        Args:
            served: What a `Wire` takes, or a `Wire`.
            path: What to ask for.
            size: How many bytes arrive at a time.
            subprotocols: What to offer.
            compressed: Whether to offer compression.
            behind: What to send with the request, before there is an answer.
            headers: More fields.
        """
        extensions = [ClientPerMessageDeflateFactory()] if compressed else None
        uri = parse_uri(f"ws://test{path}")
        protocol = ClientProtocol(
            uri, subprotocols=subprotocols, extensions=extensions, max_size=None
        )
        super().__init__(protocol)
        self.wire = served if isinstance(served, Wire) else Wire(served)
        self.size = size
        request = protocol.connect()
        for name, value in (headers or {}).items():
            request.headers[name] = value
        protocol.send_request(request)
        self.wire.send(b"".join(protocol.data_to_send()) + behind, size)
        self.turn()

    @property
    def status(self) -> int | None:
        """Of the answer."""
        return None if self.response is None else self.response.status_code

    @property
    def body(self) -> bytes:
        """Of the answer."""
        assert self.response is not None
        return bytes(self.response.body or b"")

    def turn(self) -> None:
        still = False
        while not still:
            self.wire.advance(0)
            data, sends = self.wire.take(), b"".join(self.protocol.data_to_send())
            ended = self.wire.closed and not self.wire.transport.waiting
            still = not data and not sends and ended == self._ended
            self.receive(data, ended)
            self.wire.send(sends, self.size)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        while seconds > 0:
            self.wire.advance(min(1, seconds))
            self.turn()
            seconds -= 1

    def hang_up(self) -> None:
        """It is gone, without a word."""
        self.wire.hang_up()
