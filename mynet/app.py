"""The App: a Handler made of routes, middleware, error handlers and hooks.

The handler of a route is called with the request, and by name with the parameters of
its pattern (see `mynet.routing`); one that takes nothing but the request finds them
in `request.path_params`. `mynet.responding` tells what it may return.

An error of a route, or of what is mounted, becomes a response right where that was
called, inside the middleware, if an error handler or being an HTTPError tells which.
Other errors go through the middleware and out of the App, to be logged and answered
with 500 by what called it. With `debug` the App does that itself, and tells more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.http.errors import HTTPError
from mynet.http.message import Handler, Middleware, Request, Response
from mynet.responding import (
    Responder,
    call_problem,
    check_error,
    handler_problem,
    name_of,
    takes_parameters,
)
from mynet.routing import ANY, NoRoute, Route, Router, parameter_names

if TYPE_CHECKING:
    from mynet.websocket.policy import Policy, PolicyFields

__all__ = ["App"]

Function = TypeVar("Function", bound=Callable[..., Any])

Hook = Callable[[], object]
"""What it returns is awaited if it can be."""

_NO_ROUTES: dict[str, Route[Handler]] = {}

log = Logger()


class Decorator(Protocol):
    """What returns the very function that it is given."""

    def __call__(self, function: Function, /) -> Function: ...


class App:
    """An application, to be given to an `HTTPFactory`, or mounted in another."""

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        """Whether to answer an error that nobody handles with a page about it, which tells
        a lot about the application: never for the open internet. Settled at the start."""
        self._router: Router[Handler] = Router()
        self._static = self._router.static
        self._responder = Responder()
        self._middleware: list[Middleware] = []
        self._startup: list[Hook] = []
        self._shutdown: list[Hook] = []
        self._mounted: list[Handler] = []
        self._to_stop: list[Hook] = []
        self._started = False
        self._starting = False
        self._stop_waits: list[Deferred[None]] = []
        self._composed = False
        self._handler: Handler = self._compose_and_handle

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        return self._handler(request)

    # Routes

    def get(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for GET, and for HEAD unless that has its own."""
        return self.route(pattern, ("GET",), name=name)

    def head(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for HEAD."""
        return self.route(pattern, ("HEAD",), name=name)

    def post(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for POST."""
        return self.route(pattern, ("POST",), name=name)

    def put(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for PUT."""
        return self.route(pattern, ("PUT",), name=name)

    def patch(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for PATCH."""
        return self.route(pattern, ("PATCH",), name=name)

    def delete(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for DELETE."""
        return self.route(pattern, ("DELETE",), name=name)

    def options(self, pattern: str, *, name: str | None = None) -> Decorator:
        """Decorate the handler for OPTIONS, which else is answered with what is allowed."""
        return self.route(pattern, ("OPTIONS",), name=name)

    def route(
        self, pattern: str, methods: Iterable[str] = ("GET",), *, name: str | None = None
    ) -> Decorator:
        """Decorate the handler of a route. See `add_route`."""
        _check_pattern(pattern)

        def add(handler: Function) -> Function:
            self.add_route(pattern, handler, methods, name=name)
            return handler

        return add

    def add_route(
        self,
        pattern: str,
        handler: Callable[..., Any],
        methods: Iterable[str] = ("GET",),
        *,
        name: str | None = None,
    ) -> None:
        """Add a route.

        Args:
            pattern: See `mynet.routing`.
            handler: See `mynet.app`.
            methods: In upper case.
            name: For `url_for`.

        Raises:
            ValueError: The pattern, a method or the name is malformed, or taken already; or
                there are no methods.
            TypeError: The handler cannot be called with the pattern's parameters, or the
                pattern is no str.
        """
        _check_pattern(pattern)
        if isinstance(methods, str):
            raise TypeError(f"methods of {pattern!r} must be a list, such as [{methods!r}]")
        with_parameters = takes_parameters(handler, pattern)
        endpoint = self._responder.endpoint(handler, with_parameters)
        self._router.add(methods, pattern, endpoint, name)

    def websocket(
        self,
        pattern: str,
        *,
        name: str | None = None,
        policy: Policy | None = None,
        **fields: Unpack[PolicyFields],
    ) -> Decorator:
        """Decorate a coroutine function that handles WebSockets.

        It is called with a `WebSocket`, and by name with the parameters of the pattern. See
        `mynet.websocket.endpoint`. A protocol class is served by `add_route` and a
        `WebSocketHandler`.

        Args:
            pattern: See `mynet.routing`.
            name: For `url_for`.
            policy: What is allowed; `Policy()` unless given.
            fields: What is different in that policy: `max_message_size=4096`.

        Raises:
            ValueError: As `add_route`; or a value of the policy is out of its range.
            TypeError: As `add_route`; or this is no coroutine function, or a policy has no such
                field.
        """
        from mynet.websocket.endpoint import WebSocketEndpoint  # which takes long to import

        _check_pattern(pattern)

        def add(function: Function) -> Function:
            with_parameters = takes_parameters(function, pattern)
            endpoint = WebSocketEndpoint(
                function, with_parameters=with_parameters, policy=policy, **fields
            )
            self.add_route(pattern, endpoint, name=name)
            return function

        return add

    def mount(self, prefix: str, handler: Handler) -> None:
        """Let a handler answer all below a prefix, by every method.

        It sees the request without the prefix, which is then in `request.root_path`; so do,
        from then on, error handlers and middleware (`target` and `url` stay as they are). A
        request for the prefix without a slash behind it is redirected (307). Where routes or
        other mounts fit as well, the prefix counts as a pattern with a path parameter behind
        it; but a path that has a route before it has no other methods. If the handler has
        `start` and `stop`, they are called with those of this App.

        Raises:
            ValueError: The prefix is malformed, has parameters, or is taken already; or this
                App itself is to be mounted.
            TypeError: The handler cannot be called with a request alone, or the prefix is no
                str.
        """
        _check_pattern(prefix)
        prefix = prefix.removesuffix("/")
        pattern = f"{prefix}/{{path:path}}"
        if len(parameter_names(pattern)) > 1:
            raise ValueError(f"prefix {prefix!r} has parameters")
        problem = handler_problem(handler)
        if problem:
            raise TypeError(f"what is to be mounted at {prefix!r} {problem}")
        if handler is self:
            raise ValueError("an App cannot be mounted in itself")
        depth = prefix.count("/") + 1

        def mounted(request: Request) -> Response | Awaitable[Response]:
            request.path_params = {}
            request.mount(len(b"/".join(request.raw_path.split(b"/", depth)[:depth])))
            return handler(request)

        self._router.add([ANY], pattern, self._responder.endpoint(mounted))
        if prefix:
            self._router.add([ANY], prefix, _add_slash)
        if not any(handler is other for other in self._mounted):
            self._mounted.append(handler)

    def url_for(self, name: str, /, **parameters: object) -> str:
        """The path, percent-encoded, of the route with this name.

        In an App that is mounted, put `request.root_path` before it.

        Raises:
            LookupError: No route has this name.
            ValueError: A parameter is missing, too many, or does not fit; or a segment
                would be `.` or `..`, which clients fold.
        """
        return self._router.url_for(name, parameters)

    # Around them

    def use(self, middleware: Middleware) -> None:
        """Put middleware around all routes and mounts; the first added is the outermost.

        Raises:
            RuntimeError: The App has been started, or has had its first request.
            TypeError: It cannot be called with a handler.
        """
        _check_callable(middleware, "middleware", "handler")
        if self._composed:
            raise RuntimeError("middleware must be added before the start and the first request")
        self._middleware.append(middleware)

    def error_handler(self, error: int | type[Exception]) -> Decorator:
        """Decorate what answers errors: HTTPErrors of a status, or those of a class.

        It is called with the request and the error, and returns what a handler may return.
        Unless that is a Response, its status becomes that of the error: 500 for all but
        HTTPErrors, whose header fields are added where they are missing. An error that is
        no HTTPError, and is answered with 500 or more, is also logged. What answers
        `Exception` does not get HTTPErrors: for these there is `HTTPError`.

        Raises:
            ValueError: There is one already, or this can be no error's.
            TypeError: It cannot be called with a request and an error, or this is neither a
                status nor a class.
        """
        check_error(error)

        def add(handler: Function) -> Function:
            self._responder.add_error_handler(error, handler)
            return handler

        return add

    def on_startup(self, hook: Function) -> Function:
        """Decorate what `start` calls, in the order of addition.

        Raises:
            TypeError: It cannot be called without arguments.
        """
        _check_callable(hook, "a hook")
        self._startup.append(hook)
        return hook

    def on_shutdown(self, hook: Function) -> Function:
        """Decorate what `stop` calls, in reverse order of addition.

        It is called after a failed start too, and must cope with what that did not get to.

        Raises:
            TypeError: It cannot be called without arguments.
        """
        _check_callable(hook, "a hook")
        self._shutdown.append(hook)
        return hook

    # Its life

    async def start(self) -> None:
        """Run the startup hooks, then start what is mounted, one after another.

        Raises:
            BaseException: The first error; all has been stopped again.
            CancelledError: `stop` was called meanwhile; all has been stopped again.
            RuntimeError: It has been started already.
        """
        if self._started:
            raise RuntimeError("this App has been started already")
        self._compose()
        self._started = self._starting = True
        self._to_stop = list(self._shutdown)
        try:
            await self._start_all()
        except BaseException:
            _log_all(await self._stop_all())
            raise
        finally:
            self._starting = False
            waiting, self._stop_waits = self._stop_waits, []
            for stop in waiting:
                stop.callback(None)

    async def _start_all(self) -> None:
        for hook in self._startup:
            await _settled(hook())
            self._unless_stopped()
        for handler in self._mounted:
            await _settled(getattr(handler, "start", _nothing)())
            self._to_stop.append(getattr(handler, "stop", _nothing))
            self._unless_stopped()

    def _unless_stopped(self) -> None:
        if self._stop_waits:
            raise CancelledError("this App was stopped before it had been started")

    async def stop(self) -> None:
        """Stop what is mounted, then run the shutdown hooks, in reverse order.

        It does nothing unless the App has been started. While that is in progress it lets the
        hook that runs come to its end, and `start` then raises; so no startup hook may await it.

        Raises:
            BaseException: The first error, when all the rest has run; others are logged.
                One that is no Exception, such as SystemExit, goes before those that are.
        """
        if self._starting:
            started: Deferred[None] = Deferred()
            self._stop_waits.append(started)
            await started
        errors = await self._stop_all()
        errors.sort(key=lambda error: isinstance(error, Exception))
        _log_all(errors[1:])
        if errors:
            raise errors[0]

    async def _stop_all(self) -> list[BaseException]:
        errors: list[BaseException] = []
        while self._to_stop:
            try:
                await _settled(self._to_stop.pop()())
            except BaseException as error:
                errors.append(error)
        self._started = False
        return errors

    # A request's way

    def _compose_and_handle(self, request: Request) -> Response | Awaitable[Response]:
        self._compose()
        return self._handler(request)

    def _compose(self) -> None:
        if self._composed:
            return
        handler: Handler = self._dispatch
        for middleware in reversed(self._middleware):
            handler = middleware(handler)
            if not callable(handler):
                raise TypeError(f"middleware {name_of(middleware)} returned {handler!r}")
        if self._middleware:
            handler = self._responder.endpoint(handler)
        if self.debug:
            self._responder.debug = True
            handler = self._responder.last_resort(handler)
        self._handler = handler
        self._composed = True

    def _dispatch(self, request: Request) -> Response | Awaitable[Response]:
        route = self._static.get(request.raw_path, _NO_ROUTES).get(request.method)
        return self._search(request) if route is None else route.endpoint(request)

    def _search(self, request: Request) -> Response | Awaitable[Response]:
        route: Route[Handler]
        try:
            route, request.path_params = self._router.find(request.method, request.raw_path)
        except NoRoute as outcome:
            return self._unrouted(request, outcome.methods)
        except HTTPError as error:
            return self._responder.recover(request, error)
        return route.endpoint(request)

    def _unrouted(
        self, request: Request, methods: frozenset[str]
    ) -> Response | Awaitable[Response]:
        if request.raw_path == b"*":
            methods |= self._router.methods
        elif not methods:
            return self._responder.recover(request, HTTPError(404))
        allow = {"Allow": ", ".join(sorted(methods | {"OPTIONS"}))}
        if request.method == "OPTIONS":
            return Response(b"", 204, allow)
        return self._responder.recover(request, HTTPError(405, headers=allow))


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        raise TypeError(f'a pattern is a str, as in @app.get("/path"), not {pattern!r}')


def _check_callable(function: Callable[..., object], kind: str, *arguments: str) -> None:
    problem = call_problem(function, *arguments)
    if problem:
        raise TypeError(f"{name_of(function)} cannot be {kind}: {problem}")


def _add_slash(request: Request) -> Response:
    query = f"?{request.query_string.decode('ascii')}" if request.query_string else ""
    location = f"{request.root_path}{request.raw_path.decode('ascii')}/{query}"
    return Response.redirect(location, 307)


async def _settled(result: object) -> None:
    if isinstance(result, Awaitable):
        await result


def _nothing() -> None:
    """What `start` and `stop` do where there are none."""


def _log_all(errors: Iterable[BaseException]) -> None:
    for error in errors:
        log.failure("one of several errors while stopping", Failure(error))
