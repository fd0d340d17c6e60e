"""A WebSocket for coroutines: messages are received and sent where one waits for that.

What happens on the connection is told to it as to any `WebSocketProtocol`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from secrets import token_bytes
from typing import Self, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.codes import NORMAL
from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.inbox import Inbox
from mynet.websocket.interfaces import WebSocketProtocol, WebSocketTransport
from mynet.websocket.message import Message

Ping = tuple[bytes, float, Deferred[float | None]]
"""What a ping said, when, and who waits for the seconds that it takes; None: it was in vain."""


class Socket(WebSocketProtocol):
    """A connection as a coroutine sees it, on either side.

    `async for message in socket` ends when the connection is closed, however that happened.
    One coroutine at a time may receive; any number may send.
    """

    controls_reading = True

    __slots__ = ("_closers", "_connection", "_inbox", "_pings")

    def __init__(self) -> None:
        self._connection: WebSocketConnection | None = None
        self._inbox = Inbox()
        self._closers: list[Deferred[None]] | None = None
        self._pings: list[Ping] | None = None

    @property
    def connection(self) -> WebSocketConnection:
        """The connection below."""
        assert self._connection is not None
        return self._connection

    @property
    def close_code(self) -> int | None:
        """With what code it was closed, see `WebSocketClosed`; None while it is open."""
        closed = self._inbox.closed
        return None if closed is None else closed.code

    @property
    def close_reason(self) -> str:
        """With what reason."""
        closed = self._inbox.closed
        return "" if closed is None else closed.reason

    # Receiving

    async def receive(self) -> str | bytes:
        """The next message: a str if it is text, else bytes.

        Raises:
            WebSocketClosed: The connection is closed, and all has been received.
            RuntimeError: Another coroutine is receiving.
        """
        return await self._next(in_loop=False)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[str | bytes]:
        return self._next(in_loop=True)

    def _next(self, in_loop: bool) -> Awaitable[str | bytes]:
        inbox = self._inbox
        if inbox.is_awaited:
            raise RuntimeError("another coroutine is receiving from this WebSocket")
        if self._connection is None:
            _ = self.connection  # it may have to be accepted
        inbox.in_loop = in_loop
        return inbox

    # Sending

    async def send(self, message: str | bytes | Message, key: Hashable | None = None) -> None:
        """Send a message: a str as text, bytes as binary.

        While the peer takes less than it is sent this waits, if that is the policy. Cancelled, it
        has not been sent.

        Args:
            message: What to send. A `Message` that is sent to many is made only once.
            key: For the policy `latest`: of what waits under the same key, the latest is kept.

        Raises:
            WebSocketClosed: The connection is closed, or about to be.
            TypeError: This is no message.
        """
        waiting = self.connection.send(message, key)
        if waiting is not None:
            await waiting

    def deliver(self, message: Message, key: Hashable | None = None) -> None:
        """Send without waiting, and without an error where that is too late: as topics do."""
        self.connection.deliver(message, key)

    async def ping(self) -> float:
        """Ask for a sign of life; our own pings, which are sent anyway, need none of this.

        Returns:
            How long it took, in seconds.

        Raises:
            WebSocketClosed: None has come.
        """
        connection = self.connection
        if not connection.can_send:
            raise connection.closed()
        payload = token_bytes(8)
        answered: Deferred[float | None] = Deferred(self._forget_ping)
        if self._pings is None:
            self._pings = []
        self._pings.append((payload, connection.sweep.now, answered))
        connection.ping(payload)
        seconds = await answered
        if seconds is None:
            raise connection.closed()
        return seconds

    # Its end

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close, when all has been sent that was, and wait until it is.

        What still arrives is not received any more. To close twice does nothing.

        Raises:
            ValueError: This is no code that can be sent, or the reason is longer than 123 bytes.
        """
        self.connection.loseConnection(code, reason)
        if self._inbox.closed is not None:
            return
        closed: Deferred[None] = Deferred()
        if self._closers is None:
            self._closers = []
        self._closers.append(closed)
        await closed

    def on_close(self, call: Callable[[], object]) -> None:
        """Call this when the connection is over; at once if it is."""
        self.connection.on_close(call)

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._connection = self._inbox.connection = cast(WebSocketConnection, transport)

    def negotiationFinished(self) -> None:
        """What was asked for before is asked for now."""
        for payload, _, _ in self._pings or ():
            self.connection.ping(payload)

    def textMessageReceived(self, message: str) -> None:
        self._inbox.put(message)

    def bytesMessageReceived(self, data: bytes) -> None:
        self._inbox.put(data)

    def pongReceived(self, payload: bytes) -> None:
        """It answers what was asked before, too (RFC 6455 section 5.5.3)."""
        pings = self._pings or []
        payloads = [asked for asked, _, _ in pings]
        if payload not in payloads:
            return
        count = payloads.index(payload) + 1
        self._pings = pings[count:] or None
        now = self.connection.sweep.now
        for _, since, answered in pings[:count]:
            if not answered.called:
                answered.callback(now - since)

    def _forget_ping(self, answered: Deferred[float | None]) -> None:
        self._pings = [ping for ping in self._pings or () if ping[2] is not answered] or None

    def connectionLost(self, reason: Failure) -> None:
        self._inbox.end(cast(WebSocketClosed, reason.value))
        pings, self._pings = self._pings, None
        for _, _, answered in pings or ():
            if not answered.called:
                answered.callback(None)
        closers, self._closers = self._closers, None
        for closed in closers or ():
            if not closed.called:
                closed.callback(None)
