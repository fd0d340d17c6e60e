"""What an application may tell `start_response`, and what its body may be (PEP 3333)."""

from __future__ import annotations

import pytest

from mynet.handlers.wsgi.rules import Head, WSGIError, check_chunk, check_head, check_length


def test_head():
    """A status and headers become what the server sends."""
    head = check_head("404 Not Found", [("Content-Type", "a/b"), ("Content-Length", "12")])
    assert head == Head(404, [(b"Content-Type", b"a/b"), (b"Content-Length", b"12")], 12)


@pytest.mark.parametrize("status", ["200 OK", "200 ", "299 Schön", "599 \t~"])
def test_statuses(status):
    """A status has three digits, a space, and any reason, also none."""
    assert check_head(status, []).status == int(status[:3])


@pytest.mark.parametrize(
    "status",
    [
        "200",
        "",
        "OK",
        "20 OK",
        "2000 OK",
        "200OK",
        "100 Continue",
        "600 A",
        "200 A\r\nB: c",
        "200 \u20ac",
    ],
)
def test_no_statuses(status):
    """Anything else is an error which says what a status looks like."""
    with pytest.raises(WSGIError, match=r"the status must be one like '200 OK'.*PEP 3333"):
        check_head(status, [])


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_status_is_str(status):
    """A status is a str; the message tells what it was."""
    with pytest.raises(WSGIError, match=f"must be a str, not {type(status).__name__}"):
        check_head(status, [])


@pytest.mark.parametrize("headers", [(), {}, {"A": "b"}, None, iter([])])
def test_headers_are_a_list(headers):
    """Headers are a list, and nothing else that has pairs."""
    with pytest.raises(WSGIError, match="the headers must be a list"):
        check_head("200 OK", headers)


@pytest.mark.parametrize("field", [["A", "b"], "Ab", ("A",), ("A", "b", "c"), None])
def test_each_header_is_a_tuple(field):
    """Each header is a tuple of two."""
    with pytest.raises(WSGIError, match="each header must be a tuple of two"):
        check_head("200 OK", [field])


@pytest.mark.parametrize("field", [("A", 1), (b"A", "b"), ("A", b"b"), ("A", None)])
def test_headers_are_str(field):
    """Names and values are of the type str."""
    with pytest.raises(WSGIError, match="must be a str"):
        check_head("200 OK", [field])


@pytest.mark.parametrize(
    "field",
    [
        ("A:", "b"),
        ("A ", "b"),
        ("", "b"),
        ("A\r\nB", "c"),
        ("Ä", "b"),
        ("A", "b\r\nC: d"),
        ("A", "\u20ac"),
        ("A", "\0"),
    ],
)
def test_no_headers(field):
    """What no header can have is an error: nothing breaks out of its place."""
    with pytest.raises(WSGIError, match="not a valid header field"):
        check_head("200 OK", [("X", "y"), field])


@pytest.mark.parametrize("name", ["transfer-encoding", "Trailers", "UPGRADE", "TE"])
def test_hop_by_hop(name):
    """What concerns the connection is the server's to set, and the error tells which it was."""
    with pytest.raises(WSGIError, match=f"{name}.* is hop-by-hop"):
        check_head("200 OK", [(name, "a")])


@pytest.mark.parametrize(
    "field", [("Connection", "keep-alive"), ("connection", "close"), ("Keep-Alive", "timeout=5")]
)
def test_connection(field):
    """What applications say of the connection is no error: other servers leave it out, too."""
    head = check_head("200 OK", [field])
    assert head.fields == [(field[0].encode(), field[1].encode())]


def test_connection_breaks_out_of_nothing():
    """But it has to be a header."""
    with pytest.raises(WSGIError, match="not a valid header field"):
        check_head("200 OK", [("Connection", "close\r\nA: b")])


@pytest.mark.parametrize("value", ["", "-1", "1.5", "0x1", " 1", "1, 1", "9" * 19])
def test_no_length(value):
    """A Content-Length is a number."""
    with pytest.raises(WSGIError, match="the Content-Length must be one number"):
        check_head("200 OK", [("content-length", value)])


def test_two_lengths():
    """There is one Content-Length."""
    with pytest.raises(WSGIError, match="the Content-Length must be one number"):
        check_head("200 OK", [("Content-Length", "1"), ("Content-length", "1")])


def test_chunk():
    """Bytes are what a body is made of."""
    assert check_chunk(b"abc") == b"abc"


@pytest.mark.parametrize("chunk", ["abc", 1, None, bytearray(b"abc"), memoryview(b"abc")])
def test_no_chunk(chunk):
    """What is no bytes is an error that tells what it is."""
    with pytest.raises(WSGIError, match=f"the body must be of bytes, not {type(chunk).__name__}"):
        check_chunk(chunk)


@pytest.mark.parametrize(
    ("declared", "size", "ended"), [(None, 5, True), (5, 4, False), (5, 5, False), (5, 5, True)]
)
def test_length(declared, size, ended):
    """A body may be as long as it has said, and not longer before its end."""
    check_length(declared, size, ended=ended)


@pytest.mark.parametrize("ended", [False, True])
def test_too_long(ended):
    """A body that goes on behind its Content-Length is an error as soon as it does."""
    with pytest.raises(WSGIError, match="longer than its Content-Length, 5"):
        check_length(5, 6, ended=ended)


def test_too_short():
    """A body that ends before its Content-Length is an error."""
    with pytest.raises(WSGIError, match="4 bytes, but its Content-Length is 5"):
        check_length(5, 4, ended=True)
