"""Messages: of frames in any pieces, within their limits, and held to all rules.

Those are the rules of RFC 6455 sections 5.4 to 5.6, 7.4 and 8.1, and of RFC 7692 section 6.
"""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Sequence

import pytest

from mynet.websocket.codes import (
    INVALID_DATA,
    NO_STATUS,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    TOO_BIG,
    is_sendable,
)
from mynet.websocket.deflate import MAX_STREAMS, Inflater
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
    Make,
    in_bytes,
    in_pieces,
    maker,
    read_all,
    ways,
)

Sent = tuple[int, bytes]
"""A frame: its first byte and its payload."""

both_roles = pytest.mark.parametrize("masked", [True, False], ids=["server", "client"])

BEHIND: Sent = (FINAL | PING, b"behind")
LIMIT = 1000
NOT_UTF8 = f"{INVALID_DATA}: a text is not UTF-8"
TOO_LARGE = f"{TOO_BIG}: the message is too big"


def reader(
    masked: bool,
    *,
    limit: int | None = 100_000,
    max_frames: int = 100,
    compressed: bool = False,
    context_takeover: bool = True,
) -> MessageReader:
    inflater = Inflater(15, context_takeover) if compressed else None
    return MessageReader(masked=masked, limit=limit, max_frames=max_frames, inflater=inflater)


def read(messages: MessageReader, pieces: Iterable[bytes]) -> tuple[list[Event], str]:
    """The events of these pieces, and the error that comes of them."""
    events, error = read_all(messages, messages.read, pieces)
    if error is None:
        return events, ""
    assert is_sendable(error.code)
    assert len(error.reason.encode()) <= 123
    return events, str(error)


def joined(make: Make, frames: Iterable[Sent]) -> bytes:
    return b"".join(make(*each) for each in frames)


def expect(
    masked: bool,
    frames: Sequence[Sent],
    events: list[Event],
    error: str = "",
    *,
    new: Callable[[], MessageReader] | None = None,
    followed: bool = True,
) -> None:
    """Look that these frames give that, in every way, and with others behind them."""
    make = maker(masked)
    data = joined(make, frames)
    behind = [] if error else [(PING, b"behind")]
    trails: list[tuple[bytes, list[Event]]] = [(b"", []), (make(*BEHIND), behind)]
    for trail, more in trails if followed else trails[:1]:
        for pieces in ways(data + trail):
            messages = new() if new is not None else reader(masked)
            assert read(messages, pieces) == (events + more, error)
            assert error or not messages.waiting


def fragments(first: int, *payloads: bytes) -> list[Sent]:
    """A message in fragments."""
    frames = [(CONTINUATION, payload) for payload in payloads]
    frames[0] = (first, payloads[0])
    frames[-1] = (frames[-1][0] | FINAL, payloads[-1])
    return frames


