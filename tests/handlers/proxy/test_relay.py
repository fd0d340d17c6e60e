"""What a client gets when an upstream fails, and when another one is asked."""

from __future__ import annotations

from typing import Any

import pytest

from mynet.handlers.proxy import ClientLimits, FailurePolicy
from mynet.http import Response
from mynet.http.limits import KIB
from mynet.testing import Wire
from tests.conversation import GET, head, post, replies, reply
from tests.handlers.proxy.test_inbound import Consumer
from tests.handlers.proxy.upstreams import HELLO, Setting, said

NONSENSE = [
    b"hello\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x02\x00",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"a" * 65 * KIB,
]


def test_refused():
    """Nobody listens there: 502, which says no more, and a line in the log that does."""
    setting = Setting()
    setting.server.refuses = True
    with said() as lines:
        answered = reply(setting.client(GET))
    assert (answered.status, answered.text) == (502, "502 Bad Gateway\n")
    (line,) = lines
    assert "http://server0" in line
    assert "refused" in line
    assert "<Request GET /> is answered 502" in line


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("data", NONSENSE)
def test_nonsense(data, size):
    """What is no response, or may be read in two ways, is 502 and never goes on."""
    setting = Setting()
    wire = setting.client(GET)
    with said() as lines:
        setting.server.line.say(data, size)
    assert reply(wire).status == 502
    assert "http://server0" in lines[0]
    assert setting.server.line.closed


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHell"],
)
@pytest.mark.parametrize("how", ["end", "cut"])
def test_cut_before_the_client_has_anything(data, how):
    """A connection that ends before the answer does is 502."""
    setting = Setting()
    wire = setting.client(post(b"Content-Length: 1", body=b"x"))
    if data:
        setting.server.line.say(data)
    with said() as lines:
        getattr(setting.server.line, how)()
    assert reply(wire, "POST").status == 502
    assert "http://server0" in lines[0]


