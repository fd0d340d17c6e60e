"""What PEP 3333 asks of a server while it runs an application, clause by clause."""

from __future__ import annotations

import io
import sys
from contextvars import ContextVar
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mynet.handlers.wsgi.input import Disconnected
from mynet.handlers.wsgi.rules import WSGIError
from mynet.http.file import FileBody
from mynet.http.limits import Limits
from mynet.http.message import Request, Response
from mynet.testing import Client, Wire, make_request, result_of
from tests.conversation import GET, Reply, head, post, replies, reply
from tests.handlers.wsgi.hosting import PLAIN, Inbox, Later, Result, Served, answered, get, hosted

LENGTH_3 = [*PLAIN, ("Content-Length", "3")]

HEAD = head(line=b"HEAD / HTTP/1.1")


def over_wire(app: Any, data: bytes = GET, method: str = "GET") -> tuple[Reply, Served]:
    """What a client sees of an application's answer, without the validator; and its connection."""
    wire = Served(app).ask(data)
    (answer,) = replies(wire, method)
    return answer, wire


def failing(*parts: Any, headers: Any = None) -> Any:
    """An application whose body fails after these parts."""
    return answered(Result(*parts, RuntimeError("a bug")), headers=headers)


# What is sent


def test_hello():
    """The body of a list arrives with its status, its headers, and its length."""
    answer = result_of(Client(hosted(answered([b"Hello"], "201 Created"))).get("/"))
    assert (answer.status, answer.body) == (201, b"Hello")
    assert dict(answer.headers) == {"Content-Type": "text/plain"}


@pytest.mark.parametrize("body", [[b"abc"], [b"a", b"", b"bc"], (b"abc",), []])
def test_length_of_a_list(body):
    """A body that is all there has a Content-Length, so that the connection goes on."""
    answer, _ = over_wire(answered(body))
    assert answer.headers["Content-Length"] == str(len(b"".join(body)))
    assert "Transfer-Encoding" not in answer.headers


def test_length_of_one():
    """So has any other body whose len() is 1."""

    class One:
        def __len__(self):
            return 1

        def __iter__(self):
            yield b"abc"

    answer, _ = over_wire(answered(One()))
    assert (answer.body, answer.headers["Content-Length"]) == (b"abc", "3")


def test_length_is_the_applications():
    """A Content-Length that the application gives is sent, once, also for what is streamed."""
    answer, _ = over_wire(answered(iter([b"a", b"bc"]), headers=LENGTH_3))
    assert answer.body == b"abc"
    assert answer.headers.getall("Content-Length") == ["3"]


def test_stream():
    """A body of unknown length is sent in chunks."""
    answer, _ = over_wire(answered(iter([b"a", b"", b"bc"])))
    assert answer.body == b"abc"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.complete


def test_empty_stream():
    """An iterable that gives nothing is an empty body."""
    answer, _ = over_wire(answered(iter([b"", b""])))
    assert (answer.body, answer.headers["Content-Length"]) == (b"", "0")


def test_repeated_headers():
    """Headers are sent as they are, in order, and repeated ones as often as they are given."""
    headers = [*PLAIN, ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("X-Name", "J\xfcrgen")]
    answer, _ = over_wire(answered([b"abc"], headers=headers))
    assert answer.headers.getall("Set-Cookie") == ["a=b", "c=d"]
    assert answer.headers["X-Name"] == "J\xfcrgen"


def test_each_part_is_sent_before_the_next_is_asked_for():
    """What is yielded is on its way before the application goes on."""
    wire: Any = None
    seen: list[bytes] = []

    def look() -> bytes:
        seen.append(wire.take())
        return b"end"

    wire = Served(answered(Result(b"first", look, look)))
    wire.ask()
    assert seen[0].endswith(b"\r\n\r\n5\r\nfirst\r\n")
    assert seen[1] == b"3\r\nend\r\n"


def test_whole_body_is_sent_at_once():
    """A body that its Content-Length says is all there does not wait for the application's end."""
    wire: Any = None
    seen: list[bytes] = []

    def look() -> bytes:
        seen.append(wire.take())
        return b""

    wire = Served(answered(Result(b"abc", look), headers=LENGTH_3))
    wire.ask()
    assert seen[0].endswith(b"\r\n\r\nabc")