def deflated(payload: bytes, level: int = 6) -> bytes:
    """A message, compressed by zlib alone (RFC 7692 section 7.2.1)."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def stored(payload: bytes) -> bytes:
    """The same, not compressed at all: section 7.2.3.3."""
    length = len(payload).to_bytes(2, "little")
    return b"\x00" + length + bytes(255 - each for each in length) + payload + b"\x00"


# Messages


@both_roles
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
def test_whole_messages(masked, length):
    """A message in one frame arrives as what it is: a text as str, other data as bytes."""
    payload = b"x" * length
    expect(masked, [(FINAL | TEXT, payload)], [(TEXT, payload.decode())])
    expect(masked, [(FINAL | BINARY, payload)], [(BINARY, payload)])
    got, _ = read(reader(masked), [maker(masked)(FINAL | BINARY, payload)])
    assert type(got[0][1]) is bytes


@both_roles
@pytest.mark.parametrize(
    "payloads",
    [[b"", b""], [b"Hel", b"lo"], [b"", b"Hello", b""], [b"H", b"e", b"l", b"l", b"o"],
     [b"x" * 126, b"y" * 300, b"z"], [b"", b"", b"", b"x"]],
)  # fmt: skip
def test_fragments(masked, payloads):
    """A message in fragments is one message, and so is the next one (section 5.4)."""
    whole = b"".join(payloads)
    text, binary = fragments(TEXT, *payloads), fragments(BINARY, *payloads)
    expect(masked, text, [(TEXT, whole.decode())])
    expect(masked, binary, [(BINARY, whole)])
    event = (TEXT, whole.decode())
    frames = [*text, (FINAL | TEXT, b"!"), *binary, *text]
    expect(masked, frames, [event, (TEXT, "!"), (BINARY, whole), event])


@both_roles
@pytest.mark.parametrize("compressed", [False, True])
def test_control_frames_within_a_message(masked, compressed):
    """Control frames come between fragments, at once, and change nothing (section 5.4)."""
    payload = deflated(b"Hello") if compressed else b"Hello"
    one, two, three = fragments(
        TEXT | (COMPRESSED if compressed else 0), payload[:2], payload[2:4], payload[4:]
    )
    ping, pong, close = (FINAL | PING, b"a"), (FINAL | PONG, b""), (FINAL | CLOSE, b"\x03\xe8")
    expect(
        masked,
        [ping, one, ping, pong, two, ping, close, three, pong],
        [(PING, b"a"), (PING, b"a"), (PONG, b""), (PING, b"a"), (CLOSE, (1000, "")),
         (TEXT, "Hello"), (PONG, b"")],
        new=lambda: reader(masked, compressed=compressed),
    )  # fmt: skip


@both_roles
def test_control_frames_come_at_once(masked):
    """A ping within a message is answered before the message has ended."""
    make, messages = maker(masked), reader(masked)
    assert messages.read(make(TEXT, b"Hel")) is None
    assert messages.read(make(FINAL | PING, b"?")) == (PING, b"?")
    assert messages.read(make(CONTINUATION | FINAL, b"lo")) == (TEXT, "Hello")


# What waits


@both_roles
def test_messages_that_nobody_reads_yet(masked):
    """What arrives while nobody reads is there, in its order, when somebody does."""
    make = maker(masked)
    frames = [(FINAL | TEXT, b"1"), *fragments(BINARY, b"2", b"2"), (FINAL | TEXT, b"3" * 300)]
    events = [(TEXT, "1"), (BINARY, b"22"), (TEXT, "3" * 300)]
    for pieces in ways(joined(make, frames)):
        messages = reader(masked)
        assert not messages.waiting
        for piece in pieces:
            messages.add(piece)
            assert messages.waiting
        assert read(messages, [b""]) == (events, "")
        assert not messages.waiting
    messages = reader(masked)
    assert messages.read(joined(make, frames)) == events[0]
    messages.add(make(*BEHIND))
    assert messages.waiting
    assert read(messages, [b""]) == ([*events[1:], (PING, b"behind")], "")


@both_roles
def test_short_text_after_what_waits(masked):
    """A short text that arrives whole does not overtake what waits, nor break into a message."""
    make = maker(masked)
    text = make(FINAL | TEXT, b"text")
    messages = reader(masked)
    messages.add(make(FINAL | BINARY, b"first"))
    assert read(messages, [text]) == ([(BINARY, b"first"), (TEXT, "text")], "")
    messages = reader(masked)
    assert messages.read(make(BINARY, b"begun")) is None
    assert read(messages, [text]) == ([], f"{PROTOCOL_ERROR}: a message within a message")


# Rules


RESERVED = f"{PROTOCOL_ERROR}: a reserved bit is set"
NO_CODE = f"{PROTOCOL_ERROR}: a Close has no valid code"

WRONG: dict[str, tuple[list[Sent], str]] = {
    "continuation of nothing": (
        [(CONTINUATION, b"x")], f"{PROTOCOL_ERROR}: a continuation of no message",
    ),
    "last continuation of nothing": (
        [(FINAL | CONTINUATION, b"")], f"{PROTOCOL_ERROR}: a continuation of no message",
    ),
    "continuation of what has ended": (
        [(FINAL | CONTINUATION, b"x")], f"{PROTOCOL_ERROR}: a continuation of no message",
    ),
    "text in a text": (
        [(TEXT, b"x"), (FINAL | TEXT, b"y")], f"{PROTOCOL_ERROR}: a message within a message",
    ),
    "binary in a text": (
        [(TEXT, b""), (BINARY, b"y")], f"{PROTOCOL_ERROR}: a message within a message",
    ),
    "text in an empty binary": (
        [(BINARY, b""), (FINAL | TEXT, b"")], f"{PROTOCOL_ERROR}: a message within a message",
    ),
    "ping with a reserved bit": (
        [(FINAL | COMPRESSED | PING, b"")], RESERVED,
    ),
    "continuation with a reserved bit": (
        [(TEXT, b"x"), (FINAL | COMPRESSED | CONTINUATION, b"")],
        RESERVED,
    ),
    "second reserved bit": ([(FINAL | 0x20 | TEXT, b"")], RESERVED),
    "third reserved bit": ([(FINAL | 0x10 | TEXT, b"")], RESERVED),
    "unknown opcode": ([(FINAL | 0x3, b"")], f"{PROTOCOL_ERROR}: there is no opcode 3"),
    "unknown control": (
        [(TEXT, b"x"), (FINAL | 0xB, b"")], f"{PROTOCOL_ERROR}: there is no opcode 11",
    ),
    "ping in pieces": ([(PING, b"")], f"{PROTOCOL_ERROR}: a control frame is in pieces"),
    "long ping": ([(FINAL | PING, b"x" * 126)], f"{PROTOCOL_ERROR}: a control frame is too long"),
    "half a code": ([(FINAL | CLOSE, b"\x03")], NO_CODE),
    "invalid code": ([(FINAL | CLOSE, b"\x03\xed")], NO_CODE),
    "reason that is no text": ([(FINAL | CLOSE, b"\x03\xe8\xff")], NOT_UTF8),
    "reason cut off": ([(FINAL | CLOSE, b"\x03\xe8\xe2\x82")], NOT_UTF8),
    "text that is none": ([(FINAL | TEXT, b"x\xffy")], NOT_UTF8),
    "text cut off": ([(FINAL | TEXT, b"x\xe2\x82")], NOT_UTF8),
    "fragments that are no text": ([(TEXT, b"x"), (CONTINUATION, b"\xff")], NOT_UTF8),
    "fragments cut off": ([(TEXT, b"x"), (FINAL | CONTINUATION, b"\xe2")], NOT_UTF8),
    "last fragment is empty": (
        [(TEXT, b"x\xe2\x82"), (FINAL | CONTINUATION, b"")], NOT_UTF8,
    ),
}  # fmt: skip


@both_roles
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_rules(masked, compressed, name):
    """What breaks a rule closes with its code; what came before it has been delivered."""
    frames, error = WRONG[name]
    new = lambda: reader(masked, compressed=compressed)  # noqa: E731
    expect(masked, frames, [], error, new=new)
    before = [(FINAL | PING, b""), (FINAL | TEXT, b"one"), *fragments(BINARY, b"tw", b"o")]
    events = [(PING, b""), (TEXT, "one"), (BINARY, b"two")]
    expect(masked, [*before, *frames], events, error, new=new)


@both_roles
@pytest.mark.parametrize(
    "frame", [(FINAL | COMPRESSED | TEXT, b"\x00"), (COMPRESSED | BINARY, b"")]
)
def test_compression_that_was_not_agreed_on(masked, frame):
    """A compressed message closes with 1002 where compression was not agreed on."""
    expect(masked, [frame], [], RESERVED)


@both_roles
def test_masks(masked):
    """The frames of the wrong side close with 1002, whatever they are."""
    what = "is not masked" if masked else "is masked"
    for first in (FINAL | TEXT, FINAL | BINARY, TEXT, FINAL | PING, FINAL | CLOSE):
        for payload in (b"", b"xy", b"x" * 125, b"x" * 126):
            wrong = maker(not masked)(first, payload[:125] if first & 8 else payload)
            for pieces in ways(wrong):
                assert read(reader(masked), pieces) == ([], f"{PROTOCOL_ERROR}: a frame {what}")


# Close


@both_roles
def test_close_codes(masked):
    """Codes that may be sent are told; any other closes with 1002 (section 7.4)."""
    make = maker(masked)
    told = set()
    for code in (*range(5100), *range(5100, 1 << 16, 97), 0xFFFF):
        got = read(reader(masked), [make(FINAL | CLOSE, code.to_bytes(2))])
        if got == ([(CLOSE, (code, ""))], ""):
            told.add(code)
        else:
            assert got == ([], NO_CODE)
    assert told == {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


@both_roles
@pytest.mark.parametrize("reason", ["", "bye", "Grüße €\U0001f600", "x" * 123, "é" * 61])
def test_close(masked, reason):
    """A Close tells its code and its reason, whatever that is in UTF-8."""
    payload = (4001).to_bytes(2) + reason.encode()
    expect(masked, [(FINAL | CLOSE, payload)], [(CLOSE, (4001, reason))])


@both_roles
def test_close_without_a_code(masked):
    """A Close may have no code, which is told as 1005."""
    expect(masked, [(FINAL | CLOSE, b"")], [(CLOSE, (NO_STATUS, ""))])


@both_roles
def test_reason_cut_within_a_character(masked):
    """A reason that ends within a character is no text."""
    reason = "é€\U0001f600".encode()
    ends = {2: "é", 5: "é€", 9: "é€\U0001f600", 0: ""}
    for at in range(len(reason) + 1):
        frames = [(FINAL | CLOSE, b"\x03\xe8" + reason[:at])]
        if at in ends:
            expect(masked, frames, [(CLOSE, (1000, ends[at]))], followed=False)
        else:
            expect(masked, frames, [], NOT_UTF8, followed=False)


# Text


STARTS = [
    (range(0x80), []),
    (range(0xC2, 0xE0), [range(0x80, 0xC0)]),
    (range(0xE0, 0xE1), [range(0xA0, 0xC0), range(0x80, 0xC0)]),
    (range(0xE1, 0xED), [range(0x80, 0xC0)] * 2),
    (range(0xED, 0xEE), [range(0x80, 0xA0), range(0x80, 0xC0)]),
    (range(0xEE, 0xF0), [range(0x80, 0xC0)] * 2),
    (range(0xF0, 0xF1), [range(0x90, 0xC0), *[range(0x80, 0xC0)] * 2]),
    (range(0xF1, 0xF4), [range(0x80, 0xC0)] * 3),
    (range(0xF4, 0xF5), [range(0x80, 0x90), *[range(0x80, 0xC0)] * 2]),
]
"""The first bytes of characters, and what may follow them: the Unicode Standard, table 3-7."""


def first_wrong(data: bytes) -> int | None:
    """Where the first byte stands that no text can have there: `len(data)` for its end."""
    rest: list[range] = []
    for at, byte in enumerate(data):
        if rest:
            if byte not in rest.pop(0):
                return at
            continue
        following = [after for start, after in STARTS if byte in start]
        if not following:
            return at
        rest = list(following[0])
    return len(data) if rest else None


VALID = [
    "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff",
    "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0010ffff", "\U0001f600\u200d\ufe0f",
    "\ufeffmark", "a\u0300", "日本語",
]  # fmt: skip

INVALID = [
    "80", "bf", "c0", "c080", "c1bf", "e08080", "e09fbf", "f0808080", "f08fbfbf", "eda080",
    "edbfbf", "eda080edb080", "f4908080", "f5808080", "f8888080", "fc84808080", "fe", "ff", "fffe",
    "c3", "c328", "e2", "e282", "e228a1", "e28228", "f09f", "f09f98", "f0288cbc", "f09028bc",
    "f0908c28", "cebae1bdb9cf83cebcceb5eda080656469746564", "cebae1bdb9cf83cebcceb5f4908080656469",
    "41e0a141", "e0a180e0a1", "c3a9c3", "80c3a9",
]  # fmt: skip
"""Among them those of Autobahn's cases 6.3 to 6.21: too long, surrogates, beyond the last one."""


