"""The body of a response, whatever it is, as pieces to be taken one by one.

What changes a body on its way takes it so, and is a body itself: `async for` is all it has to know.
Whoever pushes its body, an `IBodyProducer`, is paused while nothing is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, BinaryIO, cast

from twisted.internet.interfaces import IConsumer, IProducer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mynet.http.coroutines import Signal
from mynet.http.limits import KIB
from mynet.http.message import Body
from mynet.http.sending import read_pieces

HIGH_WATER = 64 * KIB
"""How much waits of what a producer has written before it is paused."""


async def pieces(body: Body, length: int | None) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, as it comes; it is not closed.

    Args:
        body: Anything that a Response may carry.
        length: What was promised of it, if anything. Of a file no more is read than that.

    Raises:
        Exception: What the body raises; ValueError if it breaks its promise.
    """
    taken = 0
    async with aclosing(_any_pieces(body, length)) as source:
        async for piece in source:
            taken += len(piece)
            yield piece
    if length is not None and taken != length:
        raise ValueError(f"the body has {taken} bytes, and its Content-Length is {length}")


async def _any_pieces(body: Body, length: int | None) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, AsyncIterable):
        async for piece in body:
            yield piece
    elif IBodyProducer.providedBy(body):
        pushed = _Pushed(body)
        try:
            while (written := await pushed.take()) is not None:
                yield written
        finally:
            pushed.stop()
    else:
        for piece in read_pieces(cast(BinaryIO, body), length) if hasattr(body, "read") else body:
            yield piece


@implementer(IConsumer)
class _Pushed:
    """What an IBodyProducer writes to, and who takes its pieces from."""

    def __init__(self, producer: Any) -> None:
        self._body = self._producer = producer
        self._pulled = False  # it writes only when asked
        self._paused = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0  # bytes
        self._written = Signal()
        self._over: object = None  # or what it has ended with
        self._ended = False
        producer.startProducing(self).addBoth(self._end)

    async def take(self) -> bytes | None:
        """The next piece; None after the last."""
        while not self._pieces:
            if self._ended:
                if isinstance(self._over, Failure):
                    self._over.raiseException()
                return None
            if self._pulled:
                self._producer.resumeProducing()
            if not self._pieces and not self._ended:
                await self._written
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._paused and self._waiting < HIGH_WATER and not self._ended:
            self._paused = False
            self._producer.resumeProducing()
        return piece

    def stop(self) -> None:
        """No more will be taken."""
        if not self._ended:
            self._ended = True
            self._body.stopProducing()

    def _end(self, result: object) -> None:
        self._over = result
        self._ended = True
        self._written.fire()

    # IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """What registers itself is paused, or, if it is not streaming, asked for each piece."""
        self._producer = producer
        self._pulled = not streaming
        self._written.fire()

    def unregisterProducer(self) -> None:
        """What has been registered writes no more."""
        self._pulled = False

    def write(self, data: bytes) -> None:
        if not data or self._ended:
            return
        self._pieces.append(bytes(data))
        self._waiting += len(data)
        self._written.fire()
        if self._waiting >= HIGH_WATER and not (self._paused or self._pulled or self._ended):
            self._paused = True
            self._producer.pauseProducing()
