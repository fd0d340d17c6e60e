"""The body of a resource's response, from who writes it to who sends it.

What writes is the application, at will, or a producer that it has registered: one that pushes is
paused while the client is slow, one that is pulled is asked again each time that it has written,
and after a moment if it has not (twisted.web asks without end).
What sends is whatever takes an `IBodyProducer`; what is written before it takes this one waits.
This module knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.http.limits import KIB

HIGH_WATER = 64 * KIB
"""How much may wait for who sends until producers are paused; as in Twisted's transports."""

MOMENT = 0.001
"""Seconds until a producer is asked again that has written nothing when it was."""

log = Logger()


@implementer(IBodyProducer)
class Flow:
    """One body. It is let go of, by `close`, whatever becomes of it."""

    length = UNKNOWN_LENGTH

    def __init__(self, pieces: list[bytes], cut: Callable[[], object], clock: IReactorTime) -> None:
        """Begin.

        Args:
            pieces: What has been written already, and where the rest goes until it is sent.
            cut: Called if it will not be sent as a whole.
            clock: The reactor.
        """
        self.ended = False
        """Whether all has been written, or no more is wanted."""
        self._pieces = pieces
        self._waiting = sum(map(len, pieces))
        self._cut = cut
        self._clock = clock
        self._consumer: IConsumer | None = None
        self._paused = False
        self._done: Deferred[None] = Deferred()
        self._producer: Any = None
        self._pulled = False  # it writes only when asked
        self._written = False
        self._waits = False  # for the reactor to come round

    # Who writes

    def write(self, data: bytes) -> None:
        """Send some; it is dropped if no more is wanted."""
        if self.ended:
            return
        self._written = True
        if self._consumer is None:
            self._pieces.append(data)
            self._waiting += len(data)
            if self._waiting >= HIGH_WATER:
                self.pauseProducing()
        else:
            self._send(self._consumer, data)

    def _send(self, consumer: IConsumer, data: bytes) -> None:
        try:
            consumer.write(data)
        except Exception:  # it is longer than its Content-Length
            self.fail(Failure())

    def end(self) -> None:
        """All has been written."""
        self.ended = True
        if not self._done.called:
            self._done.callback(None)

    def fail(self, failure: Failure) -> None:
        """There will be no more of it, and what was sent must not look complete."""
        if not self.ended:
            self.ended = True
            if not self._done.called:
                self._done.errback(failure)
            self.stop()
            self._cut()

    def stop(self) -> None:
        """No more is wanted: the producer is told to stop, and what is written is dropped."""
        self.ended = True
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.stopProducing()
            except Exception:
                log.failure("stopProducing of {producer} failed", producer=producer)

    # Its producer

    def register(self, producer: Any, streaming: bool) -> None:
        """Have a producer write, who pushes if `streaming`; else it is pulled, not yet, but soon.

        Raises:
            RuntimeError: There is one already.
        """
        if self._producer is not None:
            raise RuntimeError(f"{self._producer!r} has not been unregistered")
        self._producer = producer
        self._pulled = not streaming
        if streaming and self._paused:
            producer.pauseProducing()

    def unregister(self) -> None:
        """The producer writes no more."""
        self._producer = None

    def pull_soon(self, delay: float = 0) -> None:
        """Pull when the reactor comes round, if there is somebody to be pulled by then."""
        if not self._waits:
            self._waits = True
            self._clock.callLater(delay, self._pull)

    def _pull(self) -> None:
        self._waits = False
        try:
            self.pull()
        except Exception:
            self.fail(Failure())

    def pull(self) -> None:
        """Ask the producer for more, as long as it writes at once and the client takes it.

        Raises:
            Exception: It does.
        """
        self._written = True
        while self._may_pull() and self._written:
            self._written = False
            self._producer.resumeProducing()
        if self._may_pull():
            self.pull_soon(MOMENT)

    def _may_pull(self) -> bool:
        return self._pulled and self._producer is not None and not (self._paused or self.ended)

    # IBodyProducer: who sends

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._consumer = consumer
        waited, self._paused = self._paused, False
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._send(consumer, data)
        if waited and not self._paused:
            self.resumeProducing()
        return self._done

    def pauseProducing(self) -> None:
        if not self._paused:
            self._paused = True
            if self._producer is not None and not self._pulled:
                self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._pulled:
            self.pull_soon()
        elif self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self.close()

    def close(self) -> None:
        """It is no longer wanted, or has been sent."""
        if not self.ended:
            self.stop()
            self._cut()
