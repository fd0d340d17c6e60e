"""Requests without a protocol below them, and what comes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.message import Handler, Request, Response

T = TypeVar("T")


class NoExchange:
    """An exchange that nothing is sent on."""

    client = IPv4Address("TCP", "192.0.2.1", 50000)
    server = IPv4Address("TCP", "192.0.2.2", 80)
    scheme = "http"
    tls = None

    def send_informational(self, status: int, headers: object) -> None:
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def disconnected(self) -> Deferred[None]:
        return Deferred()

    def want_body(self) -> None:
        raise NotImplementedError

    def pause_body(self) -> None:
        raise NotImplementedError

    def resume_body(self) -> None:
        raise NotImplementedError


def request_for(
    target: str, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = ()
) -> Request:
    """A request without a body."""
    return Request(
        NoExchange(), method, target.encode("ascii"), "1.1", b"example.test", list(headers), None
    )


def result_of(awaitable: Awaitable[T]) -> T:
    """What it has come to by now; its error is raised."""
    results: list[Any] = []
    start(awaitable).addBoth(results.append)
    assert results, "it still waits"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    result: T = results[0]
    return result


def start(awaitable: Awaitable[T]) -> Deferred[T]:
    """Begin to wait for it."""

    async def wait() -> T:
        return await awaitable

    return Deferred.fromCoroutine(wait())


def ask(
    handler: Handler, target: str, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = ()
) -> Response:
    """What a handler that need not wait answers."""
    response = handler(request_for(target, method, headers))
    return response if isinstance(response, Response) else result_of(response)


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
