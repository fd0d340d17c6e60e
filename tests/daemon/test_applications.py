"""What an application is: by a rule, on real ones, and what is said of those that are none."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from twisted.web.resource import Resource
from twisted.web.server import Site

from mynet import App
from mynet.daemon.applications import _HOSTS, host, interface_of
from mynet.daemon.errors import CannotStart
from mynet.daemon.options import INTERFACES
from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.resource import ResourceHandler
from mynet.handlers.wsgi import WSGIHandler
from tests.child import run_python

REAL = """
import sys
from mynet.daemon.applications import interface_of

def django(kind):
    from django.conf import settings
    if not settings.configured:
        settings.configure(ROOT_URLCONF="none", SECRET_KEY="x")
    from django.core import asgi, wsgi
    return asgi.get_asgi_application() if kind == "asgi" else wsgi.get_wsgi_application()

def channels():
    from channels.routing import ProtocolTypeRouter
    return ProtocolTypeRouter({})

def site():
    from twisted.web.server import Site
    from twisted.web.resource import Resource
    return Site(Resource())

def make(module, name):
    return lambda: getattr(__import__(module), name)

APPS = {
    "Starlette": lambda: __import__("starlette.applications").applications.Starlette(),
    "FastAPI": lambda: __import__("fastapi").FastAPI(),
    "Django, ASGI": lambda: django("asgi"),
    "Django with Channels": channels,
    "Quart": lambda: __import__("quart").Quart("x"),
    "Litestar": lambda: __import__("litestar").Litestar([]),
    "Django, WSGI": lambda: django("wsgi"),
    "Flask": lambda: __import__("flask").Flask("x"),
    "klein": lambda: __import__("klein").Klein(),
    "twisted.web": site,
    "mynet": lambda: __import__("mynet").App(),
}
for name, make in APPS.items():
    print(f"{name}: {interface_of(make())}")
