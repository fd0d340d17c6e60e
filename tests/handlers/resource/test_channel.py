"""What a resource writes becomes a response; what becomes of that, it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis.strategies import binary, booleans, integers, lists
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport, ITransport
from twisted.protocols.basic import FileSender
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface.verify import verifyObject

from mynet.handlers.resource import ResourceHandler
from mynet.http.limits import KIB, Limits
from mynet.http.message import Request, Response
from mynet.testing import CLIENT, SERVER, Wire
from tests.conversation import GET, head, post, replies, reply
from tests.handlers.resource.resources import Calling, Waiting, answer, served

HEAD = head(line=b"HEAD / HTTP/1.1")


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


# A response that is there at once


def test_whole(way):
    """What a resource returns is a response, and the connection goes on."""
    behind, size = way

    def render(request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/plain")
        return request.path  # type: ignore[no-any-return]

    wire = served(Calling(render))
    wire.send(GET + behind, size)
    first, *others = replies(wire, *["GET"] * wire.received.count(b"HTTP/1.1 200"))
    assert (first.status, first.text) == (200, "/")
    assert [(other.status, other.text) for other in others] == [(200, "/behind")] * bool(behind)
    assert first.headers["Content-Type"] == "text/plain"
    assert first.headers["Content-Length"] == "1"
    assert len(first.headers.getall("Date")) == 1


def test_fields():
    """All fields are sent as they were set; which server this would be, nobody is told."""

    def render(request: Any) -> bytes:
        request.setResponseCode(418, b"Short and stout")
        request.responseHeaders.setRawHeaders(b"x-many", [b"a", b"b"])
        request.setHeader("X-Text", "\N{SNOWMAN}")
        request.addCookie(b"a", b"1", path=b"/")
        request.setETag(b'"tag"')
        request.setLastModified(0.5)
        return b"tea"

    got = answer(render, GET)
    assert got.status == 418
    assert got.headers.getall("X-Many") == ["a", "b"]
    assert got.headers["X-Text"].encode("latin-1").decode() == "\N{SNOWMAN}"
    assert got.headers["Set-Cookie"] == "a=1; Path=/"
    assert got.headers["ETag"] == '"tag"'
    assert got.headers["Last-Modified"] == "Thu, 01 Jan 1970 00:00:01 GMT"
    assert "Server" not in got.headers


def test_fields_of_their_own():
    """A Server and a Date that the application sets are sent, and replace others."""

    def render(request: Any) -> bytes:
        request.setHeader(b"server", b"mine")
        request.setHeader(b"date", b"Thu, 01 Jan 1970 00:00:01 GMT")
        return b""

    got = answer(render, GET)
    assert got.headers.getall("Server") == ["mine"]
    assert got.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:01 GMT"]


def test_written_at_once():
    """What is written in pieces before rendering ends has a length, and no chunks."""

    def render(request: Any) -> int:
        for piece in (b"one, ", b"", b"two"):
            request.write(piece)
        request.finish()
        return NOT_DONE_YET

    got = answer(render, GET)
    assert got.body == b"one, two"
    assert got.headers["Content-Length"] == "8"
    assert "Transfer-Encoding" not in got.headers


def test_own_chunks():
    """A Transfer-Encoding that the application sets is none of its business."""

    def render(request: Any) -> bytes:
        request.setHeader(b"transfer-encoding", b"chunked")
        return b"hello"

    assert answer(render, GET).body == b"hello"


def test_wrong_length(logged):
    """A response that is not as long as it says is not sent."""

    def render(request: Any) -> int:
        request.setHeader(b"content-length", b"7")
        request.write(b"hello")
        request.finish()
        return NOT_DONE_YET

    assert answer(render, GET).status == 500
    logged.take(ValueError)


@pytest.mark.parametrize("length", [None, b"5"])
def test_head(length):
    """A response to HEAD has the length that it was given, and no other."""

    class Headed(Resource):
        isLeaf = True

        def render_HEAD(self, request: Any) -> int:
            if length is not None:
                request.setHeader(b"content-length", length)
            request.write(b"hello")
            request.finish()
            return NOT_DONE_YET

    wire = served(Headed())
    wire.send(HEAD + GET)
    got, _ = replies(wire, "HEAD", "GET")
    assert got.body == b""
    assert got.headers.get("Content-Length") == (length and length.decode())


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(status):
    """What is written where there is no body is dropped."""

    def render(request: Any) -> bytes:
        request.setResponseCode(status)
        return b""

    assert answer(render, GET).body == b""


# One that comes later


def test_later(waiting):
    """A response may be begun, written and finished at any time."""
    wire = served(waiting)
    wire.send(GET)
    assert wire.take() == b""
    waiting.request.setHeader(b"x-late", b"yes")
    waiting.request.write(b"one, ")
    wire.advance(0)
    assert b"one, " in wire.received
    waiting.request.write(b"two")
    assert waiting.ends == []
    waiting.request.finish()
    got = reply(wire)
    assert got.body == b"one, two"
    assert got.headers["X-Late"] == "yes"
    assert got.headers["Transfer-Encoding"] == "chunked"
    assert waiting.ends == [None]
    assert waiting.request.finished


def test_later_at_once(waiting):
    """What is written and finished at once has a length, and no chunks, whenever that is."""
    wire = served(waiting)
    wire.send(GET)
    for piece in (b"one, ", b"two"):
        waiting.request.write(piece)
    waiting.request.finish()
    got = reply(wire)
    assert got.body == b"one, two"
    assert got.headers["Content-Length"] == "8"


def test_head_is_sent_alone(waiting):
    """Writing nothing sends the head, which somebody waits for before the first event."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.write(b"")
    wire.advance(0)
    assert wire.received.startswith(b"HTTP/1.1 200 OK\r\n")
    waiting.request.finish()
    assert reply(wire).body == b""


