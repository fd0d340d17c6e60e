"""One connection to another server: requests out, responses in, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from mynet.http.client import ClientConnection
from mynet.http.client_errors import BadResponse, NotAnswered, ResponseCut, UpstreamTimeout
from mynet.http.client_limits import ClientLimits
from mynet.http.client_request import AT_HAND
from mynet.http.client_response import ClientResponse
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.limits import KIB
from mynet.http.pool import Pool
from mynet.testing import SERVER, MemoryTransport, result_of
from tests.conversation import chunked
from tests.http.test_client_request import upload
from tests.http.test_client_response import Consumer
from tests.server import Line, Server

HOST = b"Host: example.test\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"

SIZES = pytest.mark.parametrize("size", [None, 1])


class Client:
    """A pool of one connection, and what it asked."""

    def __init__(self, clock: Clock, **limits: Any) -> None:
        self.clock = clock
        self.server = Server(clock)
        self.pool = Pool(self.server, ClientLimits(max_connections=1, **limits), clock=clock)

    def ask(
        self, method: str = "GET", body: Any = None, **options: Any
    ) -> Deferred[ClientResponse]:
        """Ask for the root."""
        return self.pool.send(method, b"/", HOST, body, **options)

    @property
    def line(self) -> Line:
        """The latest connection."""
        return self.server.line

    def advance(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)


# Requests


def test_request(client):
    """A request goes out in one piece with its body."""
    client.ask("POST", b"hello")
    assert client.line.take() == b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"


def test_streamed_request(client):
    """A body that has a length is sent as it comes."""
    body = upload(10)
    client.ask("POST", body)
    assert client.line.take().endswith(b"Content-Length: 10\r\n\r\n")
    body.feed(b"hello")
    assert client.line.take() == b"hello"
    body.feed(b"world")
    body.end()
    assert client.line.take() == b"world"


def test_chunked_request(client):
    """One that has none goes in chunks, and so do its trailers, but for what may not be there."""
    body = upload()
    client.ask("POST", body)
    assert client.line.take().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    body.feed(b"hello")
    body.end([(b"a", b"b"), (b"content-length", b"5")])
    assert client.line.take() == chunked(b"hello", trailers=b"a: b\r\n")


def test_request_at_hand(client):
    """A body that is here already goes in one piece with the head."""
    body = upload()
    body.feed(b"hello")
    body.end()
    client.ask("POST", body)
    assert client.line.take().endswith(b"Content-Length: 5\r\n\r\nhello")


def test_pace_of_a_request(client):
    """A server that does not read keeps the sender waiting."""
    body = upload()
    client.ask("POST", body)
    client.line.transport.reading = False
    for _ in range(3):
        body.feed(b"x" * 60 * KIB)
    assert body.buffered == 60 * KIB
    client.line.transport.read()
    assert body.buffered == 0


def test_large_request(clock):
    """A large body of bytes takes as long as it takes, as long as the server takes it."""
    client = Client(clock, send_timeout=5, response_timeout=5)
    client.ask()
    client.line.send(OK)
    transport = client.line.transport
    transport.reading = False
    result = client.ask("POST", b"x" * 1024 * KIB)
    seconds = 0
    while transport.waiting:
        assert len(transport.waiting) < 192 * KIB
        client.advance(4)
        seconds += 4
        transport.read(len(transport.waiting))
    assert seconds > 20
    client.line.send(OK)
    assert result_of(result).status == 200


@pytest.mark.parametrize("pieces", [[b"hello", b"world!"], [b"hello"]])
def test_wrong_length(client, logged, pieces):
    """A body that breaks its promise breaks off the request."""
    body = upload(10)
    result = client.ask("POST", body)
    for piece in pieces:
        body.feed(piece)
    body.end()
    client.advance(1)
    with pytest.raises(ValueError, match="declared"):
        result_of(result)
    assert b"world!" not in client.line.take()
    assert client.line.transport.aborted


@pytest.mark.parametrize("error", [ClientGone("gone"), HTTPError(408)])
def test_request_that_fails(client, error):
    """What goes wrong with the request's body is told as it is, and the server learns of it."""
    body = upload()
    result = client.ask("POST", body)
    body.feed(b"hello")
    body.fail(error)
    with pytest.raises(type(error)):
        result_of(result)
    client.advance(1)
    assert client.line.transport.aborted
    assert not client.line.take().endswith(b"0\r\n\r\n")


