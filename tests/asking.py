"""What comes of a request without a connection, and what is logged meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from mynet.http.message import Handler, Response
from mynet.testing import make_request, result_of

T = TypeVar("T")


def start(awaitable: Awaitable[T]) -> Deferred[T]:
    """Begin to wait for it."""

    async def wait() -> T:
        return await awaitable

    return Deferred.fromCoroutine(wait())


def ask(handler: Handler, target: str, method: str = "GET") -> Response:
    """What a handler that need not wait answers; what it raises is raised, HTTPErrors too."""
    response = handler(make_request(method, target))
    return response if isinstance(response, Response) else result_of(start(response))


def text_of(response: Response) -> str:
    """The body of one that is not streamed."""
    assert isinstance(response.body, bytes)
    return response.body.decode()


@contextmanager
def errors_logged() -> Iterator[list[BaseException]]:
    """The errors that are logged meanwhile, each as often as it is."""
    errors: list[BaseException] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            errors.append(event["log_failure"].value)

    globalLogPublisher.addObserver(observe)
    try:
        yield errors
    finally:
        globalLogPublisher.removeObserver(observe)