def test_begun_at_once():
    """What is begun while it is rendered goes out then, and is ended later."""
    requests = []

    def render(request: Any) -> int:
        requests.append(request)
        request.setHeader(b"content-length", b"8")
        request.write(b"one, ")
        return NOT_DONE_YET

    wire = served(Calling(render))
    wire.send(GET)
    assert wire.received.endswith(b"\r\n\r\none, ")
    requests[0].write(b"two")
    requests[0].finish()
    got = reply(wire)
    assert got.body == b"one, two"
    assert got.headers["Content-Length"] == "8"


def test_pipelined(waiting):
    """Answers come in the order of the requests, though a later one could be there at once."""
    wire = served(waiting)
    wire.send(GET * 3)
    for count in (1, 2, 3):
        assert len(waiting.requests) == count
        waiting.request.write(b"%d" % count)
        waiting.request.finish()
    assert [each.text for each in replies(wire, *["GET"] * 3)] == ["1", "2", "3"]


def test_http_1_0(waiting):
    """A client of HTTP/1.0 gets no chunks: its response ends with the connection."""
    wire = served(waiting)
    wire.send(head(line=b"GET / HTTP/1.0"))
    waiting.request.write(b"hello")
    waiting.request.finish()
    got = reply(wire)
    assert got.body == b"hello"
    assert "Transfer-Encoding" not in got.headers
    assert wire.closed
    assert waiting.request.clientproto == b"HTTP/1.0"


def test_later_without_body(waiting):
    """HEAD may be answered later as well, though its response is complete before it is finished."""
    wire = served(waiting)
    wire.send(HEAD)
    waiting.request.write(b"hello")
    assert reply(wire, "HEAD").body == b""
    wire.send(GET)
    first, second = waiting.requests
    first.write(b"more")
    first.finish()
    second.write(b"hello")
    second.finish()
    assert reply(wire).body == b"hello"
    assert waiting.ends[1] is None


