"""Several parts of a file in one response: multipart/byteranges (RFC 9110 section 14.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from secrets import token_hex
from typing import BinaryIO

from mynet.http.file import FileBody
from mynet.http.ranges import content_range


class ByteRanges:
    """The body. Whoever sends it closes the file."""

    def __init__(
        self, file: BinaryIO, size: int, parts: Sequence[range], content_type: bytes
    ) -> None:
        """Nothing is read yet.

        Args:
            file: Open for reading, and nobody else's.
            size: Of the whole file.
            parts: Of it, none of them empty.
            content_type: Of the whole.
        """
        boundary = token_hex(16).encode()
        self.content_type = b"multipart/byteranges; boundary=" + boundary
        """What the response says of itself."""
        self._file = file
        self._parts = parts
        self._heads = [
            b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
            % (boundary, content_type, content_range(part, size))
            for part in parts
        ]
        self._end = b"\r\n--%b--\r\n" % boundary
        self.length = sum(map(len, [*self._heads, *parts, self._end]))
        """Of the body, in bytes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Its pieces; they end early where the file has become shorter."""
        for head, part in zip(self._heads, self._parts, strict=True):
            yield head
            missing = len(part)
            async for piece in FileBody(self._file, part.start, missing):
                missing -= len(piece)
                yield piece
            if missing:
                return
        yield self._end

    def close(self) -> None:
        """Close the file."""
        self._file.close()
