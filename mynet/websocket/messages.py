"""Messages (RFC 6455 sections 5.4 to 5.6, RFC 7692 section 6): of frames, within limits.

Here is decided what frames mean together: messages in fragments with control frames between
them, compressed ones, text, which must be UTF-8 and is looked at as it arrives, the codes and
reasons of a Close. All limits hold while a message arrives, before its bytes are kept.
"""

from __future__ import annotations

import codecs
from typing import Any, Final

from mynet.websocket.codes import (
    INVALID_DATA,
    NO_STATUS,
    PROTOCOL_ERROR,
    TOO_BIG,
    WebSocketError,
    is_sendable,
)
from mynet.websocket.deflate import Inflater
from mynet.websocket.frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTROL,
    FINAL,
    MASKED,
    MORE,
    SHORT,
    TEXT,
    UNLIMITED,
    FrameReader,
)
from mynet.websocket.masking import apply_mask

Event = tuple[int, Any]
"""An opcode, and what came with it: TEXT a str, BINARY bytes, PING and PONG their payload, CLOSE
its code (1005 if it had none) and reason."""

SMALL: Final = 4096
"""Smaller pieces of a message are gathered at once: kept as they are they would cost too much."""

_WHOLE: Final = {FINAL | opcode | flag for opcode in (TEXT, BINARY) for flag in (0, COMPRESSED)}

_WHOLE_TEXT: Final = FINAL | TEXT

MANY: Final = 256
"""So many pieces of a text are joined: a piece of one character takes 80 bytes."""

SURROGATE: Final = 0xED
"""The first byte of what would be a surrogate in UTF-8, where one from 0xA0 on follows."""

_new_decoder = codecs.getincrementaldecoder("utf-8")


class MessageReader(FrameReader):
    """Takes the bytes of one direction of a connection apart, into messages and control frames.

    `read` is called as `read_frame` is, and in its place.
    """

    __slots__ = (
        "_collected",
        "_compressed",
        "_final",
        "_inflater",
        "_limit",
        "_most",
        "_number",
        "_opcode",
        "_size",
    )

    def __init__(
        self,
        *,
        masked: bool,
        limit: int | None,
        max_frames: int,
        inflater: Inflater | None = None,
    ) -> None:
        """One for each direction.

        Args:
            masked: Whether frames must be masked, or must not be.
            limit: The size of a message, in bytes, also after inflation. None: no limit.
            max_frames: How many frames a message may have.
            inflater: For compressed messages, if they were agreed on.
        """
        super().__init__(masked=masked, compressed=inflater is not None)
        # zlib counts in whole numbers that are not too large; a limit may be 1e6, or inf.
        self._limit = UNLIMITED if limit is None else int(min(limit, UNLIMITED))
        self.room = self._limit
        self._most = max_frames
        self._inflater = inflater
        self._opcode = 0  # of the message that has begun
        self._final = 0  # whether its present frame is its last
        self._compressed = 0
        self._number = 0
        self._size = 0
        self._collected: _Text | _Bytes | None = None

    def read(self, data: bytes = b"") -> Event | None:
        """The next event; None if more must arrive before.

        Args:
            data: What has arrived since.

        Raises:
            WebSocketError: The rules have been broken, or a limit. Nothing can be read any more.
        """
        if not self.waiting and not self._opcode:
            # What mostly arrives is one short text, whole.
            masked = self._masked
            length = len(data) - 6 if masked else len(data) - 2
            if (
                0 <= length <= SHORT
                and data[0] == _WHOLE_TEXT
                and data[1] == (MASKED | length if masked else length)
                and length <= self.room
            ):
                payload = apply_mask(data[6:], data[2:6]) if masked else data[2:]
                try:
                    return TEXT, payload.decode()
                except UnicodeDecodeError:
                    raise _not_utf8() from None
        return self._read(data)

    def _read(self, data: bytes) -> Event | None:
        frame = self.read_frame(data)
        while frame is not None:
            first, payload, is_all = frame
            if is_all and not self._opcode and first in _WHOLE:
                if first & COMPRESSED:
                    payload = self._inflate(payload, True)
                if first & TEXT:
                    return TEXT, _text(payload)
                return BINARY, payload
            if first != MORE and first & CONTROL:
                return _control(first & 0x0F, payload)
            if first != MORE:
                self._begin_frame(first)
            self._collect(payload)
            if is_all and self._final:
                return self._finish()
            if is_all and not self._compressed:
                self.room = self._limit - self._size
            frame = self.read_frame()
        return None

    def _begin_frame(self, first: int) -> None:
        opcode = first & 0x0F
        self._final = first & FINAL
        if not opcode:
            if not self._opcode:
                raise WebSocketError(PROTOCOL_ERROR, "a continuation of no message")
            self._number += 1
            if self._number > self._most:
                raise WebSocketError(TOO_BIG, "the message has too many frames")
            return
        if self._opcode:
            raise WebSocketError(PROTOCOL_ERROR, "a message within a message")
        self._opcode = opcode
        self._number = 1
        self._compressed = first & COMPRESSED
        if self._compressed:
            self.room = UNLIMITED
        self._collected = _Text() if opcode == TEXT else _Bytes()

    def _collect(self, payload: bytes) -> None:
        if self._compressed:
            payload = self._inflate(payload, False)
        self._keep(payload)

    def _keep(self, data: bytes) -> None:
        assert self._collected is not None
        self._size += len(data)
        self._collected.write(data)

    def _inflate(self, payload: bytes, last: bool) -> bytes:
        assert self._inflater is not None
        room = self._limit - self._size
        data = self._inflater.inflate(payload, room)
        return data + self._inflater.finish(room - len(data)) if last else data

    def _finish(self) -> Event:
        if self._compressed:
            self._keep(self._inflate(b"", True))
        assert self._collected is not None
        event = self._opcode, self._collected.finish()
        self._collected = None
        self._opcode = self._compressed = self._size = 0
        self.room = self._limit
        return event