@pytest.mark.parametrize("status", [200, 304])
@pytest.mark.parametrize("at_once", [True, False])
def test_endless_without_body(status, at_once):
    """Who would write events until the client goes is told when all of the response is sent."""

    class Events(Waiting):
        def render_GET(self, request: Any) -> int:
            super().render_GET(request)
            request.setResponseCode(status)
            if at_once:
                request.write(b"")
            return NOT_DONE_YET

        render_HEAD = render_GET

    resource = Events()
    wire = served(resource)
    wire.send(HEAD if status == 200 else GET)
    if not at_once:
        resource.request.write(b"")
    assert reply(wire, "HEAD").status == status
    assert [end.type for end in resource.ends] == [ConnectionDone]
    resource.request.write(b"too late")
    resource.request.finish()


def test_longer_than_promised(waiting, logged):
    """A response that outgrows its length is cut off, and the application told."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.setHeader(b"content-length", b"5")
    waiting.request.write(b"hello, there")
    wire.advance(1)
    assert wire.transport.aborted
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    logged.take(ValueError)


def test_head_that_cannot_be_sent(waiting, logged):
    """A response that is not valid is answered with 500, and the application told."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.setHeader(b"x-wrong", b"\0")
    waiting.request.write(b"hello")
    assert reply(wire).status == 500
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    logged.take(ValueError)


def test_shorter_than_promised(waiting, logged):
    """One that ends before its length does not look complete."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.setHeader(b"content-length", b"5")
    waiting.request.write(b"hell")
    wire.advance(0)
    waiting.request.finish()
    wire.advance(1)
    assert wire.transport.aborted
    logged.take(ValueError)


# Producers


class Ticking:
    """Pushes, and notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def test_push_producer(waiting):
    """A producer is paused while the client does not read, and goes on when it does."""
    wire = served(waiting)
    wire.send(GET)
    producer = Ticking()
    waiting.request.registerProducer(producer, True)
    wire.stop_reading()
    waiting.request.write(b"x" * 100 * KIB)
    assert producer.calls == ["pause"]
    wire.read()
    assert producer.calls == ["pause", "resume"]
    waiting.request.unregisterProducer()
    waiting.request.finish()
    assert len(reply(wire).body) == 100 * KIB


class Counting:
    """Is pulled: writes so many pieces of 16 KiB, then finishes."""

    def __init__(self, request: Any, pieces: int) -> None:
        self.request = request
        self.left = pieces
        self.stopped = False

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self.request.write(b"x" * 16 * KIB)
        else:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


def pulled(request: Any, pieces: int) -> Counting:
    producer = Counting(request, pieces)
    request.registerProducer(producer, False)
    return producer


@pytest.mark.parametrize("pieces", [0, 1, 3, 4, 5, 100])
@pytest.mark.parametrize("at_once", [True, False])
def test_pull_producer(waiting, pieces, at_once):
    """A producer that is pulled is pulled to its end, whether it comes at once or later."""

    def render(request: Any) -> int:
        pulled(request, pieces)
        return NOT_DONE_YET

    wire = served(Calling(render) if at_once else waiting)
    wire.send(GET)
    if not at_once:
        pulled(waiting.request, pieces)
    wire.advance(1)
    assert len(reply(wire).body) == pieces * 16 * KIB


def test_small_file_is_one_piece():
    """What is pulled, ends at once and is small has a length."""

    def render(request: Any) -> int:
        pulled(request, 2)
        return NOT_DONE_YET

    assert answer(render, GET).headers["Content-Length"] == str(32 * KIB)


def test_pull_producer_waits_for_the_client(waiting):
    """What the client does not take is not produced."""
    wire = served(waiting)
    wire.stop_reading()
    wire.send(GET)
    producer = pulled(waiting.request, 100)
    wire.advance(1)
    assert producer.left > 80
    wire.read()
    wire.advance(10)
    assert len(reply(wire).body) == 100 * 16 * KIB


