"""`wsgi.input` of a body that is still on its way: a thread waits for as much as it asks for.

`Input` has two sides. In the reactor a pump takes the body's chunks from the connection, one after
the other, and waits while `READ_AHEAD` bytes have not been read; then the connection makes the
client wait. In the thread `readinto` waits while there are none. The pump starts when the
application first reads, and not before: only then does a client that asked for leave get it.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from threading import Condition
from typing import Any

from twisted.internet.interfaces import IReactorTime

from mynet.http.body import RequestBody
from mynet.http.coroutines import Signal, start
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.limits import KIB

READ_AHEAD = 128 * KIB
"""How much waits for the thread; more, up to `Limits.body_buffer`, waits in the connection."""


class Disconnected(ClientGone, ConnectionResetError):  # noqa: N818  (as ClientGone)
    """What an application gets where it reads or writes after its client has gone."""


class BodyError(OSError):
    """What an application gets where the client broke a rule while it sent the body."""

    def __init__(self, error: HTTPError) -> None:
        super().__init__(str(error))
        self.error = error
        """What the client is answered with, unless the application knows better."""


class Input(io.RawIOBase):
    """The raw stream; an `io.BufferedReader` makes of it all that PEP 3333 asks for."""

    def __init__(
        self, body: RequestBody, clock: IReactorTime, in_reactor: Callable[..., object]
    ) -> None:
        """Nothing is read yet.

        Args:
            body: Where it comes from.
            clock: The reactor.
            in_reactor: Calls a function with arguments in the reactor's thread, soon.
        """
        super().__init__()
        self._body = body
        self._clock = clock
        self._in_reactor = in_reactor
        self._changed = Condition()
        self._chunks: deque[memoryview] = deque()
        self._buffered = 0
        self._ended = False
        self._error: OSError | None = None
        self._begun = False
        self._is_full = False
        self._room = Signal()

    # In the reactor

    def _begin(self) -> None:
        start(self._pump(), copy_context(), self._clock)

    async def _pump(self) -> None:
        try:
            async for chunk in self._body:
                if self._put(chunk):
                    await self._room
        except HTTPError as error:
            self.fail(BodyError(error))
        except Exception as error:
            self.fail(Disconnected(str(error)))
        else:
            self._end()

    def _put(self, chunk: bytes) -> bool:
        """Whether no more is to come for now."""
        with self._changed:
            self._chunks.append(memoryview(chunk))
            self._buffered += len(chunk)
            self._is_full = self._buffered >= READ_AHEAD
            self._changed.notify()
            return self._is_full

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def fail(self, error: OSError) -> None:
        """Nothing more will come. What has come may still be read. The first error counts."""
        with self._changed:
            if self._error is None and not self._ended:
                self._error = error
            self._changed.notify()

    # In the thread: io.RawIOBase

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some of the body, and put it there: how much, 0 at the end.

        Raises:
            BodyError: The client broke a rule while it sent it.
            Disconnected: The client has gone, or the request has been answered.
        """
        target = memoryview(buffer).cast("B")
        with self._changed:
            if not self._wait():
                return 0
            chunk = self._chunks.popleft()
            size = min(len(chunk), len(target))
            target[:size] = chunk[:size]
            if size < len(chunk):
                self._chunks.appendleft(chunk[size:])
            self._took(size)
        return size

    def readall(self) -> bytes:
        """Wait for all that is left; it raises what `readinto` raises."""
        pieces: list[bytes] = []
        while True:
            with self._changed:
                if not self._wait():
                    return b"".join(pieces)
                pieces.extend(map(bytes, self._chunks))
                self._chunks.clear()
                self._took(self._buffered)

    def _wait(self) -> bool:
        """Wait for a chunk; false at the end of the body."""
        while not self._chunks and not self._ended:
            if self._error is not None:
                raise self._error
            if self._begun:
                self._changed.wait()
            else:
                self._begun = True
                self._in_reactor(self._begin)
        return bool(self._chunks)

    def _took(self, size: int) -> None:
        self._buffered -= size
        if self._is_full and self._buffered <= READ_AHEAD // 2:
            self._is_full = False
            self._in_reactor(self._room.fire)
