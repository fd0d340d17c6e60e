"""What becomes of the things that an application's functions return and raise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec
import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.protocol import Protocol

from mynet.http.errors import ClientGone, HTTPError
from mynet.http.message import Response, Upgrade
from mynet.responding import Responder, takes_parameters
from mynet.testing import make_request, result_of
from tests.asking import ask, errors_logged, start, text_of


@dataclass
class Point:
    x: int
    y: int


class Pair(NamedTuple):
    x: int
    y: int


class Item(msgspec.Struct):
    name: str


@pytest.fixture
def responder():
    return Responder()


@pytest.fixture
def failures():
    """The errors that were logged."""
    with errors_logged() as errors:
        yield errors


def returning(value):
    def function(request):
        return value

    return function


async def coroutine_of(value):
    return value


def raising(error):
    def function(request):
        raise error

    return function


def in_all_ways(function):
    """The same as a plain function, a coroutine function, and one that gives a Deferred."""

    async def coroutine(request):
        return function(request)

    async def late(request):
        await succeed(None)
        return function(request)

    def deferred(request):
        return succeed(request).addCallback(function)

    def custom(request):
        class Custom:
            def __await__(self):
                return coroutine(request).__await__()

        return Custom()

    class Callable:
        async def __call__(self, request):
            return function(request)

    return [function, coroutine, late, deferred, custom, Callable(), partial(coroutine)]


WAYS = range(7)

# What is returned


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("value", "status", "content_type", "body"),
    [
        ("Grüße", 200, "text/plain; charset=utf-8", "Grüße".encode()),
        ("<b>", 200, "text/plain; charset=utf-8", b"<b>"),
        ("", 200, "text/plain; charset=utf-8", b""),
        (b"\0\1", 200, "application/octet-stream", b"\0\1"),
        ({"a": [1, None]}, 200, "application/json", b'{"a":[1,null]}'),
        ([], 200, "application/json", b"[]"),
        (Point(1, 2), 200, "application/json", b'{"x":1,"y":2}'),
        (Item("a"), 200, "application/json", b'{"name":"a"}'),
        (None, 204, None, b""),
        (type("Text", (str,), {})("a"), 200, "text/plain; charset=utf-8", b"a"),
    ],
)
def test_value_becomes_a_response(responder, way, value, status, content_type, body):
    """A handler returns what it has to say, and it is sent as what it is."""
    function = in_all_ways(returning(value))[way]
    response = ask(responder.endpoint(function), "/")
    assert (response.status, response.content_type, response.body) == (status, content_type, body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("response", [Response(b"x", 418), Upgrade("websocket", Protocol())])
def test_response_stays_as_it_is(responder, way, response):
    """A handler that makes its own Response has the last word."""
    assert ask(responder.endpoint(in_all_ways(returning(response))[way]), "/") is response


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value", [1, True, 1.5, (), Pair(1, 2), {1}, object(), Point, Item, iter(())]
)
def test_value_of_which_no_response_can_be_made(responder, way, value):
    """A handler that returns what cannot be sent is told so, by its name."""
    function = in_all_ways(returning(value))[way]
    with pytest.raises(TypeError, match="of which no response can be made") as caught:
        ask(responder.endpoint(function), "/")
    assert type(value).__name__ in str(caught.value)
    assert getattr(function, "__qualname__", repr(function)) in str(caught.value)


def test_value_that_is_no_json(responder):
    """What JSON cannot tell is an error of the handler, and can be handled."""
    responder.add_error_handler(TypeError, lambda request, error: "handled")
    assert ask(responder.endpoint(returning({"a": object()})), "/").body == b"handled"


def test_plain_function_is_answered_at_once(responder):
    """What need not wait does not."""
    assert isinstance(responder.endpoint(returning("a"))(make_request()), Response)


def test_coroutine_is_answered_at_its_first_step(responder):
    """What need not wait does not: the coroutine takes its one step, and the response is there."""

    async def function(request):
        return "a"

    response = responder.endpoint(function)(make_request())
    assert response.body == b"a"


@pytest.mark.parametrize("make", [lambda d: lambda request: d, lambda d: lambda _: wait_for(d)])
def test_waiting(responder, make):
    """A handler may wait for a Deferred, or return it, and is answered when that fires."""
    deferred: Deferred[str] = Deferred()
    responses: list[Response] = []
    start(responder.endpoint(make(deferred))(make_request())).addCallback(responses.append)
    assert responses == []
    deferred.callback("a")
    assert responses[0].body == b"a"


async def wait_for(deferred):
    return await deferred


def test_parameters(responder):
    """A function gets the parameters of its path by name, or not at all."""

    async def coroutine(request, name):
        return name

    def plain(request, name):
        return name

    request = make_request()
    request.path_params = {"name": "Ann"}
    for function in (coroutine, plain):
        response = responder.endpoint(function, with_parameters=True)(request)
        response = response if isinstance(response, Response) else result_of(start(response))
        assert response.body == b"Ann"
    assert responder.endpoint(returning("a"))(request).body == b"a"


# Which functions can be handlers


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda request: 0, False),
        (lambda request, *more: 0, False),
        (lambda request, /: 0, False),
        (lambda *arguments: 0, False),
        (lambda request, a, b: 0, True),
        (lambda request, b, a: 0, True),
        (lambda request, a, b, c=1: 0, True),
        (lambda request, *, a, b: 0, True),
        (lambda request, **parameters: 0, True),
        (partial(lambda x, request, a, b: 0, 1), True),
        (partial(lambda request, a, b, c: 0, c=1), True),
    ],
)
def test_function_that_can_be_a_handler(function, takes):
    """A handler takes all the parameters of its pattern, or nothing but the request."""
    assert takes_parameters(function, "/{a}/{b}") is takes
    assert takes_parameters(lambda request, c=1: 0, "/") is False


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda: 0, "too many positional arguments"),
        (lambda request, a: 0, "got an unexpected keyword argument 'b'"),
        (lambda request, a, b, c: 0, "missing a required argument: 'c'"),
        (lambda a, b: 0, "multiple values for argument 'a'"),
        (lambda request, x=1: 0, "got an unexpected keyword argument 'a'"),
        (lambda *, request: 0, "too many positional arguments"),
    ],
)
def test_function_that_cannot_be_a_handler(function, problem):
    """A handler that does not go with its pattern is told when it is added, by name."""
    with pytest.raises(TypeError) as caught:
        takes_parameters(function, "/{a}/{b}")
    assert problem in str(caught.value)
    assert "'/{a}/{b}'" in str(caught.value)
    assert function.__qualname__ in str(caught.value)


# Errors


@pytest.mark.parametrize("way", WAYS)
def test_http_error_becomes_its_response(responder, way, failures):
    """An HTTPError raised anywhere is its response, and nothing to log."""
    error = HTTPError(503, "Come back later.", {"Retry-After": "5"}, close=True)
    response = ask(responder.endpoint(in_all_ways(raising(error))[way]), "/")
    assert response.status == 503
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.body == b"503 Service Unavailable\nCome back later.\n"
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Connection"] == "close"
    assert failures == []


def test_deferred_that_fails(responder):
    """A Deferred's failure is an error like any."""
    response = ask(responder.endpoint(returning(fail(HTTPError(404)))), "/")
    assert response.status == 404