def texts() -> Iterable[bytes]:
    yield from (text.encode() for text in VALID)
    for wrong in map(bytes.fromhex, INVALID):
        yield from (wrong, b"ascii" + wrong, "é€".encode() + wrong + b"behind")


@both_roles
@pytest.mark.parametrize("text", list(texts()), ids=bytes.hex)
def test_utf8(masked, text):
    """A text arrives as it was sent, in any pieces; what is no UTF-8 closes with 1007."""
    wrong = first_wrong(text)
    events: list[Event] = [] if wrong is not None else [(TEXT, text.decode())]
    error = "" if wrong is None else NOT_UTF8
    expect(masked, [(FINAL | TEXT, text)], events, error)
    for at in range(len(text) + 1):
        expect(masked, fragments(TEXT, text[:at], text[at:]), events, error, followed=False)
    expect(masked, fragments(TEXT, *in_bytes(text), b""), events, error)


def compress_not_at_all(text: bytes) -> list[Sent]:
    return [(FINAL | COMPRESSED | TEXT, stored(text))]


@both_roles
@pytest.mark.parametrize(
    "frame",
    [
        lambda text: [(FINAL | TEXT, text)],
        lambda text: fragments(TEXT, *in_bytes(text), b""),
        lambda text: fragments(TEXT, b"", *in_bytes(text)),
        compress_not_at_all,
    ],
    ids=["whole", "fragments", "last", "compressed"],
)
@pytest.mark.parametrize("text", list(map(bytes.fromhex, INVALID)), ids=bytes.hex)
def test_utf8_is_judged_as_it_arrives(masked, frame, text):
    """What is no UTF-8 is seen with the first byte that cannot be; nothing more is waited for."""
    text += b"behind"
    wrong = first_wrong(text)
    assert wrong is not None
    messages = reader(masked, compressed=True)
    seen = 0
    for first, payload in frame(text):
        data = maker(masked)(first, payload)
        for at, byte in enumerate(in_bytes(data), len(payload) - len(data)):
            error = read(messages, [byte])[1]
            if error:
                seen += at - 5 * bool(first & COMPRESSED)
                assert (seen, error) == (wrong, NOT_UTF8)
                return
        seen += len(payload)
    pytest.fail("it was not seen")