@pytest.mark.parametrize(
    ("fields", "rest"),
    [
        (b"Content-Length: 100000", b"x" * 1000),
        (b"Transfer-Encoding: chunked", b"5\r\nHello\r\n"),
        (b"Transfer-Encoding: chunked", b"5\r\nHello\r\nnonsense"),
        (b"Transfer-Encoding: chunked", b"5\r\nHello\r\n0\r\nA: b"),
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_cut_in_the_middle(fields, rest, version):
    """An answer that was cut off never looks complete: the client's connection is, too."""
    setting = Setting()
    wire = setting.client(head(line=b"GET / HTTP/" + version))
    line = setting.server.line
    with said() as lines:
        line.say(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n")
        line.say(rest)
        line.end()
    assert wire.transport.aborted
    assert not wire.received.endswith(b"0\r\n\r\n")
    (told,) = lines
    assert told.startswith("<Request GET /> is cut off: http://server0: ")


def test_cut_without_length():
    """Neither does one that would end with the connection, if that is reset."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(b"HTTP/1.1 200 OK\r\n\r\nHello")
    with said() as lines:
        setting.server.line.cut()
    assert lines == [
        "<Request GET /> is cut off: http://server0: the response was cut off in its body"
    ]
    assert wire.transport.aborted
    assert not wire.received.endswith(b"0\r\n\r\n")


def test_bytes_after_the_answer():
    """What an upstream says unasked is never an answer to the next request."""
    setting = Setting()
    wire = setting.client(GET)
    first = setting.server.line
    first.say(HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEvil")
    assert reply(wire).text == "Hello"
    wire.send(GET)
    assert first.closed
    setting.server.line.say(HELLO)
    assert reply(wire).text == "Hello"


def test_broken_body_behind_an_answer_that_streams():
    """A body that is no body, while the answer streams, is the client's fault: one line tells."""
    setting = Setting()
    wire = setting.client(post(b"Transfer-Encoding: chunked") + b"5\r\nHello\r\n")
    setting.server.line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    with said() as lines:
        wire.send(b"nonsense\r\n")
    (told,) = lines
    assert told.startswith("<Request POST /> is cut off: 400 Bad Request: ")
    assert wire.transport.aborted
    assert setting.server.line.closed
    assert not setting.records[0]._failures


def test_cut_before_a_middleware_answers():
    """A middleware that wants all of an answer before it sends any gets a 502, as a client does."""
    setting = Setting()

    async def gather(request):
        response = await setting.proxy(request)
        consumer = Consumer()
        body: Any = response.body
        await body.startProducing(consumer)
        return Response(b"".join(consumer.written))

    wire = Wire(gather, clock=setting.clock)
    wire.send(GET)
    setting.server.line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    setting.server.line.end()
    answered = reply(wire)
    assert (answered.status, answered.text) == (502, "502 Bad Gateway\n")


# Time


def test_connect_timeout():
    """An upstream that cannot be reached in time is 504."""
    setting = Setting(limits=ClientLimits(connect_timeout=3))
    setting.server.is_slow = True
    wire = setting.client(GET)
    setting.clock.advance(2)
    assert not wire.received
    with said() as lines:
        wire.advance(3)
    assert reply(wire).status == 504
    assert "http://server0" in lines[0]


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
def test_response_timeout(data):
    """One that does not answer in time is 504, also if it has begun to."""
    setting = Setting(limits=ClientLimits(response_timeout=3))
    wire = setting.client(GET)
    if data:
        setting.server.line.say(data)
    wire.advance(5)
    assert reply(wire).status == 504
    assert setting.server.line.closed


def test_body_timeout():
    """One that stops in the middle of an answer is cut off, and so is the client."""
    setting = Setting(limits=ClientLimits(body_timeout=3))
    wire = setting.client(GET)
    setting.server.line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx")
    with said():
        wire.advance(5)
    assert wire.transport.aborted
    assert setting.server.line.closed


def test_queue():
    """Past the limit of connections requests wait, past the limit of those it is 503."""
    setting = Setting(limits=ClientLimits(max_connections=1, max_waiting=1, queue_timeout=3))
    first, second, third = (setting.client(GET) for _ in range(3))
    assert reply(third).status == 503
    setting.server.line.say(HELLO)
    assert reply(first).text == "Hello"
    fourth = setting.client(GET)
    fourth.advance(5)
    assert reply(fourth).status == 503
    setting.server.line.say(HELLO)
    assert reply(second).text == "Hello"
    assert not setting.records[0].out_until


# Others


@pytest.mark.parametrize("refusing", [0, 1])
def test_other_upstream(refusing):
    """Where one cannot be reached another is asked, and the client learns nothing of it."""
    setting = Setting(2)
    setting.servers[refusing].refuses = True
    for _ in range(2):
        wire = setting.client(GET)
        setting.servers[1 - refusing].line.say(HELLO)
        assert reply(wire).text == "Hello"


def failing(count, **options):
    """Upstreams to which connections can be made, and then end; those asked, in order."""
    setting = Setting(count, **options)
    return setting, lambda: [each for each in setting.servers if each.lines]


@pytest.mark.parametrize("method", [b"GET", b"PUT"])
def test_unanswered(method):
    """What was not answered at all is asked of another, if asking twice does no harm."""
    setting, asked = failing(2)
    request = head(b"Content-Length: 1", line=method + b" / HTTP/1.1") + b"x"
    wire = setting.client(request)
    (first,) = asked()
    first.line.end()
    (second,) = (each for each in asked() if each is not first)
    assert second.take().endswith(b"\r\n\r\nx")
    second.line.say(HELLO)
    assert reply(wire, method.decode()).text == "Hello"


def test_unanswered_post():
    """A POST is not: it may have been done."""
    setting, asked = failing(2)
    wire = setting.client(post(b"Content-Length: 1", body=b"x"))
    asked()[0].line.end()
    assert reply(wire, "POST").status == 502
    assert len(asked()) == 1


def test_post_that_was_not_sent():
    """Unless it has certainly not been sent."""
    setting = Setting(2)
    setting.servers[0].refuses = setting.servers[1].refuses = True
    wire = setting.client(post(b"Content-Length: 1", body=b"x"))
    assert reply(wire, "POST").status == 502
    setting.servers[0].refuses = False
    wire = setting.client(post(b"Content-Length: 1", body=b"x"))
    setting.servers[0].line.say(HELLO)
    assert reply(wire, "POST").text == "Hello"


def test_body_that_streams():
    """A body of which a part is gone is not sent again."""
    setting, asked = failing(2)
    wire = setting.client(head(b"Content-Length: 5", line=b"PUT / HTTP/1.1") + b"x")
    asked()[0].line.end()
    assert replies(wire, "PUT")[0].status == 502
    assert len(asked()) == 1


def test_answered_in_part():
    """What was answered in part is not asked again."""
    setting, asked = failing(2)
    wire = setting.client(GET)
    asked()[0].line.say(b"HTTP/1.1 200 OK\r\n")
    asked()[0].line.end()
    assert reply(wire).status == 502
    assert len(asked()) == 1


@pytest.mark.parametrize("retries", [0, 1, 2, 9])
def test_retries(retries):
    """A request is handed to no more than so many others, and to none twice."""
    setting, asked = failing(4, retries=retries)
    wire = setting.client(GET)
    ended = []
    while new := [each for each in asked() if each not in ended]:
        new[0].line.end()
        ended += new
    assert len(ended) == min(1 + retries, 4)
    assert reply(wire).status == 502


def test_stale_connection():
    """A kept connection that the upstream closes just then is no reason to fail."""
    setting = Setting()
    wire = setting.client(GET)
    setting.server.line.say(HELLO)
    wire.send(GET)
    setting.server.line.end()
    setting.server.line.say(HELLO)
    assert [each.text for each in replies(wire, "GET", "GET")] == ["Hello", "Hello"]


def test_stale_connection_and_a_post():
    """A POST is not sent twice, but that is no failure of the upstream."""
    setting = Setting(failures=FailurePolicy(failures=1))
    wire = setting.client(GET)
    setting.server.line.say(HELLO)
    wire.send(post(b"Content-Length: 1", body=b"x"))
    setting.server.line.end()
    assert [each.status for each in replies(wire, "GET", "POST")] == [200, 502]
    assert len(setting.server.lines) == 1
    assert not setting.records[0].out_until


def test_left_alone():
    """One that failed time and again is left alone for a while, and then asked again."""
    setting = Setting(2, failures=FailurePolicy(failures=2, pause=5))
    setting.servers[0].refuses = True
    with said() as lines:
        for _ in range(6):
            wire = setting.client(GET)
            setting.servers[1].line.say(HELLO)
            assert reply(wire).text == "Hello"
    assert [each for each in lines if "is left alone for 5 s" in each]
    assert len(setting.servers[1].lines) == 1
    setting.servers[0].refuses = False
    setting.clock.advance(5)
    wires = [setting.client(GET), setting.client(GET)]
    setting.servers[0].line.say(HELLO)
    setting.servers[1].line.say(HELLO)
    assert [reply(wire).text for wire in wires] == ["Hello", "Hello"]
    assert not setting.records[0].out_until


@pytest.mark.parametrize("is_whole", [True, False])
def test_left_alone_for_answers_without_an_end(is_whole):
    """One that begins its answers and does not end them is left alone, too."""
    setting = Setting(failures=FailurePolicy(failures=2))
    (record,) = setting.records
    record.failed(0)
    setting.client(GET)
    with said():
        setting.server.line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        if is_whole:
            setting.server.line.say(b"0\r\n\r\n")
            record.failed(0)
        else:
            setting.server.line.end()
    assert bool(record.out_until) is not is_whole


def test_all_left_alone():
    """Where all have failed time and again they are asked all the same."""
    setting = Setting(2, failures=FailurePolicy(failures=1))
    for server in setting.servers:
        server.refuses = True
    assert reply(setting.client(GET)).status == 502
    for server in setting.servers:
        server.refuses = False
    wire = setting.client(GET)
    (line,) = (line for server in setting.servers for line in server.lines)
    line.say(HELLO)
    assert reply(wire).text == "Hello"


def test_all_down():
    """Where checks have found all down it is 503 at once."""
    setting = Setting(2)
    for member in setting.proxy._members:
        member.is_down = True
    with said() as lines:
        assert reply(setting.client(GET)).status == 503
    assert "all upstreams are down" in lines[0]


def test_status_is_no_failure():
    """What an upstream answers is an answer, whatever its status: it goes on."""
    setting = Setting(2, failures=FailurePolicy(failures=1))
    wire = setting.client(GET)
    (asked,) = (server for server in setting.servers if server.lines)
    asked.line.say(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbusy")
    answered = reply(wire)
    assert (answered.status, answered.text) == (503, "busy")
    assert answered.headers["Retry-After"] == "1"
    assert not any(record.out_until for record in setting.records)
