"""How middleware is put around a handler: what it answers is changed, at once if it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context

from multidict import CIMultiDict

from mynet.http.errors import HTTPError
from mynet.http.message import Handler, Request, Response, Upgrade
from mynet.http.sending import discard

ChangeResponse = Callable[[Request, Response], Response]
ChangeFields = Callable[[Request, CIMultiDict[str]], object]


def change_responses(handler: Handler, change: ChangeResponse) -> Handler:
    """A handler whose responses are changed, but for an `Upgrade`, which carries a connection.

    One that cannot be changed is let go of.

    Errors pass, HTTPErrors too: where an App uses the middleware, those of its routes are
    responses already.
    """

    def answer(request: Request) -> Response | Awaitable[Response]:
        result = handler(request)
        if isinstance(result, Response):
            return changed(request, result)
        return answer_later(request, result)

    async def answer_later(request: Request, awaitable: Awaitable[Response]) -> Response:
        return changed(request, await awaitable)

    def changed(request: Request, response: Response) -> Response:
        if isinstance(response, Upgrade):
            return response
        try:
            return change(request, response)
        except BaseException:
            discard(response, copy_context(), request.exchange.sweep.clock)
            raise

    return with_life_of(handler, answer)


def change_fields(handler: Handler, change: ChangeFields) -> Handler:
    """The same for header fields only, and those of an HTTPError that passes are changed too.

    An error that nobody has an answer for passes as it is.
    """

    def change_response(request: Request, response: Response) -> Response:
        change(request, response.headers)
        return response

    answer = change_responses(handler, change_response)

    def answer_or_fail(request: Request) -> Response | Awaitable[Response]:
        try:
            result = answer(request)
        except HTTPError as error:
            change_error(request, error)
            raise
        return result if isinstance(result, Response) else fail_later(request, result)

    async def fail_later(request: Request, awaitable: Awaitable[Response]) -> Response:
        try:
            return await awaitable
        except HTTPError as error:
            change_error(request, error)
            raise

    def change_error(request: Request, error: HTTPError) -> None:
        fields = CIMultiDict(error.headers)
        change(request, fields)
        error.headers = dict(fields)

    return with_life_of(handler, answer_or_fail)


def with_life_of(handler: Handler, around: Handler) -> Handler:
    """What is around a handler, with its `start` and `stop` if it has them."""
    for hook in ("start", "stop"):
        if hasattr(handler, hook):
            setattr(around, hook, getattr(handler, hook))
    return around


def vary(fields: CIMultiDict[str], *names: str) -> None:
    """Tell caches that the response depends on these fields of the request as well."""
    value = ", ".join(fields.getall("Vary", []))
    known = {name.strip().lower() for name in value.split(",")}
    new = [name for name in names if name.lower() not in known]
    if new and "*" not in known:
        fields["Vary"] = ", ".join([value, *new] if value else new)
