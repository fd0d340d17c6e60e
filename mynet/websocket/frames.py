"""Frames (RFC 6455 section 5): bytes in, frames out, and the reverse.

Here is all that one frame alone can get wrong. What frames mean together, messages and their
limits, is in `mynet.websocket.messages`. A large frame is not waited for: what arrives of it is
given on in pieces, so that nothing is gathered twice, and a text that is no UTF-8 is seen at once.

It does not know what a connection is; the same code serves servers and clients.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct

from mynet.websocket.codes import PROTOCOL_ERROR, TOO_BIG, WebSocketError
from mynet.websocket.masking import apply_mask

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

FINAL = 0x80
"""Of a frame's first byte: it is the last of its message."""

COMPRESSED = 0x40
"""Of a message's first byte: it is compressed (RFC 7692 section 6)."""

MASKED = 0x80
"""Of a frame's second byte."""

CONTROL = 0x8
"""The bit that the opcodes of control frames have."""

MAX_CONTROL = 125
"""How long the payload of a control frame may be (RFC 6455 section 5.5)."""

SHORT = 125
"""Up to this the length is in a frame's second byte."""

MORE = -1
"""In place of a first byte: this goes on with the payload of the frame before."""

UNLIMITED = 1 << 62
"""The room where there is no limit: no length reaches it, and zlib can count it."""

VIEWED = 1024
"""From this size on, a memoryview costs less than a copy."""

Frame = tuple[int, bytes, bool]
"""A frame's first byte, its payload, and whether that is all of it.

A data frame that is not here as a whole comes in pieces: all but the first have MORE as their
first byte, and only the last says that it is. Control frames are always whole."""

_CONTROLS = {FINAL | CLOSE, FINAL | PING, FINAL | PONG}
_DATA = {0 | CONTINUATION, FINAL | CONTINUATION, TEXT, BINARY, FINAL | TEXT, FINAL | BINARY}
_COMPRESSED = {first | COMPRESSED for first in (TEXT, BINARY, FINAL | TEXT, FINAL | BINARY)}
_OPCODES = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}

PLAIN = frozenset(_CONTROLS | _DATA)
"""The first bytes that frames may have."""

WITH_COMPRESSED = PLAIN | _COMPRESSED
"""The same where compression was agreed on."""


