"""A request body on its way from a protocol to its one reader, with back-pressure.

The protocol puts in what arrives (`feed`, `end`, `fail`), the application takes
it out: whole (`read`), chunk by chunk (`async for`), or pushed into an
`IProtocol` (`deliver`). What waits in between is limited: past `high_water`
bytes the protocol is asked to pause, and the client's sending stops with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.errors import HTTPError
from mynet.http.limits import MIB

CHUNKS = 64
"""How many chunks wait apart; what comes then joins the last, since each costs memory too."""

READ_LIMIT = 1 * MIB
"""What `read` gathers unless told otherwise; nginx's client_max_body_size is the same."""


class BodySource(Protocol):
    """What a body asks of the protocol that receives it."""

    def want_body(self) -> None:
        """Somebody reads now: the client may send (100 Continue). Called once."""

    def pause_body(self) -> None:
        """Deliver no more until resumed. What is on its way may still come."""

    def resume_body(self) -> None:
        """Deliver again."""


class RequestBody:
    """The body of one request. It is read once, by one reader at a time.

    Iterating gives chunks of bytes, never empty ones, in order. When the body
    ends early, or breaks a limit, its reader gets the error after the bytes that
    came before it: `HTTPError` for what the client did wrong, `ClientGone` when
    the client has gone.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_paused",
        "_source",
        "_waiting",
        "buffered",
        "declared",
        "ended",
        "high_water",
        "started",
        "trailers",
    )

    def __init__(self, source: BodySource, declared: int | None, high_water: int) -> None:
        self._source: BodySource | None = source
        self._chunks: deque[bytes] = deque()
        self._waiting: Deferred[None] | None = None
        self._error: BaseException | None = None
        self._paused = False
        self.high_water = max(high_water, 1)
        self.buffered = 0
        """Bytes that have arrived and wait to be read."""
        self.declared = declared
        """The Content-Length; None where there is none (chunked)."""
        self.ended = False
        """Whether all of it has arrived (not: has been read)."""
        self.started = False
        """Whether somebody has begun to read it."""
        self.trailers: list[tuple[bytes, bytes]] = []
        """Trailer fields of a chunked body, once it has ended."""

    # The protocol's side

    def feed(self, data: bytes) -> None:
        """Some of the body, not empty, has arrived."""
        if len(self._chunks) >= CHUNKS:
            self._chunks[-1] += data
        else:
            self._chunks.append(data)
        self.buffered += len(data)
        if self._waiting is not None:
            self._wake()
        if self.buffered >= self.high_water and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause_body()

    def end(self, trailers: list[tuple[bytes, bytes]] | None = None) -> None:
        """All of the body has arrived."""
        self.ended = True
        if trailers:
            self.trailers = trailers
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The rest of the body will never arrive. Once it has ended this has no effect."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    def detach(self) -> None:
        """The exchange is over: what has arrived may still be read, and no more will come.

        Nothing is asked any more of the protocol, which may be at another request.
        """
        self._source = None
        self.fail(RuntimeError("the request has been answered"))

    @property
    def detached(self) -> bool:
        """Whether its exchange is over."""
        return self._source is None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for more of it right now."""
        return self._waiting is not None

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _unpause(self) -> None:
        if self._paused and self._source is not None:
            self._paused = False
            self._source.resume_body()

    # The application's side

    def __aiter__(self) -> RequestBody:
        """One reader at a time; a later loop goes on where an earlier one stopped."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk. Cancelling it loses nothing."""
        if await self._available():
            return self._take()
        raise StopAsyncIteration

    def poll(self) -> bytes | None:
        """What `await anext(body)` would give, for who cannot wait that way.

        Returns:
            The next chunk; empty bytes where all has been read; None where more is on its way, for
            which `arrival` waits.

        Raises:
            Exception: The error after which there is no more.
        """
        self._start()
        if self._chunks:
            return self._take()
        if self._error is not None:
            raise self._error
        return b"" if self.ended else None

    async def _available(self) -> bool:
        """Wait for a chunk; false if there are no more."""
        if self._waiting is not None:
            raise RuntimeError("this request's body already has a reader")
        self._start()
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.ended:
                return False
            await self.arrival()
        return True

    def _take(self) -> bytes:
        data = self._chunks.popleft()
        self.buffered -= len(data)
        if self.buffered < self.high_water:
            self._unpause()
        return data

    def _start(self) -> None:
        if not self.started:
            self.started = True
            if not self.ended and self._error is None and self._source is not None:
                self._source.want_body()

    def arrival(self) -> Deferred[None]:
        """A Deferred that fires when `poll` has an answer; it may be cancelled.

        Raises:
            RuntimeError: Somebody waits already.
        """
        if self._waiting is not None:
            raise RuntimeError("this request's body already has a reader")

        def forget(_: Deferred[None]) -> None:
            self._waiting = None

        self._waiting = Deferred(forget)
        return self._waiting

    def read(self, limit: int | None = READ_LIMIT) -> Deferred[bytes]:
        """All of it at once (of what no earlier reader took).

        Args:
            limit: The most bytes to gather; None for no limit but the connection's.

        Returns:
            A Deferred of the bytes. It fails with `HTTPError` 413 beyond the
            limit: before anything is read where the client declared the length.
        """
        if self.ended and (limit is None or self.buffered <= limit):
            whole = b"".join(self._chunks)
            self._chunks.clear()
            self.buffered = 0
            self.started = True
            self._unpause()
            return succeed(whole)
        return Deferred.fromCoroutine(self._gather(limit))

    async def _gather(self, limit: int | None) -> bytes:
        if limit is not None and self.declared is not None and self.declared > limit:
            raise too_large(limit)
        parts: list[bytes] = []
        size = 0
        async for chunk in self:
            size += len(chunk)
            if limit is not None and size > limit:
                raise too_large(limit)
            parts.append(chunk)
        return b"".join(parts)

    def deliver(self, protocol: IProtocol) -> Deferred[None]:
        """Push the body into a Twisted protocol, as `twisted.web.client` does a response's.

        `makeConnection` comes at once, with an `IPushProducer` whose
        `pauseProducing` and `resumeProducing` hold the client back, and whose
        `loseConnection` ends the delivery at once; `dataReceived` with each chunk;
        `connectionLost` at the end, with `ConnectionDone` if the body was whole or the
        protocol wanted no more of it. What it has not got is left for a later reader.

        Returns:
            A Deferred that fires with None after `connectionLost`. It fails with what the
            protocol raised, and with the `HTTPError` of a body that breaks a rule, so that
            a handler which waits for it answers with that. Cancelling it ends the delivery.
        """
        delivery = _Delivery(self._interrupt)
        protocol.makeConnection(cast(ITransport, delivery))
        return Deferred.fromCoroutine(self._push(delivery, protocol))

    async def _push(self, delivery: _Delivery, protocol: IProtocol) -> None:
        reason: Exception = ConnectionLost()
        try:
            while not delivery.stopped and await self._available():
                if delivery.paused:
                    await delivery.resumed()
                else:
                    protocol.dataReceived(self._take())
            reason = ConnectionDone()
        except CancelledError:
            if not delivery.stopped:
                raise
            reason = ConnectionDone()
        except Exception as error:
            reason = ConnectionLost(str(error))
            if error is not self._error or isinstance(error, HTTPError):
                raise
        finally:
            delivery.stopped = True
            protocol.connectionLost(Failure(reason))

    def _interrupt(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()


def too_large(limit: int) -> HTTPError:
    """The error for a body over its limit."""
    return HTTPError(413, f"The request body is larger than {limit} bytes.")


@implementer(IPushProducer)
class _Delivery:
    """What a protocol that a body is delivered to has for a transport."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self.paused = False
        self.stopped = False
        self._interrupt = interrupt
        self._resumed: Deferred[None] | None = None

    def resumed(self) -> Deferred[None]:
        self._resumed = Deferred()
        return self._resumed

    def loseConnection(self) -> None:
        self.stopProducing()

    def abortConnection(self) -> None:
        self.stopProducing()

    # IPushProducer

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.called:
            resumed.callback(None)

    def stopProducing(self) -> None:
        if not self.stopped:
            self.stopped = True
            self._interrupt()
            self.resumeProducing()
