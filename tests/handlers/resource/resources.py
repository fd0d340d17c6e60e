"""Resources of twisted.web to be served, and how to ask for them in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mynet.handlers.resource import ResourceHandler
from mynet.http.limits import Limits
from mynet.testing import Wire
from tests.conversation import Reply, reply

with warnings.catch_warnings():  # Twisted warns of itself
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web import vhost
    from twisted.web.static import File

__all__ = ["Calling", "File", "Waiting", "answer", "served", "vhost"]


class Calling(Resource):
    """A leaf that is rendered by a function."""

    isLeaf = True

    def __init__(self, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self.call = call

    def render_GET(self, request: Any) -> Any:
        return self.call(request)

    render_POST = render_GET


class Waiting(Resource):
    """A leaf whose requests wait until they are finished by somebody else."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.ends: list[Any] = []

    def render_GET(self, request: Any) -> int:
        self.requests.append(request)
        request.notifyFinish().addBoth(self.ends.append)
        return NOT_DONE_YET

    render_HEAD = render_POST = render_GET

    @property
    def request(self) -> Any:
        """The last of them."""
        return self.requests[-1]


def served(resource: Any, limits: Limits | None = None, **options: Any) -> Wire:
    """A client of a resource, or of a Site."""
    return Wire(ResourceHandler(resource, **options), limits)


def answer(call: Callable[[Any], Any], data: bytes, method: str = "GET") -> Reply:
    """What a resource that is rendered by that function answers to these bytes."""
    wire = served(Calling(call))
    wire.send(data)
    return reply(wire, method)
