"""Responses of what the functions of an application return, or raise.

    Response             itself
    str                  text/plain (for a page: `Response.html`)
    bytes                application/octet-stream
    dict, list, msgspec.Struct, dataclass    application/json
    None                 204, no content

and anything else is an error. A function may be plain or a coroutine function, or
return what can be awaited. So that none costs more than it must, all that can be
known of it is settled when it is added.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import is_dataclass
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.debug import debug_page
from mynet.http.coroutines import go_on
from mynet.http.errors import ClientGone, HTTPError
from mynet.http.message import Handler, Request, Response, error_response
from mynet.routing import parameter_names

__all__ = [
    "ErrorHandler",
    "Responder",
    "call_problem",
    "check_error",
    "handler_problem",
    "name_of",
    "takes_parameters",
]

ErrorHandler = Callable[[Request, Any], Any]
"""Called with a request and its error, it returns what a handler may return."""

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_NOBODY_LEFT = (CancelledError, ClientGone)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

log = Logger()


class Responder:
    """Makes Handlers of functions, and knows how errors are answered.

    An error is answered by the error handler for its status, else by that for the nearest
    of its classes; an HTTPError also without any. One that nobody answers is raised again;
    so are `CancelledError` and `ClientGone`, about which nobody is asked: there is no one
    left to be answered.
    """

    def __init__(self) -> None:
        self.debug = False
        """Whether `uncaught` answers with a page that tells all."""
        self._error_handlers: dict[int | type, ErrorHandler] = {}

    def add_error_handler(self, error: int | type[Exception], handler: ErrorHandler) -> None:
        """Add what answers HTTPErrors of a status, or errors of a class.

        Raises:
            ValueError: There is one already, or this can be no error's.
            TypeError: It cannot be called with a request and an error, or this is neither
                a status nor a class.
        """
        check_error(error)
        problem = call_problem(handler, "request", "error")
        if problem:
            raise TypeError(f"{name_of(handler)} cannot answer errors: {problem}")
        if self._error_handlers.setdefault(error, handler) is not handler:
            raise ValueError(f"there is an error handler for {error} already")

    def endpoint(self, function: Callable[..., Any], with_parameters: bool = False) -> Handler:
        """A Handler that makes a Response of all that comes of a function, errors too.

        Args:
            function: It is called with the request.
            with_parameters: Whether also with `request.path_params`, by name.
        """
        if inspect.iscoroutinefunction(function):
            return self._async_endpoint(function, with_parameters)

        def endpoint(request: Request) -> Response | Awaitable[Response]:
            try:
                if with_parameters:
                    result = function(request, **request.path_params)
                else:
                    result = function(request)
                if isinstance(result, Response) or not isinstance(result, Awaitable):
                    return _response(result, function)
            except Exception as error:
                if self._error_handler_for(error) is None:
                    raise
                return self.recover(request, error)
            return self._finish(request, result, function)

        return endpoint

    def _async_endpoint(self, function: Callable[..., Any], with_parameters: bool) -> Handler:
        """The same for a coroutine function. Most never wait, and are over at their first step."""

        def endpoint(request: Request) -> Response | Awaitable[Response]:
            try:
                if with_parameters:
                    coroutine = function(request, **request.path_params)
                else:
                    coroutine = function(request)
                try:
                    awaited = coroutine.send(None)
                except StopIteration as stop:
                    result = stop.value
                    if type(result) is str:  # the commonest; a call more costs more
                        return Response(result.encode(), 200, None, _TEXT)
                    return _response(result, function)
            except Exception as error:
                if self._error_handler_for(error) is None:
                    raise
                return self.recover(request, error)
            return self._finish(request, go_on(coroutine, awaited), function)

        return endpoint

    async def _finish(
        self, request: Request, awaitable: Awaitable[object], function: Callable[..., Any]
    ) -> Response:
        try:
            return _response(await awaitable, function)
        except Exception as error:
            if self._error_handler_for(error) is None:
                raise
            return await self.recover(request, error)

    async def recover(self, request: Request, error: Exception) -> Response:
        """What an error is answered with; it is raised again if nobody answers it."""
        handler = self._error_handler_for(error)
        if handler is None:
            raise error
        try:
            result = handler(request, error)
            if not isinstance(result, Response) and isinstance(result, Awaitable):
                result = await result
            response = _response(result, handler)
        except _NOBODY_LEFT:
            raise
        except HTTPError as other:
            return error_response(other)
        except Exception as other:
            return self.uncaught(request, other)
        if not isinstance(result, Response):
            response.status = error.status if isinstance(error, HTTPError) else 500
        if isinstance(error, HTTPError):
            _complete(response, error)
        elif response.status >= 500:
            _log(request, error)
        return response

    def _error_handler_for(self, error: Exception) -> ErrorHandler | None:
        if isinstance(error, _NOBODY_LEFT):
            return None
        if isinstance(error, HTTPError) and error.status in self._error_handlers:
            return self._error_handlers[error.status]
        for kind in type(error).__mro__:
            if kind in self._error_handlers:
                return self._error_handlers[kind]
            if kind is HTTPError:
                return _default
        return None

    def last_resort(self, handler: Handler) -> Handler:
        """A Handler that gives also errors that nobody answers to `uncaught`."""

        async def endpoint(request: Request) -> Response:
            try:
                result = handler(request)
                return result if isinstance(result, Response) else await result
            except _NOBODY_LEFT:
                raise
            except Exception as error:
                return self.uncaught(request, error)

        return endpoint

    def uncaught(self, request: Request, error: Exception) -> Response:
        """Log an error, and answer with 500."""
        _log(request, error)
        return debug_page(request, error) if self.debug else error_response(HTTPError(500))


def takes_parameters(function: Callable[..., Any], pattern: str) -> bool:
    """Whether a function takes a pattern's parameters, or else nothing but the request.

    Raises:
        TypeError: Neither.
        ValueError: The pattern is malformed.
    """
    names = parameter_names(pattern)
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        message = f"{name_of(function)} cannot be the handler of {pattern!r}: {error}"
        raise TypeError(message) from None
    problem = call_problem(function, "request", **dict.fromkeys(names, ""))
    if not problem:
        return bool(names)
    named = [each for each in signature.parameters.values() if each.kind not in _VARIADIC]
    if len(named) <= 1 and not call_problem(function, "request"):
        return False
    called = f"{name_of(function)}{signature}"
    raise TypeError(f"{called} cannot be the handler of {pattern!r}: {problem}")


def check_error(error: object) -> None:
    """Raises ValueError or TypeError if this is neither a status nor a class of errors."""
    if isinstance(error, int):
        if not 400 <= error <= 599:
            raise ValueError(f"{error} is not the status of an error")
    elif not isinstance(error, type):
        message = "an error handler is for a status or a class, as in @app.error_handler(404)"
        raise TypeError(f"{message}, not for {error!r}")
    elif not issubclass(error, Exception):
        raise ValueError(f"errors of class {error.__name__} are not answered")


def handler_problem(found: object) -> str:
    """Why something is no Handler, as `is no handler: ...`; empty if it may well be one."""
    if not callable(found):
        return f"is no handler but of type {type(found).__name__}"
    if isinstance(found, type):
        return "is no handler but a class; name an instance of it"
    if call_problem(found, "request"):
        return "is no handler: it cannot be called with a request alone"
    return ""


def call_problem(function: Callable[..., object], *arguments: str, **named: str) -> str:
    """Why a function cannot be called so; empty if it can, or is written in C and does not tell."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        return str(error)
    except ValueError:
        return ""
    return ""


def name_of(function: object) -> str:
    """What to call a function in a message."""
    return getattr(function, "__qualname__", None) or repr(function)


def _response(result: object, function: Callable[..., Any]) -> Response:
    if isinstance(result, str):
        return Response(result.encode(), 200, None, _TEXT)
    if isinstance(result, Response):
        return result
    if isinstance(result, bytes):
        return Response(result, 200, None, _BYTES)
    if result is None:
        return Response(b"", 204)
    is_data = is_dataclass(result) and not isinstance(result, type)
    is_data = is_data or isinstance(result, dict | list | msgspec.Struct)
    if is_data and not isinstance(result, Request):
        return Response.json(result)
    kind = type(result).__name__
    raise TypeError(f"{name_of(function)} returned {kind}, of which no response can be made")


def _default(_: Request, error: HTTPError) -> Response:
    return error_response(error)


def _complete(response: Response, error: HTTPError) -> None:
    for name, value in error.headers.items():
        response.headers.setdefault(name, value)
    if error.close:
        response.headers["Connection"] = "close"


def _log(request: Request, error: Exception) -> None:
    log.failure("{request} failed", Failure(error), request=request)