# Responses


@SIZES
def test_response(client, size):
    """A response is given when it is here, and the connection serves the next."""
    for _ in range(3):
        result = client.ask()
        client.line.send(OK, size)
        response = result_of(result)
        assert (response.status, response.whole, response.length) == (200, b"hello", 5)
    assert len(client.server.lines) == 1


@SIZES
@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", CHUNKED),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_no_body(client, size, method, data):
    """A response that can have no body has none, whatever it says; the connection goes on."""
    result = client.ask(method)
    client.line.send(data, size)
    assert result_of(result).whole == b""
    client.ask()
    assert len(client.server.lines) == 1


def gathered(result: Deferred[ClientResponse]) -> Deferred[bytes]:
    return result_of(result).read(1_000_000)


@SIZES
def test_chunked_response(client, size):
    """A body in chunks is given on as it comes, and its trailers at its end."""
    result = client.ask()
    client.line.send(CHUNKED, size)
    response = result_of(result)
    assert response.length is None
    body = response.read(KIB)
    client.line.send(chunked(b"hello", b"world", trailers=b"A: b\r\n"), size)
    assert result_of(body) == b"helloworld"
    assert response.trailers == [(b"a", b"b")]
    client.ask()
    assert len(client.server.lines) == 1


def test_chunks_at_hand(client):
    """A body in chunks that came with its head is whole."""
    result = client.ask()
    client.line.send(CHUNKED + chunked(b"hello", trailers=b"A: b\r\n"))
    response = result_of(result)
    assert (response.whole, response.length, response.trailers) == (b"hello", None, [(b"a", b"b")])


@SIZES
@pytest.mark.parametrize("end", [Line.finish, Line.end])
def test_until_close(client, size, end):
    """A body without a length ends with the connection."""
    result = client.ask()
    client.line.send(UNTIL_CLOSE, size)
    body = gathered(result)
    client.line.send(b"hello", size)
    end(client.line)
    assert result_of(body) == b"hello"
    client.ask()
    assert len(client.server.lines) == 2


def test_until_close_ends_early(client):
    """Where the connection breaks off it cannot be known whether that was all."""
    result = client.ask()
    client.line.send(UNTIL_CLOSE + b"hello")
    body = gathered(result)
    client.line.reset()
    with pytest.raises(ResponseCut):
        result_of(body)


@pytest.mark.parametrize(
    "data", [OK.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n"),
             OK.replace(b"1.1", b"1.0")],
)  # fmt: skip
def test_last_response(client, data):
    """A server that says so is not asked again on the same connection."""
    result = client.ask()
    client.line.send(data)
    assert result_of(result).whole == b"hello"
    client.advance(1)
    assert client.line.closed
    assert not client.line.transport.aborted
    client.ask()
    assert len(client.server.lines) == 2


def test_keep_alive_of_http_1_0(client):
    """A server of HTTP/1.0 may keep a connection, too."""
    result = client.ask()
    client.line.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    assert result_of(result).version == "1.0"
    client.ask()
    assert len(client.server.lines) == 1


def test_small_body_is_gathered(client):
    """A small body comes with its head, and if it is cut there is no response at all."""
    result = client.ask()
    client.line.send(OK[:-1])
    assert not result.called
    client.line.reset()
    with pytest.raises(ResponseCut, match="body"):
        result_of(result)


def test_large_body_is_streamed(client):
    """A large one is given on as it comes."""
    result = client.ask()
    client.line.send(LONG + b"hello")
    response = result_of(result)
    consumer = Consumer()
    done = response.body.startProducing(consumer)
    assert consumer.data == b"hello"
    client.line.send(b"x" * 99_995)
    assert result_of(done) is None
    assert len(consumer.data) == 100_000


def test_not_read_before_it_is_wanted(client):
    """Nothing more is read of a body that nobody has begun to take."""
    result = client.ask()
    client.line.send(LONG + b"hello")
    assert client.line.transport.paused
    result_of(result).body.startProducing(Consumer())
    assert not client.line.transport.paused


def test_pace_of_a_response(client):
    """A consumer that is slow keeps the server waiting, for as long as it takes."""
    result = client.ask()
    client.line.send(LONG)
    body = result_of(result).body
    done = body.startProducing(Consumer())
    body.pauseProducing()
    assert client.line.transport.paused
    client.line.protocol.dataReceived(b"x" * 10)  # it was on its way
    client.advance(1000)
    assert not done.called
    body.resumeProducing()
    assert not client.line.transport.paused
    client.line.send(b"x" * 99_990)
    assert result_of(done) is None


