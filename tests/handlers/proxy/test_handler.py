"""What passes through a proxy, both ways, at whose pace."""

from __future__ import annotations

import pytest

from mynet import App
from mynet.handlers.proxy import ReverseProxy, Upstream
from mynet.http import Limits
from mynet.http.limits import KIB
from mynet.http.reading import parse_fields
from mynet.testing import Wire, result_of
from tests.asking import start
from tests.conversation import GET, chunked, head, post, replies, reply
from tests.handlers.proxy.upstreams import HELLO, Setting

TO_HEAD = head(line=b"HEAD / HTTP/1.1")
SIZE = 300 * KIB


def answer(*lines: bytes, status: bytes = b"200 OK", body: bytes = b"") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", body])


def request_line(sent: bytes) -> bytes:
    return sent.partition(b"\r\n")[0]


@pytest.mark.parametrize("size", [None, 1])
def test_hello(size):
    """A request goes to the upstream, and its answer comes back, however it arrives."""
    setting = Setting()
    wire = setting.client(head(b"A: b", line=b"GET /path?query HTTP/1.1"))
    sent = setting.server.take()
    assert request_line(sent) == b"GET /path?query HTTP/1.1"
    assert (b"a", b"b") in parse_fields(sent)
    assert (b"host", b"example.test") in parse_fields(sent)
    setting.server.line.say(answer(b"B: c", b"Content-Length: 5", body=b"Hello"), size)
    answered = reply(wire)
    assert (answered.status, answered.text) == (200, "Hello")
    assert answered.headers["b"] == "c"


def test_one_connection():
    """One connection to the upstream serves many requests, of different clients too."""
    setting = Setting()
    wires = [setting.client(), setting.client()]
    for wire in [*wires, *wires]:
        wire.send(GET)
        setting.server.line.say(HELLO)
        assert reply(wire).text == "Hello"
    assert len(setting.servers[0].lines) == 1


def test_pipelined():
    """Requests that come at once are handed on one by one."""
    setting = Setting()
    wire = setting.client(GET + GET)
    assert setting.server.take().count(b"GET /") == 1
    setting.server.line.say(HELLO)
    assert setting.server.take().count(b"GET /") == 1
    setting.server.line.say(HELLO)
    assert [each.text for each in replies(wire, "GET", "GET")] == ["Hello", "Hello"]


def test_prefix():
    """Requests get the prefix of the upstream's URL before their paths."""
    setting = Setting(prefix="/api")
    setting.client(head(line=b"GET /a%2fb?c HTTP/1.1"))
    assert request_line(setting.server.take()) == b"GET /api/a%2fb?c HTTP/1.1"


def test_mounted():
    """A proxy that is mounted hands on what is below its mount, and says where that is."""
    setting = Setting()
    app = App()
    app.mount("/app", setting.proxy)
    wire = Wire(app, clock=setting.clock)
    wire.send(head(line=b"GET /app/a?b HTTP/1.1"))
    sent = setting.server.take()
    assert request_line(sent) == b"GET /a?b HTTP/1.1"
    assert (b"x-forwarded-prefix", b"/app") in parse_fields(sent)


def test_absolute():
    """A target with a host in it becomes a path, and that host is Host."""
    setting = Setting()
    setting.client(head(line=b"GET http://other.test/a HTTP/1.1"))
    sent = setting.server.take()
    assert request_line(sent) == b"GET /a HTTP/1.1"
    assert (b"host", b"other.test") in parse_fields(sent)


def test_upstream_host():
    """An upstream can be asked by the host of its own URL."""
    setting = Setting(host="upstream")
    setting.client(GET)
    assert b"\r\nHost: server0\r\n" in b"\r\n" + setting.server.take()


def test_dot_segments():
    """What would lead out of the upstream's prefix is never sent to it."""
    setting = Setting(prefix="/api")
    wire = setting.client(head(line=b"GET /a/%2e%2e/%2e%2e/secret HTTP/1.1"))
    assert reply(wire).status == 400
    assert not setting.server.lines


def test_trace():
    """TRACE would show a client what is added to its request: it is not handed on."""
    setting = Setting()
    assert reply(setting.client(head(line=b"TRACE / HTTP/1.1")), "TRACE").status == 501
    assert not setting.server.lines


