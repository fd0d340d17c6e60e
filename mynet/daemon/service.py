"""The life of a server under twistd: listen, start the handler, serve, drain, stop.

Ports are opened first: while there are privileges to do it with, and while twistd can still
tell whoever called it that one is in use. Clients wait in their queues until `handler.start()`
is done, which is called once the reactor runs. When that fails the process ends, with status 1.

On the way down no port listens any more; what is in flight has its time to finish; then comes
`handler.stop()`. The access log is written out last of all, when no connection is left.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    fail,
    maybeDeferred,
    setDebugging,
    succeed,
)
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorCore,
    IReactorFromThreads,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from mynet.daemon.access_log import AccessLog, open_access_log
from mynet.daemon.errors import CannotStart
from mynet.daemon.listening import Listener, describe_port, hold
from mynet.daemon.loading import essence, what, where
from mynet.daemon.mounting import describe, make_handler
from mynet.daemon.options import DEFAULT_DRAIN, Options
from mynet.daemon.process import (
    ExitStatus,
    keep_freed_memory,
    on_signals,
    raise_file_limit,
    tell_in_one_line,
)
from mynet.http.coroutines import start
from mynet.http.factory import HTTPFactory
from mynet.http.message import Handler

STOP_TIMEOUT = 10.0
"""Seconds that `handler.stop()` may take, or a `start()` that is cancelled.
systemd/mynet.service waits for longer than this and the drain together."""

log = Logger()


class Reactor(IReactorCore, IReactorTime, IReactorFromThreads):
    """What is asked of a reactor here; endpoints ask for more."""


class Server(Service):
    """One handler, served on any number of endpoints by one factory.

    Args:
        reactor: What runs it.
        factory: With the handler. Whatever its `start()` and `stop()` return is waited for.
        listeners: Where.
        name: What is served, for the log.
        drain: Seconds that requests have to finish in when it is stopped.
        debug: Whether the log has the traceback of a handler that could not start.
        failed: Called if it stops the reactor because it could not start.
    """

    def __init__(
        self,
        reactor: Reactor,
        factory: HTTPFactory,
        listeners: Sequence[Listener],
        *,
        name: str,
        drain: float = DEFAULT_DRAIN,
        debug: bool = False,
        failed: Callable[[], object] = bool,
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._listeners = listeners
        self._served = name
        self._drain = drain
        self._debug = debug
        self._on_failure = failed
        self._ports: list[IListeningPort] = []
        self._opening: list[Deferred[IListeningPort]] = []
        self._starting: Deferred[None] | None = None
        self._start_ended: Deferred[None] = Deferred()
        self._started = False
        self._stopping: Deferred[None] | None = None

    # IService

    def privilegedStartService(self) -> None:
        """Listen.

        Raises:
            CannotStart: No port is left open.
        """
        Service.privilegedStartService(self)
        raise_file_limit()
        keep_freed_memory()
        try:
            self._listen()
        except CannotStart as error:
            log.critical("mynet: {error}", error=error)
            self._reactor.fireSystemEvent("shutdown")  # which closes ports, and never will later
            tell_in_one_line()
            raise

    def startService(self) -> None:
        """Serve, as soon as the reactor runs."""
        Service.startService(self)
        if not self._ports and not self._opening:  # twist, unlike twistd, only calls this
            self.privilegedStartService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """Drain and stop; the Deferred fires when all is done. Cancelling it ends that at once."""
        Service.stopService(self)
        self._stopping = self._run(self._stop())
        return self._stopping.addErrback(_cancelled)

    # Up

    def _listen(self) -> None:
        for listener in self._listeners:
            port = listener.listen(self._factory)
            if isinstance(port, Deferred):
                self._opening.append(port)
            else:
                self._ports.append(port)

    def _begin(self) -> None:
        on_signals(self._reactor, self._signalled)
        self._starting = self._run(self._start_to_its_end())
        self._starting.addErrback(self._failed)

    async def _start_to_its_end(self) -> None:
        try:
            await self._start()
        finally:
            self._start_ended.callback(None)

    async def _start(self) -> None:
        for port in self._ports:
            hold(port, True)
        for opening in self._opening:
            port = await opening
            hold(port, True)
            self._ports.append(port)
        await _call(self._factory.handler, "start")
        self._started = True
        if not self.running:
            return
        for port in self._ports:
            hold(port, False)
            log.info("Serving {name} on {where}", name=self._served, where=describe_port(port))

    def _failed(self, failure: Failure) -> None:
        if not self.running:
            _cancelled(failure)
            return
        told = self._told(failure)
        if self._debug:
            log.failure("mynet: {error}", failure, error=told)
        else:
            log.critical("mynet: {error}", error=told)
        self._give_up()

    def _told(self, failure: Failure) -> BaseException:
        error = cast(BaseException, failure.value)
        if isinstance(error, CannotStart):
            return error
        if type(error).__module__.startswith("mynet.handlers."):  # it says all there is to say
            return CannotStart(f"cannot start {self._served}: {essence(str(error))}")
        place = where(error, failure.getTracebackObject(), self._served.partition(":")[0])
        return CannotStart(f"cannot start {self._served}: {what(error)} ({place})")

    def _give_up(self) -> None:
        self._on_failure()
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        try:
            running = start(coroutine, copy_context(), self._reactor)
        except BaseException:
            return fail()
        return succeed(None) if running is None else running

    # Down

    def _signalled(self, name: str) -> None:
        access_log = self._factory.access_log
        if name == "SIGHUP":
            if isinstance(access_log, AccessLog):
                access_log.reopen()
        elif self._stopping is None:
            log.info("{name}: draining, for {drain:g} s at most", name=name, drain=self._drain)
            with suppress(ReactorNotRunning):  # it is about to stop already
                self._reactor.stop()
        else:
            log.warn("{name} again: what is left is cut off", name=name)
            self._stopping.cancel()

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._starting is not None:  # what was cancelled may have things to put away
            await self._in_good_order(self._start_ended)
        if self._started:
            await self._factory.drain(self._drain)
            await self._in_good_order(self._run(_call(self._factory.handler, "stop")))

    async def _in_good_order(self, stopping: Deferred[None]) -> None:
        try:
            await stopping.addTimeout(STOP_TIMEOUT, self._reactor)
        except CancelledError:
            raise
        except Exception:
            log.failure("{name} did not stop in good order", name=self._served)


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)


async def _call(handler: Handler, hook: str) -> None:
    """Call a handler's hook, if it has it, and wait for what it returns."""
    method: Callable[[], Awaitable[None] | None] | None = getattr(handler, hook, None)
    if method is not None:
        result = method()
        if result is not None:
            await result


