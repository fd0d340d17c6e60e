"""The handler of WSGI applications: its threads, bodies that stream, requests that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from mynet.handlers.wsgi import WSGIHandler
from mynet.handlers.wsgi.output import HIGH_WATER
from mynet.http.body import RequestBody
from mynet.http.errors import HTTPError
from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.testing import Client, Wire, make_request, result_of
from tests.conversation import GET, Source, chunked, head, post, replies, reply
from tests.handlers.wsgi.hosting import (
    PLAIN,
    TIMEOUT,
    AtOnce,
    Inbox,
    Later,
    Result,
    Served,
    answered,
    get,
    hosted,
)

HELLO = answered([b"Hello"])


def reading(environ: Any, start_response: Any) -> list[bytes]:
    """An application that answers with what it reads."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", PLAIN)
    return [body]


class Threaded:
    """An application in real threads, and a connection to it."""

    def __init__(self, app: Any, limits: Limits | None = None, **options: Any) -> None:
        self.reactor = Inbox()
        self.handler = WSGIHandler(app, reactor=self.reactor, **options)
        self.limits = limits
        self.wire = self.connect()

    def connect(self) -> Wire:
        return Wire(self.handler, self.limits, self.reactor)

    def until(self, condition: Callable[[], object]) -> None:
        self.reactor.until(condition)

    def stop(self) -> None:
        stopped = Deferred.fromCoroutine(self.handler.stop())
        self.until(lambda: stopped.called)


@pytest.fixture
def serve() -> Iterator[Callable[..., Threaded]]:
    """Call this to have an application in real threads, which end with the test."""
    all_served: list[Threaded] = []

    def serve(app: Any, limits: Limits | None = None, **options: Any) -> Threaded:
        served = Threaded(app, limits, **options)
        all_served.append(served)
        return served

    yield serve
    for served in all_served:
        served.wire.hang_up()
        served.stop()
    assert [each for each in threading.enumerate() if "mynet-wsgi" in each.name] == []


# What an application is told of its server


def environ_in(**options: Any) -> dict[str, Any]:
    environs: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("200 OK", PLAIN)
        return []

    result_of(Client(hosted(app, valid=False, **options)).get("/"))
    return environs[0]


def test_environ():
    """An application is told what the PEP asks for of its server."""
    environ = environ_in()
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert environ["SERVER_SOFTWARE"] == "mynet"
    assert callable(environ["wsgi.file_wrapper"])


def test_multithread():
    """An application is told whether it may be called in two threads at once."""
    assert environ_in(threads=2)["wsgi.multithread"] is True
    assert environ_in(threads=1)["wsgi.multithread"] is False


def test_errors(logged):
    """What an application prints to wsgi.errors is logged."""

    def app(environ, start_response):
        print("oh", file=environ["wsgi.errors"])
        return HELLO(environ, start_response)

    assert get(app).body == b"Hello"
    assert [event["text"] for event in logged.events] == ["oh"]
    logged.events.clear()


@pytest.mark.parametrize("fails", [False, True])
def test_errors_that_end_without_a_line(logged, fails):
    """What is printed last is logged, too, when the application is done, or has failed."""

    def app(environ, start_response):
        environ["wsgi.errors"].write("oh")
        if fails:
            raise ZeroDivisionError
        return HELLO(environ, start_response)

    Served(app).ask()
    assert "oh" in [event.get("text") for event in logged.events]
    logged.events.clear()


# Bodies of requests


@pytest.mark.parametrize("size", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"Content-Length: 7", body=b"one\ntwo"),
        post(b"Transfer-Encoding: chunked", body=chunked(b"one\n", b"two")),
    ],
    ids=["declared", "chunked"],
)
def test_body(serve, request_bytes, size):
    """An application reads a body, whichever way it comes."""
    served = serve(reading)
    served.wire.send(request_bytes, size)
    served.until(lambda: served.wire.received)
    assert reply(served.wire).body == b"one\ntwo"


def test_no_body():
    """Where there is no body reading is at its end."""
    assert get(reading).body == b""


def test_validated_body():
    """The validator has none with a body either."""

    def app(environ, start_response):
        file = environ["wsgi.input"]
        parts = [file.read(1), file.readline(), *file.readlines(4), *file]
        start_response("200 OK", PLAIN)
        return [b"|".join(parts)]

    answer = result_of(Client(hosted(app)).post("/", body=b"one\ntwo\nthree\nfour"))
    assert answer.body == b"o|ne\n|two\n|three\n|four"