def test_paused_at_the_end(client):
    """A body that ended while its consumer was slow leaves a connection that reads."""
    result = client.ask()
    client.line.send(LONG + b"x" * 60_000)
    body = result_of(result).body
    body.startProducing(Consumer())
    client.line.protocol.dataReceived(b"x" * 39_999)
    body.pauseProducing()
    client.line.protocol.dataReceived(b"x")  # it was on its way
    assert not client.line.transport.paused
    assert client.pool.idle == 1


def test_consumer_that_fails(client):
    """A consumer's own error ends the exchange, and is told to whoever waits for its end."""

    class Failing(Consumer):
        def write(self, data: bytes) -> None:
            raise ZeroDivisionError

    result = client.ask()
    client.line.send(LONG)
    done = result_of(result).body.startProducing(Failing())
    client.line.send(b"hello")
    with pytest.raises(ZeroDivisionError):
        result_of(done)
    assert client.line.transport.aborted


# Interim responses


@SIZES
def test_interim(client, size):
    """Interim responses are given on, and the one that counts comes after them."""
    seen: list[Any] = []
    result = client.ask(interim=lambda *each: seen.append(each))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    client.line.send(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + OK, size)
    assert seen == [(100, []), (103, [(b"link", b"a")])]
    assert result_of(result).whole == b"hello"
    assert client.pool.idle == 1


def test_too_many_interim(clock):
    """They do not go on for ever."""
    client = Client(clock, interim=2)
    result = client.ask()
    client.line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3)
    with pytest.raises(BadResponse, match="interim"):
        result_of(result)
    result = client.ask()
    client.line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + OK)
    assert result_of(result).status == 200


def test_cancelled_at_an_interim(client):
    """Who gives up at an interim response gets no other."""
    given_up: list[Deferred[ClientResponse]] = []
    result = client.ask(interim=lambda *each: given_up[0].cancel())
    given_up.append(result)
    client.line.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    with pytest.raises(CancelledError):
        result_of(result)
    assert client.line.transport.aborted


# A server that answers early


def test_both_ways_at_once(client):
    """A response may come while the request is sent, and both are given on."""
    upstream = upload()
    result = client.ask("POST", upstream)
    client.line.take()
    client.line.send(CHUNKED + b"1\r\na\r\n")
    body = gathered(result)
    upstream.feed(b"hello")
    assert client.line.take() == b"5\r\nhello\r\n"
    upstream.end()
    client.line.send(b"1\r\nb\r\n0\r\n\r\n")
    assert result_of(body) == b"ab"
    assert client.pool.idle == 1


def test_answered_early(client):
    """A response that is complete before the request is sent is given on; the rest is not sent,
    and the connection not used again."""
    body = upload()
    result = client.ask("POST", body)
    client.line.send(OK)
    assert result_of(result).whole == b"hello"
    client.line.take()
    body.feed(b"hello")
    client.advance(1)
    assert client.line.take() == b""
    assert client.line.transport.aborted
    client.ask()
    assert len(client.server.lines) == 2


def test_answered_before_all_was_taken(client):
    """So it is where the request still waits in the transport."""
    client.ask("POST", b"hello")
    client.line.send(OK)
    result = client.ask("POST", b"x")
    client.line.transport.reading = False
    client.line.protocol.pauseProducing()
    client.line.send(OK)
    assert result_of(result).whole == b"hello"
    client.ask()
    assert len(client.server.lines) == 2


def test_answers_and_does_not_read(client):
    """A server that answers while it leaves the request is given the time to."""
    body = upload()
    result = client.ask("POST", body)
    client.line.transport.reading = False
    client.line.send(LONG)
    taken = gathered(result)
    for _ in range(3):
        body.feed(b"x" * 60 * KIB)
    for _ in range(10):
        client.line.send(b"x" * 10_000)
        client.advance(50)
    assert len(result_of(taken)) == 100_000


def test_answers_after_it_did_not_read(client):
    """Also where that begins while it is waited for."""
    body = upload()
    result = client.ask("POST", body)
    client.line.transport.reading = False
    for _ in range(3):
        body.feed(b"x" * 60 * KIB)
    client.advance(50)
    client.line.send(LONG)
    taken = gathered(result)
    client.advance(50)
    client.line.send(b"x" * 100_000)
    assert len(result_of(taken)) == 100_000