# Compressed messages (RFC 7692 section 6)


@both_roles
@pytest.mark.parametrize("context_takeover", [True, False])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_compressed(masked, context_takeover, first):
    """Compressed messages arrive as they were, among others, in fragments and in any pieces."""
    value: str | bytes = "Hello" if first == TEXT else b"Hello"
    flagged, sent = first | COMPRESSED, deflated(b"Hello")
    new = lambda: reader(masked, compressed=True, context_takeover=context_takeover)  # noqa: E731
    expect(masked, [(FINAL | flagged, sent)], [(first, value)], new=new)
    for at in range(len(sent) + 1):
        expect(masked, fragments(flagged, sent[:at], sent[at:]), [(first, value)], new=new)
    expect(
        masked,
        [*fragments(flagged, b"", *in_bytes(sent), b""), (FINAL | first, b"Hello"),
         (FINAL | flagged, sent), *fragments(first, b"Hel", b"lo"), (FINAL | flagged, b"\x00"),
         (FINAL | flagged, sent)],
        [(first, value)] * 4 + [(first, value[:0]), (first, value)],
        new=new,
    )  # fmt: skip


@both_roles
def test_context(masked):
    """A message may refer back to the one before, if that was agreed on."""
    frames = [
        (FINAL | COMPRESSED | TEXT, bytes.fromhex("f248cdc9c90700")),
        (FINAL | COMPRESSED | TEXT, bytes.fromhex("f200110000")),  # section 7.2.3.2
    ]
    hello = (TEXT, "Hello")
    expect(masked, frames, [hello, hello], new=lambda: reader(masked, compressed=True))
    expect(
        masked, frames, [hello], f"{INVALID_DATA}: compressed data cannot be inflated",
        new=lambda: reader(masked, compressed=True, context_takeover=False),
    )  # fmt: skip


