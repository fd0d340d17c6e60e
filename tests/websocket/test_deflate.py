"""Compression: what two sides agree on, and that nothing a peer sends is more than data."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.codes import INVALID_DATA, POLICY_VIOLATION, TOO_BIG, WebSocketError
from mynet.websocket.deflate import (
    MAX_STREAMS,
    NAME,
    TAIL,
    Deflate,
    Deflater,
    Extension,
    Inflater,
    Parameters,
    accept_offers,
    accept_response,
    make_codec,
    make_offer,
)
from mynet.websocket.handshake import parse_extensions

HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 section 7.2.3.1
FINAL_HELLO = bytes.fromhex("f348cdc9c9070000")  # 7.2.3.4: a final block, and an empty one

NO_CONTEXT = "server_no_context_takeover; client_no_context_takeover"
TWELVE = f"{NAME}; client_max_window_bits=12"

PLAIN = Deflate(window_bits=15, peer_window_bits=15)
SPARING = Deflate(context_takeover=False, peer_context_takeover=False)


def offers(*values: str) -> list[Extension]:
    return parse_extensions([value.encode() for value in values])


def inflate(inflater: Inflater, *pieces: bytes, room: int | None = 1 << 20) -> bytes:
    """A message in pieces."""
    data = b""
    for piece in pieces:
        data += inflater.inflate(piece, None if room is None else room - len(data))
    return data + inflater.finish(None if room is None else room - len(data))


def in_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


# Settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("window_bits", 8), ("window_bits", 16), ("peer_window_bits", 8), ("peer_window_bits", 16),
        ("level", 0), ("level", 10), ("memory_level", 0), ("memory_level", 10), ("threshold", -1),
    ],
)  # fmt: skip
def test_settings_have_ranges(field, value):
    """A setting that zlib could not work with is refused where it is made, by name."""
    with pytest.raises(ValueError, match=f"^{field} must"):
        Deflate(**{field: value})


# A server


@pytest.mark.parametrize(
    ("offer", "deflate", "agreed", "answer"),
    [
        (NAME, PLAIN, Parameters(), NAME),
        (NAME, Deflate(), Parameters(False, False, 12, 15), f"{NAME}; server_max_window_bits=12"),
        (NAME, SPARING, Parameters(True, True, 12, 15),
         f"{NAME}; {NO_CONTEXT}; server_max_window_bits=12"),
        (f"{NAME}; client_max_window_bits", Deflate(), Parameters(False, False, 12, 12),
         f"{NAME}; server_max_window_bits=12; client_max_window_bits=12"),  # Chrome's
        (f"{NAME}; client_max_window_bits", PLAIN, Parameters(), NAME),
        (f"{NAME}; client_max_window_bits=10", Deflate(), Parameters(False, False, 12, 10),
         f"{NAME}; server_max_window_bits=12; client_max_window_bits=10"),
        (f"{NAME}; client_max_window_bits=10", PLAIN, Parameters(False, False, 15, 10),
         f"{NAME}; client_max_window_bits=10"),
        (f"{NAME}; client_max_window_bits=15", Deflate(), Parameters(False, False, 12, 12),
         f"{NAME}; server_max_window_bits=12; client_max_window_bits=12"),
        (f"{NAME}; server_max_window_bits=15", PLAIN, Parameters(),
         f"{NAME}; server_max_window_bits=15"),
        (f'{NAME}; server_max_window_bits="10"', PLAIN, Parameters(False, False, 10, 15),
         f"{NAME}; server_max_window_bits=10"),
        (f"{NAME}; server_max_window_bits=8", Deflate(), Parameters(False, False, 8, 15),
         f"{NAME}; server_max_window_bits=8"),
        (f"{NAME}; client_no_context_takeover", PLAIN, Parameters(False, True),
         f"{NAME}; client_no_context_takeover"),
        (f"{NAME}; server_no_context_takeover", PLAIN, Parameters(True, False),
         f"{NAME}; server_no_context_takeover"),
        (f"x-webkit-deflate-frame, {NAME}; x=1, {NAME}; server_max_window_bits=9, {NAME}", PLAIN,
         Parameters(False, False, 9, 15), f"{NAME}; server_max_window_bits=9"),
    ],
)  # fmt: skip
def test_accepted(offer, deflate, agreed, answer):
    """A server takes the first offer that it can, and tells the client all that was agreed on."""
    assert accept_offers(offers(offer), deflate) == (agreed, answer)


@pytest.mark.parametrize(
    "parameter",
    [
        "x", "x=1", "server_max_window_bits", "server_max_window_bits=7",
        "server_max_window_bits=16", "server_max_window_bits=010", "server_max_window_bits=a",
        "client_max_window_bits=7", "client_max_window_bits=010", "client_max_window_bits=16",
        "server_no_context_takeover=1", "client_no_context_takeover=true",
        "client_no_context_takeover; client_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10", "Server_No_Context_Takeover",
    ],
)  # fmt: skip
def test_offer_that_is_not_understood(parameter):
    """What a server does not understand it declines, and it takes another offer if there is."""
    offer = f"{NAME}; {parameter}"
    assert accept_offers(offers(offer), Deflate()) is None
    assert accept_offers(offers(offer, NAME), PLAIN) == (Parameters(), NAME)


def test_nothing_offered():
    """Without an offer of compression messages are not compressed; that is no error."""
    assert accept_offers([], Deflate()) is None
    assert accept_offers(offers("x-webkit-deflate-frame"), Deflate()) is None


# A client


@pytest.mark.parametrize(
    ("deflate", "offer"),
    [
        (PLAIN, f"{NAME}; client_max_window_bits"),
        (Deflate(peer_window_bits=15), TWELVE),
        (Deflate(), f"{TWELVE}; server_max_window_bits=12, {TWELVE}"),
        (Deflate(context_takeover=False, peer_context_takeover=False, peer_window_bits=15),
         f"{NAME}; {NO_CONTEXT}; client_max_window_bits=12"),
    ],
)  # fmt: skip
def test_offer(deflate, offer):
    """A client asks for what it wants, and lets every server restrict its window."""
    assert make_offer(deflate) == offer


@pytest.mark.parametrize(
    ("answer", "deflate", "agreed"),
    [
        (NAME, PLAIN, Parameters()),
        (NAME, Deflate(), Parameters(False, False, 15, 12)),
        (NAME, Deflate(context_takeover=False), Parameters(False, True, 15, 12)),
        (f"{NAME}; server_max_window_bits=9", PLAIN, Parameters(False, False, 9, 15)),
        (f"{NAME}; server_max_window_bits=15", Deflate(), Parameters(False, False, 15, 12)),
        (f"{NAME}; client_max_window_bits=8", PLAIN, Parameters(False, False, 15, 8)),
        (f"{NAME}; client_max_window_bits=12", Deflate(), Parameters(False, False, 15, 12)),
        (f"{NAME}; {NO_CONTEXT}", PLAIN,
         Parameters(True, True)),
    ],
)  # fmt: skip
def test_answer(answer, deflate, agreed):
    """A client does as the server says, and as it said itself."""
    assert accept_response(offers(answer), deflate) == agreed


@pytest.mark.parametrize(
    ("answer", "deflate"),
    [
        (NAME, None), ("x-webkit-deflate-frame", Deflate()), (f"{NAME}, {NAME}", Deflate()),
        (f"{NAME}, x", Deflate()), (f"{NAME}; client_max_window_bits", Deflate()),
        (f"{NAME}; client_max_window_bits=13", Deflate()), (f"{NAME}; x", Deflate()),
        (f"{NAME}; server_max_window_bits", Deflate()),
        (f"{NAME}; server_max_window_bits=010", Deflate()),
        (f"{NAME}; server_no_context_takeover=1", Deflate()), (NAME, SPARING),
        (f"{NAME}; client_no_context_takeover; client_no_context_takeover", Deflate()),
    ],
)  # fmt: skip
def test_answer_to_another_offer(answer, deflate):
    """A server that answers what was not offered gets no connection."""
    with pytest.raises(ValueError, match=r"^(The server|permessage-deflate has).*\.$"):
        accept_response(offers(answer), deflate)


def test_no_compression():
    """A server may always do without compression."""
    assert accept_response([], Deflate()) is None
    assert accept_response([], None) is None


settings = st.builds(
    Deflate,
    window_bits=st.integers(9, 15),
    peer_window_bits=st.integers(9, 15),
    context_takeover=st.booleans(),
    peer_context_takeover=st.booleans(),
    level=st.integers(1, 9),
    memory_level=st.integers(1, 9),
)


texts = st.binary(max_size=2000) | st.binary(max_size=60).map(lambda part: part * 30)


@given(settings, settings, st.lists(texts, max_size=5), st.integers(1, 3000))
def test_both_sides_agree(ours, theirs, messages, length):
    """Any client and any server of ours understand each other, whatever both want."""
    accepted = accept_offers(offers(make_offer(theirs)), ours)
    assert accepted
    agreed, answer = accepted
    server = make_codec(agreed, ours, client=False)
    chosen = accept_response(offers(answer), theirs)
    assert chosen == agreed
    client = make_codec(chosen, theirs, client=True)
    for message in messages:
        for sender, receiver in ((server, client), (client, server)):
            sent = sender[0].compress(message)
            pieces = [sent[at : at + length] for at in range(0, len(sent), length)]
            assert inflate(receiver[1], *pieces) == message


def test_each_side_has_its_own():
    """What a server agreed to for itself is not asked of the client, nor the reverse."""
    agreed = Parameters(server_no_context_takeover=True, server_max_window_bits=9)
    server = make_codec(agreed, PLAIN, client=False)
    client = make_codec(agreed, PLAIN, client=True)
    assert [server[0].window_bits, client[0].window_bits] == [9, 15]
    sent = [server[0].compress(b"Hello"), server[0].compress(b"Hello")]
    assert [inflate(client[1], each) for each in sent] == [b"Hello", b"Hello"]
    assert sent[0] == sent[1]
    sent = [client[0].compress(b"Hello"), client[0].compress(b"Hello")]
    assert [inflate(server[1], each) for each in sent] == [b"Hello", b"Hello"]
    assert len(sent[1]) < len(sent[0])


@given(st.lists(st.sampled_from([NAME, "client_max_window_bits", "=", "12", ";", ",", '"', " "])))
def test_any_offer(parts):
    """Whatever a client writes, it is malformed, or accepted, or declined."""
    try:
        extensions = offers("".join(parts))
    except ValueError:
        return
    accepted = accept_offers(extensions, Deflate())
    assert accepted is None or offers(accepted[1])[0].name == NAME


# Compressing


def deflater(bits: int = 15, context_takeover: bool = True, level: int = 6) -> Deflater:
    return Deflater(bits, context_takeover, Deflate(level=level, memory_level=8))


def test_compressed_again():
    """A message that repeats an earlier one takes next to nothing; these are the RFC's bytes."""
    ours = deflater()
    assert ours.compress(b"Hello") == HELLO
    assert ours.compress(b"Hello") == bytes.fromhex("f200110000")
    alone = deflater(context_takeover=False)
    assert [alone.compress(b"Hello"), alone.compress(b"Hello")] == [HELLO, HELLO]


