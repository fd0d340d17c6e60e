"""A site of klein's: each of the things that its documentation tells of."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.template import Element, TagLoader, tags
from werkzeug.exceptions import NotFound

from tests.integration.apps.twisted_site import File


class Missing(Exception):  # noqa: N818
    """There is no such item."""


class Page(Element):
    """Greets."""

    loader = TagLoader(tags.h1("Hello, klein"))


class KleinSite:
    """All of it; the folder's files are below /static."""

    app = Klein()

    def __init__(self, folder: Path, reactor: Any) -> None:
        self.folder = folder
        self.reactor = reactor
        self.items: dict[str, Any] = {}

    @app.route("/")
    def home(self, request: Any) -> bytes:
        return b"home"

    @app.route("/hello/<name>")
    def hello(self, request: Any, name: str) -> str:
        return f"Hello, {name}!"

    @app.route("/items/<string:name>", methods=["PUT"])
    def put(self, request: Any, name: str) -> bytes:
        self.items[name] = json.loads(request.content.read())
        request.setResponseCode(201)
        return b""

    @app.route("/items/<string:name>", methods=["GET"])
    def get(self, request: Any, name: str) -> str:
        if name not in self.items:
            raise Missing(name)
        request.setHeader("Content-Type", "application/json")
        return json.dumps(self.items[name])

    @app.handle_errors(Missing)
    def missing(self, request: Any, failure: Any) -> str:
        request.setResponseCode(404)
        return f"no {failure.value}"

    @app.handle_errors(NotFound)
    def not_found(self, request: Any, failure: Any) -> str:
        request.setResponseCode(404)
        return "not here"

    @app.route("/later")
    async def later(self, request: Any) -> bytes:
        await deferLater(self.reactor, 0.01)
        return b"later"

    @app.route("/deferred")
    @inlineCallbacks
    def deferred(self, request: Any) -> Generator[Deferred[None], None, bytes]:
        yield deferLater(self.reactor, 0.01)
        request.write(b"in ")
        yield deferLater(self.reactor, 0.01)
        return b"pieces"

    @app.route("/page")
    def page(self, request: Any) -> Element:
        return Page()

    @app.route("/broken")
    def broken(self, request: Any) -> bytes:
        raise ZeroDivisionError

    @app.route("/away")
    def away(self, request: Any) -> None:
        request.redirect(b"/hello/you")

    @app.route("/static/", branch=True)
    def static(self, request: Any) -> Resource:
        return File(str(self.folder))

    with app.subroute("/sub") as sub:

        @sub.route("/where")
        def where(self, request: Any) -> bytes:
            return request.URLPath().click(b"there").path  # type: ignore[no-any-return]
