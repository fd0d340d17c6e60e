"""Request heads that are wrong: each gets its answer, the connection ends, nothing is behind it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mynet.http.limits import Limits
from mynet.http.reading import METHODS
from mynet.testing import Wire
from tests.conversation import (
    GET,
    Recorder,
    assert_accepted,
    assert_refused,
    head,
    post,
    replies,
    reply,
)


@pytest.mark.parametrize("size", [None, 1])
def test_what_is_right_is_accepted(size):
    """The head that the wrong ones below are made from is answered, and the connection kept."""
    assert assert_accepted(head(), size=size).targets == [b"/", b"/"]


# Host (RFC 9112 section 3.2)

NO_HOST = {
    "none": b"GET / HTTP/1.1\r\n\r\n",
    "none, other fields": b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "none, in absolute form": b"GET http://example.test/ HTTP/1.1\r\n\r\n",
    "two": head(b"Host: example.test"),
    "two that differ": head(b"Host: other.test"),
    "two in other case": head(b"hOST: example.test"),
    "two on 1.0": head(b"Host: b", line=b"GET / HTTP/1.0"),
    "two, one empty": head(b"Host:"),
}
BAD_HOSTS = [
    b"a b", b"a/b", b"a?b", b"a#b", b"user@a", b"a:b", b"a:80:80", b"a:-1", b"a:123456",
    b"::1", b"[::1", b"::1]", b"[::1]a", b"[g::]", b"[]", b"[a b]", b"a\\b", b'"a"', b"<a>", b"a%",
    b"a%2", b"a%zz", b"\xe9", b"\xc3\xa9.test", b"a\tb", b"http://a", b"a^b", b"a|b", b"{a}",
    b"[1::2::3]", b"[1.2.3.4]", b"[:]",
]  # fmt: skip
GOOD_HOSTS = [
    b"", b"a", b"example.test", b"example.test.", b"EXAMPLE", b"a:80", b"a:", b"127.0.0.1:8080",
    b"[::1]", b"[::1]:8080", b"[::ffff:1.2.3.4]", b"xn--bcher-kva.test", b"a_b", b"a~b", b"a%20b",
    b"a!$&'()*+,;=b",
]  # fmt: skip


@pytest.mark.parametrize("data", NO_HOST.values(), ids=NO_HOST)
def test_host_missing_or_repeated(data, way):
    """One Host there must be: not none, not two."""
    assert_refused(data, 400, way)


@pytest.mark.parametrize("host", BAD_HOSTS, ids=repr)
def test_host_invalid(host, way):
    """A Host that is no host is refused, before anybody builds a URL of it."""
    assert_refused(head(b"Host: " + host, host=b""), 400, way)


@pytest.mark.parametrize("host", GOOD_HOSTS, ids=repr)
def test_host_valid(host):
    """Every form of host is taken, and told to the handler as it was sent."""
    handler = assert_accepted(head(b"Host: " + host, host=b""))
    assert handler.requests[0].host == host.decode()
    assert handler.requests[0].url.authority() == re.sub(":(80)?$", "", host.decode())


def test_host_is_not_needed_on_10():
    """HTTP/1.0 has no Host."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(b"GET / HTTP/1.0\r\n\r\n")
    assert reply(wire).status == 200
    assert handler.requests[0].host == ""


# The syntax of fields