@both_roles
@pytest.mark.parametrize("text", list(texts()), ids=bytes.hex)
def test_utf8_of_compressed_texts(masked, text):
    """What is inflated must be UTF-8, too."""
    wrong = first_wrong(text)
    events: list[Event] = [] if wrong is not None else [(TEXT, text.decode())]
    error = "" if wrong is None else NOT_UTF8
    new = lambda: reader(masked, compressed=True)  # noqa: E731
    for sent in (deflated(text), stored(text)):
        expect(masked, [(FINAL | COMPRESSED | TEXT, sent)], events, error, new=new)
        expect(
            masked, fragments(COMPRESSED | TEXT, *in_bytes(sent)), events, error,
            new=new, followed=False,
        )  # fmt: skip


@both_roles
@pytest.mark.parametrize(
    "wrong", [b"\xff", b"\x07", b"Hello, world", deflated(b"Hello") + bytes(4)]
)
def test_what_cannot_be_inflated(masked, wrong):
    """What is no compressed data closes with 1007, whether in one frame or more."""
    error = f"{INVALID_DATA}: compressed data cannot be inflated"
    new = lambda: reader(masked, compressed=True)  # noqa: E731
    for at in range(len(wrong) + 1):
        frames = fragments(COMPRESSED | BINARY, wrong[:at], wrong[at:])
        expect(masked, frames, [], error, new=new)
    expect(masked, [(FINAL | COMPRESSED | BINARY, wrong)], [], error, new=new)


