"""Fuzz: bytes that are nearly HTTP, read by mynet and by h11, whole and in any pieces.

Whatever h11 rejects, mynet rejects, but for what `tolerated` lists; what both accept, they
read the same, to its last byte; and whatever is sent, mynet answers or waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from mynet.http.errors import HTTPError
from mynet.http.factory import HTTPFactory
from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.http.reading import HeadReader, parse_fields
from mynet.http.shared import Access
from mynet.testing import Wire
from tests.conversation import BEHIND, GET

# Bytes that are nearly requests

METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"get", b"FOO", b"CONNECT", b"PRI"]
TARGETS = [b"/", b"/a?b", b"*", b"http://a.test/b", b"http://a.test", b"a:80", b"//", b"/%41"]
VERSIONS = [b"HTTP/1.1"] * 5 + [b"HTTP/1.0"] * 2 + [b"HTTP/2.0", b"HTTP/1.2", b"http/1.1"]
LINES = [
    b"Host: a.test", b"host:a.test:80", b"Host: a b", b"Host:", b"A: b", b"A:", b"A: b c \t",
    b"A:\tb", b"Accept: text/html;q=0.5, */*", b"Cookie: a=b; c=\"d\"", b"X-Latin: \xe9\xff",
    b"B: \x01", b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade",
    b"Upgrade: x", b"Content-Length: 5", b"Content-Length: 05", b"Content-Length: 0",
    b"content-length:5 ",
    b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length: 6",
    b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED ", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked",
    b"Expect: 100-continue", b"Expect: x", b"TE: trailers", b"Trailer: A", b" folded", b"A : b",
]  # fmt: skip
CHUNKS = [
    b"5\r\nhello\r\n", b"1\r\nx\r\n", b"05\r\nhello\r\n", b"a\r\n0123456789\r\n",
    b"A;b=c\r\n0123456789\r\n", b'5;a="b;c"\r\nhello\r\n', b"4\r\n\r\n\r\n\r\n", b"5\nhello\n",
    b"5 \r\nhello\r\n", b"5\r\nhello",
]  # fmt: skip
ENDS = [
    b"0\r\n\r\n",
    b"0\r\nA: b\r\n\r\n",
    b"0\r\nA:b\r\nC: d \r\n\r\n",
    b"00\r\n\r\n",
    b"0\r\n",
    b"",
]
SPICE = [
    b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"=", b'"',
    b"#", b"/", b"0", b"1", b"5", b"f", b"+", b"-", b"_", b"x", b"\x0b", b"\x0c", b"\x1c", b"\x7f",
    b"\x80", b"\x85", b"\xa0", b"\xff", b"chunked", b"Host: b\r\n", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b" HTTP/1.1", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n",
]  # fmt: skip


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    line = b" ".join(draw(st.sampled_from(each)) for each in (METHODS, TARGETS, VERSIONS))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=5))
    if draw(st.integers(0, 3)):
        lines.insert(0, LINES[0])
    return b"\r\n".join([line, *lines, b"", b""])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return draw(st.sampled_from([b"", b"hello", b"hell", b"hello!"]))
    chunks = draw(st.lists(st.sampled_from(CHUNKS), max_size=4))
    return b"".join(chunks) + draw(st.sampled_from(ENDS))


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 5]))
        data = data[:place] + draw(st.sampled_from([b"", *SPICE])) + data[place + cut :]
    return data


requests = st.builds(bytes.__add__, heads(), bodies()).flatmap(mutated)

sound_requests = st.builds(
    lambda framing, line, lines: b"\r\n".join([line, LINES[0], *lines, framing]),
    st.one_of(
        st.just(b"\r\n"),
        st.just(b"Content-Length: 5\r\n\r\nhello"),
        st.lists(st.sampled_from(CHUNKS[:7])).flatmap(
            lambda chunks: st.sampled_from(ENDS[:4]).map(
                lambda end: b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + end
            )
        ),
    ),
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"PUT http://b/ HTTP/1.1"]),
    st.lists(st.sampled_from([b"A: b", b"A:", b"B:\tc d \t", b"Expect: 100-continue"]), max_size=3),
)
"""Requests that nothing is wrong with; one mutation away from most attacks."""

nearly_requests = st.one_of(
    requests, sound_requests.flatmap(mutated), sound_requests.flatmap(mutated)
)


# What becomes of them


@dataclass
class Read:
    """A request that was read to its end."""

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]


@dataclass
class Outcome:
    """What was read of some bytes before a client half-closed its connection."""

    read: list[Read] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it ended with an error."""
        return bool(self.statuses) and self.statuses[-1] >= 400


def ask_mynet(data: bytes, cuts: list[int] | None = None) -> Outcome:
    """What mynet makes of bytes, which arrive in these pieces."""
    outcome = Outcome()

    async def handler(request: Request) -> Response:
        body = await request.read(None)
        fields = list(request.raw_headers)
        trailers = list(request.trailers)
        outcome.read.append(
            Read(request.method, request.target, request.version, fields, body, trailers)
        )
        assert request.url.to_text()
        return Response(b"ok")

    def log(access: Access) -> None:
        outcome.statuses.append(access.status)

    wire = Wire(HTTPFactory(handler, Limits(), access_log=log))
    start = 0
    for end in [*sorted(cuts or ()), len(data)]:
        wire.send(data[start:end])
        start = max(start, end)
    wire.half_close()
    wire.advance(1)
    assert wire.transport.disconnected
    assert not wire.transport.aborted
    assert set(outcome.statuses[:-1]) <= {200}
    assert outcome.statuses.count(200) == len(outcome.read)
    assert 499 not in outcome.statuses
    assert 500 not in outcome.statuses
    return outcome


