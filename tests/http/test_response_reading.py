"""Reading responses, on their own: heads, and where bodies end."""

from __future__ import annotations

from contextlib import suppress

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mynet.http.client_errors import BadResponse
from mynet.http.client_limits import ClientLimits
from mynet.http.limits import KIB, Limits
from mynet.http.reading import CHUNKED
from mynet.http.response_reading import UNTIL_CLOSE, BodyReader, ResponseHead, ResponseReader
from tests.conversation import chunked
from tests.http.test_differential import CHUNKS, ENDS, SPICE, mutated


def head(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"".join(line + b"\r\n" for line in (first, *lines)) + b"\r\n"


def read(data: bytes, size: int | None = None, limits: ClientLimits | None = None) -> ResponseHead:
    """The head that bytes begin with, which come as a whole or so many at a time."""
    reader = ResponseReader(limits or ClientLimits())
    step = size or len(data) or 1
    searched = 0
    for end in range(step, len(data) + step, step):
        found = reader.read(data[:end], searched)
        if found is not None:
            return found
        searched = len(data[:end])
    raise AssertionError("it was not all there")


SIZES = pytest.mark.parametrize("size", [None, 1, 7])


@SIZES
@pytest.mark.parametrize("behind", [b"", b"hello", b"\r\n\r\n", head()])
def test_head(size, behind):
    """A head says its status, its fields, and how its message is framed; what follows it is
    not looked at."""
    data = head(b"Content-Length: 5", b"X-A:b ", b"x-a:\t\xe9", b"Empty:")
    found = read(data + behind, size)
    assert (found.status, found.version, found.length, found.keep_alive) == (200, "1.1", 5, True)
    assert found.data == data
    assert found.section == b"Content-Length: 5\r\nX-A:b \r\nx-a:\t\xe9\r\nEmpty:\r\n"
    assert found.fields == [
        (b"content-length", b"5"), (b"x-a", b"b"), (b"x-a", b"\xe9"), (b"empty", b""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "status", "length", "keep_alive"),
    [
        (head(), 200, UNTIL_CLOSE, True),
        (head(first=b"HTTP/1.1 200"), 200, UNTIL_CLOSE, True),
        (head(first=b"HTTP/1.1 200 "), 200, UNTIL_CLOSE, True),
        (head(first=b"HTTP/1.1 599 Who \xff knows\t"), 599, UNTIL_CLOSE, True),
        (head(first=b"HTTP/1.1 100 Continue"), 100, UNTIL_CLOSE, True),
        (head(b"Content-Length: 0"), 200, 0, True),
        (head(b"content-length:123456789012345678\t"), 200, 123456789012345678, True),
        (head(b"Transfer-Encoding: Chunked "), 200, CHUNKED, True),
        (head(b"Connection: a, Close"), 200, UNTIL_CLOSE, False),
        (head(b"Connection: a", b"connection: close"), 200, UNTIL_CLOSE, False),
        (head(first=b"HTTP/1.0 200 OK"), 200, UNTIL_CLOSE, False),
        (head(b"Connection: Keep-Alive", first=b"HTTP/1.0 200 OK"), 200, UNTIL_CLOSE, True),
        (head(b"X-Content-Length: 5", b"X: \tContent-Length: 5"), 200, UNTIL_CLOSE, True),
    ],
)
def test_framing(data, status, length, keep_alive):
    """What frames a response is in its head alone."""
    found = read(data)
    assert (found.status, found.length, found.keep_alive) == (status, length, keep_alive)


@SIZES
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/2 200 OK\r\n\r\n", "begins with"),
        (b"http/1.1 200 OK\r\n\r\n", "begins with"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "begins with"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "begins with"),
        (head(first=b"HTTP/1.2 200 OK"), "status line"),
        (head(first=b"HTTP/1.1  200 OK"), "status line"),
        (head(first=b"HTTP/1.1 2000 OK"), "status line"),
        (head(first=b"HTTP/1.1 20 OK"), "status line"),
        (head(first=b"HTTP/1.1 099 OK"), "status line"),
        (head(first=b"HTTP/1.1 600 OK"), "status line"),
        (head(first=b"HTTP/1.1 200\tOK"), "status line"),
        (head(first=b"HTTP/1.1 200 O\x00K"), "status line"),
        (head(first=b"HTTP/1.1"), "status line"),
        (head(b"A : b"), r"b'A : b'"),
        (head(b"A"), r"b'A'"),
        (head(b": b"), "b': b'"),
        (head(b"A: b", b" folded"), "b' folded'"),
        (head(b" A: b"), "b' A: b'"),
        (head(b"A: b\x00c"), "field"),
        (head(b"A: b\rc"), "field"),
        (head(b"A: b\nc: d"), "CRLF|field"),
        (head(b"A: \x7f"), "field"),
        (head(b"\xe9: b"), "field"),
        (head(b"Content-Length: 5", b"Content-Length: 5"), "Content-Length"),
        (head(b"Content-Length: 5, 5"), "Content-Length"),
        (head(b"Content-Length: +5"), "Content-Length"),
        (head(b"Content-Length: -5"), "Content-Length"),
        (head(b"Content-Length: 0x5"), "Content-Length"),
        (head(b"Content-Length: 5 5"), "Content-Length"),
        (head(b"Content-Length:"), "Content-Length"),
        (head(b"Content-Length: 1234567890123456789"), "Content-Length"),
        (head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), "both"),
        (head(b"Transfer-Encoding: gzip, chunked"), "coding"),
        (head(b"Transfer-Encoding: chunked, gzip"), "coding"),
        (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "coding"),
        (head(b"Transfer-Encoding: identity"), "coding"),
        (head(b"Transfer-Encoding:"), "coding"),
        (head(b"Transfer-Encoding: \x0bchunked"), "field"),
        (head(b"Transfer-Encoding: chunked", first=b"HTTP/1.0 200 OK"), "1.0"),
    ],
)
def test_wrong_heads(data, why, size):
    """What could be read in two ways, or breaks the grammar, is an error that says what it is."""
    with pytest.raises(BadResponse, match=why):
        read(data, size)