@pytest.mark.parametrize("context_takeover", [True, False])
def test_empty_messages(context_takeover):
    """An empty message is a message, and so is the one after it."""
    ours, theirs = deflater(15, context_takeover), Inflater(15, context_takeover)
    for message in (b"", b"", b"Hello", b"", b"Hello", b""):
        sent = ours.compress(message)
        assert (sent == b"\x00") == (message == b"")
        assert inflate(theirs, sent) == message


def test_forgotten():
    """A deflater that has forgotten holds nothing, and its receiver needs not know of it."""
    ours, theirs = deflater(), Inflater(15, True)
    assert inflate(theirs, ours.compress(b"Hello")) == b"Hello"
    ours.forget()
    assert ours.compress(b"Hello") == HELLO
    assert inflate(theirs, HELLO) == b"Hello"
    assert inflate(theirs, ours.compress(b"Hello")) == b"Hello"


def test_compressed_alone():
    """A message compressed once for many goes between a connection's own, if that one forgets."""
    ours, theirs, other = deflater(), Inflater(15, True), deflater(14)
    for message in (b"own " * 99, b"shared " * 99, b"own " * 99, b"shared " * 99, b""):
        if message[:1] == b"s":
            sent = other.compress_alone(message)
            ours.forget()
        else:
            sent = ours.compress(message)
        assert inflate(theirs, sent) == message


