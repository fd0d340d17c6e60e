"""A message on its way out, framed once for however many receive it."""

from __future__ import annotations

from mynet.websocket.deflate import Deflater
from mynet.websocket.frames import BINARY, COMPRESSED, FINAL, TEXT, frame


class Message:
    """What is sent: a text or bytes. Give the same one to many, and it is made only once.

    Compressed it is made once for each size of window that receivers have: four, at the most, if
    they are browsers.
    """

    __slots__ = ("_compressed", "_frame", "data", "opcode", "payload")

    def __init__(self, data: str | bytes) -> None:
        """A str is sent as text, bytes as binary."""
        self.data = data
        """What it was made of."""
        if isinstance(data, str):
            self.opcode = TEXT
            self.payload = data.encode()
            """The same in bytes."""
        else:
            self.opcode = BINARY
            self.payload = as_bytes(data)
        self._frame = b""
        self._compressed: dict[int, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Message of {self.size} bytes>"

    @property
    def size(self) -> int:
        """In bytes, before compression."""
        return len(self.payload)

    @property
    def frame(self) -> bytes:
        """The frame that a server sends."""
        if not self._frame:
            self._frame = frame(FINAL | self.opcode, self.payload)
        return self._frame

    def compressed_frame(self, deflater: Deflater) -> bytes:
        """The same, compressed on its own, as that deflater would after it has forgotten all."""
        if self.size < deflater.threshold:
            return self.frame
        if self._compressed is None:
            self._compressed = {}
        made = self._compressed.get(deflater.window_bits)
        if made is None:
            made = frame(FINAL | COMPRESSED | self.opcode, deflater.compress_alone(self.payload))
            self._compressed[deflater.window_bits] = made
        return made


def as_bytes(data: object) -> bytes:
    """Bytes of what is sent as binary.

    Raises:
        TypeError: It is no bytes.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"a message is a str or bytes, not {type(data).__name__}")