def test_head_waits_for_the_body():
    """The headers are not sent before there is something of the body: they may still change."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b""
        try:
            raise RuntimeError
        except RuntimeError:
            start_response("503 Later", PLAIN, sys.exc_info())
        yield b"sorry"

    answer, _ = over_wire(app)
    assert (answer.status, answer.body) == (503, b"sorry")


def test_start_response_while_iterating():
    """An application may call start_response as late as with its first part."""

    def app(environ, start_response):
        yield b""
        start_response("200 OK", PLAIN)
        yield b"abc"

    answer, _ = over_wire(app)
    assert (answer.status, answer.body) == (200, b"abc")


def test_connection_is_the_servers():
    """Headers of the connection, as in recipes for server-sent events, do not reach the client."""
    headers = [*PLAIN, ("Connection", "keep-alive"), ("Keep-Alive", "timeout=600")]
    answer, wire = over_wire(answered(iter([b"data: 1\n\n"]), headers=headers))
    assert answer.body == b"data: 1\n\n"
    assert not {"Connection", "Keep-Alive"} & set(answer.headers)
    assert not wire.closed


@pytest.mark.parametrize("body", [[b"abc"], iter([b"a", b"bc"])])
def test_connection_close(body):
    """An application may ask for the connection to be closed after its response."""
    answer, wire = over_wire(answered(body, headers=[*PLAIN, ("Connection", "close")]))
    assert answer.body == b"abc"
    assert answer.headers.getall("Connection") == ["close"]
    assert wire.closed


# write()


def writing(*parts: Any, rest: Any = (), headers: Any = PLAIN) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", headers)
        for part in parts:
            write(part)
        return rest

    return app


def test_write():
    """What is written comes before what is returned."""
    answer, _ = over_wire(writing(b"a", b"b", rest=[b"c", b"d"]))
    assert answer.body == b"abcd"
    answer, _ = over_wire(writing(b"a", b"b", rest=iter([b"c"])))
    assert answer.body == b"abc"


def test_write_under_the_validator():
    """The callable that start_response returns is what the validator expects."""
    answer = result_of(Client(hosted(writing(b"a", b"b", rest=[]))).get("/"))
    assert answer.body == b"ab"


def test_write_sends():
    """write() does not return before what it has is on its way, and begins with the head."""
    wire: Any = None
    seen: list[bytes] = []

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        for part in (b"", b"a"):
            write(part)
            seen.append(wire.take())
        return []

    wire = Served(app)
    wire.ask()
    assert seen[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert seen[0].endswith(b"\r\n\r\n")
    assert seen[1] == b"1\r\na\r\n"


def test_write_the_whole_body():
    """What was declared and written is whole, and nothing needs to be returned."""
    answer, _ = over_wire(writing(b"abc", b"", headers=LENGTH_3))
    assert (answer.body, answer.headers["Content-Length"]) == (b"abc", "3")


# Responses without a body


@pytest.mark.parametrize("valid", [[b"abc"], lambda: iter([b"abc"]), lambda: iter([b"a", b"bc"])])
def test_head_of_a_declared_length(valid):
    """The answer to HEAD tells the Content-Length that GET would have, and has no body."""
    body = valid() if callable(valid) else valid
    answer, _ = over_wire(answered(body, headers=LENGTH_3), HEAD, "HEAD")
    assert (answer.body, answer.headers["Content-Length"]) == (b"", "3")


def test_head_without_body():
    """An application that knows of HEAD need not make a body to tell its length."""
    bodies: list[Any] = [[], iter([])]
    for body in bodies:
        answer, _ = over_wire(answered(body, headers=LENGTH_3), HEAD, "HEAD")
        assert answer.headers["Content-Length"] == "3"


def test_head_of_a_list():
    """The length of a body that is there is told."""
    answer, _ = over_wire(answered([b"abc"]), HEAD, "HEAD")
    assert answer.headers["Content-Length"] == "3"


@pytest.mark.parametrize("body", [[], [b""], lambda: iter([]), lambda: iter([b"abc"])])
def test_head_of_unknown_length(body):
    """Where nothing tells the length, none is claimed: it would be taken for that of GET."""
    answer, _ = over_wire(answered(body() if callable(body) else body), HEAD, "HEAD")
    assert answer.status == 200
    assert "Content-Length" not in answer.headers


def test_head_is_seen():
    """An application is told that it was HEAD, and what it makes of that is closed."""
    methods = []
    result = Result(b"abc", RuntimeError("not asked for"))

    def app(environ, start_response):
        methods.append(environ["REQUEST_METHOD"])
        start_response("200 OK", PLAIN)
        return result

    over_wire(app, HEAD, "HEAD")
    assert methods == ["HEAD"]
    assert result.closed == 1


def test_head_and_write():
    """What is written in answer to HEAD goes nowhere."""
    answer, _ = over_wire(writing(b"abc", b"def", headers=LENGTH_3), HEAD, "HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [[], [b"abc"], lambda: iter([b"abc"])])
def test_bodiless(status, body):
    """Statuses that have no body have none, whatever the application returns."""
    app = answered(body() if callable(body) else body, status, [("ETag", '"a"')])
    answer, wire = over_wire(app)
    assert (answer.body, answer.complete) == (b"", True)
    assert "Content-Length" not in answer.headers
    assert reply(wire.ask()).status == int(status[:3])


def test_head_of_what_is_written_and_returned():
    """What is returned after something was written is not the length of all."""
    answer, _ = over_wire(writing(b"abc", rest=[b"d"]), HEAD, "HEAD")
    assert "Content-Length" not in answer.headers


# close()


def test_close():
    """close() is called once, after the end."""
    result = Result(b"a", b"b")
    over_wire(answered(result))
    assert result.closed == 1


def test_close_comes_last():
    """By the time of close() the client has got everything."""
    wire: Any = None
    seen: list[bytes] = []

    class Seen(Result):
        def close(self):
            seen.append(wire.take())

    for parts, end in [((b"abc",), b"abc"), ((b"a", b"bc"), b"bc")]:
        wire = Served(answered(Seen(*parts), headers=LENGTH_3))
        wire.ask()
        assert seen.pop().endswith(end)


@pytest.mark.parametrize("parts", [(), (b"a",), (b"a", b"b"), ("text",)])
def test_close_after_an_error(parts, logged):
    """close() is called once also where the iteration fails, or breaks a rule."""
    result = Result(*parts, RuntimeError("a bug"))
    wire = Served(answered(result))
    wire.ask()
    assert result.closed == 1
    assert len(logged.events) == 1
    logged.events.clear()


def test_close_without_start_response(logged):
    """close() is called where the application never called start_response."""
    result = Result(b"a")
    answer, _ = over_wire(lambda environ, start_response: result)
    assert answer.status == 500
    assert result.closed == 1
    logged.take(WSGIError)


def test_close_fails(logged):
    """A close() that fails is logged; the response is complete."""

    class Failing(list[bytes]):
        def close(self):
            raise RuntimeError("a bug")

    for body in (Failing([b"abc"]), Failing([b"a", b"bc"])):
        answer, wire = over_wire(answered(body))
        assert (answer.body, answer.complete) == (b"abc", True)
        assert not wire.closed
        logged.take(RuntimeError)


# Errors of the application


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_error(error, logged):
    """An application that raises is answered 500 for, with its traceback in the log."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        raise error("a bug")

    answer, wire = over_wire(app)
    assert answer.status == 500
    assert b"a bug" not in answer.body
    (failure,) = logged.take(error)
    assert "test_call.py" in failure.getTraceback()
    assert reply(wire.ask()).status == 500
    logged.take(error)


