"""What has been received on a connection, until a coroutine asks for it.

What comes while nobody waits for it is kept, up to a limit; then the peer waits.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self, cast

from twisted.internet.defer import CancelledError

from mynet.http.coroutines import Signal
from mynet.websocket.closed import WebSocketClosed
from mynet.websocket.connection import WebSocketConnection

OVERHEAD = 64
"""What a message that is kept costs besides its bytes."""


class Inbox:
    """It is awaited for the next message, by one coroutine at a time.

    The await raises WebSocketClosed when the connection is closed and all has been received; in a
    loop it ends that instead. It is its own iterator, which `await` asks for: a generator's memory
    would be a tenth of all that an idle connection takes.
    """

    __slots__ = (
        "_holds_up",
        "_messages",
        "_signal",
        "_size",
        "closed",
        "connection",
        "in_loop",
        "is_awaited",
    )

    def __init__(self) -> None:
        self.connection: WebSocketConnection | None = None
        """Which is paused; it must be there before anything is put here."""
        self.closed: WebSocketClosed | None = None
        """How the connection ended, when it has."""
        self.in_loop = False
        """Whether it is `async for` that awaits this."""
        self._messages: list[str | bytes] = []
        self._size = 0  # of what was put here while nobody waited for it
        self._holds_up = False  # its peer
        self._signal = Signal()  # fired when there is something for who waits
        self.is_awaited = False
        """Whether somebody waits for a message; nobody else may."""

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: str | bytes) -> None:
        """Keep a message, or let who waits for it go on."""
        self._messages.append(message)
        if self.is_awaited and len(self._messages) == 1:
            self._signal.fire()
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

    def end(self, closed: WebSocketClosed) -> None:
        """There will be no more."""
        self.closed = closed
        self.connection = None
        self._signal.fire()

    # What `await` asks of an iterator

    def __await__(self) -> Generator[Any, Any, str | bytes]:
        return cast(Generator[Any, Any, str | bytes], self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Signal:
        signal = self._signal
        self.is_awaited = False
        if signal.is_cancelled:
            signal.is_cancelled = False
            raise CancelledError
        if self._messages:
            raise StopIteration(self.take())
        if self.closed is not None:
            raise self._end_of_messages(self.closed)
        self.is_awaited = True
        signal._asyncio_future_blocking = True
        return signal

    def send(self, value: object) -> Any:
        """Go on; Twisted does so with what it was given, if it cannot wait for that."""
        return self._signal.as_deferred() if value is self._signal else self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> None:
        """Go on with an error."""
        self.is_awaited = False
        error = value if isinstance(value, BaseException) else kind
        raise error if traceback is None else error.with_traceback(traceback)

    def close(self) -> None:
        """Wait no more."""
        self.is_awaited = False

    def _end_of_messages(self, closed: WebSocketClosed) -> Exception:
        if self.in_loop:
            return StopAsyncIteration()
        return type(closed)(*closed.args)  # another one: it will know who raised it, and so us
