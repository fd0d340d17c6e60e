"""What `--app` names becomes a handler, whichever interface it has.

The first of these rules that fits; `--interface` says otherwise:

    resource    an IResource or a Site of twisted.web, a Klein
    asgi        its first parameters are `scope, receive`
    wsgi        its parameters begin with `environ, start_response`
    handler     it can be called with a request alone
    asgi        it can be called with a scope, receive and send
    wsgi        it can be called with an environ and start_response

What takes anything (`*args`) could be all of them, and is a handler. A class is an application only
where its instances are answers: awaitable (ASGI), or iterable (WSGI).

What hosts an application is imported when there is one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, cast

from mynet.daemon.errors import CannotStart
from mynet.http.message import Handler
from mynet.responding import call_problem, handler_problem

ARGUMENTS = {"asgi": ("scope", "receive", "send"), "wsgi": ("environ", "start_response")}

_INSTANCE = {"asgi": "__await__", "wsgi": "__iter__"}

_ASGI_2 = (
    "is an application of ASGI 2, which is not served; make it one of ASGI 3 by "
    "asgiref.compatibility.guarantee_single_callable"
)


def host(found: object, name: str, interface: str | None, has_loop: bool) -> Handler:
    """A handler that is an application, or hosts it.

    Args:
        found: The application.
        name: What the operator calls it.
        interface: One of `mynet.daemon.options.INTERFACES`; None to have it recognised.
        has_loop: Whether the reactor runs an asyncio loop.

    Raises:
        CannotStart: It has no such interface, or none that is known.
    """
    try:
        interface = interface or interface_of(found)
        _check(found, interface)
    except ValueError as error:
        raise CannotStart(f"--app {name} {error}") from None
    if interface == "asgi" and not has_loop:
        raise CannotStart(
            f"--app {name} is an ASGI application, which needs a reactor with an asyncio loop: "
            "twistd --reactor=asyncio, or mynet's own (pip install uvloop)"
        )
    return _HOSTS[interface](found)


def interface_of(found: object) -> str:
    """The interface that an application has.

    Raises:
        ValueError: None; the text says what it is, as `is no handler: ...`.
    """
    if _resource(found) is not None:
        return "resource"
    names = _parameters(found)
    if names[:2] == ("scope", "receive"):
        return "asgi"
    if names[:2] == ARGUMENTS["wsgi"]:
        return "wsgi"
    if names == ("scope",):
        raise ValueError(_ASGI_2)
    problem = handler_problem(found)
    if not problem:
        return "handler"
    for interface, arguments in ARGUMENTS.items():
        if _takes(found, interface, arguments):
            return interface
    raise ValueError(problem)


def _check(found: object, interface: str) -> None:
    """Raises ValueError if an application cannot have this interface."""
    if interface == "resource":
        if _resource(found) is None:
            raise ValueError("is neither a resource of twisted.web nor a Site, nor a Klein")
    elif interface == "handler":
        if problem := handler_problem(found):
            raise ValueError(problem)
    elif not _takes(found, interface, ARGUMENTS[interface]):
        arguments = ", ".join(ARGUMENTS[interface])
        raise ValueError(f"is no {interface.upper()} application: it takes no {arguments}")


def _takes(found: object, interface: str, arguments: tuple[str, ...]) -> bool:
    if not callable(found) or call_problem(found, *arguments):
        return False
    return not isinstance(found, type) or hasattr(found, _INSTANCE[interface])


def _parameters(found: object) -> tuple[str, ...]:
    try:
        signature = inspect.signature(cast(Callable[..., object], found))
    except (TypeError, ValueError):
        return ()
    return tuple(signature.parameters)


def _resource(found: object) -> Any:
    """The resource or site that something of Twisted's is, or has; else None.

    It cannot be one if nobody has imported what those are.
    """
    klein = sys.modules.get("klein")
    if klein is not None and isinstance(found, klein.Klein):
        return found.resource()
    web, server = map(sys.modules.get, ("twisted.web.resource", "twisted.web.server"))
    is_site = server is not None and isinstance(found, server.Site)
    return found if is_site or (web is not None and web.IResource.providedBy(found)) else None


def _host_asgi(found: Any) -> Handler:
    from mynet.handlers.asgi import ASGIHandler

    return ASGIHandler(found)


def _host_wsgi(found: Any) -> Handler:
    from mynet.handlers.wsgi import WSGIHandler

    return WSGIHandler(found)


def _host_resource(found: Any) -> Handler:
    from mynet.handlers.resource import ResourceHandler

    return ResourceHandler(_resource(found))


def _host_handler(found: Any) -> Handler:
    return cast(Handler, found)


_HOSTS = {
    "handler": _host_handler,
    "asgi": _host_asgi,
    "wsgi": _host_wsgi,
    "resource": _host_resource,
}
