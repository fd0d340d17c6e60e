"""A response that is put into a content coding, at once or while it is sent."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncGenerator
from contextlib import aclosing

from mynet.http.message import Body, Response
from mynet.http.sending import close_body
from mynet.middleware.codings import PIECE, encode_whole, encoder
from mynet.middleware.pieces import pieces

_UNTRUE = ("Accept-Ranges", "Content-Digest", "Content-Length", "Content-MD5", "Repr-Digest")
"""Fields that do not hold for what is encoded."""


def encode(response: Response, length: int | None, coding: str, level: int) -> None:
    """Put a response into a coding: a small body in bytes at once, any other as it is sent.

    Args:
        response: What is changed.
        length: As `known_length` has it.
        coding: One that is available.
        level: One of its levels.
    """
    body, fields = response.body, response.headers
    for name in _UNTRUE:
        fields.popall(name, None)
    fields["Content-Encoding"] = coding
    weaken(response)
    if isinstance(body, bytes) and 0 < len(body) <= PIECE:
        response.body = encode_whole(body, coding, level)
    else:
        response.body = EncodedBody(body, length, coding, level)


def weaken(response: Response) -> None:
    """It is equivalent, but no longer the same byte for byte (RFC 9110 section 8.8.1)."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        response.headers["ETag"] = f"W/{etag}"


def known_length(response: Response) -> int | None:
    """How long a body is, if that is known; of the answer to HEAD, how long it would be."""
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal():
        return int(declared)
    if isinstance(response.body, bytes):
        return len(response.body)
    length = getattr(response.body, "length", None)
    return length if isinstance(length, int) else None


class EncodedBody:
    """An async iterable. Nothing is done before somebody takes it.

    All that the body has given can be decoded at once. In one turn of the reactor no more than a
    `PIECE` is encoded.
    """

    def __init__(self, body: Body, length: int | None, coding: str, level: int) -> None:
        """`length` is what was promised of the body, if anything."""
        self._body = body
        self._length = length
        self._coding = coding
        self._level = level
        self._pieces: AsyncGenerator[bytes, None] | None = None

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        self._pieces = self._encode()
        return self._pieces

    async def _encode(self) -> AsyncGenerator[bytes, None]:
        encodes = encoder(self._coding, self._level)
        in_this_turn = 0
        async with aclosing(pieces(self._body, self._length)) as source:
            async for piece in source:
                for start in range(0, len(piece), PIECE):
                    part = piece[start : start + PIECE]
                    if in_this_turn + len(part) > PIECE:
                        await sleep(0)
                        in_this_turn = 0
                    in_this_turn += len(part)
                    yield encodes.encode(part)
                yield encodes.flush()
        yield encodes.finish()

    async def aclose(self) -> None:
        """Let go of the body."""
        try:
            if self._pieces is not None:
                await self._pieces.aclose()
        finally:
            await close_body(self._body)
