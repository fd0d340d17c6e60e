"""`wsgi.file_wrapper`: a file as a body, which the system may send where it is a real one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import BufferedRandom, BufferedReader, FileIO
from typing import Any, BinaryIO, cast

from mynet.http.file import FileBody


class FileWrapper:
    """What an application returns for something with `read`; it is iterable, as the PEP asks."""

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        """Nothing is read yet; `block_size` is how much is read at once, if it is iterated over."""
        self.filelike = filelike
        self.block_size = block_size

    def close(self) -> None:
        """Close what it wraps, if that can be closed."""
        if hasattr(self.filelike, "close"):
            self.filelike.close()

    def __iter__(self) -> FileWrapper:
        """Itself: whoever has only the iterator closes the file by that (Werkzeug does)."""
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block


class SentFile(FileBody):
    """A part of a file of the application's, which is closed where that wishes to be closed."""

    __slots__ = ("_close",)

    def __init__(
        self, file: BinaryIO, offset: int, length: int, close: Callable[[], object]
    ) -> None:
        super().__init__(file, offset, length)
        self._close: Callable[[], object] | None = close

    def close(self) -> None:
        """Let the application close it, once."""
        close, self._close = self._close, None
        if close is not None:
            close()


def regular_file(filelike: object) -> BinaryIO | None:
    """The same, if it is a regular file and gives the bytes that are in it; else None.

    To have a descriptor is not enough: `gzip.GzipFile` has that of what it unpacks.
    """
    raw = filelike.raw if isinstance(filelike, BufferedReader | BufferedRandom) else filelike
    if type(raw) is FileIO and stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return cast(BinaryIO, filelike)
    return None


def rest_of(file: BinaryIO) -> tuple[int, int]:
    """Where it stands, and how much there is from there on."""
    offset = file.tell()
    return offset, max(0, os.fstat(file.fileno()).st_size - offset)
