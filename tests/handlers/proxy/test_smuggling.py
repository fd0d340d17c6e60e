"""Whatever a client or an upstream says, the other side is told one thing, which all understand.

h11, which is strict, and knows nothing of how mynet reads and writes, reads what is told.
"""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mynet.http import Request, Response
from mynet.testing import Wire
from tests.conversation import GET, reply
from tests.handlers.proxy.upstreams import HELLO, Line, Setting, said

LINES = [
    b"Content-Length: 5",
    b"Content-Length: 3",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"content-length:5",
    b"Content_Length: 5",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding\x00: chunked",
    b"X: a\r\n Transfer-Encoding: chunked",
    b"X: a\nTransfer-Encoding: chunked",
    b"X: a\rTransfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: Content-Length, Transfer-Encoding, Host",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Host: other.test",
    b"Trailer: Content-Length",
    b"TE: trailers",
    b"Keep-Alive: timeout=5",
    b"A: b",
    b": b",
    b"",
]
BODIES = [
    b"",
    b"Hello",
    b"5\r\nHello\r\n0\r\n\r\n",
    b"5;a=b\r\nHello\r\n0\r\nContent-Length: 7\r\nSum: 1\r\n\r\n",
    b"5\nHello\n0\n\n",
    b"0x5\r\nHello\r\n0\r\n\r\n",
    b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
]
sections = st.lists(st.sampled_from(LINES), max_size=5).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines) + b"\r\n"
)
bodies = st.sampled_from(BODIES)


def requests_in(data: bytes) -> list[bytes]:
    """The targets of the requests that h11 finds; an error, if it finds anything else."""
    found = []
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    while not isinstance(event := server.next_event(), type | h11.ConnectionClosed):
        if isinstance(event, h11.Request):
            found.append(event.target)
        elif isinstance(event, h11.EndOfMessage):
            server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            server.send(h11.EndOfMessage())
            server.start_next_cycle()
    return found


@given(st.sampled_from([b"GET", b"POST"]), sections, bodies, st.sampled_from([None, 1]))
def test_requests(method, section, body, size):
    """An upstream reads those requests that were handed on, and no others."""
    setting = Setting()
    handed_on: list[bytes] = []

    def handler(request: Request) -> Response | Deferred[Response]:
        answer = setting.proxy(request)
        handed_on.append(request.target)
        return answer

    wire = Wire(handler, clock=setting.clock)
    sent: dict[Line, bytes] = {}
    for data in (method + b" /first HTTP/1.1\r\nHost: test\r\n" + section + body, GET):
        wire.send(data, size)
        for _ in range(3):  # as many answers as there may be requests in it
            for line in setting.server.lines:
                sent[line] = sent.get(line, b"") + (taken := line.take())
                if taken and not line.closed:
                    line.say(HELLO)
    for line in setting.server.lines:
        sent[line] += line.take()
    assert [target for each in sent.values() for target in requests_in(each)] == handed_on


def is_complete(data: bytes, closed: bool) -> tuple[bool, bytes]:
    """Whether a client finds a whole answer, by its frame; and what follows it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "test")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    if closed:
        client.receive_data(b"")
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return False, b""
    except h11.RemoteProtocolError:
        return False, b""
    return True, client.trailing_data[0]


@given(
    st.sampled_from([b"200 OK", b"204 No", b"304 No", b"205 No", b"103 Hints", b"100 Go"]),
    sections,
    bodies,
    st.sampled_from(["", "end", "cut"]),
    st.sampled_from([None, 1]),
)
def test_answers(status, section, body, end, size):
    """A client finds one answer with nothing behind it, or sees that it was cut off."""
    setting = Setting()
    wire = setting.client(GET)
    line = setting.server.line
    with said():
        line.say(b"HTTP/1.1 " + status + b"\r\n" + section + body, size)
        if end:
            getattr(line, end)()
        wire.advance(130)
    complete, rest = is_complete(wire.received, wire.closed and not wire.transport.aborted)
    assert complete or wire.transport.aborted
    assert rest == b""


@given(sections, bodies)
def test_next_answer(section, body):
    """Whatever one answer was, the next client gets its own."""
    setting = Setting()
    wire = setting.client(GET)
    with said():
        setting.server.line.say(b"HTTP/1.1 200 OK\r\n" + section + body)
        setting.server.line.end()
        wire.hang_up()
        other = setting.client(GET)
        setting.server.line.say(HELLO)
    assert reply(other).text == "Hello"