def test_error_in_the_first_part(logged):
    """Where nothing has been sent an error is answered 500, though start_response was called."""
    answer, _ = over_wire(failing())
    assert answer.status == 500
    logged.take(RuntimeError)


@pytest.mark.parametrize("headers", [PLAIN, [*PLAIN, ("Content-Length", "9")]])
def test_error_after_the_first_part(headers, logged):
    """A response that has begun is broken off, and does not look complete."""
    answer, wire = over_wire(failing(b"abc", headers=headers))
    assert (answer.status, answer.complete) == (200, False)
    assert wire.transport.aborted
    logged.take(RuntimeError)


def test_error_after_the_whole_body(logged):
    """An error when the client has all that was promised is only logged."""
    answer, wire = over_wire(failing(b"abc", headers=LENGTH_3))
    assert (answer.body, answer.complete) == (b"abc", True)
    assert not wire.closed
    logged.take(RuntimeError)


def broken(app: Any, logged: Any, rule: str) -> tuple[Reply, Served]:
    """What becomes of an application that breaks a rule, which the log must name."""
    answer, wire = over_wire(app)
    (failure,) = logged.take(WSGIError)
    assert rule in str(failure.value)
    assert "PEP 3333" in str(failure.value)
    return answer, wire


BROKEN = {
    "start_response was not called": lambda environ, start_response: [b"abc"],
    "start_response was not called before": lambda environ, start_response: iter([b"abc"]),
    "start_response was not": lambda environ, start_response: [],
    "must return an iterable": answered(None),
    "must be of bytes, not str": answered(["abc"]),
    "must be of bytes, not int": answered(b"abc"),
    "not bytearray": answered(iter([bytearray(b"abc")])),
    "must be a str, not int": answered([], 200),
    "not a valid header field": answered([], headers=[("A", "b\r\nC: d")]),
    "hop-by-hop": answered([], headers=[("Transfer-Encoding", "chunked")]),
    "longer than its Content-Length": answered([b"abcd"], headers=LENGTH_3),
    "2 bytes, but its Content-Length is 3": answered([b"ab"], headers=LENGTH_3),
    "0 bytes, but its Content-Length is 3": answered(iter([]), headers=LENGTH_3),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_broken_before_the_head(rule, logged):
    """An application that breaks a rule before its response begins is answered 500 for."""
    answer, _ = broken(BROKEN[rule], logged, rule)
    assert answer.status == 500


def test_called_twice(logged):
    """start_response may not be called twice, unless there was an error."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        start_response("200 OK", PLAIN)
        return [b"abc"]

    answer, _ = broken(app, logged, "start_response was called twice")
    assert answer.status == 500


@pytest.mark.parametrize(
    ("rest", "headers", "rule"),
    [
        (["text"], PLAIN, "must be of bytes, not str"),
        ([b"c", b"d"], LENGTH_3, "longer than its Content-Length"),
        ([], LENGTH_3, "2 bytes, but its Content-Length is 3"),
    ],
)
def test_broken_after_the_head(rest, headers, rule, logged):
    """Where the response has begun it is broken off: nothing takes it for complete."""
    if rule.startswith("longer"):
        app = answered(iter([b"a", b"bcd"]), headers=headers)
    else:
        app = answered(iter([b"a", b"b", *rest]), headers=headers)
    answer, wire = broken(app, logged, rule)
    assert (answer.status, answer.complete) == (200, False)
    assert wire.transport.aborted


def test_too_long_after_the_whole_body(logged):
    """What comes behind the Content-Length is not sent, and is an error in the log."""
    answer, wire = broken(answered(iter([b"abc", b"d"]), headers=LENGTH_3), logged, "longer than")
    assert answer.body == b"abc"
    assert not wire.closed


def test_more_than_one(logged):
    """An iterable that says it has one part, and gives two, breaks its word."""

    class Two(Result):
        def __len__(self):
            return 1

    answer, _ = broken(answered(Two(b"a", b"b")), logged, "len() of 1")
    assert answer.body == b"a"


def test_write_what_is_no_bytes(logged):
    """write() takes bytes, and raises where it is called."""
    answer, _ = broken(writing("abc"), logged, "must be of bytes, not str")
    assert answer.status == 500
    answer, _ = broken(writing(b"abc", "d", headers=LENGTH_3), logged, "must be of bytes, not str")
    assert answer.status == 200


def test_write_too_much(logged):
    """write() raises where more is written than was declared."""
    answer, wire = broken(writing(b"ab", b"cd", headers=LENGTH_3), logged, "longer than")
    assert not answer.complete
    assert wire.transport.aborted


# exc_info


def test_exc_info_replaces_the_head():
    """An application that fails before anything was sent may begin anew."""

    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, ("X-Gone", "1")])
        try:
            raise RuntimeError
        except RuntimeError:
            start_response("500 Oh", PLAIN, sys.exc_info())
        return [b"sorry"]

    answer = result_of(Client(hosted(app)).get("/"))
    assert (answer.status, answer.body) == (500, b"sorry")
    assert "X-Gone" not in answer.headers


def test_exc_info_alone():
    """start_response may have exc_info when it is called for the first time."""

    def app(environ, start_response):
        try:
            raise RuntimeError
        except RuntimeError:
            start_response("500 Oh", PLAIN, sys.exc_info())
        return [b"sorry"]

    assert get(app).status == 500


def test_exc_info_after_the_head(logged):
    """When the head has been sent the error is raised again, with where it came from."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"abc"
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            start_response("500 Oh", PLAIN, sys.exc_info())
        yield b"never"

    answer, wire = over_wire(app)
    assert (answer.status, answer.complete) == (200, False)
    assert wire.transport.aborted
    (failure,) = logged.take(RuntimeError)
    assert 'raise RuntimeError("a bug")' in failure.getTraceback()


# wsgi.file_wrapper


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def wrapping(file: Any, headers: Any = PLAIN) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file, 4)

    return app


