"""Content codings (RFC 9110 section 8.4.1): gzip and deflate, and br and zstd where installed.

Sans I/O. What is encoded can be flushed at any place, so that all of it can be decoded that far.
What is decoded comes in pieces of a limited size, however small the bytes are that it was in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from mynet.http.limits import KIB

PIECE = 64 * KIB
"""The most that is decoded at once, nearly: a coding may have its own idea of a piece's end."""

LEVELS = {"zstd": 3, "br": 4, "gzip": 6, "deflate": 6}
"""All codings, and how hard each tries: what pays for what is encoded on the spot. The order is
that of speed and result."""

_HARDEST = {"zstd": 19, "br": 11, "gzip": 9, "deflate": 9}
"""Beyond 19 zstd has larger windows than clients must take (RFC 9659)."""

_WINDOW = 23
"""Of zstd, as a power of two."""

_WBITS = {"gzip": 31, "deflate": 15}


class NotEncoded(Exception):  # noqa: N818  (an Error of ours is answered)
    """This is not in the coding that it is said to be in."""


class Encoder(Protocol):
    """Encodes one body."""

    def encode(self, data: bytes) -> bytes:
        """Take more of it; what is ready of the result."""

    def flush(self) -> bytes:
        """The rest of the result, as far as the body has been taken."""

    def finish(self) -> bytes:
        """The end of the result."""


class Decoder(Protocol):
    """Decodes one body."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """What comes of more of it, in pieces; all of them are to be taken.

        One is empty where a part of it ends that had nothing left, which took its time as well.

        Raises:
            NotEncoded: It is not in this coding.
        """

    def finish(self) -> None:
        """There is no more of it.

        Raises:
            NotEncoded: It cannot be over yet.
        """


@cache
def available() -> tuple[str, ...]:
    """The codings that can be had here, in the order of `LEVELS`."""
    return tuple(coding for coding in LEVELS if coding in _WBITS or _library(coding))


def check_level(coding: str, level: int) -> None:
    """Raises ValueError if a coding cannot be had, or not at this level."""
    if coding not in available():
        hint = "; install mynet[compress]" if coding in LEVELS else ""
        raise ValueError(f"there is no content coding {coding!r} here{hint}")
    if not 1 <= level <= _HARDEST[coding]:
        raise ValueError(f"levels of {coding} are 1 to {_HARDEST[coding]}, not {level}")


def encoder(coding: str, level: int) -> Encoder:
    """What encodes a body in one of the codings that are available."""
    if coding in _WBITS:
        return _ZlibEncoder(coding, level)
    return _BrotliEncoder(level) if coding == "br" else _ZstdEncoder(level)


def encode_whole(data: bytes, coding: str, level: int) -> bytes:
    """A whole body, encoded."""
    if coding == "zstd":
        return _encode_frame(data, level)
    encodes = encoder(coding, level)
    return encodes.encode(data) + encodes.finish()


def decoder(coding: str) -> Decoder:
    """What decodes it."""
    if coding in _WBITS:
        return _ZlibDecoder(coding)
    return _BrotliDecoder() if coding == "br" else _ZstdDecoder()


@cache
def _library(coding: str) -> Any:
    """What does br or zstd; None where it is not installed, or too old to be told a limit."""
    for name in ("brotli",) if coding == "br" else ("compression.zstd", "backports.zstd"):
        try:
            library = import_module(name)
        except ModuleNotFoundError:
            continue
        if coding != "br" or hasattr(library.Decompressor, "can_accept_more_data"):
            return library
    return None


# gzip and deflate: zlib's


class _ZlibEncoder:
    def __init__(self, coding: str, level: int) -> None:
        compressor = zlib.compressobj(level, zlib.DEFLATED, _WBITS[coding])
        self.encode = compressor.compress
        self._flush = compressor.flush

    def flush(self) -> bytes:
        return self._flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._flush()


class _ZlibDecoder:
    """Takes several gzip members, one after another; and deflate also without zlib's frame.

    RFC 1952 section 2.2 allows the former, RFC 9110 section 8.4.1.2 tells of the latter.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflater: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(self._wbits(data[0]))
            try:
                piece = self._inflater.decompress(data, PIECE)
            except zlib.error as error:
                raise NotEncoded(str(error)) from None
            if piece or self._inflater.eof:
                yield piece
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                data = self._inflater.unused_data
                self._end(data)

    def _wbits(self, first: int) -> int:
        framed = self._coding == "gzip" or first & 15 == zlib.DEFLATED
        return _WBITS[self._coding] if framed else -zlib.MAX_WBITS

    def _end(self, rest: bytes) -> None:
        if self._coding == "gzip":
            self._inflater = None
        elif rest:
            raise NotEncoded("something follows its end")

    def finish(self) -> None:
        if self._inflater is not None and not self._inflater.eof:
            raise NotEncoded("it ends early")


# br


class _BrotliEncoder:
    def __init__(self, level: int) -> None:
        compressor = _library("br").Compressor(quality=level)
        self.encode = compressor.process
        self.flush = compressor.flush
        self.finish = compressor.finish


class _BrotliDecoder:
    def __init__(self) -> None:
        self._library = _library("br")
        self._decompressor = self._library.Decompressor()
        self._begun = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._begun = True
        piece = self._process(data)
        while piece or not self._decompressor.can_accept_more_data():
            if piece:
                yield piece
            piece = self._process(b"")

    def _process(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._decompressor.process(data, output_buffer_limit=PIECE)
        except self._library.error as error:
            raise NotEncoded(str(error)) from None
        return piece

    def finish(self) -> None:
        if self._begun and not self._decompressor.is_finished():
            raise NotEncoded("it ends early")


# zstd


class _ZstdEncoder:
    def __init__(self, level: int) -> None:
        compressor = _library("zstd").ZstdCompressor(level)
        self.encode = compressor.compress
        self._flush = compressor.flush
        self._block = compressor.FLUSH_BLOCK

    def flush(self) -> bytes:
        flushed: bytes = self._flush(self._block)
        return flushed

    def finish(self) -> bytes:
        finished: bytes = self._flush()
        return finished


def _encode_frame(data: bytes, level: int) -> bytes:
    compressor = _frame_compressor(level)
    frame: bytes = compressor.compress(data, compressor.FLUSH_FRAME)
    return frame


@cache
def _frame_compressor(level: int) -> Any:
    """One for all whole frames: to make it costs ten times as much as a small frame."""
    return _library("zstd").ZstdCompressor(level)


class _ZstdDecoder:
    """Takes several frames, one after another (RFC 8878 section 3)."""

    def __init__(self) -> None:
        self._library = _library("zstd")
        self._decompressor: Any = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._decompressor is None or self._decompressor.needs_input):
            if self._decompressor is None:
                window = self._library.DecompressionParameter.window_log_max
                self._decompressor = self._library.ZstdDecompressor(options={window: _WINDOW})
            try:
                piece = self._decompressor.decompress(data, PIECE)
            except self._library.ZstdError as error:
                raise NotEncoded(str(error)) from None
            if piece or self._decompressor.eof:
                yield piece
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data
                self._decompressor = None

    def finish(self) -> None:
        if self._decompressor is not None:
            raise NotEncoded("it ends early")