@pytest.mark.parametrize("way", WAYS)
def test_error_that_nobody_answers_is_raised(responder, way, failures):
    """An error that nobody knows comes out as it is, for whoever logs it."""
    responder.add_error_handler(LookupError, lambda request, error: "handled")
    responder.add_error_handler(500, lambda request, error: "handled")
    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as caught:
        ask(responder.endpoint(in_all_ways(raising(error))[way]), "/")
    assert caught.value is error
    assert "recover" not in [entry.name for entry in caught.traceback]  # not in the way
    assert failures == []


@pytest.mark.parametrize("error", [CancelledError(), ClientGone()])
@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_asked_when_nobody_is_left(responder, way, error, failures):
    """When the client has gone there is nothing to answer, and no error."""
    responder.add_error_handler(Exception, lambda request, error: "handled")
    responder.debug = True
    endpoint = responder.last_resort(responder.endpoint(in_all_ways(raising(error))[way]))
    with pytest.raises(type(error)):
        ask(endpoint, "/")
    assert failures == []


@pytest.mark.parametrize("way", WAYS)
def test_error_is_answered_by_the_nearest_class(responder, way, failures):
    """The handler for the most specific class of an error answers it."""
    responder.add_error_handler(Exception, lambda request, error: Response(b"any", 400))
    responder.add_error_handler(KeyError, lambda request, error: Response(b"key", 400))
    responder.add_error_handler(LookupError, lambda request, error: Response(b"look-up", 400))

    def body(error):
        return ask(responder.endpoint(in_all_ways(raising(error))[way]), "/").body

    assert body(KeyError()) == b"key"
    assert body(IndexError()) == b"look-up"
    assert body(ValueError()) == b"any"
    assert failures == []


def test_error_handler_may_be_of_any_kind(responder):
    """An error handler returns what a handler may return, and gets request and error."""
    for way in WAYS:
        responder = Responder()
        answer = in_all_ways(lambda both: f"{both[0].method} {both[1]}")[way]
        responder.add_error_handler(ValueError, lambda *both, answer=answer: answer(both))
        response = ask(responder.endpoint(raising(ValueError("x"))), "/")
        assert (response.status, response.body) == (500, b"GET x")


def test_status_goes_before_class(responder):
    """The handler for a status is nearer than any class."""
    responder.add_error_handler(HTTPError, lambda request, error: "class")
    responder.add_error_handler(404, lambda request, error: "status")
    assert ask(responder.endpoint(raising(HTTPError(404))), "/").body == b"status"
    assert ask(responder.endpoint(raising(HTTPError(405))), "/").body == b"class"