def test_compressed_alone_amid_others():
    """What is compressed alone leaves no trace in what is not."""
    ours = deflater()
    assert ours.compress(b"Hello") == HELLO
    assert [ours.compress_alone(b"Hello"), ours.compress_alone(b"")] == [HELLO, b"\x00"]
    assert ours.compress(b"Hello") == bytes.fromhex("f200110000")


@pytest.mark.parametrize("bits", range(8, 16))
def test_windows(bits):
    """What is sent refers back no farther than agreed on, down to a window of 256 bytes."""
    ours, theirs = deflater(bits), Inflater(bits, True)
    text = b"".join(b"%d, " % (number * number) for number in range(9000))
    for message in (text, text, bytes(1 << bits), text[: 1 << bits]):
        sent = ours.compress(message)
        assert len(sent) < len(message) * 0.6
        # zlib looks only at what refers back beyond what it returns at once.
        assert inflate(theirs, *in_bytes(sent)) == message


def test_smallest_window():
    """With the smallest window, which zlib cannot look back into, nothing refers back."""
    ours = deflater(8)
    for _ in range(2):
        assert inflate(Inflater(8, False), ours.compress(b"Hello, " * 9)) == b"Hello, " * 9


def test_window_is_as_agreed():
    """What refers back farther than agreed on is no compressed data."""
    block = zlib.compress(b"".join(b"%d, " % number for number in range(300)))
    sent = deflater(15).compress(block + bytes(2000) + block)
    assert inflate(Inflater(15, True), *in_bytes(sent)) == block + bytes(2000) + block
    with pytest.raises(WebSocketError) as caught:
        inflate(Inflater(9, True), *in_bytes(sent))
    assert caught.value.code == INVALID_DATA


