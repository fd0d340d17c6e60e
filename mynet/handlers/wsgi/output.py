"""A body that a worker thread writes, at the pace of its client.

The thread puts pieces in, and waits while `HIGH_WATER` bytes have not been taken. The reactor takes
them out, as the connection asks: one trip from thread to reactor carries all that has been written
until the reactor comes to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.handlers.wsgi.input import Disconnected
from mynet.http.limits import KIB
from mynet.http.outgoing import PIECE

HIGH_WATER = 256 * KIB
"""How much waits for the connection, besides what is written in one call; then the thread waits."""

LOW_WATER = 128 * KIB
"""When it goes on."""


@implementer(IBodyProducer)
class Output:
    """One body. Its bytes are those that were written before `finish`."""

    def __init__(self, length: int | None, in_reactor: Callable[..., object]) -> None:
        """Nothing is written yet.

        Args:
            length: The Content-Length, if it is known.
            in_reactor: Calls a function with arguments in the reactor's thread, soon.
        """
        self.length = UNKNOWN_LENGTH if length is None else length
        self._in_reactor = in_reactor
        self._changed = Condition()
        self._chunks: deque[bytes | memoryview] = deque()
        self._buffered = 0
        self._ended = False
        self._failure: Failure | None = None
        self.gone = False
        """Whether nobody takes any more of it."""
        self._told = True  # until it is first asked to produce, nobody need tell the reactor
        # Of the reactor's alone
        self._consumer: IConsumer | None = None
        self._paused = False
        self._sent: Deferred[None] | None = None

    # In the thread

    def write(self, data: bytes) -> None:
        """Send this; it returns when the client is not far behind.

        Raises:
            Disconnected: The client has gone.
        """
        with self._changed:
            self._check()
            if not data:
                return
            self._chunks.append(data)
            self._buffered += len(data)
            self._tell()
            if self._buffered >= HIGH_WATER:
                self._changed.wait_for(self._may_go_on)
                self._check()

    def finish(self, failure: Failure | None = None) -> None:
        """All has been written; or no more will be, because of that failure."""
        with self._changed:
            self._ended = True
            self._failure = failure
            self._told = self._told and failure is None  # which does not wait for the client
            self._tell()

    def _may_go_on(self) -> bool:
        return self.gone or self._buffered <= LOW_WATER

    def _check(self) -> None:
        if self.gone:
            raise Disconnected("the client has gone")

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._in_reactor(self._flush)

    # In the reactor: IBodyProducer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        sent = self._sent = Deferred()
        self._consumer = consumer
        self._flush()
        return sent

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._flush()

    def stopProducing(self) -> None:
        self.close()

    def close(self) -> None:
        """Nobody takes any more of it: the thread that writes gets to know."""
        with self._changed:
            self.gone = True
            self._chunks.clear()
            self._changed.notify()
        self._sent = self._consumer = None

    def _flush(self) -> None:
        while not self._paused and (piece := self._take()):
            if self._consumer is not None:
                self._consumer.write(piece)
        if self._sent is not None and self._is_done():
            sent, self._sent = self._sent, None
            if self._failure is None:
                sent.callback(None)
            else:
                sent.errback(self._failure)

    def _take(self) -> bytes:
        """The next piece; b"" if there is none, and from then on the reactor is told of one."""
        with self._changed:
            if not self._chunks:
                self._told = False
                return b""
            chunk = self._chunks.popleft()
            if len(chunk) > PIECE:
                self._chunks.appendleft(memoryview(chunk)[PIECE:])
            piece = bytes(chunk[:PIECE])
            was_high = self._buffered > LOW_WATER
            self._buffered -= len(piece)
            if was_high and self._buffered <= LOW_WATER:
                self._changed.notify()
            return piece

    def _is_done(self) -> bool:
        with self._changed:
            return self._ended and (self._failure is not None or not self._chunks)