def test_http_error_is_not_any_exception(responder):
    """Who answers every bug does not get each 404 too."""
    responder.add_error_handler(Exception, lambda request, error: "bug")

    class TeapotError(HTTPError):
        pass

    assert ask(responder.endpoint(raising(TeapotError(418))), "/").status == 418
    responder.add_error_handler(TeapotError, lambda request, error: "short and stout")
    assert ask(responder.endpoint(raising(TeapotError(418))), "/").body == b"short and stout"


@pytest.mark.parametrize("value", ["a", b"a", {"a": 1}, None])
def test_status_of_what_an_error_handler_returns(responder, value):
    """An error stays one: what its handler returns has the error's status and fields."""
    responder.add_error_handler(405, lambda request, error: value)
    response = ask(responder.endpoint(raising(HTTPError(405, headers={"Allow": "GET"}))), "/")
    assert (response.status, response.headers["Allow"]) == (405, "GET")


def test_response_of_an_error_handler(responder):
    """A Response that an error handler makes keeps its status and what fields it has."""
    made = Response(b"", 200, {"Allow": "PUT"})
    responder.add_error_handler(405, lambda request, error: made)
    error = HTTPError(405, headers={"Allow": "GET", "X-More": "1"}, close=True)
    response = ask(responder.endpoint(raising(error)), "/")
    assert response is made
    assert (response.status, response.headers["Allow"]) == (200, "PUT")
    assert (response.headers["X-More"], response.headers["Connection"]) == ("1", "close")


def test_error_that_is_handled_as_the_servers_fault_is_logged(responder, failures):
    """A friendly page for bugs does not hide them from whoever reads the log."""
    responder.add_error_handler(ValueError, lambda request, error: "sorry")
    error = ValueError()
    ask(responder.endpoint(raising(error)), "/")
    assert failures == [error]


def test_error_handler_that_raises_an_http_error(responder, failures):
    """An error handler may turn one error into another."""

    def not_found(request, error):
        raise HTTPError(404, "Gone.")

    responder.add_error_handler(KeyError, not_found)
    responder.add_error_handler(404, not_found)  # is not asked again and again
    for error in (KeyError(), HTTPError(404)):
        response = ask(responder.endpoint(raising(error)), "/")
        assert response.body == b"404 Not Found\nGone.\n"
    assert failures == []


@pytest.mark.parametrize("way", WAYS)
def test_error_handler_that_fails(responder, way, failures):
    """An error handler with a bug is logged, and answered with 500."""
    bug = ZeroDivisionError()
    function = in_all_ways(raising(bug))[way]
    responder.add_error_handler(ValueError, lambda request, error: function(request))
    response = ask(responder.endpoint(raising(ValueError())), "/")
    assert (response.status, response.body) == (500, b"500 Internal Server Error\n")
    assert failures == [bug]


def test_error_handler_whose_client_goes(responder, failures):
    """A client that goes while its error is answered is no error of the error handler."""
    responder.add_error_handler(ValueError, lambda request, error: Deferred())
    waiting = start(responder.endpoint(raising(ValueError()))(make_request()))
    waiting.cancel()
    outcomes: list[object] = []
    waiting.addErrback(lambda failure: outcomes.append(failure.type))
    assert (outcomes, failures) == ([CancelledError], [])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (200, "200 is not the status of an error"),
        (600, "600 is not the status of an error"),
        (KeyboardInterrupt, "errors of class KeyboardInterrupt are not answered"),
        (int, "errors of class int are not answered"),
    ],
)
def test_error_handler_for_no_error(responder, error, message):
    """What can never be raised and answered has no handler."""
    with pytest.raises(ValueError, match=message):
        responder.add_error_handler(error, lambda request, error: "")


def test_error_handler_twice(responder):
    """Two handlers for one error are a mistake."""
    responder.add_error_handler(404, lambda request, error: "")
    with pytest.raises(ValueError, match="there is an error handler for 404 already"):
        responder.add_error_handler(404, lambda request, error: "")


def test_error_handler_that_cannot_be_called(responder):
    """An error handler of the wrong shape is told at once, not with the first error."""

    def handler(request):
        return ""

    with pytest.raises(TypeError, match="handler cannot answer errors: too many"):
        responder.add_error_handler(404, handler)
    responder.add_error_handler(404, lambda request, error: "")  # nothing had been added


# The last resort


@pytest.mark.parametrize("way", WAYS)
def test_last_resort(responder, way, failures):
    """The last one to see an error logs it once, and answers with 500."""
    error = ValueError("secret")
    endpoint = responder.last_resort(in_all_ways(raising(error))[way])
    response = ask(endpoint, "/")
    assert (response.status, response.body) == (500, b"500 Internal Server Error\n")
    assert failures == [error]
    response = Response()
    assert ask(responder.last_resort(in_all_ways(returning(response))[way]), "/") is response


def test_last_resort_with_debug(responder, failures):
    """While an application is written, it says what went wrong, and logs it all the same."""
    responder.debug = True
    error = ValueError("what went wrong")
    response = ask(responder.last_resort(raising(error)), "/")
    assert response.status == 500
    assert "what went wrong" in text_of(response)
    assert failures == [error]
