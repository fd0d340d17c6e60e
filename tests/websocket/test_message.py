"""A message on its way out: made once, for however many receive it."""

from __future__ import annotations

import pytest

from mynet.websocket.deflate import Deflate, Deflater, Inflater
from mynet.websocket.message import Message, as_bytes
from tests.websocket.arriving import BINARY, COMPRESSED, FINAL, TEXT, raw

TEXTS = ["", "Hello", "hé", "\U0001f600" * 40, "a" * 125, "a" * 126, "a" * 65535, "a" * 65536]


def deflater(bits: int = 12, threshold: int = 0) -> Deflater:
    return Deflater(bits, True, Deflate(threshold=threshold))


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    """A str is sent as text, in UTF-8; its size is counted in bytes."""
    message = Message(text)
    payload = text.encode()
    assert (message.data, message.payload, message.opcode) == (text, payload, TEXT)
    assert message.size == len(payload)
    assert message.frame == raw(FINAL | TEXT, payload)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(kind):
    """Bytes of any kind are sent as binary, as they were when the message was made."""
    source = bytearray(b"\xff\x00\x80")
    message = Message(kind(source))
    source[:] = b"???"
    if kind is bytes:
        assert message.data == b"\xff\x00\x80"
    assert (message.payload, message.opcode, message.size) == (b"\xff\x00\x80", BINARY, 3)
    assert message.frame == raw(FINAL | BINARY, b"\xff\x00\x80")


@pytest.mark.parametrize("data", [None, 5, ["text"], object()])
def test_no_message(data):
    """Anything else is an error where it is made, which says what it was."""
    for make in (Message, as_bytes):
        with pytest.raises(TypeError, match=f"a str or bytes, not {type(data).__name__}"):
            make(data)


def test_text_that_cannot_be_sent():
    """A text with half a surrogate pair has no UTF-8, and is an error where it is made."""
    with pytest.raises(UnicodeEncodeError):
        Message("\ud800")


def test_framed_once():
    """However many receive a message, it is framed once; its bytes are the same object."""
    for data in ("text", b"", b"bytes"):
        message = Message(data)
        assert message.frame is message.frame


def test_compressed_once_for_each_window():
    """It is compressed once for all whose windows are of the same size."""
    message = Message("Hello, Hello, Hello")
    first, second = deflater(), deflater()
    second.compress(b"what only this connection has seen")
    made = message.compressed_frame(first)
    assert message.compressed_frame(second) is made
    assert message.compressed_frame(deflater(9)) is message.compressed_frame(deflater(9))
    assert message.compressed_frame(deflater(9)) is not made
    assert message.frame == raw(FINAL | TEXT, b"Hello, Hello, Hello")


@pytest.mark.parametrize("data", ["Hello, " * 30, b"Hello, " * 30, "", b""])
@pytest.mark.parametrize("bits", range(8, 16))
def test_compressed(data, bits):
    """What it is compressed to can be read by who has seen nothing before, with that window."""
    message = Message(data)
    made = message.compressed_frame(deflater(bits))
    assert made[0] == FINAL | COMPRESSED | (TEXT if isinstance(data, str) else BINARY)
    assert made[1] == len(made) - 2
    inflater = Inflater(bits, False)
    assert inflater.inflate(made[2:], 1000) + inflater.finish(0) == message.payload


def test_window_of_each_receiver():
    """A receiver with a small window does not get what was compressed for a larger one."""
    block = bytes(range(256))
    message = Message(block + bytes(1000) + block)
    large, small = message.compressed_frame(deflater(15)), message.compressed_frame(deflater(9))
    assert len(large) < len(small)
    inflater = Inflater(9, True)
    read = b"".join(inflater.inflate(small[at : at + 1], None) for at in range(4, len(small)))
    assert read + inflater.finish(None) == message.payload


def test_small_messages():
    """What is smaller than the threshold is sent as it is, to who compresses, too."""
    small, large = Message(b"a" * 9), Message(b"a" * 10)
    assert small.compressed_frame(deflater(threshold=10)) is small.frame
    assert large.compressed_frame(deflater(threshold=10))[0] & COMPRESSED


def test_repr():
    """A message in a log does not show what it says."""
    assert repr(Message("hé")) == "<Message of 3 bytes>"