@both_roles
def test_too_many_final_blocks(masked):
    """A message of very many compressed streams closes with 1008, over all its fragments."""
    new = lambda: reader(masked, compressed=True)  # noqa: E731
    block = b"\x03\x00"  # a final one, of nothing
    right = [block * (MAX_STREAMS - 30), block * 30 + b"\x00"]
    for _ in range(2):
        expect(masked, fragments(COMPRESSED | BINARY, *right), [(BINARY, b"")], new=new)
    wrong = [block, *right]
    error = f"{POLICY_VIOLATION}: too many final blocks in a message"
    expect(masked, fragments(COMPRESSED | BINARY, *wrong), [], error, new=new)
    messages = new()
    data = joined(maker(masked), fragments(COMPRESSED | BINARY, *right) * 3)
    assert read(messages, [data]) == ([(BINARY, b"")] * 3, "")


# Limits of size


@both_roles
@pytest.mark.parametrize("limit", [0, 1, 124, 125, 126, 1000])
def test_limit(masked, limit):
    """A message may be as large as its limit; one byte more closes with 1009, at once."""
    new = lambda: reader(masked, limit=limit)  # noqa: E731
    right, wrong = b"x" * limit, b"x" * (limit + 1)
    for _ in range(2):
        expect(masked, [(FINAL | TEXT, right)], [(TEXT, right.decode())], new=new)
        expect(masked, [(FINAL | BINARY, wrong)], [], TOO_LARGE, new=new)
    expect(masked, [(FINAL | TEXT, wrong)], [], TOO_LARGE, new=new)
    start = maker(masked)(FINAL | TEXT, wrong)[: 2 if limit < 125 else 4]
    assert read(new(), [start]) == ([], TOO_LARGE)


@both_roles
@pytest.mark.parametrize("at", [0, 1, 500, 999, 1000])
def test_limit_of_fragments(masked, at):
    """All fragments of a message count, and those of another do not."""
    new = lambda: reader(masked, limit=LIMIT)  # noqa: E731
    right = fragments(TEXT, b"x" * at, b"", b"x" * (LIMIT - at))
    whole = (TEXT, "x" * LIMIT)
    expect(masked, [*right, *right, (FINAL | TEXT, b"x" * LIMIT)], [whole] * 3, new=new)
    wrong = fragments(BINARY, b"x" * at, b"", b"x" * (LIMIT + 1 - at))
    expect(masked, [*right, *wrong], [whole], TOO_LARGE, new=new)
    expect(masked, [*right, (FINAL | TEXT, b"x" * (LIMIT + 1))], [whole], TOO_LARGE, new=new)
    start = joined(maker(masked), wrong)[: -(LIMIT + 1 - at) - 4 * masked]
    assert read(new(), [start]) == ([], TOO_LARGE)
    assert read(new(), [start[:-1]]) == ([], "")


@both_roles
def test_control_frames_do_not_count(masked):
    """Control frames are within no limit of a message, neither by size nor by number."""
    ping = (FINAL | PING, b"x" * 125)
    first, last = fragments(TEXT, b"x" * 60, b"x" * 40)
    frames = [first, *[ping] * 50, last, *[ping] * 3]
    events = [(PING, b"x" * 125)] * 50 + [(TEXT, "x" * 100)] + [(PING, b"x" * 125)] * 3
    got = read(reader(masked, limit=100, max_frames=2), [joined(maker(masked), frames)])
    assert got == (events, "")