# Inflating


def test_pieces():
    """A message may arrive in any pieces, and what is inflated comes as soon as it can."""
    text = b"".join(b"%d, " % (number * number) for number in range(500))
    ours, theirs = deflater(), Inflater(15, True)
    for _ in range(2):
        sent = ours.compress(text)
        early = theirs.inflate(sent[:-1], len(text))
        assert len(early) > len(text) - 300
        late = theirs.inflate(sent[-1:], len(text) - len(early))
        assert early + late + theirs.finish(0) == text
        assert inflate(theirs, *in_bytes(ours.compress(text)), room=len(text)) == text


@pytest.mark.parametrize(
    "sent",
    [
        HELLO,
        bytes.fromhex("000500faff48656c6c6f00"),  # 7.2.3.3: not compressed
        FINAL_HELLO,
        FINAL_HELLO[:-1],  # without what 7.2.1 adds, which some forget
        bytes.fromhex("f248050000 00ffffcac9c90700"),  # 7.2.3.5: two blocks
        b"\x03\x00" * 10 + FINAL_HELLO + b"\x00\x00\xff\xff\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("context_takeover", [True, False])
def test_blocks(sent, context_takeover):
    """All that RFC 7692 lets a peer write is read, whole and in pieces, message after message."""
    theirs = Inflater(15, context_takeover)
    for pieces in ([sent], in_bytes(sent), [b"", sent, b""], [HELLO], [sent]):
        assert inflate(theirs, *pieces, room=5) == b"Hello"


@pytest.mark.parametrize("wrong", [b"\xff", b"\x07", b"Hello, world", HELLO + bytes(4)])
@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes])
def test_no_compressed_data(wrong, cut):
    """What is not compressed data closes the connection with 1007."""
    with pytest.raises(WebSocketError) as caught:
        inflate(Inflater(15, True), *cut(wrong))
    assert caught.value.code == INVALID_DATA