def make_server(reactor: Reactor, options: Options) -> Server:
    """The server that was asked for; nothing has begun yet but the access log.

    Raises:
        CannotStart: It cannot be.
    """
    exit_status = ExitStatus()
    if options["debug"]:
        setDebugging(True)
    if options["uv-missing"]:
        name = type(reactor).__name__
        log.info("Running on {name}: {why}", name=name, why=options["uv-missing"])
    listeners = [Listener(reactor, description) for description in options["listen"]]
    handler = make_handler(options, has_loop(reactor))
    access_log = _access_log(reactor, options)
    return Server(
        reactor,
        HTTPFactory(handler, access_log=access_log, reactor=reactor),
        listeners,
        name=describe(options),
        drain=options["drain"],
        debug=options["debug"],
        failed=exit_status.failed,
    )


def has_loop(reactor: object) -> bool:
    """Whether a reactor runs an asyncio loop."""
    module = sys.modules.get("twisted.internet.asyncioreactor")
    return module is not None and isinstance(reactor, module.AsyncioSelectorReactor)


def _access_log(reactor: Reactor, options: Options) -> AccessLog | None:
    path = options["access-log"]
    if path is None:
        return None
    if path == "-" and options.parent is not None and options.parent.get("nodaemon") == 0:
        raise CannotStart("--access-log -: a daemon has no stdout; name a file, or use twistd -n")
    access_log = AccessLog(open_access_log(path), reactor, path=path)
    reactor.addSystemEventTrigger("after", "shutdown", access_log.close)
    return access_log