def test_small_body_takes_no_thread():
    """Who sends a form slowly keeps no thread until all of it is here."""
    wire = Served(reading)
    wire.send(post(b"Content-Length: 3"))
    wire.send(b"ab")
    assert wire.pool.work == []
    wire.ask(b"c")
    assert reply(wire).body == b"abc"


def test_small_body_that_never_comes():
    """A client that goes before its form is here is never heard of."""
    wire = Served(reading)
    wire.send(post(b"Content-Length: 3"))
    wire.send(b"ab")
    wire.hang_up()
    assert wire.pool.work == []


def test_small_body_too_slow():
    """A form that does not come in time is answered 408, without a thread."""
    wire = Served(reading)
    wire.send(post(b"Content-Length: 3"))
    wire.advance(Limits().body_grace + 2)
    assert reply(wire).status == 408
    assert wire.pool.work == []


def test_large_body_is_streamed(serve):
    """An application gets what there is of a large body before the rest of it has been sent."""
    lines: list[bytes] = []
    size = Limits().body_buffer * 4

    def app(environ, start_response):
        lines.append(environ["wsgi.input"].readline())
        lines.append(environ["wsgi.input"].readline())
        return HELLO(environ, start_response)

    served = serve(app)
    served.wire.send(post(b"Content-Length: %d" % size))
    served.wire.send(b"one\n")
    served.until(lambda: lines)
    assert lines == [b"one\n"]
    served.wire.send(b"two\n".ljust(size - 4))
    served.until(lambda: served.wire.received)
    assert lines[1] == b"two\n"
    assert reply(served.wire).body == b"Hello"


def test_upload_that_is_not_read(serve):
    """What an application does not read is not sent, but for little."""
    begun, may_end = Event(), Event()

    def app(environ, start_response):
        begun.set()
        assert may_end.wait(TIMEOUT)
        return HELLO(environ, start_response)

    served = serve(app)
    served.wire.send(post(b"Content-Length: 1000000000"))
    assert begun.wait(TIMEOUT)
    held = 0
    while not served.wire.transport.paused:
        served.wire.send(b"a" * 10_000)
        held += 10_000
    assert held <= Limits().body_buffer + 10_000
    may_end.set()
    served.until(lambda: served.wire.received)
    assert reply(served.wire).status == 200


def test_leave_to_send(serve):
    """A client that waits for leave to send gets it when the application reads, and not before."""
    begun, may_read = Event(), Event()

    def app(environ, start_response):
        begun.set()
        assert may_read.wait(TIMEOUT)
        return reading(environ, start_response)

    served = serve(app)
    served.wire.send(post(b"Content-Length: 3", b"Expect: 100-continue"))
    assert begun.wait(TIMEOUT)
    assert served.wire.received == b""
    may_read.set()
    served.until(lambda: served.wire.received)
    assert served.wire.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    served.wire.send(b"abc")
    served.until(lambda: b"200 OK" in served.wire.received)
    assert reply(served.wire).body == b"abc"


def test_refused_without_leave():
    """Where the application does not read, the client is not told to send."""
    wire = Served(answered([], "403 Forbidden"))
    wire.ask(post(b"Content-Length: 3", b"Expect: 100-continue"))
    (answer,) = replies(wire)
    assert (answer.status, answer.interim) == (403, [])


def test_client_goes_while_its_body_is_read(serve):
    """A thread that waits for a body learns that its client has gone."""
    errors: list[OSError] = []
    waits = Event()

    def app(environ, start_response):
        waits.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.append(error)
            raise
        raise AssertionError

    served = serve(app)
    served.wire.send(post(b"Transfer-Encoding: chunked"))
    assert waits.wait(TIMEOUT)
    served.wire.hang_up()
    served.stop()
    assert isinstance(errors[0], ConnectionError)


def test_nobody_waits_for_the_answer(serve):
    """Where middleware has given up on an application, one that reads gets to know."""
    waits = Event()
    errors: list[OSError] = []

    def app(environ, start_response):
        waits.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.append(error)
            raise

    served = serve(app)
    request = make_request("POST")
    request.body = RequestBody(Source(), None, 1)
    answer = served.handler(request)
    answer.addErrback(lambda _: None)
    assert waits.wait(TIMEOUT)
    served.until(lambda: request.body.awaited)
    answer.cancel()
    served.until(lambda: errors)
    assert isinstance(errors[0], ConnectionError)


# Bodies of responses


