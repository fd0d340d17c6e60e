"""What middleware is made of: changing what a handler answers, whichever way it does."""

from __future__ import annotations

import io

import pytest
from multidict import CIMultiDict
from twisted.internet.defer import Deferred, fail, succeed

from mynet import Handler, HTTPError, Request, Response, Upgrade
from mynet.middleware.around import change_fields, change_responses, vary, with_life_of
from mynet.testing import make_request, result_of
from tests.asking import ask, start


def shout(request: Request, response: Response) -> Response:
    assert isinstance(response.body, bytes)
    response.body = response.body.upper()
    return response


def mark(request: Request, fields: CIMultiDict[str]) -> None:
    fields["Mark"] = request.path


async def slow(request):
    return Response(b"hello")


HANDLERS: dict[str, Handler] = {
    "plain": lambda request: Response(b"hello"),
    "Deferred": lambda request: succeed(Response(b"hello")),
    "coroutine": slow,
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_kind(kind):
    """A response is changed whether it is there at once, comes later, or of a coroutine."""
    assert ask(change_responses(HANDLERS[kind], shout), "/").body == b"HELLO"
    assert ask(change_fields(HANDLERS[kind], mark), "/a").headers["Mark"] == "/a"


def test_at_once():
    """An answer that is there at once needs nobody who waits for it."""
    handler = change_responses(HANDLERS["plain"], shout)
    assert isinstance(handler(make_request()), Response)
    assert isinstance(change_fields(handler, mark)(make_request()), Response)


@pytest.mark.parametrize("later", [False, True])
def test_change_that_fails(later):
    """What cannot be changed is not sent, and the file that it is from is closed."""
    file = io.BytesIO(b"hello")

    def handler(request):
        return succeed(Response(file)) if later else Response(file)

    with pytest.raises(ZeroDivisionError):
        ask(change_fields(handler, lambda request, fields: 1 / 0), "/")
    assert file.closed


def raises(request):
    raise HTTPError(404, headers={"Own": "1"})


async def raises_later(request):
    raise HTTPError(404, headers={"Own": "1"})


@pytest.mark.parametrize(
    "handler",
    [raises, raises_later, lambda request: fail(HTTPError(404, headers={"Own": "1"}))],
)
def test_errors(handler):
    """An error that will be answered goes on, with the fields; nothing else is changed of it."""
    with pytest.raises(HTTPError) as caught:
        ask(change_fields(handler, mark), "/b")
    assert (caught.value.status, caught.value.headers) == (404, {"Own": "1", "Mark": "/b"})
    with pytest.raises(HTTPError) as caught:
        ask(change_responses(handler, shout), "/b")
    assert caught.value.headers == {"Own": "1"}


def test_other_errors():
    """An error that nobody has an answer for is not touched."""
    with pytest.raises(ZeroDivisionError):
        ask(change_fields(lambda request: 1 / 0, mark), "/")  # type: ignore[arg-type, return-value]


def test_upgrades():
    """Another protocol is no response to be changed."""
    upgrade = Upgrade("other", None)  # type: ignore[arg-type]
    assert ask(change_responses(lambda request: upgrade, shout), "/") is upgrade
    assert "Mark" not in ask(change_fields(lambda request: upgrade, mark), "/").headers
    assert ask(change_responses(lambda request: succeed(upgrade), shout), "/") is upgrade


def test_cancelled():
    """When the client goes, what the handler waits for is cancelled through the middleware."""
    ended: list[object] = []
    waits: Deferred[Response] = Deferred(ended.append)
    waiting = start(change_responses(lambda request: waits, shout)(make_request()))
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert ended == [waits]


class Living:
    """A handler with a life of its own."""

    def __call__(self, request: Request) -> Response:
        return Response()

    async def start(self) -> str:
        return "started"

    def stop(self) -> None: ...


def test_life():
    """What is around a handler starts and stops it, where somebody asks for that."""
    handler = change_fields(Living(), mark)
    assert result_of(start(handler.start())) == "started"  # type: ignore[attr-defined]
    assert handler.stop() is None  # type: ignore[attr-defined]
    plain = with_life_of(lambda request: Response(), lambda request: Response())
    assert not hasattr(plain, "start")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Origin, Accept"]),
        (["Cookie"], ["Cookie, Origin, Accept"]),
        (["Cookie", "accept"], ["Cookie, accept, Origin"]),
        (["origin , ACCEPT"], ["origin , ACCEPT"]),
        (["*"], ["*"]),
    ],
)
def test_vary(before, after):
    """Caches are told each field once, besides those that the handler tells."""
    fields = CIMultiDict([("Vary", value) for value in before])
    vary(fields, "Origin", "Accept")
    assert fields.getall("Vary") == after
