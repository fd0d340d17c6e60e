"""A request body while it still arrives: where it ends, how large and how slow it may be."""

from __future__ import annotations

from math import inf

from mynet.http.body import BodySource, RequestBody
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.limits import Limits
from mynet.http.reading import CHUNKED, ChunkedDecoder


class IncomingBody:
    """What is still to come of one request. It lives until all of that has arrived."""

    __slots__ = (
        "_allowance",
        "_arrived",
        "_decoder",
        "_limits",
        "_paused_at",
        "_received",
        "_remaining",
        "_since",
        "body",
        "ended",
        "expected",
    )

    def __init__(
        self, source: BodySource, length: int, expected: bool, limits: Limits, now: float
    ) -> None:
        """For a body of that declared length, or CHUNKED.

        Args:
            source: Who receives it.
            length: In bytes.
            expected: Whether the client waits for leave to send it (100-continue).
            limits: Those of the connection.
            now: The time, as everywhere here in seconds of the factory's.

        Raises:
            HTTPError: 413, it is declared too large.
        """
        if length > limits.body:
            raise _too_large(limits.body)
        declared = None if length == CHUNKED else length
        self.body: RequestBody | None = RequestBody(source, declared, limits.body_buffer)
        """Where it goes; None where it is thrown away."""
        self.ended = False
        """Whether all has arrived."""
        self.expected = expected
        """Whether the client still waits for leave."""
        self._limits = limits
        self._decoder = ChunkedDecoder(limits) if length == CHUNKED else None
        self._remaining = length
        self._received = 0
        self._allowance = 0
        self._since = now
        self._arrived = now
        self._paused_at: float | None = now if expected else None

    def receive(self, data: bytes, now: float) -> tuple[bytes, bytes]:
        """Take what has arrived.

        Returns:
            What of it is body, and what follows the body.

        Raises:
            HTTPError: It is malformed or too large. Nothing more can be read.
        """
        self._arrived = now
        if self.expected:  # it did not wait for leave
            self.expected = False
            self.resume(now)
        if self._decoder is None:
            piece, rest = data[: self._remaining], data[self._remaining :]
            self._remaining -= len(piece)
            self.ended = not self._remaining
        else:
            end = self._decoder.feed(data)
            piece, rest = b"".join(self._decoder.pieces), data[end:]
            self._decoder.pieces.clear()
            self.ended = self._decoder.ended
        self._count(len(piece))
        return piece, rest

    def _count(self, size: int) -> None:
        self._received += size
        if self._received > self._limits.body:
            raise _too_large(self._limits.body)
        if self.body is None:
            self._allowance -= size
            if self._allowance < 0:
                raise ClientGone("too much of a body was left unread")

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """The trailer fields, when it has ended."""
        return self._decoder.trailers if self._decoder else []

    def abandon(self) -> None:
        """Nobody will read the rest: it is thrown away, up to the limit (then `ClientGone`)."""
        self.body = None
        self._allowance = self._limits.drain

    @property
    def drainable(self) -> bool:
        """Whether the rest may be thrown away, as far as is known, to keep the connection."""
        return not self.expected and self._remaining <= self._limits.drain

    # Its pace

    @property
    def deadline(self) -> float:
        """When it will have been too slow, unless more arrives until then."""
        limits = self._limits
        if self._paused_at is not None or not limits.body_rate:
            return inf
        too_slow = self._since + limits.body_grace + self._received / limits.body_rate
        # What came fast is no reason to wait for hours.
        return min(too_slow, self._arrived + limits.idle_timeout)

    @property
    def paused(self) -> bool:
        """Whether we keep the client from sending."""
        return self._paused_at is not None and not self.expected

    def pause(self, now: float) -> None:
        """We keep the client from sending: this time does not count."""
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """The client may send."""
        if self._paused_at is not None:
            self._since += now - self._paused_at
            self._arrived = now
            self._paused_at = None


def _too_large(limit: int) -> HTTPError:
    return HTTPError(413, f"The request body is larger than {limit} bytes.", close=True)
