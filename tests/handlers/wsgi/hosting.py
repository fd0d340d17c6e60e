"""Threads and reactors of which a test decides when they do something, and applications in them.

Most tests need no thread: `hosted` calls an application where it stands, as soon as there is a
request. Those of what threads wait for have real ones, and an `Inbox` for a reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Queue
from time import monotonic
from typing import Any
from wsgiref.validate import validator

from twisted.internet.task import Clock

from mynet.handlers.wsgi import Application, WSGIHandler
from mynet.http.limits import Limits
from mynet.testing import Answer, Client, Wire, result_of
from tests.conversation import GET

TIMEOUT = 50.0
"""Seconds after which a thread that was waited for has failed its test."""

PLAIN = [("Content-Type", "text/plain")]

Call = Callable[[], object]


class AtOnce(Clock):
    """A reactor that does at once what it is told from a thread."""

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:
        call(*args)


class Here:
    """Threads that are none: their work is done by who has it for them."""

    def callInThread(self, call: Callable[..., object], *args: object) -> None:
        call(*args)


class Later:
    """Threads that do their work when the test says so."""

    def __init__(self) -> None:
        self.work: list[Call] = []

    def callInThread(self, call: Callable[..., object], *args: object) -> None:
        self.work.append(lambda: call(*args))

    def run(self) -> None:
        """Do all that there is."""
        while self.work:
            self.work.pop(0)()


class Inbox(Clock):
    """A reactor that does what threads have told it when the test waits for something."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: Queue[Call] = Queue()

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:
        self._calls.put(lambda: call(*args))

    def until(self, condition: Callable[[], object]) -> None:
        """Do what threads tell it until this is so, which a thread may bring about alone."""
        deadline = monotonic() + TIMEOUT
        while not condition():
            assert monotonic() < deadline, "nothing happens any more"
            with suppress(Empty):
                self._calls.get(timeout=0.002)()
            self.advance(0)


def hosted(app: Application, *, valid: bool = True, **options: Any) -> WSGIHandler:
    """A handler whose threads are none.

    Args:
        app: Its application.
        valid: Whether the standard library's validator stands between both, and sees to it that
            each keeps to what PEP 3333 says.
        options: Those of the handler.
    """
    whole: Application = validator(app) if valid else app
    usual: dict[str, Any] = {"pool": Here(), "reactor": AtOnce()}
    return WSGIHandler(whole, **(usual | options))


def answered(
    body: Any = None,
    status: Any = "200 OK",
    headers: list[tuple[str, str]] | None = None,
) -> Application:
    """An application that always answers the same."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, PLAIN if headers is None else headers)
        return body

    return app


class Served(Wire):
    """A connection to an application, without the validator; it runs when it has been asked."""

    def __init__(self, app: Application, limits: Limits | None = None, **options: Any) -> None:
        self.pool = Later()
        reactor = AtOnce()
        handler = hosted(app, valid=False, pool=self.pool, reactor=reactor, **options)
        super().__init__(handler, limits, reactor)

    def ask(self, data: bytes = GET) -> Served:
        """Send a request, and let the application run."""
        self.send(data)
        self.pool.run()
        self.advance(0)
        return self


def get(app: Application, target: str = "/", **options: Any) -> Answer:
    """What an application answers, without the validator."""
    return result_of(Client(hosted(app, valid=False)).get(target, **options))


class Result:
    """What an application returns: parts of a body, and whether it has been closed."""

    def __init__(self, *parts: Any) -> None:
        self._parts = iter(parts)
        self.closed = 0
        """How many times."""

    def __iter__(self) -> Result:
        return self

    def __next__(self) -> Any:
        part = next(self._parts)
        if isinstance(part, BaseException):
            raise part
        return part() if callable(part) else part

    def close(self) -> None:
        self.closed += 1