@both_roles
@pytest.mark.parametrize("sent", [deflated(b"x" * LIMIT), stored(b"x" * LIMIT)], ids=len)
def test_limit_after_inflation(masked, sent):
    """What a message is when it has been inflated counts, and only that."""
    text, binary = FINAL | COMPRESSED | TEXT, COMPRESSED | BINARY
    whole = [(text, sent)], [(TEXT, "x" * LIMIT)]
    cut = fragments(binary, sent[:3], b"", sent[3:]), [(BINARY, b"x" * LIMIT)]
    new = lambda: reader(masked, limit=LIMIT, compressed=True)  # noqa: E731
    for frames, events in (whole, cut):
        expect(masked, frames * 2, events * 2, new=new)
        plain = (FINAL | BINARY, b"x" * LIMIT)
        expect(masked, [*frames, plain], [*events, (BINARY, plain[1])], new=new)
        expect(masked, [*frames, (plain[0], plain[1] + b"x")], events, TOO_LARGE, new=new)
        less = lambda: reader(masked, limit=LIMIT - 1, compressed=True)  # noqa: E731
        expect(masked, frames, [], TOO_LARGE, new=less)


@both_roles
def test_limit_at_the_end_of_a_message(masked):
    """What only the end of a compressed message brings to light counts with what was before."""
    sent = stored(b"Hello")[:-1] + b"\x00\x04\x00\xfb\xff"  # four more, which its end will be
    value = b"Hello\x00\x00\xff\xff"
    for frames in (
        [(FINAL | COMPRESSED | BINARY, sent)],
        fragments(COMPRESSED | BINARY, sent, b""),
    ):
        right = lambda: reader(masked, limit=9, compressed=True)  # noqa: E731
        expect(masked, frames, [(BINARY, value)], new=right)
        for limit in (8, 5):
            less = lambda limit=limit: reader(masked, limit=limit, compressed=True)  # noqa: E731
            expect(masked, frames, [], TOO_LARGE, new=less)


@both_roles
@pytest.mark.parametrize("limit", [None, 1 << 62, 1 << 63, 1 << 80])
def test_no_limit(masked, limit):
    """Without a limit, or with an immense one, a message may be as large as it likes."""
    large = b"x" * 3_000_000
    make = maker(masked)
    data = make(FINAL | BINARY, large) + make(FINAL | COMPRESSED | BINARY, deflated(large))
    messages = reader(masked, limit=limit, compressed=True)
    assert read(messages, [data]) == ([(BINARY, large), (BINARY, large)], "")


@both_roles
@pytest.mark.parametrize("limit", [float("inf"), 1e6, 1e30])
def test_limit_that_is_no_whole_number(masked, limit):
    """A limit written as 1e6, or inf, is a limit for compressed messages as for others."""
    messages = reader(masked, limit=limit, compressed=True)
    data = joined(maker(masked), [(FINAL | COMPRESSED | TEXT, deflated(b"Hello"))])
    assert read(messages, [data]) == ([(TEXT, "Hello")], "")
    too_large = deflated(bytes(1_000_001))
    data = joined(maker(masked), [(FINAL | COMPRESSED | BINARY, too_large)])
    assert (read(messages, [data])[1] == TOO_LARGE) is (limit == 1e6)


# Limits of memory