def test_back_to_a_context_that_is_not_there():
    """Without context takeover a message cannot refer back to an earlier one."""
    ours, theirs = deflater(), Inflater(15, False)
    assert inflate(theirs, ours.compress(b"Hello")) == b"Hello"
    with pytest.raises(WebSocketError) as caught:
        inflate(theirs, ours.compress(b"Hello"))
    assert caught.value.code == INVALID_DATA


@pytest.mark.parametrize(
    "sent", [HELLO, FINAL_HELLO, FINAL_HELLO[:-1], b"\x03\x00" + FINAL_HELLO], ids=bytes.hex
)
@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes])
def test_limit(sent, cut):
    """A message of just the limit is taken; one more byte closes with 1009."""
    assert inflate(Inflater(15, True), *cut(sent), room=5) == b"Hello"
    for room in (4, 1, 0):
        with pytest.raises(WebSocketError) as caught:
            inflate(Inflater(15, True), *cut(sent), room=room)
        assert caught.value.code == TOO_BIG


def test_limit_at_the_end():
    """What only the end of a message brings to light counts, too."""
    stored = b"\x00\x04\x00\xfb\xff"  # a block of 4 bytes, which will be those of the tail
    theirs = Inflater(15, True)
    assert theirs.inflate(stored, 3) == b""
    with pytest.raises(WebSocketError) as caught:
        theirs.finish(3)
    assert caught.value.code == TOO_BIG
    assert inflate(Inflater(15, True), stored, room=4) == TAIL


def test_no_limit():
    """Without a limit all of a message is inflated."""
    message = bytes(3 << 20)
    assert inflate(Inflater(15, True), deflater().compress(message), room=None) == message


@pytest.mark.parametrize("ended", [False, True])
def test_bomb(ended):
    """A bomb stops at the limit: what it would become never takes any memory."""
    maker = zlib.compressobj(9, wbits=-15)
    bomb = maker.compress(bytes(64 << 20)) + maker.flush()
    sent = bytes.fromhex("0300") + bomb if ended else bomb
    theirs = Inflater(15, True)
    tracemalloc.start()
    try:
        with pytest.raises(WebSocketError) as caught:
            theirs.inflate(sent, 1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == TOO_BIG
    assert peak < 4 << 20


@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes])
def test_endings_without_end(cut):
    """Beginning anew is work: a message that makes us do so for ever is not welcome."""
    theirs = Inflater(15, True)
    for _ in range(2):
        assert inflate(theirs, *cut(b"\x03\x00" * MAX_STREAMS)) == b""
    with pytest.raises(WebSocketError) as caught:
        inflate(theirs, *cut(b"\x03\x00" * (MAX_STREAMS + 1)))
    assert caught.value.code == POLICY_VIOLATION


@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([HELLO, FINAL_HELLO]), max_size=9),
    st.integers(0, 400),
    st.integers(8, 15),
    st.booleans(),
)
def test_any_data(pieces, room, bits, context_takeover):
    """Whatever a peer sends, it is a message within the limit, or a close code."""
    for sent in (pieces, [b"".join(pieces)]):
        inflater = Inflater(bits, context_takeover)
        outcome = attempt(inflater, sent, room)
        assert outcome in (INVALID_DATA, TOO_BIG, POLICY_VIOLATION) or outcome <= room


def attempt(inflater: Inflater, pieces: list[bytes], room: int) -> int:
    """The length of a message, or the code."""
    try:
        return len(inflate(inflater, *pieces, room=room))
    except WebSocketError as error:
        return error.code
