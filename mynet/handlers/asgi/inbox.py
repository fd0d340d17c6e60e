"""The messages of one WebSocket that an application has not received yet.

What comes while a task waits for it is handed to that task. The rest is kept, up to a limit; then
the peer waits. Tasks are asyncio's, and any number may wait: each message is for one of them, and
one that is cancelled loses nothing.
"""

from __future__ import annotations

from asyncio import CancelledError, Future, get_running_loop, sleep
from typing import Any

from mynet.websocket.connection import WebSocketConnection
from mynet.websocket.inbox import OVERHEAD

Event = dict[str, Any]
"""What an application receives, or sends."""


class Inbox:
    """Events in order, and how it ends."""

    __slots__ = ("_end", "_events", "_holds_up", "_size", "_waiting", "connection")

    def __init__(self) -> None:
        self.connection: WebSocketConnection | None = None
        """Which is paused."""
        self._events: list[tuple[Event, int]] = []
        self._size = 0  # of those
        self._holds_up = False  # the peer
        self._waiting: list[Future[Event]] = []
        self._end: Event | None = None

    def put(self, event: Event, size: int) -> None:
        """Hand an event to who waits for it, or keep it.

        Args:
            event: What to receive.
            size: Of the message in it.
        """
        if not self._hand_over(event):
            self._events.append((event, size))
            self._size += size + OVERHEAD
            connection = self.connection
            if connection is not None and self._size > connection.shared.policy.receive_limit:
                self._holds_up = True
                connection.pause_reading()

    def end(self, event: Event) -> None:
        """This is the last; whoever asks for more gets it again."""
        self._end = event
        self.connection = None
        while self._hand_over(event.copy()):
            pass

    async def receive(self) -> Event:
        """The next event.

        Raises:
            asyncio.CancelledError: The task was cancelled; the event is there for another.
        """
        if self._events:
            return self._first()
        if self._end is not None:
            await sleep(0)  # who asks for ever lets others go on
            return self._end.copy()
        waiting: Future[Event] = get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except CancelledError:
            self._give_back(waiting)
            raise

    def _first(self) -> Event:
        event, size = self._events.pop(0)
        self._size -= size + OVERHEAD
        if self._holds_up and not self._events and self.connection is not None:
            self._holds_up = False
            self.connection.resume_reading()
        return event

    def _hand_over(self, event: Event) -> bool:
        """Whether there is somebody who waits, who now has it."""
        while self._waiting:
            waiting = self._waiting.pop(0)
            if not waiting.done():
                waiting.set_result(event)
                return True
        return False

    def _give_back(self, waiting: Future[Event]) -> None:
        """A task was cancelled while it waited, or before it knew that it need not any more."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif not waiting.cancelled() and not self._hand_over(waiting.result()):
            self._events.insert(0, (waiting.result(), 0))
            self._size += OVERHEAD