def test_options():
    """OPTIONS of the server as a whole is handed on, unless it is for this proxy."""
    setting = Setting(prefix="/api")
    wire = setting.client(head(b"Max-Forwards: 0", line=b"OPTIONS * HTTP/1.1"))
    assert reply(wire, "OPTIONS").status == 204
    assert not setting.server.lines
    setting.client(head(b"Max-Forwards: 1", line=b"OPTIONS * HTTP/1.1"))
    sent = setting.server.take()
    assert request_line(sent) == b"OPTIONS * HTTP/1.1"
    assert (b"max-forwards", b"0") in parse_fields(sent)


# Bodies of requests


def test_body():
    """A body goes on with its length."""
    setting = Setting()
    setting.client(post(b"Content-Length: 5", body=b"Hello"))
    sent = setting.server.take()
    assert sent.endswith(b"\r\n\r\nHello")
    assert (b"content-length", b"5") in parse_fields(sent)


def test_chunked_body():
    """One without a length goes on in chunks, which are our own, and with its trailers."""
    setting = Setting()
    wire = setting.client(post(b"Transfer-Encoding: chunked"))
    wire.send(chunked(b"Hel", b"lo", trailers=b"Sum: 1\r\n")[:10])
    wire.send(chunked(b"Hel", b"lo", trailers=b"Sum: 1\r\n")[10:])
    sent = setting.server.take()
    assert (b"transfer-encoding", b"chunked") in parse_fields(sent)
    assert sent.endswith(b"\r\n0\r\nsum: 1\r\n\r\n")


def test_trailers_that_would_be_believed():
    """What the client may not say of itself in the head, it may not say behind the body."""
    setting = Setting()
    trailers = (
        b"X-Forwarded-For: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\nX_Real_IP: 127.0.0.1\r\n"
        b"Proxy: http://127.0.0.1\r\nProxy-Authorization: a\r\nExpect: 100-continue\r\nSum: 1\r\n"
    )
    wire = setting.client(post(b"Transfer-Encoding: chunked"))
    wire.send(chunked(b"Hello", trailers=trailers))
    assert setting.server.take().endswith(b"\r\n0\r\nsum: 1\r\n\r\n")
    wire = setting.client(post(b"Transfer-Encoding: chunked") + chunked(b"a", trailers=trailers))
    assert setting.server.line.take().endswith(b"\r\n0\r\nsum: 1\r\n\r\n")


def test_no_body():
    """A POST without a body has length 0, a GET none at all."""
    setting = Setting()
    setting.client(post(b"Content-Length: 0"))
    assert (b"content-length", b"0") in parse_fields(setting.server.take())
    setting = Setting()
    setting.client(GET)
    assert b"length" not in setting.server.take()


def test_upload_at_the_pace_of_the_upstream():
    """While an upstream takes nothing, the client cannot send more than buffers hold."""
    setting = Setting()
    wire = setting.client(post(b"Content-Length: %d" % SIZE))
    setting.server.line.transport.reading = False
    sent = 0
    while not wire.transport.paused and sent < SIZE:
        wire.send(b"x" * KIB)
        sent += KIB
    assert sent < SIZE
    setting.server.line.transport.read()
    assert not wire.transport.paused
    wire.send(b"x" * (SIZE - sent))
    assert setting.server.take().count(b"x") == SIZE + 3  # and three in names
    setting.server.line.say(HELLO)
    assert reply(wire, "POST").status == 200


def test_continue():
    """A client that waits for leave to send its body gets that from us."""
    setting = Setting()
    wire = setting.client(post(b"Content-Length: 5", b"Expect: 100-continue"))
    assert wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"expect" not in setting.server.line.transport.received
    wire.send(b"Hello")
    assert setting.server.take().endswith(b"Hello")
    setting.server.line.say(b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO)
    assert reply(wire, "POST").interim == []


def test_early_answer():
    """An upstream that answers before it has the body is heard; its connection is not kept."""
    setting = Setting()
    wire = setting.client(post(b"Content-Length: %d" % SIZE) + b"x" * KIB)
    first = setting.server.line
    first.say(answer(b"Content-Length: 3", status=b"413 No", body=b"big"))
    (answered,) = replies(wire, "POST")
    assert (answered.status, answered.body) == (413, b"big")
    setting.client(GET)
    assert setting.server.line is not first


def test_broken_body():
    """A body that is no body is the client's fault, and the upstream sees no end of it."""
    setting = Setting()
    wire = setting.client(post(b"Transfer-Encoding: chunked") + b"5\r\nHello\r\n")
    wire.send(b"nonsense")
    assert reply(wire, "POST").status == 400
    assert setting.server.line.transport.aborted
    assert not setting.server.line.transport.received.endswith(b"0\r\n\r\n")


# Answers


