"""Any stream of frames: read as it was sent, in any pieces, or closed with a code; by wsproto, too.

Streams are made of whole messages in any fragments, and then spoilt here and there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as WSOpcode

from mynet.websocket.codes import INVALID_DATA, TOO_BIG, is_sendable
from mynet.websocket.deflate import Inflater
from mynet.websocket.messages import Event, MessageReader
from tests.websocket.arriving import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    FINAL,
    PING,
    PONG,
    TEXT,
    head,
    in_bytes,
    in_pieces,
    raw,
    read_all,
)

Sent = tuple[int, bytes]
Outcome = tuple[list[Event], tuple[int, str] | None]

# Streams


@dataclass
class Conversation:
    """Messages, and the frames that they were sent in."""

    events: list[Event]
    frames: list[Sent]


texts = st.text(max_size=40) | st.text("aé€\U0001f600", max_size=80)
datas = st.binary(max_size=200) | st.integers(0, 200).map(bytes)
codes = st.sampled_from([1000, 1001, 1003, 1011, 3000, 4999])
messages = st.one_of(
    st.tuples(st.just(TEXT), texts),
    st.tuples(st.just(BINARY), datas),
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.tuples(st.just(CLOSE), st.tuples(codes, st.text(max_size=20))),
)


def payload_of(opcode: int, value: Any) -> bytes:
    if opcode == CLOSE:
        return int(value[0]).to_bytes(2) + bytes(value[1].encode())
    return bytes(value.encode() if opcode == TEXT else value)


@st.composite
def conversations(draw: st.DrawFn, deflate: bool = True, between: bool = True) -> Conversation:
    """Any messages, in any fragments, compressed or not, with control frames between."""
    said = Conversation([], [])
    stream = zlib.compressobj(wbits=-15)
    for opcode, value in draw(st.lists(messages, max_size=5)):
        payload, first = payload_of(opcode, value), opcode
        cuts: list[int] = []
        if opcode < CLOSE:
            if deflate and draw(st.booleans()):
                payload = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
                payload, first = payload or b"\x00", first | COMPRESSED
            cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True):
            said.frames.append((first, payload[start:end]))
            first = CONTINUATION
            if end < len(payload) and between and draw(st.booleans()):
                said.frames.append((FINAL | PING, b"between"))
                said.events.append((PING, b"between"))
        said.frames[-1] = (said.frames[-1][0] | FINAL, said.frames[-1][1])
        said.events.append((opcode, value))
    return said


keys = st.binary(min_size=4, max_size=4)
cuts = st.lists(st.integers(0, 60), max_size=30)
spoilt = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "drop", "insert", "repeat"]),
        st.integers(0, 500),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=3,
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def stream_of(frames: list[Sent], key: bytes | None) -> bytes:
    return b"".join(raw(first, payload, key) for first, payload in frames)


def spoil(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Change some of these bytes."""
    spoiling = bytearray(data)
    for change, at, byte in changes:
        at = at % (len(spoiling) + 1)
        if change == "insert":
            spoiling[at:at] = bytes([byte])
        elif change == "repeat":
            spoiling[at:at] = spoiling[at : at + byte]
        elif change == "drop":
            del spoiling[at : at + byte % 8]
        elif at < len(spoiling):
            spoiling[at] = byte if change == "set" else spoiling[at] ^ (1 << byte % 8)
    return bytes(spoiling)


# What becomes of them


def reader(masked: bool, deflate: bool, limit: int | None, max_frames: int) -> MessageReader:
    inflater = Inflater(15, True) if deflate else None
    return MessageReader(masked=masked, limit=limit, max_frames=max_frames, inflater=inflater)


def outcome(pieces: list[bytes], masked: bool, deflate: bool, limit: int | None) -> Outcome:
    made = reader(masked, deflate, limit, 20)
    events, error = read_all(made, made.read, pieces)
    return events, None if error is None else (error.code, error.reason)


def check_outcome(data: bytes, masked: bool, deflate: bool, limit: int, sizes: list[int]) -> None:
    """Look that there are events, or a close code, and the same ones in any cut."""
    whole = outcome([data], masked, deflate, limit)
    events, error = whole
    for opcode, value in events:
        assert type(value) is {TEXT: str, CLOSE: tuple}.get(opcode, bytes)
        assert opcode in (TEXT, BINARY, PING, PONG, CLOSE)
        assert len(payload_of(opcode, value)) <= (limit if opcode < CLOSE else 125)
    if error is not None:
        assert is_sendable(error[0])
        assert len(error[1].encode()) <= 123
    event(f"error {error and error[0]}, {min(len(events), 2)} events")
    for pieces in (cut(data, sizes), in_bytes(data), in_pieces(data, 7)):
        again = outcome(pieces, masked, deflate, limit)
        if deflate and error is not None and error[0] in (INVALID_DATA, TOO_BIG):
            # What was wrong first is seen first, as far as it has been inflated.
            assert again[0] == events
            assert again[1] is not None
            assert again[1][0] in (INVALID_DATA, TOO_BIG)
        else:
            assert again == whole