def ask_h11(data: bytes) -> tuple[Read | None, bytes]:
    """The first request that h11 finds, and what is behind it; None if there is none, or an error.

    Raises:
        h11.RemoteProtocolError: It is wrong.
    """
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    server.receive_data(data)
    server.receive_data(b"")
    read = None
    while True:
        event: Any = server.next_event()
        if isinstance(event, h11.Request):
            method, version = event.method.decode(), event.http_version.decode()
            read = Read(method, event.target, version, list(event.headers), b"", [])
        elif isinstance(event, h11.Data):
            assert read is not None
            read.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert read is not None
            read.trailers = list(event.headers)
            return read, server.trailing_data[0]
        else:
            return None, b""


def tolerated(data: bytes) -> bytes:
    """The same without what mynet takes and h11 does not.

    - Empty lines before a request line: RFC 9112 section 2.2 asks for it.
    - More than 20 digits of a chunk size, if they are no more than zeros before it: a limit
      of h11's own, since it parses them with int().
    """
    data = data.lstrip(b"\r\n")
    return re.sub(rb"(?m)^0+(?=[0-9A-Fa-f]{1,16}(?:;|\r$))", b"", data)


def as_h11_says(read: Read) -> Read:
    """The same in the words of h11, which writes transfer codings in lower case."""
    for fields in (read.headers, read.trailers):
        for index, (name, value) in enumerate(fields):
            if name == b"transfer-encoding":
                fields[index] = (name, value.lower())
    return read


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXAMPLES = [
    GET,
    b"\r\n" + GET,
    b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\n\n\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
]  # fmt: skip


def examples(test: Callable[[bytes], None]) -> Callable[[bytes], None]:
    for data in EXAMPLES:
        test = example(data)(test)
    return test


@examples
@given(nearly_requests)
@settings(max_examples=500)
def test_whatever_h11_rejects_is_rejected(data):
    """There is nothing that h11 finds wrong and mynet takes for a request."""
    data = tolerated(data)
    found = ask_mynet(data)
    try:
        read, rest = ask_h11(data)
    except h11.RemoteProtocolError as error:
        note(f"h11: {error}")
        assert found.read == []
        return
    if read is None:
        assert found.read == []
    elif found.read:
        assert as_h11_says(found.read[0]) == read
        note(f"behind it: {rest!r}")
        if found.read[1:] or found.refused:  # else the first was the last
            assert found.read[1:] == ask_mynet(rest).read


@given(sound_requests)
@settings(max_examples=300)
def test_whatever_is_right_is_accepted(data):
    """A sound request is read as h11 reads it, and so is the one behind it."""
    found = ask_mynet(data + BEHIND)
    try:
        read, rest = ask_h11(data + BEHIND)
    except h11.RemoteProtocolError:
        return
    assert rest == BEHIND
    assert as_h11_says(found.read[0]) == read
    assert found.read[1].target == b"/behind"
    assert not found.refused


@examples
@given(nearly_requests)
@settings(max_examples=150)
def test_pieces_make_no_difference(data):
    """However bytes are cut on their way, they are read the same."""
    data += BEHIND
    whole = ask_mynet(data)
    for cuts in (list(range(len(data))), list(range(0, len(data), 3))):
        found = ask_mynet(data, cuts)
        assert found.read == whole.read
        assert found.refused == whole.refused


@given(nearly_requests, st.lists(st.integers(0, 400), max_size=10))
@settings(max_examples=200)
def test_no_cut_makes_a_difference(data, cuts):
    """Wherever they are cut."""
    whole, found = ask_mynet(data), ask_mynet(data, cuts)
    assert (found.read, found.refused) == (whole.read, whole.refused)


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(SPICE)).map(b"".join)))
@settings(max_examples=300)
def test_any_bytes(data):
    """Any bytes at all are answered, or waited for."""
    for behind in (b"", GET):
        ask_mynet(behind + data)


@given(st.lists(nearly_requests, max_size=5).map(b"".join))
@settings(max_examples=100)
def test_pipelines(data):
    """So are many that are nearly requests, one behind the other."""
    ask_mynet(data)


# What our regular expressions see, and what llhttp does


class Listener:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


@examples
@given(
    st.one_of(heads(), sound_requests.map(lambda data: data[: data.find(b"\r\n\r\n") + 4])).flatmap(
        mutated
    )
)
@settings(max_examples=500)
def test_llhttp_sees_the_same_fields(data):
    """Of every head that is accepted, llhttp has seen the fields that the handler will see."""
    data = data[: data.find(b"\r\n\r\n") + 4]
    try:
        head = HeadReader(Limits()).read(data) if data else None
    except HTTPError:
        return
    if head is None:
        return
    listener = Listener()
    with suppress(httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(listener).feed_data(data)
    assert (listener.url, listener.fields) == (head[1], parse_fields(head[4]))
