"""The body of a response that an application sends piece by piece, as the client takes it."""

from __future__ import annotations

from asyncio import Future
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from mynet.handlers.asgi.contract import ClientDisconnected
from mynet.handlers.asgi.running import running_loop


@implementer(IBodyProducer)
class Streamed:
    """A response's body that tasks of asyncio's push: `write`, then `end` or `fail`."""

    __slots__ = (
        "_consumer",
        "_ends",
        "_outcome",
        "_paused",
        "_sent",
        "_unwritten",
        "_waiting",
        "closed",
        "length",
    )

    def __init__(self) -> None:
        self.length = UNKNOWN_LENGTH
        self.closed = False
        """Whether nobody takes it any more: the client has gone, or the response was dropped."""
        self._consumer: Any = None
        self._paused = True
        self._waiting: list[Future[None]] = []
        self._unwritten = 0  # pieces of who waits
        self._ends = False  # once there are none
        self._sent: Deferred[None] | None = None  # fires at the end
        self._outcome: Failure | bool = False  # or how it ended

    async def write(self, data: bytes) -> None:
        """Send some of it; wait until the client takes more. Any number of tasks may write.

        Raises:
            ClientDisconnected: It will not get it.
            ValueError: It is more than was declared.
        """
        if self._paused and not self.closed:
            await self._write_later(data)
        else:
            self._write(data)
        while self._paused and not self.closed:
            await self._room()

    def _write(self, data: bytes) -> None:
        if self.closed:
            raise ClientDisconnected("the client has gone, or does not get this response")
        self._consumer.write(data)

    async def _write_later(self, data: bytes) -> None:
        self._unwritten += 1
        try:
            while self._paused and not self.closed:
                await self._room()
            self._write(data)
        finally:
            self._unwritten -= 1
            if self._ends and not self._unwritten:
                self._settle(True)

    async def _room(self) -> None:
        room: Future[None] = running_loop().create_future()
        self._waiting.append(room)
        await room

    def end(self) -> None:
        """That was all. What has been given to `write` before comes before the end."""
        self._ends = True
        if not self._unwritten:
            self._settle(True)

    def fail(self, failure: Failure) -> None:
        """It cannot be completed, which is logged: the connection is aborted."""
        self._settle(failure)

    def _settle(self, outcome: Failure | bool) -> None:
        self._outcome = outcome
        sent, self._sent = self._sent, None
        if sent is None:
            return
        if isinstance(outcome, Failure):
            sent.errback(outcome)
        else:
            sent.callback(None)

    def close(self) -> None:
        """Nobody takes it any more. Whoever waits in `write` goes on."""
        self.closed = True
        self._consumer = None
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for room in waiting:
            if not room.done():
                room.set_result(None)

    # IBodyProducer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        if isinstance(self._outcome, Failure):
            return fail(self._outcome)
        if self._outcome:
            return succeed(None)
        self._consumer = consumer
        self._sent = Deferred()
        self.resumeProducing()
        return self._sent

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        self.close()