class FrameReader:
    """Takes the bytes of one direction of a connection apart.

    `read_frame(data)` is called with what arrives, and then, without any, until it gives None. Who
    wants no more for now stops calling: what waits stays here, and `add` puts more to it.
    """

    __slots__ = ("_allowed", "_at", "_buffer", "_key", "_left", "_masked", "room", "waiting")

    def __init__(self, *, masked: bool, compressed: bool = False) -> None:
        """One for each direction.

        Args:
            masked: Whether frames must be masked, as a client's are, or else must not be.
            compressed: Whether messages may be compressed.
        """
        self._masked = masked
        self._allowed: Collection[int] = WITH_COMPRESSED if compressed else PLAIN
        self._buffer = b""
        self._at = 0  # where in the buffer that begins which has not been read
        self._left = 0  # of the payload of a frame that has begun
        self._key = b""  # with which to unmask that
        self.waiting = False
        """Whether anything waits here: bytes, or the rest of a frame."""
        self.room = UNLIMITED
        """Longer payloads of data frames are an error; those that begin a compressed message
        are not, since they tell nothing of its size."""

    def read_frame(self, data: bytes = b"") -> Frame | None:
        """The next frame, or piece of one; None if more must arrive before.

        Args:
            data: What has arrived since.

        Raises:
            WebSocketError: What comes is no frame. Nothing can be read any more.
        """
        if data:
            if not self.waiting and len(data) > 3:
                frame = self._whole(data)
                if frame is not None:
                    return frame
            self.add(data)
        return self._next() if self.waiting else None

    def _whole(self, data: bytes) -> Frame | None:
        """The one frame that has arrived, whole and alone, as most do; else None."""
        first, second = data[0], data[1]
        if first not in self._allowed or (second >= MASKED) is not self._masked:
            return None
        length = second & 0x7F
        start = 2
        if length > SHORT:
            length = data[2] << 8 | data[3]
            start = 4
            if second & 0x7F == 127 or length <= SHORT or first & CONTROL:
                return None
        if length > self.room:
            return None
        if not self._masked:
            return (first, data[start:], True) if len(data) == start + length else None
        if len(data) != start + 4 + length:
            return None
        payload = data[start + 4 :] if length < VIEWED else memoryview(data)[start + 4 :]
        return first, apply_mask(payload, data[start : start + 4]), True

    def add(self, data: bytes) -> None:
        """Put what has arrived to what waits."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        self.waiting = True

    def _next(self) -> Frame | None:
        if self._left:
            return self._piece(MORE)
        buffer, at = self._buffer, self._at
        here = len(buffer) - at
        if here < 2:
            return self._wait()
        first, second = buffer[at], buffer[at + 1]
        length = second & 0x7F
        self._check(first, second, length)
        start = 2
        if length > SHORT:
            start = 4 if length == 126 else 10
            if here < start:
                return self._wait()
            extended = int.from_bytes(buffer[at + 2 : at + start])
            self._check_length(length, extended)
            length = extended
        if first & CONTROL:
            if here < start + 4 * self._masked + length:
                return self._wait()
        elif length > self.room and not first & COMPRESSED:
            raise WebSocketError(TOO_BIG, "the message is too big")
        if self._masked:
            if here < start + 4:
                return self._wait()
            self._key = buffer[at + start : at + start + 4]
            start += 4
        self._at = at + start
        self._left = length
        return self._piece(first)

    def _piece(self, first: int) -> Frame | None:
        """What is here of the payload."""
        buffer, at = self._buffer, self._at
        end = min(at + self._left, len(buffer))
        size = end - at
        if not size and first == MORE:
            return self._wait()
        self._left -= size
        if not self._masked:
            payload = buffer[at:end]
        else:
            view = buffer[at:end] if size < VIEWED else memoryview(buffer)[at:end]
            payload = apply_mask(view, self._key)
            if self._left and size % 4:
                self._key = self._key[size % 4 :] + self._key[: size % 4]
        self._at = end
        if end == len(buffer):
            self._wait()
        return first, payload, not self._left

    def _wait(self) -> Frame | None:
        """Let go of what has been read, until there is more."""
        self._buffer = self._buffer[self._at :]
        self._at = 0
        self.waiting = bool(self._buffer or self._left)
        return None

    def _check(self, first: int, second: int, length: int) -> None:
        if first not in self._allowed:
            raise WebSocketError(PROTOCOL_ERROR, _what_is_wrong(first))
        if (second >= MASKED) is not self._masked:
            how = "is not masked" if self._masked else "is masked"
            raise WebSocketError(PROTOCOL_ERROR, f"a frame {how}")
        if length > MAX_CONTROL and first & CONTROL:
            raise WebSocketError(PROTOCOL_ERROR, "a control frame is too long")

    def _check_length(self, form: int, length: int) -> None:
        if length >> 63:
            raise WebSocketError(PROTOCOL_ERROR, "a length has its first bit set")
        if length <= (SHORT if form == 126 else 0xFFFF):
            raise WebSocketError(PROTOCOL_ERROR, "a length is not in its shortest form")


def _what_is_wrong(first: int) -> str:
    """With a frame's first byte."""
    opcode = first & 0x0F
    if opcode not in _OPCODES:
        return f"there is no opcode {opcode}"
    if first & 0x70:
        return "a reserved bit is set"
    return "a control frame is in pieces"


_pack_16 = Struct("!BBH").pack
_pack_64 = Struct("!BBQ").pack

SHORT_HEADERS = {
    first: tuple(bytes((first, length)) for length in range(SHORT + 1)) for first in WITH_COMPRESSED
}
"""By first byte and length: what a server sends before a payload of at most SHORT bytes."""


def header(first: int, length: int, masked: int = 0) -> bytes:
    """What stands before a payload, and before its masking key if it has one.

    Args:
        first: Opcode, FINAL, COMPRESSED.
        length: Of the payload.
        masked: MASKED, or 0.
    """
    if length <= SHORT:
        return bytes((first, masked | length)) if masked else SHORT_HEADERS[first][length]
    if length <= 0xFFFF:
        return _pack_16(first, masked | 126, length)
    return _pack_64(first, masked | 127, length)


def frame(first: int, payload: bytes, key: bytes | None = None) -> bytes:
    """A whole frame.

    Args:
        first: Opcode, FINAL, COMPRESSED.
        payload: At most 125 bytes of a control frame.
        key: What it is masked with, as a client must.
    """
    if key is None:
        return header(first, len(payload)) + payload
    return header(first, len(payload), MASKED) + key + apply_mask(payload, key)