def test_file(path):
    """An open file is sent by the server, has its length, and is closed afterwards."""
    file = path.open("rb")
    answer = get(wrapping(file))
    assert isinstance(answer.response.body, FileBody)
    assert answer.body == b"0123456789"
    assert file.closed


def test_file_has_its_length(path):
    """The client is told how large a file is."""
    answer, _ = over_wire(wrapping(path.open("rb")))
    assert answer.headers["Content-Length"] == "10"


def test_file_from_where_it_stands(path):
    """A file is sent from where the application has left it, and as much as it has declared."""
    file = path.open("rb")
    file.seek(2)
    answer, _ = over_wire(wrapping(file, LENGTH_3))
    assert answer.body == b"234"
    assert file.closed


def test_file_too_short(path, logged):
    """A file that has less than was declared is an error, and is closed."""
    file = path.open("rb")
    file.seek(8)
    answer, _ = broken(wrapping(file, LENGTH_3), logged, "2 bytes, but its Content-Length is 3")
    assert answer.status == 500
    assert file.closed


def test_file_without_start_response(path, logged):
    """A file with nothing to say about it is an error, and is closed."""
    file = path.open("rb")
    app = lambda environ, start_response: environ["wsgi.file_wrapper"](file)  # noqa: E731
    broken(app, logged, "start_response was not called")
    assert file.closed