def test_cause_is_shown_in_part():
    """The line that is wrong is shown, but no more of it than a log can bear."""
    with pytest.raises(BadResponse) as caught:
        read(head(b"A " + b"x" * 10_000))
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200 OK\r\nA: b\n", b"HTTX"])
def test_not_waited_for(data):
    """What will never be a head is not waited for."""
    with pytest.raises(BadResponse):
        ResponseReader(ClientLimits()).read(data)


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP/1.1 200 OK\r", head()[:-1]])
def test_waited_for(data):
    """What may become a head is."""
    assert ResponseReader(ClientLimits()).read(data) is None


@SIZES
def test_limits(size):
    """A head is no larger, and has no more fields, than it may."""
    data = head(b"A: b", b"C: d")
    assert read(data, size, ClientLimits(head=len(data), header_count=2)).status == 200
    with pytest.raises(BadResponse, match="larger"):
        read(data, size, ClientLimits(head=len(data) - 1))
    with pytest.raises(BadResponse, match="more than 1 fields"):
        read(data, size, ClientLimits(header_count=1))


def test_head_without_end():
    """A head that does not end is refused as soon as it is too large."""
    reader = ResponseReader(ClientLimits(head=1 * KIB))
    with pytest.raises(BadResponse, match="larger"):
        reader.read(head(b"A: " + b"b" * KIB)[:-2])


def test_heads_that_repeat():
    """A head that is repeated to the letter is the same; any other is read as it is."""
    reader = ResponseReader(ClientLimits())
    first = reader.read(head(b"A: b") + b"rest")
    assert reader.read(head(b"A: b")) is first
    for data in (head(b"A: c"), head(b"A: b", b"B: c"), head(first=b"HTTP/1.1 404 No")):
        found, alone = reader.read(data), read(data)
        assert found is not None
        assert (found.data, found.fields) == (alone.data, alone.fields)
    with pytest.raises(BadResponse):
        reader.read(head(b"A : b"))


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        ("GET", 200, 5), ("POST", 404, 5), ("HEAD", 200, 0), ("GET", 204, 0), ("GET", 304, 0),
        ("GET", 100, 0), ("GET", 205, 5),
    ],
)  # fmt: skip
def test_length_for(method, status, length):
    """Whether a response has a body depends on the request and the status first."""
    found = read(head(b"Content-Length: 5", first=b"HTTP/1.1 %d X" % status))
    assert found.length_for(method) == length