def test_response_that_is_replaced(serve):
    """A stream that middleware does not pass on, nor close, is over when its request is."""
    closed = Event()

    class Endless:
        def __iter__(self):
            while True:
                yield b"a" * 10_000

        def close(self):
            closed.set()

    served = serve(answered(Endless()))

    async def middleware(request: Request) -> Response:
        await served.handler(request)
        return Response(b"other")

    wire = Wire(middleware, clock=served.reactor)
    wire.send(GET)
    served.until(closed.is_set)
    assert reply(wire).body == b"other"


def test_client_that_does_not_read(serve):
    """An application whose client does not read is held up, and what is kept is bounded."""
    part = b"a" * 10_000
    given = 0
    closed = Event()

    class Endless:
        def __iter__(self):
            return self

        def __next__(self):
            nonlocal given
            given += len(part)
            return part

        def close(self):
            closed.set()

    served = serve(answered(Endless()))
    served.wire.stop_reading()
    served.wire.send(GET)
    served.until(lambda: given > HIGH_WATER)
    assert given <= 2 * HIGH_WATER
    assert len(served.wire.transport.waiting) <= HIGH_WATER
    served.wire.read(50_000)
    served.wire.hang_up()
    served.until(closed.is_set)


def test_large_stream(serve):
    """A stream arrives whole, in order, however fast it is written and however slowly taken."""
    parts = [b"%d," % number * 2000 for number in range(200)]
    served = serve(answered(iter(parts)))
    served.wire.stop_reading()
    served.wire.send(GET)

    def read_some() -> bool:
        served.wire.transport.read(30_000)
        received: bytes = served.wire.received
        return received.endswith(b"\r\n0\r\n\r\n")

    served.until(read_some)
    assert reply(served.wire).body == b"".join(parts)


def test_requests_on_one_connection(serve):
    """Requests that follow each other are answered in their order."""
    served = serve(lambda environ, start: answered([environ["PATH_INFO"].encode()])(environ, start))
    for number in range(20):
        served.wire.send(head(line=b"GET /%d HTTP/1.1" % number))
    served.until(lambda: served.wire.received.count(b"200 OK") == 20)
    answers = replies(served.wire, *["GET"] * 20)
    assert [answer.text for answer in answers] == [f"/{number}" for number in range(20)]


# Many requests


def test_too_many():
    """A request for which there is neither thread nor place is told to come again."""
    pool = Later()
    handler = hosted(HELLO, pool=pool, threads=1, queue=1)
    first, second = handler(make_request()), handler(make_request())
    with pytest.raises(HTTPError) as raised:
        handler(make_request())
    assert raised.value.status == 503
    assert raised.value.headers == {"Retry-After": "1"}
    pool.run()
    assert result_of(first).status == result_of(second).status == 200
    third = handler(make_request())
    pool.run()
    assert result_of(third).status == 200


def test_place_of_who_has_gone():
    """A request whose client has gone takes no place."""
    pool = Later()
    handler = hosted(HELLO, pool=pool, threads=1, queue=1)
    handler(make_request())
    waiting = handler(make_request())
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    assert isinstance(handler(make_request()), Deferred)
    pool.run()


def test_threads_are_bounded(serve):
    """No more requests run at once than there are threads, and all are answered."""
    lock = threading.Lock()
    running = most = 0
    all_here = threading.Barrier(3)

    def app(environ, start_response):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_here.wait(TIMEOUT)
        with lock:
            running -= 1
        return HELLO(environ, start_response)

    served = serve(app, threads=3)
    wires = [served.connect() for _ in range(12)]
    for wire in wires:
        wire.send(GET)
    served.until(lambda: all(wire.received for wire in wires))
    assert [reply(wire).status for wire in wires] == [200] * 12
    assert most == 3


@pytest.mark.parametrize("options", [{"threads": 0}, {"queue": -1}])
def test_wrong_options(options):
    """Numbers with which nothing would ever be answered are refused at once."""
    with pytest.raises(ValueError, match="threads must be 1 at least"):
        WSGIHandler(HELLO, **options)


# Start and stop


def test_nothing_happens_before_the_start():
    """To make a handler starts no thread, and chooses no reactor."""
    before = threading.active_count()
    WSGIHandler(HELLO)
    assert threading.active_count() == before


def test_starts_with_the_first_request():
    """A handler that nobody starts does that itself."""
    assert get(HELLO).body == b"Hello"


def test_start(serve):
    """Started, and started again, it has its threads when they are needed."""
    served = serve(HELLO)
    served.handler.start()
    served.handler.start()
    served.wire.send(GET)
    served.until(lambda: served.wire.received)
    assert reply(served.wire).body == b"Hello"