def test_file_in_memory():
    """What is no file of the system's is read, block by block."""
    file = io.BytesIO(b"0123456789")
    answer, _ = over_wire(wrapping(file))
    assert answer.body == b"0123456789"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert file.closed


def test_file_behind_middleware(path):
    """Where middleware passes its parts on, a file is a body like any other."""
    file = path.open("rb")

    def app(environ, start_response):
        for block in wrapping(file)(environ, start_response):
            yield block.upper()

    answer, _ = over_wire(app)
    assert answer.body == b"0123456789"
    file.close()


def test_file_after_write(path):
    """A file that follows what was written is read."""
    file = path.open("rb")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)(b"file: ")
        return environ["wsgi.file_wrapper"](file)

    answer, _ = over_wire(app)
    assert answer.body == b"file: 0123456789"
    assert file.closed


def test_head_of_a_file(path):
    """HEAD tells a file's length, and closes it."""
    file = path.open("rb")
    answer, _ = over_wire(wrapping(file), HEAD, "HEAD")
    assert (answer.headers["Content-Length"], answer.body) == ("10", b"")
    assert file.closed


def test_file_is_closed_when_it_has_been_sent(path):
    """A file is not closed, by the application's own close(), before the client has it."""
    file = path.open("rb")
    close = file.close
    seen: list[bytes] = []
    wire = Served(wrapping(file))

    def look_and_close():
        seen.append(wire.take())
        close()

    file.close = look_and_close  # as Django does it
    wire.ask()
    assert seen[0].endswith(b"\r\n\r\n0123456789")
    assert file.closed


def test_file_of_a_client_that_has_gone(path):
    """A file that nobody wants any more is closed."""
    file = path.open("rb")
    wire: Any = None

    def app(environ, start_response):
        wire.hang_up()
        return wrapping(file)(environ, start_response)

    wire = Served(app)
    wire.ask()
    assert file.closed


def test_file_that_is_not_sent(path):
    """A file is closed, once, where middleware answers with something else, by the time it has."""
    closed = []
    file = path.open("rb")
    file.close = lambda: closed.append(file)  # as Django does it, which frees more than that
    wire: Any = None

    async def middleware(request: Request) -> Response:
        await served(request)
        return Response(b"other")

    served = hosted(wrapping(file), valid=False)
    wire = Wire(middleware)
    wire.send(GET)
    assert reply(wire).body == b"other"
    assert closed == [file]
    wire = Wire(served)
    wire.send(GET)
    assert reply(wire).body == b"0123456789"
    assert closed == [file, file]
    io.BufferedReader.close(file)


# The client goes


def test_gone_before_it_runs():
    """A request whose client goes while it waits for a thread is not run."""
    calls: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        calls.append(environ)
        start_response("200 OK", PLAIN)
        return []

    wire = Served(app)
    wire.send(GET)
    wire.hang_up()
    wire.pool.run()
    assert calls == []