def test_answers_while_it_listens(client):
    """A small response is not held back from who still sends: the rest may depend on it."""
    client.ask("POST", upload())
    result = client.ask("POST", upload())
    client.line.send(OK)
    assert not result.called
    client.line.send(OK[:-1])
    body = gathered(result)
    client.line.send(OK[-1:])
    assert result_of(body) == b"hello"


# What is wrong


@SIZES
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", BadResponse),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 64 * KIB, BadResponse),
        (SWITCH, BadResponse),
    ],
)
def test_nonsense(client, data, error, size):
    """What is no response is an error, and the connection is cut off."""
    result = client.ask()
    client.line.send(data, size if len(data) < KIB else None)
    with pytest.raises(error):
        result_of(result)
    client.advance(1)
    assert client.line.transport.aborted


@SIZES
@pytest.mark.parametrize("end", [Line.finish, Line.end, Line.reset])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAnswered),
        (b"HTTP/1.1 200 OK\r\nA: b", ResponseCut),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ResponseCut),
        (OK[:-1], ResponseCut),
    ],
)
def test_cut(client, data, error, end, size):
    """A response that ends early is an error, wherever and however that happens."""
    result = client.ask()
    client.line.send(data, size)
    end(client.line)
    with pytest.raises(error):
        result_of(result)
    assert client.pool.in_use == 0