def test_stop_waits(serve):
    """Stopping waits for requests that run, and for those that wait for a thread."""
    begun, may_end = Event(), Event()

    def app(environ, start_response):
        begun.set()
        assert may_end.wait(TIMEOUT)
        return HELLO(environ, start_response)

    served = serve(app, threads=1)
    other = served.connect()
    for wire in (served.wire, other):
        wire.send(GET)
    assert begun.wait(TIMEOUT)
    stopped = Deferred.fromCoroutine(served.handler.stop())
    assert not stopped.called
    may_end.set()
    served.until(lambda: stopped.called)
    assert [reply(wire).status for wire in (served.wire, other)] == [200, 200]


def test_stopped():
    """A request that comes after the stop is refused, and starts nothing."""
    handler = hosted(HELLO)
    result_of(Deferred.fromCoroutine(handler.stop()))
    answer = result_of(Client(handler).get("/"))
    assert answer.status == 503
    assert answer.headers["Connection"] == "close"


def test_started_again():
    """A handler that was stopped may be started again."""
    handler = hosted(HELLO)
    handler.start()
    result_of(Deferred.fromCoroutine(handler.stop()))
    handler.start()
    assert result_of(Client(handler).get("/")).body == b"Hello"


def test_stop_does_not_wait_for_ever():
    """An application that hangs is left behind, with a warning; who waits for it is told."""
    pool = Later()
    reactor = AtOnce()
    handler = hosted(HELLO, pool=pool, reactor=reactor, threads=1, stop_timeout=5)
    answers = [handler(make_request()) for _ in range(2)]
    events: list[LogEvent] = []
    observer = implementer(ILogObserver)(lambda event: events.append(event))
    globalLogPublisher.addObserver(observer)
    stopped = Deferred.fromCoroutine(handler.stop())
    reactor.advance(4)
    assert not stopped.called
    reactor.advance(2)
    globalLogPublisher.removeObserver(observer)
    result_of(stopped)
    for answer in answers:
        with pytest.raises(HTTPError) as raised:
            result_of(answer)
        assert raised.value.status == 503
    (warning,) = [event for event in events if event["log_level"] is LogLevel.warn]
    assert "does not come to its end" in warning["log_format"]
    pool.run()


def test_stop_leaves_a_thread_that_hangs():
    """A thread that hangs does not keep stop() either, and ends when it can."""
    begun, may_end = Event(), Event()
    result = Result()
    result.close = may_end.set  # type: ignore[method-assign]

    def app(environ, start_response):
        begun.set()
        assert may_end.wait(TIMEOUT)
        start_response("200 OK", PLAIN)
        return result

    served = Threaded(app, stop_timeout=5)
    served.wire.send(GET)
    assert begun.wait(TIMEOUT)
    threads = [each for each in threading.enumerate() if "mynet-wsgi" in each.name]
    stopped = Deferred.fromCoroutine(served.handler.stop())
    served.reactor.advance(6)
    result_of(stopped)
    may_end.set()
    for thread in threads:
        thread.join(TIMEOUT)
    served.until(lambda: served.wire.received)
    assert reply(served.wire).status == 200


def test_small_body_that_comes_after_the_stop():
    """A request whose body comes when all has been stopped is refused, too."""
    handler = hosted(reading)
    wire = Wire(handler)
    wire.send(post(b"Content-Length: 3"))
    result_of(Deferred.fromCoroutine(handler.stop()))
    wire.send(b"abc")
    assert reply(wire).status == 503


def test_pool_of_others():
    """A pool that was given is neither started nor stopped."""

    class Strict(Later):
        def start(self):
            raise AssertionError

        stop = start

    pool = Strict()
    handler = hosted(HELLO, pool=pool)
    handler.start()
    answer = handler(make_request())
    pool.run()
    assert result_of(answer).status == 200
    result_of(Deferred.fromCoroutine(handler.stop()))


def test_repr():
    """In a log it can be told which application it is."""
    assert repr(WSGIHandler(reading)).startswith("<WSGIHandler of <function reading")


def test_mounted_by_middleware():
    """It is a handler like any other: middleware sees its responses, headers and all."""
    handler = hosted(HELLO)

    async def middleware(request: Request) -> Response:
        response = await handler(request)
        response.headers["X-Seen"] = response.headers["Content-Type"]
        return response

    answer = result_of(Client(middleware).get("/"))
    assert (answer.body, answer.headers["X-Seen"]) == (b"Hello", "text/plain")