BAD_FIELDS = {
    "space before the colon": b"A : b",
    "tab before the colon": b"A\t: b",
    "space before the colon of a known field": b"Content-Length : 0",
    "space before the name": b" A: b",
    "folded": b"A: b\r\n c",
    "folded with a tab": b"A: b\r\n\tc",
    "folded, first": b"\tc",
    "folded empty": b"A: b\r\n ",
    "folded Transfer-Encoding": b"Transfer-Encoding:\r\n chunked",
    "no colon": b"A",
    "no name": b": b",
    "nothing but a colon": b":",
    "space in the name": b"A b: c",
    "bare CR in the value": b"A: b\rc",
    "bare CR at its start": b"A: \rb",
    "bare CR at its end": b"A: b\r",
    "bare CR in the name": b"A\rb: c",
    "bare CR before the colon": b"A\r: c",
    "bare LF in the value": b"A: b\nc",
    "bare LF for a line's end": b"A: b\nC: d",
    "bare LF before the end": b"A: b\n",
    "LF CR": b"A: b\n\rC: d",
    "NUL in the value": b"A: b\0c",
    "NUL alone": b"A: \0",
    "NUL in the name": b"A\0: b",
    "DEL": b"A: b\x7fc",
    "escape": b"A: \x1b[0m",
    "vertical tab": b"A: b\x0bc",
    "form feed": b"A: b\x0c",
    "control": b"A: \x01",
    "bell in the name": b"A\x07: b",
    "name that is not ASCII": b"\xc3\xa9: b",
    **{f"{sign} in the name": b"A" + sign.encode() + b"b: c" for sign in '"(),/;<=>?@[\\]{}'},
}