def peak_of(run: Callable[[], object]) -> int:
    """The bytes that are taken at most while this runs."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@both_roles
@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("parts", [1, 2, 50])
def test_bomb(masked, first, parts):
    """A small message that would become very large stops at the limit: no more is inflated."""
    sent = deflated(bytes(100 << 20))
    assert len(sent) < 110_000
    size = len(sent) // parts + 1
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    data = joined(maker(masked), fragments(first | COMPRESSED, *pieces))
    messages = reader(masked, limit=100_000, compressed=True)
    peak = peak_of(lambda: results.append(read(messages, [data])))
    assert results == [([], TOO_LARGE)]
    assert peak < 100_000 * 4 + 2 * len(sent)


results: list[tuple[list[Event], str]] = []


@pytest.fixture(autouse=True)
def _no_results() -> None:
    results.clear()


@both_roles
@pytest.mark.parametrize("first", [TEXT, BINARY, TEXT | COMPRESSED, BINARY | COMPRESSED])
@pytest.mark.parametrize("characters", ["abc", "é€", "\U0001f600\U0001f601"])
@pytest.mark.parametrize("length", [1, 5000])
def test_memory_of_what_dribbles_in(masked, first, characters, length):
    """A message that comes in small pieces takes about what it takes in the end."""
    payload = (characters * 60_000).encode()[:60_000]
    value = payload.decode(errors="ignore") if first & TEXT else payload
    payload = value.encode() if isinstance(value, str) else payload
    compressed = bool(first & COMPRESSED)
    data = maker(masked)(FINAL | first, stored(payload) if compressed else payload)
    messages = reader(masked, compressed=compressed)
    pieces = in_pieces(data, length)
    last = pieces.pop()
    peak = peak_of(lambda: results.append(read(messages, pieces)))
    assert results == [([], "")]
    window_of_zlib = 50_000 if compressed else 0
    assert peak < sys.getsizeof(value) * 1.25 + 40_000 + window_of_zlib
    assert messages.read(last) == (first & 0x0F, value)
    assert not messages.waiting


@both_roles
@pytest.mark.parametrize("compressed", [False, True])
def test_memory_of_what_comes_to_nothing(masked, compressed):
    """Neither control frames without end nor empty fragments and blocks take memory."""
    make = maker(masked)
    messages = reader(masked, compressed=True, max_frames=20_000)
    flood = [make(TEXT | COMPRESSED * compressed, b"")]
    for _ in range(3000):
        flood.append(make(FINAL | PING, b"x" * 125))
        flood.append(make(CONTINUATION, b"\x00\x00\x00\xff\xff" if compressed else b""))

    def run() -> None:
        for data in flood:
            item = messages.read(data)
            while item is not None:
                item = messages.read()

    assert peak_of(run) < 60_000


@both_roles
@pytest.mark.parametrize("first", [TEXT, BINARY, TEXT | COMPRESSED])
def test_nothing_is_kept(masked, first):
    """What has been read is not kept: a reader that rests holds no message."""
    compressed = bool(first & COMPRESSED)
    messages = reader(masked, compressed=compressed, limit=None, context_takeover=False)
    payload = b"x" * 500_000
    sent = deflated(payload, 0) if compressed else payload
    data = joined(maker(masked), fragments(first, sent[:50_000], sent[50_000:]))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert read(messages, [data])[1] == ""
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


# Limits of number


@both_roles
@pytest.mark.parametrize("most", [1, 2, 3, 50])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_number_of_frames(masked, most, payload):
    """A message may have so many frames, empty ones too; one more closes with 1009."""
    new = lambda: reader(masked, max_frames=most)  # noqa: E731
    right = fragments(BINARY, *[payload] * most)
    event = (BINARY, payload * most)
    single, value = (FINAL | BINARY, b"single"), (BINARY, b"single")
    frames = [*right, single, *right, single, single]
    expect(masked, frames, [event, value, event, value, value], new=new)
    wrong = fragments(BINARY, *[payload] * (most + 1))
    error = f"{TOO_BIG}: the message has too many frames"
    expect(masked, [*right, *wrong], [event], error, new=new)
    expect(masked, [*wrong[:-1], (CONTINUATION, b"")], [], error, new=new)


@both_roles
def test_number_of_compressed_frames(masked):
    """So it is for a compressed message."""
    sent = in_bytes(deflated(b"Hello"))
    frames = fragments(COMPRESSED | TEXT, *sent)
    right = lambda: reader(masked, compressed=True, max_frames=len(sent))  # noqa: E731
    expect(masked, frames * 2, [(TEXT, "Hello")] * 2, new=right)
    less = lambda: reader(masked, compressed=True, max_frames=len(sent) - 1)  # noqa: E731
    expect(masked, frames, [], f"{TOO_BIG}: the message has too many frames", new=less)