def test_file_sender(waiting, tmp_path):
    """Twisted's FileSender works as anywhere."""
    (tmp_path / "file").write_bytes(b"x" * 500_000)
    wire = served(waiting)
    wire.send(GET)
    with open(tmp_path / "file", "rb") as file:
        sent: Deferred[Any] = FileSender().beginFileTransfer(file, waiting.request)
        sent.addCallback(lambda _: waiting.request.finish())
        wire.advance(2)
    assert len(reply(wire).body) == 500_000


def test_two_producers(waiting):
    """A second producer is refused, as in twisted.web."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.registerProducer(Ticking(), True)
    with pytest.raises(ValueError, match="before previous one"):
        waiting.request.registerProducer(Ticking(), True)
    wire.hang_up()


@pytest.mark.parametrize("at_once", [True, False])
def test_producer_of_no_body(waiting, at_once):
    """A producer whose response has no body is stopped, and the application told."""
    wire = served(waiting)
    producer = Ticking()

    class Headed(Waiting):
        def render_HEAD(self, request: Any) -> int:
            super().render_HEAD(request)
            if at_once:
                request.registerProducer(producer, True)
            request.write(b"")
            return NOT_DONE_YET

    resource = Headed()
    wire = served(resource)
    wire.send(HEAD)
    assert reply(wire, "HEAD").body == b""
    if not at_once:
        resource.request.registerProducer(producer, True)
    assert producer.calls == ["stop"]
    assert [end.type for end in resource.ends] == [ConnectionDone]


def test_producer_fails_at_once(logged):
    """A producer that fails before anything was sent is answered with 500."""

    class Failing(Ticking):
        def resumeProducing(self) -> None:
            raise ZeroDivisionError

    def render(request: Any) -> int:
        request.registerProducer(Failing(), False)
        return NOT_DONE_YET

    assert answer(render, GET).status == 500
    logged.take(ZeroDivisionError)


# Errors


def test_raises(logged):
    """A resource that raises is answered with 500, and no more is told."""
    got = answer(lambda request: 1 // 0, GET)
    assert got.status == 500
    assert b"Processing Failed" in got.body
    assert b"ZeroDivisionError" not in got.body
    logged.take(ZeroDivisionError)


def test_tells_tracebacks(logged):
    """A Site may tell them, if it says so."""
    site = Site(Calling(lambda request: 1 // 0))
    site.displayTracebacks = True
    wire = served(site)
    wire.send(GET)
    assert b"ZeroDivisionError" in reply(wire).body
    logged.take(ZeroDivisionError)


def test_raises_when_it_has_begun(logged):
    """One that raises after it began to write, too, as long as nothing was sent."""

    def render(request: Any) -> int:
        request.write(b"It is fine. ")
        return 1 // 0

    got = answer(render, GET)
    assert got.status == 500
    assert b"fine" not in got.body
    logged.take(ZeroDivisionError)


def test_fails_later(waiting, logged):
    """An error that comes later is answered with 500, if there is no answer yet."""
    wire = served(waiting)
    wire.send(GET)
    later: Deferred[None] = Deferred()
    later.addCallback(lambda _: 1 // 0).addErrback(waiting.request.processingFailed)
    later.callback(None)
    assert reply(wire).status == 500
    logged.take(ZeroDivisionError)


def test_fails_before_it_is_sent(waiting, logged):
    """As long as nothing of it has been sent, that is so even if some was written."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.write(b"It is fine. ")
    succeed(None).addCallback(lambda _: 1 // 0).addErrback(waiting.request.processingFailed)
    got = reply(wire)
    assert got.status == 500
    assert b"fine" not in got.body
    logged.take(ZeroDivisionError)


def test_fails_when_it_is_being_sent(waiting, logged):
    """One that comes when some has been sent cuts the client off: it does not look complete."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.write(b"It is fine. ")
    wire.advance(0)
    succeed(None).addCallback(lambda _: 1 // 0).addErrback(waiting.request.processingFailed)
    wire.advance(1)
    assert wire.transport.aborted
    assert b"\r\n0\r\n" not in wire.received
    logged.take(ZeroDivisionError, RuntimeError)


def test_not_bytes():
    """A resource that returns something else is told what is wrong."""
    got = answer(lambda request: "text", GET)
    assert got.status == 500
    assert b"did not return bytes" in got.body


def test_finished_twice(waiting):
    """Finishing twice is warned of, and no more; writing after that is an error."""
    wire = served(waiting)
    wire.send(GET)
    waiting.request.finish()
    with pytest.warns(UserWarning, match="finish called twice"):
        waiting.request.finish()
    with pytest.raises(RuntimeError, match=r"write called .* after Request.finish"):
        waiting.request.write(b"more")
    assert reply(wire).body == b""


# Clients that go


def test_client_goes_while_it_waits(waiting):
    """Who waits to answer is told that nobody waits for the answer."""
    wire = served(waiting)
    wire.send(GET)
    wire.hang_up()
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    waiting.request.write(b"too late")
    with pytest.raises(RuntimeError, match="connection was lost"):
        waiting.request.finish()


@pytest.mark.parametrize("begun", [True, False])
def test_client_closes_its_side(waiting, begun):
    """As with twisted.web, a client that sends no more has gone: who waits is told at once."""
    wire = served(waiting)
    wire.send(GET)
    if begun:
        waiting.request.write(b"begun")
        wire.advance(0)
    wire.half_close()
    wire.advance(0)
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    assert wire.transport.aborted


@pytest.mark.parametrize("streaming", [True, False])
def test_client_goes_while_it_reads(waiting, streaming):
    """A producer is stopped, and then the request told, when the client goes."""
    wire = served(waiting)
    wire.send(GET)
    producer = Ticking()
    waiting.request.write(b"begun")
    waiting.request.registerProducer(producer, streaming)
    wire.hang_up()
    assert producer.calls[-1] == "stop"
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    waiting.request.write(b"too late")


def test_client_goes_while_it_sends(waiting):
    """A request whose body does not come to its end is never rendered."""
    wire = served(waiting)
    wire.send(post(b"Content-Length: 9", body=b"half"))
    wire.hang_up()
    assert waiting.requests == []


def test_producer_that_finishes_when_it_is_stopped(waiting):
    """A producer may finish its request when it is stopped: then that has ended well."""

    class Finishing(Ticking):
        def stopProducing(self) -> None:
            waiting.request.unregisterProducer()
            waiting.request.finish()

    wire = served(waiting)
    wire.send(GET)
    waiting.request.registerProducer(Finishing(), True)
    wire.hang_up()
    assert waiting.ends == [None]


def test_takes_too_long(waiting):
    """Who takes longer than a handler may is told when the client has been."""
    wire = served(waiting, Limits(handler_timeout=5))
    wire.send(GET)
    wire.advance(7)
    assert reply(wire).status == 503
    assert [end.type for end in waiting.ends] == [ConnectionDone]


def test_replaced(waiting):
    """Middleware may send something else instead: whoever writes learns that it is not wanted."""
    handler = ResourceHandler(waiting)

    async def replacing(request: Request) -> Response:
        await handler(request)
        return Response(b"something else")

    wire = Wire(replacing)
    wire.send(GET)
    waiting.request.write(b"hello")
    assert reply(wire).body == b"something else"
    assert [end.type for end in waiting.ends] == [ConnectionDone]
    waiting.request.write(b"more")


# The connection


def test_addresses(waiting):
    """A request knows its client's address, and its own."""
    wire = served(waiting)
    wire.send(GET)
    request = waiting.request
    assert request.getClientAddress() == CLIENT
    assert request.transport.getPeer() == request.channel.getPeer() == CLIENT
    assert request.getHost() == request.transport.getHost() == SERVER
    assert not request.isSecure()
    assert ITransport.providedBy(request.transport)
    assert not ISSLTransport.providedBy(request.transport)
    verifyObject(ITransport, request.transport)
    request.setHost(b"example.org", 443, ssl=True)
    assert request.isSecure()
    assert request.getHost().host == b"example.org"
    wire.hang_up()


def test_transport_is_not_written_to(waiting):
    """Nothing is written past the request, where it would break into an answer."""
    wire = served(waiting)
    wire.send(GET)
    with pytest.raises(RuntimeError, match="written to by its request"):
        waiting.request.transport.write(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(RuntimeError, match="written to by its request"):
        waiting.request.transport.writeSequence([b"HTTP/1.1 200 OK\r\n"])
    wire.hang_up()


@pytest.mark.parametrize("way_to_end", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_ends_the_connection(waiting, way_to_end, begun, at_once):
    """An application may end the connection instead of a response: that is not complete."""

    class Ending(Waiting):
        def render_GET(self, request: Any) -> int:
            super().render_GET(request)
            if begun:
                request.write(b"begun")
            if at_once:
                getattr(request.transport, way_to_end)()
            return NOT_DONE_YET

    resource = Ending()
    wire = served(resource)
    wire.send(GET)
    if not at_once:
        getattr(resource.request.transport, way_to_end)()
    wire.advance(1)
    assert wire.transport.aborted
    assert b"\r\n0\r\n" not in wire.received
    assert [end.type for end in resource.ends] == [ConnectionDone]


def test_last_response():
    """Who ends the connection of a response that is complete gets that out before."""

    def render(request: Any) -> bytes:
        request.loseConnection()
        return b"goodbye"

    wire = served(Calling(render))
    wire.send(GET)
    got = reply(wire)
    assert got.body == b"goodbye"
    assert got.closes
    assert wire.closed


def test_after_the_response(waiting):
    """Nobody can end a connection that is at another request already."""
    wire = served(waiting)
    wire.send(GET)
    transport = waiting.request.transport
    waiting.request.finish()
    transport.loseConnection()
    transport.abortConnection()
    wire.send(GET)
    waiting.request.finish()
    assert len(replies(wire, "GET", "GET")) == 2


def test_closing_header():
    """`Connection: close` closes, as everywhere."""

    def render(request: Any) -> bytes:
        request.setHeader(b"connection", b"close")
        return b"goodbye"

    wire = served(Calling(render))
    wire.send(GET)
    assert reply(wire).closes
    assert wire.closed


# Whatever it does


class Writing(Waiting):
    """Writes so many of its pieces while it is rendered, the others later, or when pulled."""

    def __init__(self, pieces: list[bytes], at_once: int, declared: bool) -> None:
        super().__init__()
        self.left = list(pieces)
        self.at_once = at_once
        self.length = sum(map(len, pieces)) if declared else None

    def render_GET(self, request: Any) -> int:
        if self.length is not None:
            request.setHeader(b"content-length", b"%d" % self.length)
        for piece in self.left[: self.at_once]:
            request.write(piece)
        del self.left[: self.at_once]
        return super().render_GET(request)

    def write_rest(self) -> None:
        while self.left:
            self.request.write(self.left.pop(0))
        self.request.finish()

    def resumeProducing(self) -> None:
        if self.left:
            self.request.write(self.left.pop(0))
        else:
            self.request.unregisterProducer()
            self.request.finish()


@given(
    pieces=lists(binary(max_size=3 * KIB)),
    at_once=integers(0, 5),
    declared=booleans(),
    pulled=booleans(),
    reads=lists(integers(1, 5000), max_size=20),
)
@example(pieces=[b"x" * 100 * KIB] * 3, at_once=1, declared=False, pulled=True, reads=[])
def test_nothing_is_lost(pieces, at_once, declared, pulled, reads):
    """However a body is written, and however it is read, it arrives whole and in order."""
    resource = Writing(pieces, at_once, declared)
    wire = served(resource)
    wire.stop_reading()
    wire.send(GET)
    if pulled:
        resource.request.registerProducer(resource, False)
    else:
        resource.write_rest()
    for size in reads:
        wire.read(size)
    wire.read()
    wire.advance(len(pieces))  # of which some may be empty
    got = reply(wire)
    assert got.body == b"".join(pieces)
    assert not declared or got.headers["Content-Length"] == str(len(got.body))
