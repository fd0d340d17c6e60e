"""What has been received on a connection, until a coroutine asks for it.

What comes while nobody waits for it is kept, up to a limit; then the peer waits.
"""

from __future__ import annotations

from mynet.http.coroutines import Signal
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.connection import WebSocketConnection

OVERHEAD = 64
"""What a message that is kept costs besides its bytes."""


class Inbox(Signal):
    """It is awaited for the next message, by one coroutine at a time.

    The await raises WebSocketClosed when the connection is closed and all has been received; in a
    loop it ends that instead.
    """

    __slots__ = ("_holds_up", "_messages", "_size", "closed", "connection", "in_loop")

    def __init__(self) -> None:
        super().__init__()
        self.connection: WebSocketConnection | None = None
        """Which is paused; it must be there before anything is put here."""
        self.closed: WebSocketClosed | None = None
        """How the connection ended, when it has."""
        self.in_loop = False
        """Whether it is `async for` that awaits this."""
        self._messages: list[str | bytes] = []
        self._size = 0  # of what was put here while nobody waited for it
        self._holds_up = False  # its peer

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: str | bytes) -> None:
        """Keep a message, or let who waits for it go on."""
        self._messages.append(message)
        if self._waiter is not None:
            self.fire()
            return
        self._size += len(message) + OVERHEAD
        connection = self.connection
        if connection is not None and self._size > connection.shared.policy.receive_limit:
            self._holds_up = True
            connection.pause_reading()

    def take(self) -> str | bytes:
        """The message that came first, which is no longer kept.

        Raises:
            IndexError: There is none.
        """
        message = self._messages.pop(0)
        if self._size:
            self._size = max(0, self._size - len(message) - OVERHEAD)
            if self._holds_up and not self._size and self.connection is not None:
                self._holds_up = False
                self.connection.resume_reading()
        return message

    def close(self, closed: WebSocketClosed) -> None:
        """There will be no more."""
        self.closed = closed
        self.connection = None
        self.fire()

    def settle(self, fired: bool) -> None:
        """See `Signal`."""
        if self._messages:
            raise StopIteration(self.take())
        closed = self.closed
        if closed is None:
            return
        if self.in_loop:
            raise StopAsyncIteration
        raise type(closed)(*closed.args)  # another one: it will know who raised it, and so us