@pytest.mark.parametrize(
    ("data", "behind", "announced"),
    [
        (head(b"Content-Length: 5"), b"hello", True),
        (head(b"Content-Length: 0"), b"", True),
        (head(b"Content-Length: 5"), b"hell", False),
        (head(b"Content-Length: 5"), b"hello!", False),
        (head(b"Content-Length: 5", b"Connection: close"), b"hello", False),
        (head(b"Content-Length: 5", first=b"HTTP/1.0 200 OK"), b"hello", False),
        (head(b"Content-Length: 5", first=b"HTTP/1.1 304 No"), b"hello", False),
        (head(b"Content-Length: 5", first=b"HTTP/1.1 204 No"), b"hello", False),
        (head(b"Content-Length: 5", first=b"HTTP/1.1 103 No"), b"hello", False),
        (head(b"Transfer-Encoding: chunked"), b"0\r\n\r\n", False),
        (head(), b"", False),
    ],
)
def test_announces(data, behind, announced):
    """A head knows a message that needs no closer look, and no other."""
    found = read(data)
    assert found.announces(data + behind) is announced
    assert not found.announces(b"x" * len(data + behind))


# Bodies


def read_body(length: int, data: bytes, size: int | None) -> tuple[bytes, bytes, BodyReader]:
    """A body, what follows it, and what has read it."""
    reader, body, step = BodyReader(length, Limits()), b"", size or len(data) or 1
    for start in range(0, len(data), step):
        piece, rest = reader.receive(data[start : start + step])
        body += piece
        if reader.ended:
            return body, rest + data[start + step :], reader
    return body, b"", reader


@SIZES
@pytest.mark.parametrize("behind", [b"", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize(
    ("length", "data"), [(5, b"hello"), (CHUNKED, chunked(b"he", b"llo", trailers=b"A: b\r\n"))]
)
def test_bodies(length, data, behind, size):
    """A body ends where its head has said, and not a byte later."""
    body, rest, reader = read_body(length, data + behind, size)
    assert (body, rest, reader.ended) == (b"hello", behind, True)
    assert reader.trailers == ([(b"a", b"b")] if length == CHUNKED else [])


@SIZES
def test_body_until_close(size):
    """A body without a length ends with its connection."""
    body, rest, reader = read_body(UNTIL_CLOSE, b"hello", size)
    assert (body, rest, reader.ended) == (b"hello", b"", False)
    assert reader.end()
    assert reader.ended


@pytest.mark.parametrize(("length", "data"), [(5, b"hell"), (CHUNKED, chunked(b"hello")[:-1])])
def test_body_that_is_cut(length, data):
    """Any other body that ends with its connection was cut off."""
    reader = read_body(length, data, None)[2]
    assert not reader.end()
    assert not reader.ended


@SIZES
@pytest.mark.parametrize(
    "data", [b"x\r\n", b"5\r\nhello0\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"-1\r\n"]
)
def test_wrong_chunks(data, size):
    """Malformed chunks are an error."""
    with pytest.raises(BadResponse, match="chunks"):
        read_body(CHUNKED, data, size)


# Compared with others

LINES = [
    b"A: b", b"A:", b"A:\tb c \t", b"Content-Length: 5", b"content-length:5 ", b"Content-Length: 0",
    b"Content-Length: 5, 5", b"Content-Length: +5", b"Transfer-Encoding: chunked",
    b"transfer-encoding:CHUNKED ", b"Transfer-Encoding: gzip, chunked", b"Connection: close",
    b"Connection: keep-alive", b"Upgrade: x", b"Trailer: A", b" folded", b"A : b", b"B: \x01",
]  # fmt: skip
FIRST = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 99 X", b"HTTP/2.0 200 OK",
]  # fmt: skip

responses = st.builds(
    lambda first, lines, body: head(*lines, first=first) + body,
    st.sampled_from(FIRST[:1] * 4 + FIRST),
    st.lists(st.sampled_from(LINES[:9] * 2 + LINES), max_size=3),
    st.one_of(
        st.sampled_from([b"", b"hello", b"hell", b"hello!"]),
        st.builds(
            lambda chunks, end: b"".join(chunks) + end,
            st.lists(st.sampled_from(CHUNKS), max_size=3),
            st.sampled_from(ENDS),
        ),
    ),
).flatmap(mutated)

Found = tuple[int, list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]]]