def test_head():
    """The answer to HEAD has the length that GET would have, or none, and no body."""
    setting = Setting()
    wire = setting.client(TO_HEAD)
    setting.server.line.say(answer(b"Content-Length: 12345"))
    assert reply(wire, "HEAD").headers["Content-Length"] == "12345"
    wire.send(TO_HEAD)
    setting.server.line.say(answer(b"Transfer-Encoding: chunked"))
    answered = reply(wire, "HEAD")
    assert "Content-Length" not in answered.headers
    assert "Transfer-Encoding" not in answered.headers


@pytest.mark.parametrize("lines", [[], [b"Content-Length: 12345"]])
def test_not_modified(lines):
    """A 304 has no body, whatever it says of a length."""
    setting = Setting()
    wire = setting.client(GET + GET)
    for _ in range(2):
        setting.server.line.say(answer(b'ETag: "a"', *lines, status=b"304 Not Modified"))
    for answered in replies(wire, "GET", "GET"):
        assert (answered.status, answered.body, answered.headers["ETag"]) == (304, b"", '"a"')
        assert answered.headers.get("Content-Length") == ("12345" if lines else None)


def test_no_content():
    """Neither has a 204."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(answer(status=b"204 No Content"))
    assert reply(wire).status == 204


@pytest.mark.parametrize(
    "line", [b"Transfer-Encoding: chunked", b"Connection: close", b"Content-Length: 100000"]
)
def test_reset_content(line):
    """A 205 has none, whatever its upstream says, and a client that keeps on can tell its end."""
    setting = Setting()
    wire = setting.client(GET)
    first = setting.server.line
    first.say(answer(line, status=b"205 Reset Content"))
    wire.send(GET)
    assert setting.server.line is not first
    setting.server.line.say(HELLO)
    assert [each.body for each in replies(wire, "GET", "GET")] == [b"", b"Hello"]


def test_chunks():
    """What has no length goes on as it comes, in chunks of our own, with its trailers."""
    setting = Setting()
    wire = setting.client(GET)
    line = setting.server.line
    line.say(answer(b"Transfer-Encoding: chunked", b"Trailer: Sum"))
    line.say(b"5;ext=1\r\nHello\r\n")
    assert wire.received.endswith(b"\r\n5\r\nHello\r\n")
    line.say(b"0\r\nSum: 1\r\nSet-Cookie: a=b\r\n\r\n")
    answered = reply(wire)
    assert answered.body == b"Hello"
    assert answered.trailers == [(b"sum", b"1")]


def test_chunks_at_once():
    """The same, if all of it comes at once."""
    setting = Setting()
    wire = setting.client(GET)
    body = chunked(b"Hel", b"lo", trailers=b"Sum: 1\r\n")
    setting.server.line.say(answer(b"Transfer-Encoding: chunked", body=body))
    answered = reply(wire)
    assert (answered.body, answered.trailers) == (b"Hello", [(b"sum", b"1")])


def test_until_close():
    """A body that ends with the upstream's connection has an end that the client can see."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(b"HTTP/1.0 200 OK\r\n\r\nHello")
    setting.server.line.end()
    answered = reply(wire)
    assert (answered.body, answered.version) == (b"Hello", "1.1")
    assert not wire.closed


def test_client_of_http_1_0():
    """A client of HTTP/1.0 gets no chunks, but the end of its connection."""
    setting = Setting()
    wire = setting.client(head(line=b"GET / HTTP/1.0"))
    setting.server.line.say(answer(b"Transfer-Encoding: chunked", body=chunked(b"Hello")))
    assert wire.take().endswith(b"\r\n\r\nHello")
    assert wire.closed


@pytest.mark.parametrize(
    "line", [b"Connection: close", b"Keep-Alive: timeout=1", b"Connection: x-own\r\nX-Own: a"]
)
def test_connection_of_the_upstream(line):
    """What an upstream says of its connection says nothing of the client's."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(answer(line, b"Content-Length: 0"))
    answered = reply(wire)
    assert set(answered.headers) == {"content-length", "date"}
    assert not wire.closed


def test_interim():
    """What an upstream says before its answer goes on, such as early hints."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: y\r\n\r\n"
    )
    assert wire.take() == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    setting.server.line.say(HELLO)
    assert reply(wire).text == "Hello"


def test_via():
    """A proxy that has a name says it both ways."""
    setting = Setting(via="front")
    wire = setting.client(GET)
    assert (b"via", b"1.1 front") in parse_fields(setting.server.take())
    setting.server.line.say(HELLO)
    assert reply(wire).headers["Via"] == "1.1 front"


