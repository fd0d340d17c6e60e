"""Frames made by hand, as RFC 6455 section 5.2 draws them, and all the ways in which they arrive.

Nothing here uses what makes frames or masks in mynet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from mynet.websocket.codes import WebSocketError

KEY = bytes.fromhex("37fa213d")
"""The key of the examples in section 5.7."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, COMPRESSED = 0x80, 0x40


def xor(data: bytes, key: bytes) -> bytes:
    """Mask, as section 5.3 says it."""
    keys = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(keys)).to_bytes(len(data))


def head(first: int, length: int, key: bytes | None = None, form: int | None = None) -> bytes:
    """What stands before a payload.

    Args:
        first: The first byte.
        length: Of the payload.
        key: With which it is masked.
        form: How many bytes the length takes besides the second one: 0, 2 or 8; the shortest
            unless given.
    """
    if form is None:
        form = 0 if length < 126 else 2 if length < 1 << 16 else 8
    short = {0: length, 2: 126, 8: 127}[form]
    second = short if key is None else short | 0x80
    return bytes((first, second)) + length.to_bytes(8)[8 - form :] + (key or b"")


def raw(first: int, payload: bytes = b"", key: bytes | None = None) -> bytes:
    """A frame."""
    return head(first, len(payload), key) + (payload if key is None else xor(payload, key))


Make = Callable[..., bytes]


def maker(masked: bool) -> Make:
    """Makes the frames of a client, or those of a server."""
    return lambda first, payload=b"": raw(first, payload, KEY if masked else None)


# How they arrive


def in_bytes(data: bytes) -> list[bytes]:
    """Byte by byte."""
    return [data[at : at + 1] for at in range(len(data))]


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """In pieces of this size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def ways(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two pieces, cut wherever something could depend on that."""
    yield [data]
    yield in_bytes(data)
    size = len(data)
    for at in range(1, size):
        if size < 400 or at < 20 or at > size - 20:
            yield [data[:at], data[at:]]


class Reader(Protocol):
    """What the readers of frames and of messages have in common."""

    waiting: bool


def read_all(
    reader: Reader, read: Callable[[bytes], Any], pieces: Iterable[bytes]
) -> tuple[list[Any], WebSocketError | None]:
    """All that comes of these pieces, and the error that this ends with.

    Whoever asks no more where nothing waits misses nothing.

    Args:
        reader: The reader.
        read: Its method that reads.
        pieces: What arrives.
    """
    got: list[Any] = []
    try:
        for piece in pieces:
            item = read(piece)
            while item is not None:
                got.append(item)
                nothing_waits = not reader.waiting
                item = read(b"")
                assert not (nothing_waits and item is not None)
    except WebSocketError as error:
        return got, error
    return got, None