def test_gone_while_it_runs():
    """An application whose client goes while it works has its answer thrown away, and closed."""
    result = Result(b"abc")
    wire: Any = None

    def app(environ, start_response):
        wire.hang_up()
        start_response("200 OK", PLAIN)
        return result

    wire = Served(app)
    wire.ask()
    assert result.closed == 1


def test_gone_while_it_streams():
    """An application whose client goes is not asked for more, and close() is called."""
    wire: Any = None

    def leave() -> bytes:
        wire.hang_up()
        return b"b"

    result = Result(b"a", leave, AssertionError("asked for more"))
    wire = Served(answered(result))
    wire.ask()
    assert result.closed == 1


def test_gone_while_it_writes():
    """write() raises when there is nobody to write to."""
    wire: Any = None
    errors: list[BaseException] = []

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"a")
        wire.hang_up()
        try:
            write(b"b")
        except OSError as error:
            errors.append(error)
            raise
        return []

    wire = Served(app)
    wire.ask()
    assert [type(error) for error in errors] == [Disconnected]


def test_given_up_before_it_writes():
    """write() raises at once where middleware has given up on the answer, and goes on itself."""
    errors: list[BaseException] = []
    answer: Any = None

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        answer.cancel()
        try:
            write(b"a")
        except OSError as error:
            errors.append(error)
            raise
        return []

    pool = Later()
    answer = hosted(app, valid=False, pool=pool)(make_request())
    answer.addErrback(lambda _: None)
    pool.run()
    assert [type(error) for error in errors] == [Disconnected]


@pytest.mark.parametrize("parts", [(), (b"a",)])
def test_bug_after_the_client_has_gone(parts, logged):
    """An application that fails with anything else is logged, since that is a bug."""
    wire: Any = None

    def leave() -> bytes:
        wire.hang_up()
        raise RuntimeError("a bug")

    wire = Served(answered(Result(*parts, leave)))
    wire.ask()
    logged.take(RuntimeError)


def test_too_late():
    """A request that took too long is over for the application, too."""
    wire: Any = None
    errors: list[BaseException] = []

    def app(environ, start_response):
        wire.advance(7)
        try:
            return [environ["wsgi.input"].read()]
        except OSError as error:
            errors.append(error)
            raise

    wire = Served(app, Limits(handler_timeout=5))
    wire.ask(post(b"Transfer-Encoding: chunked"))
    assert reply(wire).status == 503
    assert [type(error) for error in errors] == [Disconnected]


# Around it


def test_context():
    """An application sees the context variables that middleware has set."""
    user: ContextVar[str] = ContextVar("user")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [user.get().encode()]

    handler = hosted(app)

    def middleware(request: Request) -> Deferred[Response]:
        user.set("alice")
        return handler(request)

    assert result_of(Client(middleware).get("/")).body == b"alice"


def test_context_of_a_body_that_comes_later():
    """So it does where some of a form was waited for."""
    user: ContextVar[str] = ContextVar("user", default="nobody")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [user.get().encode()]

    handler = hosted(app)

    def middleware(request: Request) -> Deferred[Response]:
        user.set("alice")
        return handler(request)

    wire = Wire(middleware)
    wire.send(post(b"Content-Length: 3", b"Content-Type: text/plain", body=b"ab"))
    wire.send(b"c")
    assert reply(wire).body == b"alice"


def test_context_of_close(path):
    """So does its close(), whenever that is called."""
    user: ContextVar[str] = ContextVar("user")
    seen: list[str] = []

    class Noting(Result):
        def close(self):
            seen.append(user.get())

    def app(environ, start_response):
        user.set("bob")
        start_response("200 OK", PLAIN)
        return Noting(b"abc")

    get(app)
    assert seen == ["bob"]


def test_read_what_breaks_a_rule():
    """A body that turns out to be too large is answered 413, if the application lets it."""

    def app(environ, start_response):
        environ["wsgi.input"].read()
        raise AssertionError

    reactor = Inbox()
    handler = hosted(app, valid=False, pool=None, reactor=reactor)
    wire = Wire(handler, Limits(body=10), clock=reactor)
    wire.send(post(b"Transfer-Encoding: chunked"))
    handler.start()
    wire.send(b"b\r\n01234567890\r\n")
    reactor.until(lambda: wire.received)
    assert reply(wire).status == 413
    stopped = Deferred.fromCoroutine(handler.stop())
    reactor.until(lambda: stopped.called)
