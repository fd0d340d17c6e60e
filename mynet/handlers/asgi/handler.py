"""The handler that hosts an ASGI application.

It hands each request to what speaks its part of ASGI: `http.py`, or `websocket.py`; and has the
life of the application: `lifespan.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Unpack, cast, get_args

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mynet.handlers.asgi.http import Cycle
from mynet.handlers.asgi.lifespan import Lifespan, Mode
from mynet.handlers.asgi.running import PATIENCE, NoLoop, Tasks, running_loop
from mynet.handlers.asgi.scope import ASGIApp, http_scope, wants_websocket
from mynet.handlers.asgi.websocket import open_websocket
from mynet.http.exchange import RawHeaders
from mynet.http.message import Request, Response
from mynet.websocket.policy import Policy, PolicyFields
from mynet.websocket.shared import Shared

log = Logger()

_get_loop = asyncio._get_running_loop


class ASGIHandler:
    """A Handler that hosts an ASGI 3 application: HTTP, WebSockets, and its lifespan.

    It needs a reactor with an asyncio loop: mynet's own (uv), or Twisted's `asyncio`. On another
    `start` fails, and requests with it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        lifespan: Mode = "auto",
        root_path: str = "",
        stop_timeout: float = 5.0,
        reactor: IReactorTime | None = None,
        policy: Policy | None = None,
        **fields: Unpack[PolicyFields],
    ) -> None:
        """Host one application.

        Args:
            app: The application.
            lifespan: Whether it is told of start and stop: `on`, `off`, or `auto`, which is to try.
            root_path: What a proxy in front has taken off the paths, decoded. (What an App's
                mount takes off is known without.)
            stop_timeout: Seconds that what it still does after its responses may take when the
                server stops; then it is cancelled.
            reactor: For `stop_timeout`: the global reactor unless given.
            policy: For its WebSockets: `Policy()` unless given. Its `leave_timeout` is for HTTP,
                too: how long it may go on with a request whose client went before it was answered.
            fields: What is different in that policy: `origins=["https://example.com"]`.

        Raises:
            TypeError: The application cannot be called.
            ValueError: A value is none of those.
        """
        if not callable(app):
            raise TypeError(f"an ASGI application is called with scope, receive, send; not {app!r}")
        if lifespan not in get_args(Mode):
            raise ValueError(f"lifespan must be one of {get_args(Mode)}, not {lifespan!r}")
        self.app = app
        """The application."""
        self.root_path = root_path.rstrip("/")
        """What is put before each `root_path`."""
        self.shared = Shared(policy, **fields)
        """The policy and counts of its WebSockets."""
        self.leave_timeout = self.shared.policy.leave_timeout
        """Seconds that it may go on without its client; then it is cancelled."""
        self.state: dict[str, Any] = {}
        """What its lifespan has put there; each scope has a copy."""
        self.tasks = Tasks()
        """Those of its requests."""
        self.cancelled = 0
        """How often it had to be cancelled because it went on without its client."""
        # Requests repeat their header sections: the last one, and what it says
        self._section: object = None
        self._fields: RawHeaders = ()
        self._is_websocket = False
        self._mode = lifespan
        self._lifespan: Lifespan | None = None
        self._stop_timeout = stop_timeout
        self._reactor = reactor

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        loop = _get_loop()
        if loop is None:
            raise NoLoop
        section = request._raw_headers
        if section is not self._section:
            self._section = section
            self._fields = request.peek_raw_headers()
            self._is_websocket = wants_websocket(self._fields)
        if self._is_websocket:
            return open_websocket(self, request)
        return Cycle(self, request, loop).run(http_scope(request, list(self._fields), self))

    @property
    def clock(self) -> IReactorTime:
        """The reactor whose time is used."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = cast(IReactorTime, reactor)
        return self._reactor

    def start(self) -> Deferred[None]:
        """Have the application start, as far as it has a lifespan.

        Returns:
            A Deferred that fires when it has. It fails with `StartupFailed`, which has the
            application's message, and with `NoLoop` on a reactor without an asyncio loop.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if _get_loop() is None:  # a reactor that is about to run may have one then
            await deferLater(self.clock, 0)
        loop = running_loop()
        if self._mode == "off":
            return
        self.state = {}
        lifespan = Lifespan(self.app, self.state, self._mode)
        await lifespan.start(loop)
        self._lifespan = lifespan

    def stop(self) -> Deferred[None]:
        """Wait for what the application still does, and have it stop.

        Returns:
            A Deferred that fires when it has.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self.tasks.running:
            await self._end_tasks()
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.stop()

    async def _end_tasks(self) -> None:
        if not await self._end_within(self._stop_timeout):
            self._warn("did not end in time")
            self.tasks.cancel()
            if not await self._end_within(PATIENCE):
                self._warn("went on when they were cancelled, and are left alone")

    async def _end_within(self, timeout: float) -> bool:
        try:
            await self.tasks.ended().addTimeout(timeout, self.clock)
        except TimeoutError:
            return False
        return True

    def _warn(self, what: str) -> None:
        count = len(self.tasks.running)
        log.warn("{count} tasks of {app} {what}", count=count, app=self.app, what=what)