"""


def test_real_ones():
    """Applications of the frameworks that people use are recognised for what they are."""
    ran = run_python("-c", REAL)
    assert ran.stdout.splitlines() == [
        "Starlette: asgi",
        "FastAPI: asgi",
        "Django, ASGI: asgi",
        "Django with Channels: asgi",
        "Quart: asgi",
        "Litestar: asgi",
        "Django, WSGI: wsgi",
        "Flask: wsgi",
        "klein: resource",
        "twisted.web: resource",
        "mynet: handler",
    ], ran.stderr


async def asgi(scope, receive, send): ...


async def asgi_otherwise(a, b, c): ...


async def asgi_with_more(scope, receive=None, send=None, *, level=1): ...


def wsgi(environ, start_response): ...


def wsgi_otherwise(env, start): ...


def wsgi_with_defaults(environ, start_response=None): ...


def anything(*arguments): ...


async def coroutine(request): ...


class ASGIClass:
    def __init__(self, scope, receive, send): ...
    def __await__(self): ...


class WSGIClass:
    def __init__(self, environ, start_response): ...
    def __iter__(self): ...


class Holder:
    def handle(self, request): ...

    async def serve(self, scope, receive, send): ...


class CallableResource(Resource):
    def __call__(self, scope, receive, send): ...


KINDS: dict[str, list[Any]] = {
    "handler": [App(), coroutine, Holder().handle, anything, lambda request: None, [].append],
    "asgi": [asgi, asgi_otherwise, asgi_with_more, ASGIClass, Holder().serve],
    "wsgi": [wsgi, wsgi_otherwise, wsgi_with_defaults, WSGIClass],
    "resource": [Resource(), Site(Resource()), CallableResource()],
}


@pytest.mark.parametrize(("interface", "found"), [(k, v) for k, vs in KINDS.items() for v in vs])
def test_recognised(interface, found):
    """The rule tells by what an application can be called with, or says that it is."""
    assert interface_of(found) == interface


def asgi_2(scope): ...


class ASGI2:
    def __init__(self, scope): ...


class Handler:
    def __call__(self, request): ...


class TwoThings:
    def __init__(self, one, two): ...


ASGI_2 = (
    "is an application of ASGI 2, which is not served; make it one of ASGI 3 by "
    "asgiref.compatibility.guarantee_single_callable"
)

NONE: list[tuple[Any, str]] = [
    ({}, "is no handler but of type dict"),
    (Handler, "is no handler but a class; name an instance of it"),
    (TwoThings, "is no handler but a class; name an instance of it"),
    (Resource, "is no handler but a class; name an instance of it"),
    (lambda: None, "is no handler: it cannot be called with a request alone"),
    (lambda a, b, c, d: None, "is no handler: it cannot be called with a request alone"),
    (asgi_2, ASGI_2),
    (ASGI2, ASGI_2),
]


@pytest.mark.parametrize(("found", "told"), NONE)
def test_no_application(found, told):
    """What is no application is told by what it is, and what to do."""
    with pytest.raises(CannotStart) as caught:
        host(found, "hello:app", None, True)
    assert str(caught.value) == f"--app hello:app {told}"


# Served


def test_hosted():
    """Each interface has what hosts it; a handler is served as it is."""
    assert tuple(_HOSTS) == INTERFACES
    app = App()
    assert host(app, "x:y", None, False) is app
    assert isinstance(host(asgi, "x:y", None, True), ASGIHandler)
    assert isinstance(host(wsgi, "x:y", None, False), WSGIHandler)
    assert isinstance(host(Resource(), "x:y", None, False), ResourceHandler)


def test_klein(monkeypatch):
    """An application of klein is its resource."""

    class Klein:
        def resource(self):
            return Resource()

    monkeypatch.setitem(sys.modules, "klein", type(sys)("klein"))
    monkeypatch.setattr(sys.modules["klein"], "Klein", Klein, raising=False)
    assert interface_of(Klein()) == "resource"
    assert isinstance(host(Klein(), "x:y", None, False), ResourceHandler)


def test_forced():
    """Who knows better says what it is."""
    assert isinstance(host(anything, "x:y", "asgi", True), ASGIHandler)
    assert isinstance(host(anything, "x:y", "wsgi", True), WSGIHandler)
    resource = CallableResource()
    assert isinstance(host(resource, "x:y", "asgi", True), ASGIHandler)
    assert host(anything, "x:y", "handler", True) is anything


@pytest.mark.parametrize(
    ("interface", "told"),
    [
        ("handler", "is no handler: it cannot be called with a request alone"),
        ("wsgi", "is no WSGI application: it takes no environ, start_response"),
        ("resource", "is neither a resource of twisted.web nor a Site, nor a Klein"),
    ],
)
def test_forced_wrongly(interface, told):
    """What cannot be served so is not begun with."""
    with pytest.raises(CannotStart) as caught:
        host(asgi, "x:y", interface, True)
    assert str(caught.value) == f"--app x:y {told}"
    with pytest.raises(
        CannotStart, match="is no ASGI application: it takes no scope, receive, send"
    ):
        host(wsgi, "x:y", "asgi", True)


@pytest.mark.parametrize("interface", [None, "asgi"])
def test_no_loop(interface):
    """ASGI needs asyncio: who runs a reactor without it is told which one has it."""
    with pytest.raises(CannotStart) as caught:
        host(asgi, "x:y", interface, False)
    assert str(caught.value) == (
        "--app x:y is an ASGI application, which needs a reactor with an asyncio loop: "
        "twistd --reactor=asyncio, or mynet's own (pip install uvloop)"
    )


def test_imports_little():
    """To find out what an application is imports nothing that it has not imported itself."""
    code = """
import sys
from mynet.daemon.applications import host
def handler(request): ...
host(handler, "x:y", None, False)
print([name for name in sys.modules if name.startswith(("mynet.handlers.", "twisted.web.server"))])
"""
    assert run_python("-c", code).stdout == "[]\n"