@settings(max_examples=400)
@given(conversations(), st.none() | keys, cuts)
def test_round_trip(said, key, sizes):
    """Messages arrive as they were sent: in any fragments, masked or not, compressed or not."""
    data = stream_of(said.frames, key)
    for pieces in ([data], cut(data, sizes), in_bytes(data)):
        made = reader(key is not None, deflate=True, limit=None, max_frames=5)
        assert read_all(made, made.read, pieces) == (said.events, None)
        assert not made.waiting
    made = reader(key is not None, deflate=True, limit=None, max_frames=5)
    for piece in cut(data, sizes):
        made.add(piece)
    assert read_all(made, made.read, [b""]) == (said.events, None)


limits = st.sampled_from([0, 10, 40, 300])


@settings(max_examples=400)
@given(conversations(), st.none() | keys, spoilt, limits, cuts)
def test_spoilt(said, key, changes, limit, sizes):
    """Whatever comes, there are messages or a close code, never another error, in any pieces."""
    data = spoil(stream_of(said.frames, key), changes)
    for deflate in (True, False):
        check_outcome(data, key is not None, deflate, limit, sizes)


heads = st.builds(
    head,
    st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x41, 0xC2, 0xA1]),
    st.integers(0, 20) | st.sampled_from([125, 126, 300, 301, 65536, 1 << 31, 1 << 63]),
    st.none() | keys,
    st.none(),
)


@settings(max_examples=400)
@given(st.lists(heads | st.binary(max_size=30), max_size=8), st.booleans(), limits, cuts)
def test_nonsense(parts, masked, limit, sizes):
    """So it is for bytes that were never a stream."""
    for deflate in (True, False):
        check_outcome(b"".join(parts), masked, deflate, limit, sizes)


@given(conversations(), st.none() | keys)
def test_cut_off(said, key):
    """A stream that ends anywhere has given what was whole, and no error."""
    data = stream_of(said.frames, key)
    for end in range(0, len(data), max(1, len(data) // 50)):
        events, error = outcome([data[:end]], key is not None, True, None)
        assert (events, error) == (said.events[: len(events)], None)


# wsproto


def wsproto_outcome(data: bytes, masked: bool, deflate: bool) -> tuple[list[Event], int | None]:
    """What wsproto makes of a stream, up to its first Close, and the code of its error."""
    extensions: list[Extension] = []
    if deflate:
        extensions.append(PerMessageDeflate())
        extensions[0].finalize("permessage-deflate")
    protocol = FrameProtocol(client=not masked, extensions=extensions)
    protocol.receive_bytes(data)
    events: list[Event] = []
    parts: list[Any] = []
    try:
        for each in protocol.received_frames():
            payload: Any = each.payload
            if each.opcode is WSOpcode.CLOSE:
                code, reason = payload
                events.append((CLOSE, (int(code), reason)))
            elif each.opcode.iscontrol():
                events.append((int(each.opcode), bytes(payload)))
            else:
                parts.append(payload)
                if each.message_finished:
                    empty: Any = "" if each.opcode is WSOpcode.TEXT else b""
                    events.append((int(each.opcode), empty.join(parts)))
                    parts.clear()
    except ParseFailed as error:
        return events, int(error.code)
    return events, None


def up_to_close(events: list[Event]) -> list[Event]:
    for number, (opcode, _) in enumerate(events):
        if opcode == CLOSE:
            return events[: number + 1]
    return events


def compare(data: bytes, masked: bool, deflate: bool) -> None:
    """Look that wsproto reads the same.

    Behind what is wrong there must be enough for it, which reads a whole head before it judges.
    """
    made = reader(masked, deflate, None, 1000)
    events, error = read_all(made, made.read, [data])
    seen = up_to_close(events)
    ended = bool(seen) and seen[-1][0] == CLOSE
    code = None if error is None or ended else error.code
    theirs = wsproto_outcome(data if code is None else data + bytes(150), masked, deflate)
    assert (seen, code) == theirs


@given(conversations(between=False), st.none() | keys)
def test_wsproto_reads_the_same(said, key):
    """What wsproto takes for messages is what we do.

    But for control frames within compressed messages, behind which it does not inflate any more.
    """
    data = stream_of(said.frames, key)
    assert wsproto_outcome(data, key is not None, True) == (up_to_close(said.events), None)
    compare(data, key is not None, deflate=True)


@settings(max_examples=400)
@given(conversations(deflate=False), st.none() | keys, spoilt)
def test_wsproto_finds_the_same_wrong(said, key, changes):
    """What is wrong for wsproto is wrong for us, with the same code, and the reverse."""
    data = spoil(stream_of(said.frames, key), changes)
    compare(data, key is not None, deflate=False)


wrongs = st.lists(
    st.tuples(
        st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0x83, 0x8B, 0x08]),
        st.sampled_from(
            [b"", b"x", b"\xe2\x82", b"\xac", b"\xff", b"\x03\xe8", b"\x03\xed", b"\x03\xe8\xff",
             b"\xed\xa0\x80", b"\x0b\xb8", bytes(126), b"\xf4\x90"]
        ),
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=400)
@given(wrongs, st.none() | keys)
def test_wsproto_judges_frames_the_same(frames, key):
    """So it is for frames that are each well made, in an order that may not be."""
    compare(stream_of(frames, key), key is not None, deflate=False)