def test_redirect():
    """A redirect to the upstream's own URL leads to this server; any other is left alone."""
    setting = Setting(prefix="/api")
    app = App()
    app.mount("/app", setting.proxy)
    wire = Wire(app, clock=setting.clock)
    for status, location, expected in (
        (b"302 Found", b"http://server0/api/x?y", "/app/x?y"),
        (b"201 Created", b"http://server0/api/x?y", "/app/x?y"),
        (b"200 OK", b"http://server0/api/x?y", "http://server0/api/x?y"),
        (b"302 Found", b"http://server0/apiary", "http://server0/apiary"),
        (b"302 Found", b"/x", "/x"),
        (b"302 Found", b"https://else.where/", "https://else.where/"),
    ):
        wire.send(head(line=b"GET /app/ HTTP/1.1"))
        lines = (b"Location: " + location, b"Content-Length: 0")
        setting.server.line.say(answer(*lines, status=status))
        assert reply(wire).headers["Location"] == expected


@pytest.mark.parametrize("rest", [b"//else.where/", b"/\\else.where/", b"/\t/else.where/"])
def test_redirect_that_would_lead_elsewhere(rest):
    """A path that begins like the name of another host does not become one."""
    setting = Setting()
    wire = setting.client(GET)
    lines = (b"Location: http://server0" + rest, b"Content-Length: 0")
    setting.server.line.say(answer(*lines, status=b"301 Moved Permanently"))
    assert reply(wire).headers["Location"] == "/." + rest.decode()


def test_download_at_the_pace_of_the_client():
    """While a client takes nothing, an upstream cannot send more than buffers hold."""
    setting = Setting()
    wire = setting.client(GET)
    wire.stop_reading()
    line = setting.server.line
    line.say(answer(b"Content-Length: %d" % SIZE))
    sent = 0
    while not line.transport.paused and sent < SIZE:
        line.say(b"x" * KIB)
        sent += KIB
    assert sent < SIZE
    wire.read()
    assert not line.transport.paused
    line.say(b"x" * (SIZE - sent))
    assert reply(wire).body == b"x" * SIZE


# Ends


def test_client_goes_before_its_answer():
    """When a client goes, its request ends, and that connection serves nobody else."""
    setting = Setting()
    wire = setting.client(GET)
    first = setting.server.line
    wire.hang_up()
    assert first.transport.aborted
    setting.client(GET)
    assert setting.server.line is not first


def test_client_goes_in_the_middle():
    """Also in the middle of an answer."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(answer(b"Content-Length: %d" % SIZE, body=b"x"))
    wire.hang_up()
    setting.clock.advance(0)
    assert setting.server.line.closed


def test_stop():
    """When a proxy stops, so do its connections; started again, it serves."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(HELLO)
    assert reply(wire).status == 200
    stopping = start(setting.proxy.stop())
    setting.clock.advance(0)
    result_of(stopping)
    assert setting.server.line.closed
    assert not setting.clock.getDelayedCalls() or wire.factory.connections
    wire.send(GET)
    setting.server.line.say(HELLO)
    assert reply(wire).status == 200


def test_start(tmp_path):
    """What is wrong with an upstream's certificates is an error when the proxy starts."""
    upstream = Upstream("https://127.0.0.1", authority=tmp_path / "none.pem")
    with pytest.raises(FileNotFoundError):
        ReverseProxy(upstream, reactor=Setting().clock).start()


def test_no_upstreams():
    """A proxy without an upstream is an error at once, and so are values that mean nothing."""
    with pytest.raises(ValueError, match="needs an upstream"):
        ReverseProxy()
    with pytest.raises(ValueError, match="retries"):
        ReverseProxy("http://backend", retries=-1)
    with pytest.raises(ValueError, match="tunnel_timeout"):
        ReverseProxy("http://backend", tunnel_timeout=0)
    with pytest.raises(ValueError, match="backend"):
        ReverseProxy("backend")


def test_repr():
    """It says where it leads."""
    proxy = ReverseProxy("http://a", "unix:/run/b.sock")
    assert repr(proxy) == "<ReverseProxy to http://a, unix:/run/b.sock>"


def test_limits_of_the_server():
    """The limits of the server in front hold as for any handler."""
    setting = Setting()
    wire = Wire(setting.proxy, Limits(body=3), clock=setting.clock)
    wire.send(post(b"Content-Length: 5", body=b"Hello"))
    assert reply(wire, "POST").status == 413
    assert not setting.server.lines