class _Bytes:
    """A binary message in the making: large pieces are copied once, when all are there."""

    __slots__ = ("_large", "_small")

    def __init__(self) -> None:
        self._large: list[bytes] = []
        self._small = bytearray()  # what came behind them, in pieces not worth keeping as such

    def write(self, data: bytes) -> None:
        """Put more to it."""
        if len(data) < SMALL:
            self._small += data
            return
        if self._small:
            self._large.append(bytes(self._small))
            self._small.clear()
        self._large.append(data)

    def finish(self) -> bytes:
        """The whole message."""
        return b"".join((*self._large, self._small))


class _Text:
    """A text in the making."""

    __slots__ = ("_decoder", "_joined", "_recent")

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._recent: list[str] = []  # pieces that came behind them
        self._decoder = _new_decoder()

    def write(self, data: bytes, last: bool = False) -> None:
        """Put more to it; what is no UTF-8 is an error as soon as that can be seen."""
        try:
            self._recent.append(self._decoder.decode(data, last))
        except UnicodeDecodeError:
            raise _not_utf8() from None
        if data[-1:] > b"\x9f" and self._ends_in_surrogate():
            raise _not_utf8()
        if len(self._recent) == MANY:
            self._joined.append("".join(self._recent))
            self._recent.clear()

    def _ends_in_surrogate(self) -> bool:
        """Whether the last byte began a surrogate, at which Python's decoder looks one later."""
        kept = self._decoder.getstate()[0]
        return len(kept) == 2 and kept[0] == SURROGATE

    def finish(self) -> str:
        """The whole text."""
        self.write(b"", True)
        return "".join((*self._joined, *self._recent))


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> WebSocketError:
    return WebSocketError(INVALID_DATA, "a text is not UTF-8")


def _control(opcode: int, payload: bytes) -> Event:
    if opcode != CLOSE:
        return opcode, payload
    if not payload:
        return CLOSE, (NO_STATUS, "")
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not is_sendable(code):
        raise WebSocketError(PROTOCOL_ERROR, "a Close has no valid code")
    return CLOSE, (code, _text(payload[2:]))