@pytest.mark.parametrize("line", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_fields_malformed(line, way):
    """What is no header field (RFC 9110 section 5) is not guessed at, nor is a folded one."""
    assert_refused(head(line), 400, way)


@pytest.mark.parametrize("line", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_fields_malformed_before_host(line, way):
    """It is not the place of the field that matters."""
    assert_refused(b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n", 400, way)


GOOD_FIELDS = {
    "empty": (b"A:", ""),
    "only white space": (b"A: \t ", ""),
    "white space around": (b"A:\t b \t", "b"),
    "white space within": (b"A: b \t c", "b \t c"),
    "no white space": (b"A:b", "b"),
    "colons": (b"A: b: c", "b: c"),
    "not ASCII": (b"A: \xc3\xa9\xff", "Ã©ÿ"),
    "all signs": (b"A: !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
}


@pytest.mark.parametrize(("line", "value"), GOOD_FIELDS.values(), ids=GOOD_FIELDS)
def test_fields_well_formed(line, value):
    """A value is anything printable, without the white space around it."""
    request = assert_accepted(head(line)).requests[0]
    assert request.headers["a"] == value
    assert request.raw_headers == [(b"host", b"example.test"), (b"a", value.encode("latin-1"))]


def test_names_are_tokens():
    """A field's name may have every character of a token, and is not case-sensitive."""
    name = b"!#$%&'*+-.^_`|~09azAZ"
    request = assert_accepted(head(name + b": b")).requests[0]
    assert request.headers[name.decode().upper()] == "b"
    assert request.raw_headers[1][0] == name.lower()


# The request line

BAD_LINES = {
    "empty target": b"GET  HTTP/1.1",
    "two spaces before the target": b"GET  / HTTP/1.1",
    "two spaces before the version": b"GET /  HTTP/1.1",
    "tab": b"GET\t/ HTTP/1.1",
    "space at the end": b"GET / HTTP/1.1 ",
    "space at the start": b" GET / HTTP/1.1",
    "no version": b"GET /",
    "space for a version": b"GET / ",
    "method alone": b"GET",
    "four words": b"GET / / HTTP/1.1",
    "bad token": b"G(T / HTTP/1.1",
    "method that is not ASCII": b"G\xc9T / HTTP/1.1",
    "colon": b"GET: / HTTP/1.1",
    "NUL": b"GE\0T / HTTP/1.1",
    "lower case version": b"GET / http/1.1",
    "one digit": b"GET / HTTP/1",
    "three digits": b"GET / HTTP/1.10",
    "two digits": b"GET / HTTP/11.1",
    "no digits": b"GET / HTTP/x.y",
    "comma": b"GET / HTTP/1,1",
    "another protocol": b"GET / RTSP/1.0",
    "longer name": b"GET / XHTTP/1.1",
    "ICE": b"SOURCE / ICE/1.0",
    "bare CR": b"GET / HTTP/1.1\r",
    "bare CR in the target": b"GET /\r HTTP/1.1",
    "NUL in the target": b"GET /\0 HTTP/1.1",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nonsense": b"\xff\xfe\xfd",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_request_line_malformed(line, way):
    """What is no request line is refused."""
    assert_refused(head(line=line), 400, way)


def test_request_line_ends_with_line_feed(way):
    """A line feed alone does not end a request line."""
    assert_refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, way)
    assert_refused(b"GET / HTTP/1.1\nHost: a\n\n", 400, way)
    assert_refused(b"GET / HTTP/1.1\r\nHost: a\n\n", 400, way)


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"1.9", b"2.0", b"3.0", b"0.0", b"9.9"])
def test_version_not_ours(version, way):
    """Another version of HTTP is told that it is not spoken here."""
    assert_refused(head(line=b"GET / HTTP/" + version), 505, way)


def test_preface_of_http2(way):
    """A client that speaks HTTP/2 without asking is told that it is not spoken here."""
    assert_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, way)


@pytest.mark.parametrize("method", [b"get", b"Get", b"FOO", b"GETX", b"GE", b"X-Y", b"!#$%"])
def test_method_unknown(method, way):
    """A method that nobody here knows is not implemented."""
    assert_refused(head(line=method + b" / HTTP/1.1"), 501, way)


@pytest.mark.parametrize(
    "line", [b"CONNECT a:443 HTTP/1.1", b"CONNECT / HTTP/1.1", b"DESCRIBE / HTTP/1.1"]
)
def test_method_not_for_us(line, way):
    """CONNECT is for proxies; llhttp's RTSP is for nobody here."""
    assert_refused(head(line=line), 501, way)


@pytest.mark.parametrize("method", METHODS)
def test_method_known(method):
    """Every method of HTTP and its well-known extensions reaches the handler."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(head(line=method + b" / HTTP/1.1"))
    assert reply(wire, method.decode()).status == 200
    assert handler.requests[0].method == method.decode()


# The request target (RFC 9112 section 3.2)

BAD_TARGETS = [
    b"/#a", b"/a#", b"#", b"http://a/#b", b"/\xe9", b"/\xc3\xa9", b"/?\xff", b"/\x7f", b"/a\tb",
    b"/\x01", b"*", b"*/", b"/".replace(b"/", b"a"), b"a/b", b"?a", b"a:80", b"a.test", b"ftp://a/",
    b"http:/a", b"http:a", b"http://", b"http:///a", b"http://?a", b"http://:80/", b"http://a:b/",
    b"http://user@a/", b"http://user:secret@a/", b"http://a b/", b"http://[::1/", b"http://a%/",
    b"http://a\\b/", b"mailto:a@b", b"//a".replace(b"//", b"\\\\"), b"http//a",
]  # fmt: skip


@pytest.mark.parametrize("target", BAD_TARGETS, ids=repr)
def test_target_malformed(target, way):
    """A target that is no target is refused; none has a fragment, or a user's name."""
    assert_refused(head(line=b"GET " + target + b" HTTP/1.1"), 400, way)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_asterisk_is_for_options(method, way):
    """Only OPTIONS asks about the server as a whole."""
    assert_refused(head(line=method + b" * HTTP/1.1"), 400, way)


GOOD_TARGETS = {
    b"/": ("example.test", b"/", b""),
    b"//": ("example.test", b"//", b""),
    b"//a/b": ("example.test", b"//a/b", b""),
    b"/?": ("example.test", b"/", b""),
    b"/a?b?c=/d": ("example.test", b"/a", b"b?c=/d"),
    b"/%zz\"<>[\\]^`{|}'": ("example.test", b"/%zz\"<>[\\]^`{|}'", b""),
    b"/http://a/": ("example.test", b"/http://a/", b""),
    b"http://other.test": ("other.test", b"/", b""),
    b"http://other.test/": ("other.test", b"/", b""),
    b"HTTP://OTHER.test:81/a?b": ("OTHER.test:81", b"/a", b"b"),
    b"https://other.test?b": ("other.test", b"/", b"b"),
    b"http://[::1]:80//?": ("[::1]:80", b"//", b""),
}


@pytest.mark.parametrize(("target", "meaning"), GOOD_TARGETS.items(), ids=map(repr, GOOD_TARGETS))
def test_target_well_formed(target, meaning):
    """The handler sees the path and the query; a whole URL's host overrides the Host field."""
    request = assert_accepted(head(line=b"GET " + target + b" HTTP/1.1")).requests[0]
    assert (request.host, request.raw_path, request.query_string) == meaning
    assert request.target == target


def test_options_of_the_server():
    """OPTIONS * reaches the handler, with * for a path."""
    request = assert_accepted(head(line=b"OPTIONS * HTTP/1.1")).requests[0]
    assert (request.path, request.raw_path, request.query_string) == ("*", b"*", b"")
    assert request.url.to_text() == "http://example.test"


# Expectations (RFC 9110 section 10.1.1)


@pytest.mark.parametrize(
    "value", [b"200-ok", b"", b"100-continue, 200-ok", b"100-continue=1", b"100"], ids=repr
)
def test_expectation_unknown(value, way):
    """What is expected of us, and cannot be met, fails at once."""
    assert_refused(post(b"Expect: " + value, b"Content-Length: 0"), 417, way)


def test_expectation_repeated(way):
    """Of two expectations, one is unknown."""
    assert_refused(head(b"Expect: 100-continue", b"Expect: x"), 417, way)


# Limits, exactly at and one above


def target_of(size: int) -> bytes:
    return b"GET " + b"/".ljust(size, b"a") + b" HTTP/1.1"


@pytest.mark.parametrize("limit", [1, 50, 1000])
def test_limit_of_target(limit, way):
    """A target as long as the limit passes; one byte more is too long."""
    limits = replace(Limits(), target=limit)
    assert_accepted(head(line=target_of(limit)), limits, way[1])
    assert_refused(head(line=target_of(limit + 1)), 414, way, limits)


@pytest.mark.parametrize("limit", [100, 1000, 5000])
def test_limit_of_head(limit, way):
    """A head as large as the limit passes; one byte more is too large."""
    limits = replace(Limits(), head=limit)
    padding = limit - len(head(b"A: "))
    assert_accepted(head(b"A: " + b"b" * padding), limits, way[1])
    assert_refused(head(b"A: " + b"b" * (padding + 1)), 431, way, limits)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_limit_of_fields(limit, way):
    """As many fields as the limit pass; one more is too many."""
    limits = replace(Limits(), header_count=limit)
    assert_accepted(head(*[b"A: b"] * (limit - 1)), limits, way[1])
    assert_refused(head(*[b"A: b"] * limit), 431, way, limits)
    assert_refused(head(*[b"A:"] * limit), 431, way, limits)


def test_head_that_does_not_end():
    """A head is refused when it is too large, not when it ends."""
    for data, status in ((b"GET /" + b"a" * 9000, 414), (b"G" * 9000, 414)):
        wire = Wire(Recorder())
        wire.send(data)
        assert reply(wire).status == status
    wire = Wire(Recorder())
    wire.send(b"GET / HTTP/1.1\r\n")
    for _ in range(32):
        assert wire.received == b""
        wire.send(b"A: " + b"b" * 1019 + b"\r\n")
    assert reply(wire).status == 431


def test_line_feeds_that_do_not_end_a_head():
    """A client that ends its lines with line feeds is told so, and need not wait for it."""
    for data in (b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\n\n"):
        wire = Wire(Recorder())
        wire.send(data)
        assert reply(wire).status == 400


def test_empty_lines_before_a_request():
    """Empty lines before a request line are skipped (RFC 9112 section 2.2)."""
    handler = Recorder()
    wire = Wire(handler)
    wire.send(b"\r\n\r\n\r\n" + GET + b"\r\n\r\n" + GET)
    assert [each.status for each in replies(wire, "GET", "GET")] == [200, 200]
    wire.send(b"\r\n\n" + GET, 1)
    assert reply(wire).status == 200
    assert len(handler.requests) == 3


def test_answer_tells_what_was_wrong():
    """The error's text helps whoever debugs a client; it never repeats what was sent."""
    wire = Wire(Recorder())
    wire.send(b"GET / HTTP/1.1\r\n<script>: 1\r\n\r\n")
    answer = reply(wire)
    assert answer.text.startswith("400 Bad Request\n")
    assert "Host" in answer.text
    assert "script" not in answer.text
