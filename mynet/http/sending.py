"""The body of a response, whatever it is, sent over any protocol at the client's pace."""

from __future__ import annotations

from asyncio import CancelledError as AsyncioCancelledError
from collections.abc import AsyncIterable, Awaitable, Iterable, Iterator
from contextvars import Context
from sys import maxsize
from typing import Any, BinaryIO, Protocol, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mynet.http.coroutines import start
from mynet.http.file import FileBody
from mynet.http.limits import KIB
from mynet.http.message import Body, Response
from mynet.http.outgoing import PIECE

log = Logger()

FILE_PIECE = 64 * KIB
"""How much is read of a file at once."""

_BYTES = (bytes, bytearray, memoryview)


class Sink(Protocol):
    """Where a body goes: the part of an `Exchange` that takes it."""

    def send(self, data: bytes) -> Deferred[None] | None:
        """As `Exchange.send`."""

    def send_file(self, file: FileBody) -> Awaitable[None] | None:
        """As `Exchange.send_file`."""


async def send_body(sink: Sink, body: Body, length: int | None = None) -> None:
    """Send a whole body, and close what it comes from, however that ends.

    Of a file no more is read than `length`, if that is known: it may be growing.

    Raises:
        Exception: What the body raises; TypeError for what is no body, or gives no bytes.
    """
    try:
        await _send_any(sink, body, length)
    except GeneratorExit:  # nobody will ever resume this: nothing more can be awaited
        raise
    except BaseException:
        await close_body(body)
        raise
    await close_body(body)


def discard(response: Response, context: Context, clock: IReactorTime) -> None:
    """Let go of a response that will not be sent; that its body cannot be closed is logged.

    Args:
        response: Whose body is closed.
        context: Where its context variables are.
        clock: For what closing it may wait for.
    """
    if not isinstance(response.body, bytes):
        start(_close_body_of(response), context, clock)


async def _close_body_of(response: Response) -> None:
    try:
        await close_body(response.body)
    except (Exception, AsyncioCancelledError):
        log.failure("closing the body of {response} failed", response=response)


async def _send_any(sink: Sink, body: Body, length: int | None) -> None:
    if isinstance(body, bytes):
        await _send_pieces(sink, _slices(body))
    elif isinstance(body, FileBody):
        body.length = body.length if length is None else min(body.length, length)
        sent = sink.send_file(body)
        await (_send_arriving(sink, body) if sent is None else sent)
    elif isinstance(body, AsyncIterable):
        await _send_arriving(sink, body)
    elif IBodyProducer.providedBy(body):
        await _send_produced(sink, body)
    elif hasattr(body, "read"):
        await _send_pieces(sink, read_pieces(cast(BinaryIO, body), length))
    else:
        await _send_pieces(sink, body)


async def close_body(body: Body) -> None:
    """Let go of what a body comes from, whether it was sent or not."""
    if hasattr(body, "aclose"):
        await body.aclose()
    elif hasattr(body, "close"):
        body.close()


async def _send_pieces(sink: Sink, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        await _send_piece(sink, piece)


async def _send_arriving(sink: Sink, pieces: AsyncIterable[bytes]) -> None:
    async for piece in pieces:
        await _send_piece(sink, piece)


async def _send_piece(sink: Sink, piece: bytes) -> None:
    if not isinstance(piece, _BYTES):
        raise TypeError(f"a body consists of bytes, not {type(piece).__name__}")
    if piece and (sent := sink.send(piece)) is not None:
        await sent


def _slices(body: bytes) -> Iterator[bytes]:
    return (body[start : start + PIECE] for start in range(0, len(body), PIECE))


def read_pieces(file: BinaryIO, length: int | None) -> Iterator[bytes]:
    """The pieces of a file, from where it is; of no more than `length` bytes, if that is given."""
    left = maxsize if length is None else length
    while left and (piece := file.read(min(left, FILE_PIECE))):
        left -= len(piece)
        yield piece


async def _send_produced(sink: Sink, producer: IBodyProducer) -> None:
    consumer = _Consumer(sink, producer)
    produced = producer.startProducing(consumer)
    try:
        await produced
    except (CancelledError, GeneratorExit):  # any other error is its own: it has ended
        producer.stopProducing()
        raise
    finally:
        consumer.ended = True
    if consumer.sent is not None:
        await consumer.sent


@implementer(IConsumer)
class _Consumer:
    """What an IBodyProducer writes to: it pauses the producer while the client is slow."""

    def __init__(self, sink: Sink, producer: Any) -> None:
        self.sent: Deferred[None] | None = None
        """Fires when the client has taken enough; None if it has."""
        self.ended = False
        """Whether the producer is done; what it writes then is no part of the body."""
        self._sink = sink
        self._producer = producer
        self._pulled = False  # it writes only when asked
        self._asking = False
        self._written = False

    # IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """What registers itself is paused, or, if it is not streaming, asked for each piece."""
        self._producer = producer
        self._pulled = not streaming
        if self._pulled:
            self._ask()

    def unregisterProducer(self) -> None:
        """What has been registered writes no more."""
        self._pulled = False

    def write(self, data: bytes) -> None:
        sent = self._sink.send(data) if data and not self.ended else None
        if sent is not None and self.sent is None:
            self.sent = sent
            sent.addCallbacks(self._resume, lambda failure: None)
            if not self._pulled:
                self._producer.pauseProducing()
        elif self._pulled and self.sent is None:
            self._ask()

    def _ask(self) -> None:
        """Ask a pull producer for more, and again each time that it has written at once."""
        self._written = True
        if self._asking:
            return
        self._asking = True
        try:
            while self._written and self._pulled and self.sent is None and not self.ended:
                self._written = False
                self._producer.resumeProducing()
        finally:
            self._asking = False

    def _resume(self, _: None) -> None:
        self.sent = None
        if self.ended:
            return
        if self._pulled:
            self._ask()
        else:
            self._producer.resumeProducing()
