"""Frames: read as RFC 6455 section 5.2 draws them, in any pieces, and held to its rules."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.codes import PROTOCOL_ERROR, TOO_BIG, WebSocketError
from mynet.websocket.frames import (
    MASKED,
    MORE,
    PLAIN,
    SHORT,
    UNLIMITED,
    VIEWED,
    WITH_COMPRESSED,
    Frame,
    FrameReader,
    frame,
    header,
)
from tests.websocket.arriving import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    FINAL,
    KEY,
    PING,
    PONG,
    TEXT,
    head,
    in_bytes,
    in_pieces,
    maker,
    raw,
    read_all,
    ways,
)

Whole = tuple[int, bytes]

LENGTHS = [0, 1, 2, 124, 125, 126, 127, 1023, 1024, 65535, 65536, 70001]
BEHIND: Whole = (FINAL | PING, b"behind")

both_roles = pytest.mark.parametrize("masked", [True, False], ids=["server", "client"])


def reader(masked: bool, *, compressed: bool = False, room: int = UNLIMITED) -> FrameReader:
    made = FrameReader(masked=masked, compressed=compressed)
    made.room = room
    return made


def read(frames: FrameReader, pieces: Iterable[bytes]) -> tuple[list[Whole], str]:
    """The whole frames that are in these pieces, and the error that comes of them."""
    whole: list[Whole] = []
    begun: Whole | None = None
    parts, error = read_all(frames, frames.read_frame, pieces)
    for first, payload, is_all in parts:
        assert (first == MORE) is (begun is not None)
        begun = (first, payload) if begun is None else (begun[0], begun[1] + payload)
        if is_all:
            whole.append(begun)
            begun = None
    return whole, "" if error is None else str(error)


def parts_of(frames: FrameReader, *pieces: bytes) -> list[Frame]:
    """What a reader gives of these pieces, which are right."""
    parts, error = read_all(frames, frames.read_frame, pieces)
    assert error is None
    return parts


def fails(masked: bool, data: bytes, *, compressed: bool = False, room: int = UNLIMITED) -> str:
    """The error that these bytes are, with the last of them and not before, in any cut."""
    errors = set()
    for pieces in ways(data):
        got, error = read(reader(masked, compressed=compressed, room=room), pieces)
        assert got == []
        errors.add(error)
    assert read(reader(masked, compressed=compressed, room=room), [data[:-1]]) == ([], "")
    assert len(errors) == 1
    return errors.pop()


# The RFC's examples


@pytest.mark.parametrize(
    ("data", "first", "payload", "key"),
    [
        ("810548656c6c6f", FINAL | TEXT, b"Hello", None),
        ("818537fa213d7f9f4d5158", FINAL | TEXT, b"Hello", KEY),
        ("010348656c", TEXT, b"Hel", None),
        ("80026c6f", FINAL | CONTINUATION, b"lo", None),
        ("890548656c6c6f", FINAL | PING, b"Hello", None),
        ("8a8537fa213d7f9f4d5158", FINAL | PONG, b"Hello", KEY),
        ("827e0100" + "00" * 256, FINAL | BINARY, bytes(256), None),
        ("827f0000000000010000" + "00" * 65536, FINAL | BINARY, bytes(65536), None),
    ],
)
def test_examples(data, first, payload, key):
    """What RFC 6455 section 5.7 shows is read and written like that."""
    assert read(reader(key is not None), [bytes.fromhex(data)]) == ([(first, payload)], "")
    assert frame(first, payload, key) == bytes.fromhex(data)


# Reading


@both_roles
@pytest.mark.parametrize("length", LENGTHS)
def test_lengths(masked, length):
    """A payload of any length arrives as it was sent, in any pieces, and so does what follows."""
    make = maker(masked)
    sent = [(FINAL | BINARY, random.Random(length).randbytes(length)), BEHIND]
    data = make(*sent[0])
    for pieces in ways(data):
        assert read(reader(masked), pieces) == (sent[:1], "")
    for pieces in ways(data + make(*BEHIND)):
        assert read(reader(masked), pieces) == (sent, "")


@both_roles
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, VIEWED - 1, VIEWED + 1, VIEWED + 2, 4099])
def test_pieces_of_a_payload(masked, size):
    """Each byte is unmasked by its byte of the key, wherever a payload is cut."""
    payload = random.Random(size).randbytes(10_000)
    sent = head(FINAL | TEXT, len(payload), KEY if masked else None)
    body = maker(masked)(FINAL | TEXT, payload)[len(sent) :]
    for way in ([sent, *in_pieces(body, size)], in_pieces(sent + body, size)):
        assert read(reader(masked), way) == ([(FINAL | TEXT, payload)], "")


@both_roles
def test_pieces_come_at_once(masked):
    """What has arrived of a large payload is given on, not kept until all is there."""
    frames = reader(masked)
    data = maker(masked)(FINAL | TEXT, b"Hello, " * 100)
    start = len(data) - 700
    assert frames.read_frame(data[: start - 1]) is None
    assert frames.read_frame(data[start - 1 : start]) == (FINAL | TEXT, b"", False)
    assert frames.read_frame() is None
    assert frames.read_frame(data[start : start + 5]) == (MORE, b"Hello", False)
    assert frames.read_frame() is None
    assert frames.read_frame(data[start + 5 : start + 7]) == (MORE, b", ", False)
    last = b"Hello, " * 99
    assert frames.read_frame(data[start + 7 :]) == (MORE, last, True)
    assert frames.read_frame() is None
    assert not frames.waiting


@both_roles
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_whole(masked, opcode):
    """A control frame is given when all of it is there, however it arrives."""
    make = maker(masked)
    for length in (0, 1, 124, 125):
        data = make(FINAL | opcode, b"x" * length)
        for pieces in ways(data):
            assert parts_of(reader(masked), *pieces) == [(FINAL | opcode, b"x" * length, True)]
        frames = reader(masked)
        assert parts_of(frames, data[:-1]) == []
        assert frames.waiting


@both_roles
def test_many_frames_at_once(masked):
    """Whatever arrives together comes out in its order, and with nothing left over."""
    make = maker(masked)
    sent = [(FINAL | BINARY, bytes([number % 256]) * number) for number in range(300)]
    frames = reader(masked)
    data = b"".join(make(*each) for each in sent)
    for size in (len(data), 1000, 61):
        assert read(frames, in_pieces(data, size)) == (sent, "")
        assert not frames.waiting


@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(sorted(PLAIN)),
            st.binary(max_size=125) | st.sampled_from(LENGTHS).map(bytes),
        ),
        max_size=6,
    ),
    st.lists(st.integers(0, 400), max_size=30),
)  # fmt: skip
def test_any_frames(masked, sent, cuts):
    """Frames arrive as they were sent: any of them, in any pieces."""
    sent = [(first, payload[:125] if first & 8 else payload) for first, payload in sent]
    key = KEY if masked else None
    data = b"".join(frame(first, payload, key) for first, payload in sent)
    assert data == b"".join(maker(masked)(*each) for each in sent)
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    assert read(reader(masked), [*pieces, data]) == (sent, "")


# What waits


@both_roles
def test_waiting(masked):
    """Something waits when bytes have come that are not read, or a frame lacks its rest."""
    frames = reader(masked)
    assert not frames.waiting
    assert frames.read_frame() is None
    data = maker(masked)(FINAL | TEXT, b"x" * 300)
    for byte in in_bytes(data)[:-1]:
        parts_of(frames, byte)
        assert frames.waiting
    assert frames.read_frame(data[-1:]) == (MORE, b"x", True)
    assert not frames.waiting
    assert frames.read_frame() is None


@both_roles
def test_frames_that_nobody_reads_yet(masked):
    """What is added while nobody reads is there, in its order, when somebody does."""
    make = maker(masked)
    sent = [(FINAL | TEXT, b"one"), (FINAL | TEXT, b"two" * 100), (FINAL | TEXT, b"three")]
    data = b"".join(make(*each) for each in sent)
    for pieces in ways(data):
        frames = reader(masked)
        for piece in pieces:
            frames.add(piece)
            assert frames.waiting
        assert read(frames, [b""]) == (sent, "")
        assert not frames.waiting
    frames = reader(masked)
    assert frames.read_frame(data) == (*sent[0], True)
    frames.add(make(*BEHIND))
    assert read(frames, [b""]) == ([*sent[1:], BEHIND], "")


@both_roles
def test_frame_after_what_waits(masked):
    """A whole frame that arrives behind a part of another is not taken before it."""
    make = maker(masked)
    first, second = make(FINAL | TEXT, b"first"), make(FINAL | TEXT, b"second")
    for at in range(1, len(first)):
        frames = reader(masked)
        frames.add(first[:at])
        frames.add(first[at:])
        assert read(frames, [second]) == (
            [(FINAL | TEXT, b"first"), (FINAL | TEXT, b"second")], "",
        )  # fmt: skip


def held(frames: FrameReader) -> int:
    """The bytes that a reader holds; numbers take more or less."""
    return sum(sys.getsizeof(getattr(frames, name)) for name in FrameReader.__slots__)


@both_roles
def test_memory(masked):
    """A payload is not kept as it dribbles in, nor is anything after it; a head may be."""
    make = maker(masked)
    frames = reader(masked)
    empty = held(frames)
    largest = dict.fromkeys((FINAL | BINARY, FINAL | PING), 0)
    for first, length in ((FINAL | BINARY, 70_000), (FINAL | PING, 125)):
        for byte in in_bytes(make(first, bytes(length))):
            parts_of(frames, byte)
            largest[first] = max(largest[first], held(frames) - empty)
    assert largest[FINAL | BINARY] <= 14 + 16
    assert largest[FINAL | PING] <= 2 + 4 + 125 + 16
    assert held(frames) <= empty + 16
    data = make(FINAL | BINARY, bytes(70_000))
    for pieces in ([data], [data[:50], data[50:]], [data + data[:1]], [data[1:]]):
        parts_of(frames, *pieces)
        assert held(frames) <= empty + 16


# What is wrong


def reason_of(first: int, compressed: bool) -> str:
    """What section 5.2 has against a first byte; nothing if it may be."""
    opcode = first & 0x0F
    if opcode not in (0, 1, 2, 8, 9, 10):
        return f"there is no opcode {opcode}"
    if first & 0x30 or (first & COMPRESSED and not (compressed and opcode in (TEXT, BINARY))):
        return "a reserved bit is set"
    if opcode >= 8 and not first & FINAL:
        return "a control frame is in pieces"
    return ""


@both_roles
@pytest.mark.parametrize("compressed", [False, True])
def test_first_bytes(masked, compressed):
    """Unknown opcodes, bits that mean nothing, and parts of control frames close with 1002."""
    make = maker(masked)
    allowed = set()
    for first in range(256):
        reason = reason_of(first, compressed)
        if not reason:
            for pieces in ways(make(first, b"Hello")):
                assert read(reader(masked, compressed=compressed), pieces)[0] == [(first, b"Hello")]
            allowed.add(first)
            continue
        error = fails(masked, make(first, b"Hello")[:2], compressed=compressed)
        assert error == f"{PROTOCOL_ERROR}: {reason}"
    assert allowed == (WITH_COMPRESSED if compressed else PLAIN)


@both_roles
@pytest.mark.parametrize("first", [FINAL | TEXT, BINARY, CONTINUATION, FINAL | PING, FINAL | CLOSE])
@pytest.mark.parametrize("length", [0, 5, 125, 126, 65536])
def test_masks(masked, first, length):
    """A client that does not mask, and a server that does, are closed with 1002, at once."""
    if length > SHORT and first & 8:
        length = SHORT
    wrong = maker(not masked)(first, bytes(length))
    what = "is not masked" if masked else "is masked"
    assert fails(masked, wrong[:2]) == f"{PROTOCOL_ERROR}: a frame {what}"
    for pieces in ways(wrong[:300]):
        assert read(reader(masked), pieces) == ([], f"{PROTOCOL_ERROR}: a frame {what}")


@both_roles
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("form", [2, 8])
def test_long_control_frames(masked, opcode, form):
    """A control frame of more than 125 bytes closes with 1002, before any of it is kept."""
    data = head(FINAL | opcode, 126, KEY if masked else None, form=form)
    assert fails(masked, data[:2]) == f"{PROTOCOL_ERROR}: a control frame is too long"


@both_roles
@pytest.mark.parametrize(
    ("length", "form"), [(0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)]
)
def test_lengths_that_are_too_long(masked, length, form):
    """A length that has a shorter form closes with 1002."""
    data = head(FINAL | TEXT, length, None, form=form)
    if masked:
        data = bytes((data[0], data[1] | MASKED)) + data[2:]
    expected = f"{PROTOCOL_ERROR}: a length is not in its shortest form"
    assert fails(masked, data) == expected
    assert read(reader(masked), [data + KEY + bytes(length)]) == ([], expected)


def large(masked: bool, first: int, length: int) -> bytes:
    """The first bytes of a large frame, up to the last of its length."""
    data = head(first, length, KEY if masked else None, form=8)
    return data[:10]


@both_roles
@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_negative_lengths(masked, length):
    """A length with its first bit set closes with 1002, whatever the limit."""
    for room in (0, UNLIMITED):
        error = fails(masked, large(masked, FINAL | TEXT, length), room=room)
        assert error == f"{PROTOCOL_ERROR}: a length has its first bit set"


@both_roles
@pytest.mark.parametrize("length", [1 << 31, (1 << 32) + 1, 1 << 62])
def test_immense_lengths(masked, length):
    """A frame of any length is begun where there is no limit; it takes no memory."""
    frames = reader(masked)
    data = large(masked, BINARY, length) + (KEY if masked else b"")
    assert frames.read_frame(data) == (BINARY, b"", False)
    assert frames.read_frame(bytes(4)) == (MORE, KEY if masked else bytes(4), False)
    assert held(frames) - held(reader(masked)) < 16


@both_roles
@pytest.mark.parametrize("length", [1 << 31, (1 << 32) + 1, 1 << 62, (1 << 63) - 1])
def test_immense_lengths_beyond_the_limit(masked, length):
    """Where there is a limit, it closes with 1009 when its length is known."""
    data = large(masked, BINARY, length)
    for room in (1 << 20, length - 1):
        assert fails(masked, data, room=room) == f"{TOO_BIG}: the message is too big"


# Room


def up_to_length(data: bytes) -> bytes:
    """A frame up to the last byte of its length."""
    return data[: {126: 4, 127: 10}.get(data[1] & 0x7F, 2)]


@both_roles
@pytest.mark.parametrize("room", [0, 1, 125, 126, 127, 65535, 65536])
@pytest.mark.parametrize("first", [FINAL | TEXT, BINARY, FINAL | CONTINUATION])
def test_room(masked, room, first):
    """A payload may be as long as there is room; one more byte is an error before it arrives."""
    make = maker(masked)
    for pieces in ways(make(first, bytes(room))):
        assert read(reader(masked, room=room), pieces) == ([(first, bytes(room))], "")
    wrong = make(first, bytes(room + 1))
    assert fails(masked, up_to_length(wrong), room=room) == f"{TOO_BIG}: the message is too big"
    assert read(reader(masked, room=room), [wrong]) == ([], f"{TOO_BIG}: the message is too big")


@both_roles
@pytest.mark.parametrize("first", [FINAL | PING, FINAL | PONG, FINAL | CLOSE])
def test_room_of_control_frames(masked, first):
    """Control frames are no part of a message, and need no room."""
    for pieces in ways(maker(masked)(first, bytes(125))):
        assert read(reader(masked, room=0), pieces) == ([(first, bytes(125))], "")


@both_roles
@pytest.mark.parametrize("length", [5, 125, 126, 70_000])
def test_room_of_compressed_messages(masked, length):
    """How long the first frame of a compressed message is tells nothing; what it becomes does."""
    for first in (COMPRESSED | FINAL | TEXT, COMPRESSED | BINARY):
        for pieces in ways(maker(masked)(first, bytes(length))):
            made = reader(masked, compressed=True, room=4)
            assert read(made, pieces) == ([(first, bytes(length))], "")


@both_roles
@pytest.mark.parametrize("piece", [[b""], [b"x"], [b"xy"], [b"x" * 5], [b"x" * 200, b""]])
def test_error_ends_reading(masked, piece):
    """The frames before an error are read, and none behind it."""
    make = maker(masked)
    right, wrong = make(FINAL | TEXT, b"".join(piece)), make(0x83, b"")
    for pieces in ways(right + wrong + make(*BEHIND)):
        assert read(reader(masked), pieces) == (
            [(FINAL | TEXT, b"".join(piece))], f"{PROTOCOL_ERROR}: there is no opcode 3",
        )  # fmt: skip


# Writing


@pytest.mark.parametrize("length", [*LENGTHS, 1 << 31, (1 << 63) - 1])
@pytest.mark.parametrize("first", sorted(WITH_COMPRESSED - {FINAL | CLOSE, FINAL | PING}))
def test_header(length, first):
    """A length is written in its shortest form, in a frame with or without a mask."""
    assert header(first, length) == head(first, length)
    assert header(first, length, MASKED) + KEY == head(first, length, KEY)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("key", [None, KEY, bytes(4)])
def test_frame(length, key):
    """A frame is what its reader expects."""
    payload = random.Random(length).randbytes(length)
    assert frame(FINAL | BINARY, payload, key) == raw(FINAL | BINARY, payload, key)


def test_error_of_a_reader():
    """What is wrong with a frame is told by a code and in words that can be sent."""
    with pytest.raises(WebSocketError) as caught:
        FrameReader(masked=True).read_frame(b"\x8f\x80")
    assert (caught.value.code, caught.value.reason) == (1002, "there is no opcode 15")
