"""HTTP/1.1 to bytes: what is sent is what was said, and stays in its place."""

from __future__ import annotations

from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http import writing
from mynet.http.writing import (
    RepeatedFields,
    chunk,
    content_type_line,
    date_line,
    encode_fields,
    field_lines,
    last_chunk,
    length_line,
    response_fields,
    status_line,
)


def test_status_line():
    """A status has its phrase; one that has none is sent all the same."""
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(HTTPStatus.NOT_FOUND) == b"HTTP/1.1 404 Not Found\r\n"
    assert status_line(413) == b"HTTP/1.1 413 Content Too Large\r\n"
    assert status_line(499) == b"HTTP/1.1 499 Unknown\r\n"
    assert status_line(100) == b"HTTP/1.1 100 Continue\r\n"


@pytest.mark.parametrize("status", [0, 99, 600, -1, 1000, "200", 200.0, None, b"200"])
def test_status_that_is_none(status):
    """What is no status is refused."""
    with pytest.raises((ValueError, TypeError)):
        status_line(status)


def test_date():
    """Dates are in RFC 9110's preferred form, whatever the locale."""
    assert date_line(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert date_line(0.9) == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def test_fields():
    """Fields stand one to a line, in order, in Latin-1."""
    assert field_lines([]) == b""
    fields = encode_fields([("A", "b"), ("a", ""), ("C", "é\t~")])
    assert fields == [(b"A", b"b"), (b"a", b""), (b"C", b"\xe9\t~")]
    assert field_lines(fields) == b"A: b\r\na: \r\nC: \xe9\t~\r\n"
    assert content_type_line("text/plain") == b"Content-Type: text/plain\r\n"
    assert length_line(0) == b"Content-Length: 0\r\n"


@pytest.mark.parametrize(
    "field",
    [
        ("A", "b\r\nc: d"), ("A", "b\n"), ("A", "\r"), ("A", "\0"), ("A", "\x7f"), ("A", "\u20ac"),
        ("A", "\x0b"), ("A", "\x85".join("ab") + "\x84\n"), ("", "b"), ("A ", "b"), (" A", "b"),
        ("A:", "b"), ("A\r\nB", "c"), ("\xe9", "b"), ("A\0", "b"), ("A: b\r\nC", "d"),
        ("A: b", "c"), ("Transfer-Encoding: chunked", ""), ("Content-Length: 5", ""),
    ],
)  # fmt: skip
def test_fields_that_break_out(field):
    """What is no field is refused, and named, wherever it stands."""
    for fields in ([field], [("A", "b"), field], [field, ("A", "b")]):
        with pytest.raises(ValueError, match="not a valid header field") as caught:
            field_lines(encode_fields(fields))
        assert repr(f"{field[0]}: {field[1]}") in str(caught.value)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_any_fields(fields):
    """Whatever is sent as fields, a strict client reads those fields, and no others."""
    try:
        lines = field_lines(encode_fields(fields))
    except ValueError:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert list(response.headers) == [
        (name.lower().encode(), value.strip(" \t").encode("latin-1")) for name, value in fields
    ]


tokens = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1)
values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))


@given(st.lists(st.tuples(tokens, values), max_size=4))
def test_any_valid_fields(fields):
    """Whatever is a field can be sent."""
    expected = "".join(f"{name}: {value}\r\n" for name, value in fields)
    assert field_lines(encode_fields(fields)) == expected.encode("latin-1")


# What an application sets


def test_application_fields():
    """What concerns the connection is taken out, and understood."""
    fields = response_fields(
        [(b"A", b"b"), (b"content-length", b"5"), (b"CONNECTION", b"x, Close"), (b"a", b"c")]
    )
    assert fields == (b"A: b\r\na: c\r\n", 5, True, False)
    fields = response_fields([(b"Date", b"now"), (b"Keep-Alive", b"5"), (b"Connection", b"x")])
    assert fields == (b"Date: now\r\n", None, False, True)
    assert response_fields([]) == (b"", None, False, False)


def test_repeated_fields():
    """Fields of many responses say each time what they said at first."""
    pairs = [(b"A", b"b"), (b"content-length", b"5"), (b"Date", b"now")]
    fields = RepeatedFields(pairs)
    assert list(fields) == pairs
    assert response_fields(fields) == response_fields(pairs)
    assert response_fields(fields) is response_fields(fields)
    with pytest.raises(ValueError, match="Transfer-Encoding"):
        response_fields(RepeatedFields([(b"Transfer-Encoding", b"chunked")]))


def test_application_upgrades():
    """An Upgrade field goes with its connection option, and only with it."""
    lines = response_fields([(b"Upgrade", b"a")]).lines
    assert lines == b"Upgrade: a\r\nConnection: Upgrade\r\n"


def test_application_fields_again():
    """Fields that repeat say what they said at first; how many are remembered is bounded."""
    for _ in range(2):
        assert response_fields([(b"Date", b"x"), (b"A", b"b")]) == (
            b"Date: x\r\nA: b\r\n",
            None,
            False,
            True,
        )
        assert response_fields([(b"Upgrade", b"a")]).lines.endswith(b"Connection: Upgrade\r\n")
        assert response_fields([(b"Connection", b"close"), (b"content-length", b"7")]) == (
            b"",
            7,
            True,
            False,
        )
        with pytest.raises(ValueError, match="not a valid"):
            response_fields([(b"A", b"\n")])
    long = (b"Long", b"x" * writing.KNOWN_SIZE)
    assert response_fields([long] * 2).lines == b"Long: %b\r\n" % long[1] * 2
    assert long not in writing._known_lines
    for number in range(2 * writing.KNOWN_LINES):
        response_fields([(b"N", b"%d" % number)])
    assert len(writing._known_lines) <= writing.KNOWN_LINES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Transfer-Encoding", "chunked"), ("transfer-encoding", ""), ("Content-Length", ""),
        ("Content-Length", "-1"), ("Content-Length", "5 "), ("Content-Length", "\u0665"),
        ("Content-Length", "5, 5"), ("content-length", "9" * 19), ("A", "\n"),
    ],
)  # fmt: skip
def test_application_fields_that_are_not_its(name, value):
    """Framing is the protocol's, and a length is a number."""
    with pytest.raises(ValueError, match=r"Transfer-Encoding|Content-Length|field"):
        response_fields([(name.encode(), value.encode())])


# Chunks


@given(st.lists(st.binary(min_size=1, max_size=300)), st.booleans())
def test_any_chunks(pieces, has_trailers):
    """Whatever is sent in chunks, a strict client reads."""
    trailers = [("A", "b"), ("C", "")] if has_trailers else []
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.receive_data(b"".join(map(chunk, pieces)) + last_chunk(trailers))
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
    assert body == b"".join(pieces)
    assert list(event.headers) == [(n.lower().encode(), v.encode()) for n, v in trailers]


@pytest.mark.parametrize("name", ["Content-Length", "HOST", "transfer-encoding", "Set-Cookie"])
def test_trailers_that_are_none(name):
    """What must be known before the body cannot come after it (RFC 9110 section 6.5.1)."""
    with pytest.raises(ValueError, match=f"not allowed among trailers: {name}"):
        last_chunk([("A", "b"), (name, "c")])
    with pytest.raises(ValueError, match="not a valid"):
        last_chunk([("A", "b\r\n\r\n")])
