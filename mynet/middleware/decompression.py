"""Request bodies that clients have compressed are decompressed on their way to the handler.

It sees a request as if that had been sent so: without Content-Encoding and Content-Length. The body
streams: of a few bytes that mean a million no more is decompressed than is read, and what is read
has a limit. Beyond it the reader gets 413, as it does 400 for what is not what it is said to be.

A million bytes may mean nothing: gzip and zstd allow empty parts, each of which costs time. So
turns of the reactor are left to others by the parts, too, and what arrives has a limit itself.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Awaitable
from contextvars import copy_context

from twisted.internet.defer import CancelledError, Deferred

from mynet.http.body import RequestBody, too_large
from mynet.http.coroutines import Signal, start
from mynet.http.errors import HTTPError
from mynet.http.limits import KIB, MIB
from mynet.http.message import Handler, Middleware, Request, Response
from mynet.middleware.around import with_life_of
from mynet.middleware.codings import PIECE, Decoder, NotEncoded, available, decoder

HIGH_WATER = 64 * KIB
"""How much waits of what is decompressed; a piece more than that, as it comes."""

SLICE = 4 * KIB
"""How much is decoded at once: what follows a part is copied at its end."""

PART = KIB
"""How much a piece counts, at least, for how long it took."""

_ALIASES = {b"x-gzip": b"gzip"}


def decompression(limit: int = 16 * MIB) -> Middleware:
    """Middleware that decompresses bodies in one of the codings that are available.

    Any other coding, and several at once, are answered 415 with those in Accept-Encoding.

    Args:
        limit: The most bytes that a body may have, decompressed; 413 beyond. Compressed it may
            have twice as many, and 64 KiB.
    """
    takes = ", ".join(available())
    codings = {name.encode(): name for name in available()}

    def middleware(handler: Handler) -> Handler:
        def answer(request: Request) -> Response | Awaitable[Response]:
            name = _coding_of(request)
            if name in (b"", b"identity"):
                return handler(request)
            coding = codings.get(_ALIASES.get(name, name))
            if coding is None:
                raise HTTPError(415, f"Accepted codings: {takes}", {"Accept-Encoding": takes})
            _decompress(request, coding, limit)
            return handler(request)

        return with_life_of(handler, answer)

    return middleware


def _coding_of(request: Request) -> bytes:
    fields = request.peek_raw_headers()
    return b",".join(value for name, value in fields if name == b"content-encoding").lower()


def _decompress(request: Request, coding: str, limit: int) -> None:
    untrue = (b"content-encoding", b"content-length")
    request.replace_headers([field for field in request.raw_headers if field[0] not in untrue])
    if request.body is not None:
        source = _Source(request, request.body, decoder(coding), limit)
        request.body = source.body
        request.on_finish(source.finish)


class _Source:
    """The `BodySource` of what a handler reads, which reads what has arrived."""

    def __init__(
        self, request: Request, encoded: RequestBody, decoder: Decoder, limit: int
    ) -> None:
        self.body = RequestBody(self, None, HIGH_WATER)
        self._clock = request.exchange.sweep.clock
        self._encoded = encoded
        self._decoder = decoder
        self._left = limit
        self._left_encoded = 2 * limit + HIGH_WATER
        self._limit = limit
        self._in_this_turn = 0
        self._paused = False
        self._resumed = Signal()
        self._reading: Deferred[None] | None = None

    def want_body(self) -> None:
        self._reading = start(self._read(), copy_context(), self._clock)
        if self._reading is not None:  # it may be cancelled while it runs
            self._reading.addErrback(lambda failure: failure.trap(CancelledError))

    def pause_body(self) -> None:
        self._paused = True

    def resume_body(self) -> None:
        self._paused = False
        self._resumed.fire()

    def finish(self) -> None:
        """The exchange is over."""
        self.body.detach()
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            async for data in self._encoded:
                await self._decode(data)
            self._decoder.finish()
            self.body.end(self._encoded.trailers)
        except NotEncoded as error:
            self.body.fail(HTTPError(400, f"The body is not encoded as it should be: {error}."))
        except Exception as error:
            self.body.fail(error)

    async def _decode(self, data: bytes) -> None:
        self._left_encoded -= len(data)
        if self._left_encoded < 0:
            raise too_large(self._limit)
        for begin in range(0, len(data), SLICE):
            for piece in self._decoder.decode(data[begin : begin + SLICE]):
                await self._feed(piece)

    async def _feed(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise too_large(self._limit)
        if piece:
            self.body.feed(piece)
        self._in_this_turn += max(len(piece), PART)
        if self._paused:
            await self._resumed
        elif self._in_this_turn >= PIECE:
            await sleep(0)
        else:
            return
        self._in_this_turn = 0