@SIZES
@pytest.mark.parametrize("end", [Line.finish, Line.end, Line.reset])
@pytest.mark.parametrize("data", [LONG + b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n"])
def test_body_is_cut(client, data, end, size):
    """A body that ends early fails; what came of it was given on."""
    consumer = Consumer()
    fired: list[Any] = []
    result = client.ask()
    result.addCallback(
        lambda response: response.body.startProducing(consumer).addBoth(fired.append)
    )
    client.line.send(data, size)
    end(client.line)
    assert consumer.data == b"hello"
    (failure,) = fired
    assert failure.check(ResponseCut)


def test_bad_chunks(client):
    """So does one whose chunks are wrong."""
    result = client.ask()
    client.line.send(CHUNKED + b"5\r\nhello\r\n")
    body = gathered(result)
    client.line.send(b"x\r\n")
    with pytest.raises(BadResponse):
        result_of(body)
    client.advance(1)
    assert client.line.transport.aborted


@pytest.mark.parametrize("data", [b"x", OK, b"\r\n"])
def test_what_nobody_asked_for(client, data):
    """What follows a response is not the answer to the next request: the connection is left."""
    result = client.ask()
    client.line.send(OK + data)
    assert result_of(result).whole == b"hello"
    client.advance(1)
    assert client.line.transport.aborted
    second = client.ask()
    assert len(client.server.lines) == 2
    assert not second.called


@pytest.mark.parametrize("data", [b"x", OK])
def test_what_comes_while_it_rests(client, data):
    """Neither is what comes between two requests."""
    client.ask()
    client.line.send(OK)
    client.line.send(data)
    client.advance(1)
    assert client.line.transport.aborted
    assert client.pool.idle == 0


# Giving up


def test_cancel(client):
    """To cancel a request cuts its exchange off."""
    result = client.ask()
    result.cancel()
    with pytest.raises(CancelledError):
        result_of(result)
    client.advance(1)
    assert client.line.transport.aborted
    assert client.pool.in_use == 0


def test_answer_after_cancelling(client):
    """An answer that was on its way is dropped."""
    result = client.ask()
    client.line.send(OK)
    for _ in range(2):
        result = client.ask()
        result.cancel()
        client.line.protocol.dataReceived(OK)
        with pytest.raises(CancelledError):
            result_of(result)


def test_cancel_while_sending(client):
    """The rest of the request is not sent."""
    body = upload()
    result = client.ask("POST", body)
    client.line.take()
    result.cancel()
    body.feed(b"hello")
    assert client.line.take() == b""
    with pytest.raises(CancelledError):
        result_of(result)


def test_cancel_while_gathering(client):
    """What had come is forgotten."""
    result = client.ask()
    client.line.send(OK[:-1])
    result.cancel()
    client.line.send(b"o")
    with pytest.raises(CancelledError):
        result_of(result)


def test_close_response(client):
    """A body that is not wanted is cut off; the connection serves no other."""
    result = client.ask()
    client.line.send(LONG)
    result_of(result).close()
    client.advance(1)
    assert client.line.transport.aborted
    assert client.pool.in_use == 0


# Deadlines


def test_response_timeout(clock):
    """A server that does not answer in time is given up."""
    client = Client(clock, response_timeout=5)
    result = client.ask()
    client.advance(4)
    assert not result.called
    client.advance(3)
    with pytest.raises(UpstreamTimeout) as caught:
        result_of(result)
    assert caught.value.kind == "response"
    assert client.line.transport.aborted


def test_response_timeout_waits_for_the_request(clock):
    """The time that the server takes to read a request is another."""
    client = Client(clock, response_timeout=5, send_timeout=20)
    client.ask()
    client.line.send(OK)
    client.line.transport.reading = False
    result = client.ask("POST", b"x" * AT_HAND)
    client.advance(15)
    assert not result.called
    client.line.transport.read()
    client.advance(3)
    assert not result.called
    client.advance(5)
    with pytest.raises(UpstreamTimeout) as caught:
        result_of(result)
    assert caught.value.kind == "response"


def test_response_timeout_begins_at_the_end(clock):
    """The time that it takes to send a request is not the server's."""
    client = Client(clock, response_timeout=5)
    body = upload()
    result = client.ask("POST", body)
    client.advance(100)
    body.end()
    client.advance(3)
    assert not result.called
    client.advance(5)
    with pytest.raises(UpstreamTimeout):
        result_of(result)


def test_interim_gives_time(clock):
    """A server that says that it is at work may go on."""
    client = Client(clock, response_timeout=5)
    result = client.ask()
    for _ in range(4):
        client.advance(4)
        client.line.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    client.line.send(OK)
    assert result_of(result).status == 200


@pytest.mark.parametrize("data", [OK[:-1], LONG])
def test_body_timeout(clock, data):
    """So is one that stops in the middle of a body."""
    client = Client(clock, body_timeout=5)
    fired: list[Any] = []
    result = client.ask()
    result.addCallback(lambda response: response.read(1_000_000)).addBoth(fired.append)
    client.line.send(data)
    client.advance(10)
    (failure,) = fired
    assert failure.check(UpstreamTimeout)
    assert failure.value.kind == "body"


def test_body_that_drips(clock):
    """A body of which something comes is waited for."""
    client = Client(clock, body_timeout=5)
    result = client.ask()
    client.line.send(CHUNKED)
    body = gathered(result)
    for _ in range(5):
        client.advance(4)
        client.line.send(b"1\r\nx\r\n")
    client.line.send(b"0\r\n\r\n")
    assert result_of(body) == b"xxxxx"


def test_send_timeout(clock):
    """A server that takes nothing of a request is given up."""
    client = Client(clock, send_timeout=5)
    body = upload()
    result = client.ask("POST", body)
    client.line.transport.reading = False
    for _ in range(3):
        body.feed(b"x" * 60 * KIB)
    client.advance(10)
    with pytest.raises(UpstreamTimeout) as caught:
        result_of(result)
    assert caught.value.kind == "send"


def test_idle_timeout(clock):
    """A connection that rests for long is closed."""
    client = Client(clock, idle_timeout=5)
    client.ask()
    client.line.send(OK)
    client.advance(4)
    assert client.pool.idle == 1
    client.advance(3)
    assert client.pool.idle == 0
    assert client.line.closed
    assert not client.line.transport.aborted


def test_end_that_does_not_come(clock):
    """A connection whose end is not told is cut off after a while."""
    client = Client(clock, idle_timeout=5)
    client.ask("POST", b"x")
    client.line.send(OK)
    client.line.transport.reading = False
    client.line.transport.waiting = b"x"
    client.advance(15)
    assert client.line.transport.aborted
    assert clock.getDelayedCalls() == []


# Another protocol


@implementer(IHalfCloseableProtocol)
class Tunnel(Protocol):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connectionMade(self) -> None:
        self.told.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.told.append("lost")

    def readConnectionLost(self) -> None:
        self.told.append("read lost")

    def writeConnectionLost(self) -> None:
        self.told.append("write lost")


def switch(client: Client, data: bytes = SWITCH) -> ClientResponse:
    result = client.ask(upgrade=True)
    client.line.send(data)
    return result_of(result)


def test_switch(client):
    """After a 101 the connection is another protocol's, with all that came behind it."""
    response = switch(client, SWITCH + b"rest")
    assert response.status == 101
    assert client.line.transport.paused
    assert client.pool.in_use == 0
    tunnel = Tunnel()
    response.hand_over(tunnel)
    assert not client.line.transport.paused
    client.line.send(b"more")
    client.line.transport.write(b"up")
    assert client.line.take().endswith(b"up")
    client.line.finish()
    client.line.protocol.writeConnectionLost()
    client.line.reset()
    assert tunnel.told == ["made", b"rest", b"more", "read lost", "write lost", "lost"]


def test_switch_that_takes_time(client):
    """TLS may have more at hand when it is told to pause: that is kept for who gets it."""
    response = switch(client, SWITCH + b"rest")
    client.line.protocol.dataReceived(b"more")
    client.line.protocol.dataReceived(b" still")
    client.advance(1)
    assert not client.line.closed
    tunnel = Tunnel()
    response.hand_over(tunnel)
    assert tunnel.told == ["made", b"restmore still"]


def test_switched_has_no_deadlines(client):
    """Deadlines are the other protocol's, and so is the room in the pool."""
    tunnel = Tunnel()
    switch(client).hand_over(tunnel)
    client.advance(1000)
    assert not client.server.lines[0].transport.disconnected
    assert client.clock.getDelayedCalls() == []
    client.ask()
    assert len(client.server.lines) == 2


@pytest.mark.parametrize("end", [Line.finish, Line.reset])
def test_end_before_it_is_handed_over(client, end):
    """A protocol that gets a connection which is over learns of that."""
    response = switch(client, SWITCH + b"rest")
    end(client.line)
    tunnel = Tunnel()
    response.hand_over(tunnel)
    assert tunnel.told == ["made", b"rest", "lost" if end is Line.reset else "read lost"]


def test_protocol_that_knows_no_half_close(client):
    """A protocol that cannot tell a half-close from an end gets an end."""
    switch(client).hand_over(Protocol())
    client.line.finish()
    client.advance(1)
    assert client.line.closed


def test_switch_that_is_not_wanted(client):
    """A 101 that is closed ends its connection."""
    switch(client).close()
    client.advance(1)
    assert client.line.transport.aborted


@pytest.mark.parametrize("data", [SWITCH, SWITCH.replace(b"1.1", b"1.0")])
def test_switch_that_was_not_asked_for(client, data):
    """A 101 to who asked for none is nonsense; and there are none in HTTP/1.0."""
    result = client.ask(upgrade=data != SWITCH)
    client.line.send(data)
    with pytest.raises(BadResponse):
        result_of(result)


def test_refused_switch(client):
    """Any other answer to who asks to switch is one like any other."""
    response = switch(client, OK)
    assert response.whole == b"hello"
    assert client.pool.idle == 1


# Every byte


@pytest.mark.parametrize("data", [OK, CHUNKED + chunked(b"hello", trailers=b"A: b\r\n"), LONG])
def test_cut_anywhere(clock, data):
    """Wherever a response is cut, it does not look complete."""
    for length in range(len(data)):
        client = Client(clock)
        fired: list[Any] = []
        client.ask().addCallback(lambda response: response.read(KIB)).addBoth(fired.append)
        client.line.send(data[:length])
        client.line.end()
        (failure,) = fired
        assert failure.check(ResponseCut, NotAnswered)


def test_directly_on_its_transport(clock):
    """What Twisted's endpoints put between is out of the way once it is connected."""
    reactor = MemoryReactorClock()
    pool = Pool(TCP4ClientEndpoint(reactor, "192.0.2.1", 80), clock=clock)
    result = pool.send("GET", b"/", HOST)
    factory = reactor.tcpClients[0][2]
    transport = MemoryTransport(clock)
    built: Any = factory.buildProtocol(SERVER)
    transport.protocol = built
    built.makeConnection(transport)
    assert isinstance(transport.protocol, ClientConnection)
    transport.protocol.dataReceived(OK)
    assert result_of(result).status == 200


def test_exchange_leaves_nothing(client):
    """When all is over, nothing waits in the reactor."""
    client.ask()
    client.line.send(OK)
    client.line.end()
    client.advance(1)
    assert client.clock.getDelayedCalls() == []