def ask_us(data: bytes, method: str = "GET", size: int | None = None) -> Found | None:
    """What we make of a response, after which the connection ends; None if it was cut."""
    try:
        found = read(data, size)
    except AssertionError:
        return None
    length = found.length_for(method)
    if not length:
        return found.status, list(found.fields), b"", []
    body, _, reader = read_body(length, data[len(found.data) :], size)
    return (found.status, list(found.fields), body, list(reader.trailers)) if reader.end() else None


def ask_h11(data: bytes, method: str = "GET") -> Found | None:
    """What h11 makes of it."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    status, fields, body = 0, [], b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response | h11.InformationalResponse):
            status, fields = event.status_code, list(event.headers)
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, fields, body, list(event.headers)
        elif isinstance(event, h11.ConnectionClosed):
            return None


def as_h11_says(found: Found) -> Found:
    """The same in the words of h11, which has transfer codings in lower case."""
    fields = [(n, v.lower() if n == b"transfer-encoding" else v) for n, v in found[1]]
    return found[0], fields, found[2], found[3]


@given(responses, st.sampled_from(["GET", "HEAD"]))
@example(head(b"Content-Length: 5") + b"hell", "GET")
@example(head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n", "GET")
@settings(max_examples=500)
def test_what_we_accept_h11_reads_the_same(data, method):
    """Of nothing that both take for a response do we make something else than h11."""
    try:
        ours = ask_us(data, method)
    except BadResponse:
        return
    if ours is None or ours[0] < 200:
        return
    assert ask_h11(data, method) == as_h11_says(ours)


@given(responses)
@settings(max_examples=300)
def test_pieces_make_no_difference(data):
    """However a response is cut on its way, it is read the same, or refused."""

    def ask(size: int | None) -> object:
        try:
            return ask_us(data, "GET", size)
        except BadResponse:
            return "refused"

    assert ask(1) == ask(3) == ask(None)


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(SPICE)).map(b"".join)))
@settings(max_examples=300)
def test_any_bytes(data):
    """Whatever bytes come, they are a response, refused, or waited for."""
    for before in (b"", b"HTTP/1.1 200 OK\r\n", head(b"Transfer-Encoding: chunked")):
        try:
            ask_us(before + data)
        except BadResponse:
            continue


class Listener:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


@given(responses)
@settings(max_examples=500)
def test_llhttp_sees_the_same_fields(data):
    """What is a head to us is one to llhttp, with the same fields."""
    end = data.find(b"\r\n\r\n") + 4
    try:
        found = read(data[:end]) if end > 3 else None
    except BadResponse:
        return
    if found is None:
        return
    listener = Listener()
    with suppress(httptools.HttpParserUpgrade):
        httptools.HttpResponseParser(listener).feed_data(found.data)
    assert listener.fields == found.fields


@pytest.mark.parametrize(
    ("status", "field", "goes_on"),
    [
        (b"204", b"Content-Length: 0", True), (b"204", b"Content-Length: 5", False),
        (b"204", b"Transfer-Encoding: chunked", False), (b"204", b"A: b", True),
        (b"304", b"Content-Length: 5", True), (b"200", b"Content-Length: 5", True),
    ],
)  # fmt: skip
def test_no_content_that_announces_some(status, field, goes_on):
    """After a 204 that tells of a body, whatever comes would pass for the next answer."""
    data = b"HTTP/1.1 %b X\r\n%b\r\n\r\n" % (status, field)
    head = ResponseReader(ClientLimits()).read(data)
    assert head is not None
    assert head.keep_alive is goes_on
