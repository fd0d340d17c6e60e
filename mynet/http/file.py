"""A part of an open file as the body of a response: sent by the kernel if that can be, else read.

Reading must not keep the reactor from everything else for as long as a disk takes. What is in the
system's cache is read at once, as Linux allows to ask for; what is not is read in a thread. Where
the system does not tell, it is read at once in small pieces, whatever that takes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from errno import EOPNOTSUPP
from typing import BinaryIO

from twisted.internet.threads import deferToThread

from mynet.http.limits import KIB

PIECE = 64 * KIB
"""How much is read at once."""

_RESIDENT = getattr(os, "RWF_NOWAIT", 0)


class FileBody:
    """A part of an open regular file. Whoever sends it closes the file."""

    __slots__ = ("file", "length", "offset")

    def __init__(self, file: BinaryIO, offset: int = 0, length: int | None = None) -> None:
        """Nothing is read yet.

        Args:
            file: Open for reading. It has a descriptor, and is nobody else's.
            offset: Where to begin.
            length: How much of it, which is the Content-Length; all that follows unless given. A
                file that turns out to be shorter breaks the response off.
        """
        self.file = file
        self.offset = offset
        if length is None:
            length = max(0, os.fstat(file.fileno()).st_size - offset)
        self.length = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Its pieces; it ends early where the file does."""
        offset, end = self.offset, self.offset + self.length
        while offset < end:
            piece = await self._read(offset, min(PIECE, end - offset))
            if not piece:
                break
            offset += len(piece)
            yield piece

    async def _read(self, offset: int, size: int) -> bytes:
        piece = read_resident(self.file, offset, size)
        if piece is None:
            piece = await deferToThread(read_anyway, self.file, offset, size)
        return piece

    async def load(self, offset: int, size: int) -> None:
        """Wait until that much of it is in the system's cache, as far as that tells."""
        if size and read_resident(self.file, offset + size - 1, 1) is None:
            await deferToThread(read_anyway, self.file, offset, size)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def read_resident(file: BinaryIO, offset: int, size: int) -> bytes | None:
    """What there is of that part of a file, or less; None if it would have to be fetched.

    A system, or a file system, that does not tell whether it would: see `FileBody`.
    """
    if _RESIDENT:
        buffer = bytearray(size)
        try:
            read = os.preadv(file.fileno(), [buffer], offset, _RESIDENT)
            return bytes(memoryview(buffer)[:read])
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != EOPNOTSUPP:
                raise
    return read_anyway(file, offset, size)


def read_anyway(file: BinaryIO, offset: int, size: int) -> bytes:
    """The same, however long it takes.

    The file's position is left as it is, where that can be: the descriptor may be a copy of one
    that somebody else reads.
    """
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, offset)
    file.seek(offset)
    return file.read(size)
