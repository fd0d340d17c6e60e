"""The life of a server: what happens in which order, and what when something fails."""

from __future__ import annotations

import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.application.service import IService
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, getDebugging, setDebugging
from twisted.internet.interfaces import IListeningPort
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mynet import App, Request, Response
from mynet.daemon import Options, makeService, service
from mynet.daemon.access_log import AccessLog
from mynet.daemon.errors import CannotStart
from mynet.daemon.listening import Listener
from mynet.daemon.options import DEFAULT_DRAIN
from mynet.daemon.service import STOP_TIMEOUT, Server, make_server
from mynet.http import Access, HTTPFactory
from mynet.testing import result_of


class FakeReactor(MemoryReactorClock):
    """A reactor that a test runs, and that takes note of what is asked of it."""

    def __init__(self, course: list[str]) -> None:
        super().__init__()
        self.course = course

    def begin(self) -> None:
        self.running = self.hasRun = True
        for call, arguments, named in self.whenRunningHooks:
            call(*arguments, **named)

    def stop(self) -> None:
        super().stop()
        self.course.append("reactor stops")

    def fireSystemEvent(self, eventType: str) -> None:
        self.course.append(f"{eventType} is fired")

    def callFromThread(self, callable, *args, **kw):
        callable(*args, **kw)


class FakePort(FileDescriptor):
    """A port that accepts while it reads."""

    def __init__(self, reactor: FakeReactor) -> None:
        super().__init__(reactor)
        self.course = reactor.course
        self.closing: Deferred[None] | None = None

    def startReading(self) -> None:
        self.course.append("accept")

    def stopReading(self) -> None:
        self.course.append("hold")

    def stopListening(self) -> Deferred[None] | None:
        self.course.append("close")
        return self.closing

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 80)


class FakeListener(Listener):
    """An endpoint that does what its result says."""

    def __init__(self, course: list[str], result: Any) -> None:
        self.course = course
        self.result = result

    def listen(self, factory: Any) -> IListeningPort | Deferred[IListeningPort]:
        self.course.append("listen")
        if isinstance(self.result, Exception):
            raise self.result
        return cast(IListeningPort, self.result)


class Handler:
    """A handler whose life is noted; its hooks return what they are told to."""

    def __init__(self, course: list[str]) -> None:
        self.course = course
        self.starting: Any = None
        self.stopping: Any = None

    def __call__(self, request: Request) -> Response:
        return Response()

    def start(self) -> Any:
        self.course.append("start")
        if isinstance(self.starting, Exception):
            raise self.starting
        return self.starting

    def stop(self) -> Any:
        self.course.append("stop")
        if isinstance(self.stopping, Exception):
            raise self.stopping
        return self.stopping


class DrainingFactory(HTTPFactory):
    """A factory that drains when it is told to."""

    course: list[str]
    draining_done: Deferred[None]

    def drain(self, timeout: float) -> Deferred[None]:
        self.course.append(f"drain {timeout:g}")
        self.draining_done = Deferred()
        return self.draining_done


class Life:
    """A server, and the course that its life takes."""

    def __init__(self) -> None:
        self.course: list[str] = []
        self.reactor = FakeReactor(self.course)
        self.port = FakePort(self.reactor)
        self.handler = Handler(self.course)
        self.factory = DrainingFactory(self.handler, reactor=self.reactor)
        self.factory.course = self.course
        self.listeners: list[Listener] = [FakeListener(self.course, self.port)]
        self.server = self.make(self.factory)

    def make(self, factory: HTTPFactory) -> Server:
        return Server(
            cast(service.Reactor, self.reactor),
            factory,
            self.listeners,
            name="hello:app",
            drain=7,
            failed=lambda: self.course.append("failed"),
        )

    def begin(self) -> None:
        """Start it as twistd does."""
        self.server.privilegedStartService()
        self.server.startService()
        self.reactor.begin()

    def take(self) -> list[str]:
        """The course since it was last taken."""
        taken = self.course[:]
        self.course.clear()
        return taken


@pytest.fixture
def life(monkeypatch):
    monkeypatch.setattr(service, "raise_file_limit", lambda: None)
    monkeypatch.setattr(service, "tell_in_one_line", lambda: None)
    return Life()


def test_is_a_service(life):
    """It can be put wherever Twisted has services."""
    verifyObject(IService, life.server)


# Up


def test_up(life, events):
    """Nobody is served before the handler has started; the log says where it is served then."""
    life.server.privilegedStartService()
    assert life.take() == ["listen"]
    life.server.startService()
    assert life.take() == []
    life.reactor.begin()
    assert life.take() == ["hold", "start", "accept"]
    assert events == [("info", "Serving hello:app on http://127.0.0.1:80/")]


def test_handler_that_takes_its_time(life):
    """Clients wait in the queue as long as the handler needs."""
    life.handler.starting = Deferred()
    life.begin()
    assert life.take() == ["listen", "hold", "start"]
    life.handler.starting.callback(None)
    assert life.take() == ["accept"]


def test_handler_with_coroutines(life):
    """Its hooks may be coroutines."""
    waits: Deferred[None] = Deferred()

    async def start() -> None:
        await waits
        life.course.append("has started")

    life.handler.starting = start()
    life.begin()
    waits.callback(None)
    assert life.take() == ["listen", "hold", "start", "has started", "accept"]


def test_handler_without_hooks(life):
    """A plain function is served too."""
    life.server = life.make(DrainingFactory(lambda request: Response()))
    life.server._factory.course = life.course
    life.begin()
    assert life.take() == ["listen", "hold", "accept"]
    stopping = life.server.stopService()
    life.server._factory.draining_done.callback(None)
    assert result_of(stopping) is None


def test_twist(life):
    """It runs under twist too, which has no privileges to shed."""
    life.server.startService()
    life.reactor.begin()
    assert life.take() == ["listen", "hold", "start", "accept"]


def test_slow_endpoint(life):
    """An endpoint that takes its time is waited for, and nobody is served before all are there."""
    opening: Deferred[IListeningPort] = Deferred()
    life.listeners.append(FakeListener(life.course, opening))
    life.begin()
    assert life.take() == ["listen", "listen", "hold"]
    opening.callback(cast(IListeningPort, FakePort(life.reactor)))
    assert life.take() == ["hold", "start", "accept", "accept"]


def test_port_in_use(life, events):
    """Where one port cannot be had none stays open, and nothing is started."""
    life.listeners.append(FakeListener(life.course, CannotStart("cannot listen on tcp:80: In use")))
    with pytest.raises(CannotStart):
        life.server.privilegedStartService()
    assert life.take() == ["listen", "listen", "shutdown is fired"]
    assert events == [("critical", "mynet: cannot listen on tcp:80: In use")]


def test_slow_endpoint_fails(life, events):
    """An endpoint that fails late ends the process, with a status that tells."""
    opening: Deferred[IListeningPort] = Deferred()
    life.listeners.append(FakeListener(life.course, opening))
    life.begin()
    opening.errback(CannotStart("cannot listen on slow:80: Not today"))
    assert life.take() == ["listen", "listen", "hold", "failed", "reactor stops"]
    assert events == [("critical", "mynet: cannot listen on slow:80: Not today")]


@pytest.mark.parametrize("error", [RuntimeError("no database"), SystemExit(3)])
def test_handler_cannot_start(life, events, error):
    """A handler that cannot start ends the process; one line of the log tells why, and where."""

    async def start() -> None:
        raise error

    life.handler.starting = start()
    life.begin()
    assert life.take() == ["listen", "hold", "start", "failed", "reactor stops"]
    told = traceback.format_exception_only(error)[-1].strip()
    (level, line), *others = events
    assert (level, others) == ("critical", [])
    assert re.fullmatch(rf"mynet: cannot start hello:app: {told} \(.*test_service\.py:\d+\)", line)
    assert result_of(life.server.stopService()) is None
    assert life.take() == ["close"]


def test_error_that_says_it_all(life, events):
    """What a host of ours says of an application's start is told as it is."""
    kind = type("CannotBegin", (Exception,), {"__module__": "mynet.handlers.some"})
    life.handler.starting = kind("its start failed: no database")
    life.begin()
    told = "mynet: cannot start hello:app: its start failed: no database"
    assert events == [("critical", told)]


@pytest.mark.parametrize("debug", [True, False])
def test_traceback_of_a_handler_that_cannot_start(life, debug):
    """Its traceback is logged too, where that was asked for."""
    failures: list[Any] = []
    life.server._debug = debug
    life.handler.starting = RuntimeError("no database")

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        failures.append(event.get("log_failure"))

    globalLogPublisher.addObserver(observe)
    life.begin()
    globalLogPublisher.removeObserver(observe)
    assert [failure is not None for failure in failures] == [debug]


def test_handler_cannot_start_at_once(life):
    """That it fails before it waits makes no difference."""
    life.handler.starting = RuntimeError("no database")
    life.begin()
    assert life.take() == ["listen", "hold", "start", "failed", "reactor stops"]


# Down


def test_down(life):
    """No new clients, then what is in flight, then the handler."""
    life.begin()
    life.take()
    life.port.closing = Deferred()
    life.handler.stopping = Deferred()
    stopping = life.server.stopService()
    assert life.take() == ["close"]
    life.port.closing.callback(None)
    assert life.take() == ["drain 7"]
    life.factory.draining_done.callback(None)
    assert life.take() == ["stop"]
    assert not stopping.called
    life.handler.stopping.callback(None)
    assert result_of(stopping) is None
    assert life.reactor.getDelayedCalls() == []


def test_handler_does_not_stop(life, events):
    """A handler that does not stop keeps the process for a limited time."""
    life.begin()
    life.handler.stopping = Deferred()
    stopping = life.server.stopService()
    life.factory.draining_done.callback(None)
    life.reactor.advance(STOP_TIMEOUT)
    assert result_of(stopping) is None
    assert events[-1] == ("critical", "hello:app did not stop in good order")


def test_handler_fails_to_stop(life, events):
    """A handler that fails on its way down is logged, and what follows still happens."""
    life.begin()
    life.handler.stopping = RuntimeError("lost")
    stopping = life.server.stopService()
    life.factory.draining_done.callback(None)
    assert result_of(stopping) is None
    assert events[-1] == ("critical", "hello:app did not stop in good order")


def test_stop_while_starting(life, events):
    """Told to stop while its handler starts, it does not wait for that; nothing has failed."""
    cancelled: list[Deferred[None]] = []
    life.handler.starting = Deferred(cancelled.append)
    life.begin()
    life.take()
    assert result_of(life.server.stopService()) is None
    assert life.take() == ["close"]
    assert cancelled == [life.handler.starting]
    assert events == []


def test_stop_while_starting_waits_for_what_was_begun(life):
    """A start that is cancelled puts away what it has made, and has time for that."""
    waits: Deferred[None] = Deferred()
    closes: Deferred[None] = Deferred()

    async def start() -> None:
        try:
            await waits
        finally:
            await closes
            life.course.append("put away")

    life.handler.starting = start()
    life.begin()
    life.take()
    stopping = life.server.stopService()
    assert life.take() == ["close"]
    assert not stopping.called
    closes.callback(None)
    assert result_of(stopping) is None
    assert life.take() == ["put away"]
    assert life.reactor.getDelayedCalls() == []


def test_stop_while_starting_does_not_wait_for_ever(life, events):
    """A start that does not care that it is cancelled keeps the process for a limited time."""
    life.handler.starting = shielded(Deferred())
    life.begin()
    stopping = life.server.stopService()
    assert not stopping.called
    life.reactor.advance(STOP_TIMEOUT)
    assert result_of(stopping) is None
    assert events[-1] == ("critical", "hello:app did not stop in good order")


def test_start_that_ends_while_it_is_stopped(life):
    """A handler that has started all the same is stopped; it never served."""
    starts: Deferred[None] = Deferred()
    life.handler.starting = shielded(starts)
    life.begin()
    life.take()
    stopping = life.server.stopService()
    starts.callback(None)
    assert life.take() == ["close", "drain 7"]
    life.factory.draining_done.callback(None)
    assert life.take() == ["stop"]
    assert result_of(stopping) is None


def test_second_signal_while_starting(life, events):
    """It ends at once too when only a start is waited for."""
    life.handler.starting = shielded(Deferred())
    life.begin()
    stopping = life.server.stopService()
    life.server._signalled("SIGTERM")
    assert result_of(stopping) is None
    assert events == [("warn", "SIGTERM again: what is left is cut off")]


async def shielded(ends: Deferred[None]) -> None:
    """What cannot be cancelled, and ends with this."""
    with suppress(CancelledError):
        await Deferred()
    await ends


def test_stop_before_the_reactor_runs(life):
    """It can be stopped before it has begun."""
    life.server.privilegedStartService()
    life.server.startService()
    life.take()
    assert result_of(life.server.stopService()) is None
    assert life.take() == ["close"]


# Signals


def test_signal(life, events):
    """The first signal stops the reactor, which stops the service."""
    life.begin()
    life.take()
    life.server._signalled("SIGTERM")
    assert life.take() == ["reactor stops"]
    assert events[-1] == ("info", "SIGTERM: draining, for 7 s at most")


def test_second_signal(life, events):
    """The second ends it at once: nothing is waited for any more."""
    life.begin()
    stopping = life.server.stopService()
    life.take()
    life.server._signalled("SIGINT")
    assert result_of(stopping) is None
    assert life.take() == []
    assert events[-1] == ("warn", "SIGINT again: what is left is cut off")


def test_second_signal_while_the_handler_stops(life, events):
    """It ends at once too when only the handler is waited for."""
    life.begin()
    cancelled: list[Deferred[None]] = []
    life.handler.stopping = Deferred(cancelled.append)
    stopping = life.server.stopService()
    life.factory.draining_done.callback(None)
    life.take()
    life.server._signalled("SIGINT")
    assert result_of(stopping) is None
    assert life.take() == []
    assert cancelled == [life.handler.stopping]
    assert events[-1] == ("warn", "SIGINT again: what is left is cut off")


# From options

APP = """
from mynet import App
app = App()
def handler(request): ...
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with an application."""
    (tmp_path / "daemon_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("daemon_app", None)
    setDebugging(False)


def options_of(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def make(*arguments: str) -> Server:
    reactor = cast(service.Reactor, MemoryReactorClock())
    return make_server(reactor, options_of(*arguments))


def test_made_from_options(folder):
    """What was asked for is what is served, where, and how."""
    server = make(
        *("--app=daemon_app:app", "--listen=tcp:80", "--listen=tcp:81", "--access-log=a.log"),
        "--drain=3",
    )
    assert server._factory.handler is sys.modules["daemon_app"].app
    assert [listener.description for listener in server._listeners] == ["tcp:80", "tcp:81"]
    assert isinstance(server._factory.access_log, AccessLog)
    assert (server._drain, server._served) == (3, "daemon_app:app")
    server._factory.access_log.close()


def test_access_log_ends_last(folder):
    """The log has the connections too that are cut off when the reactor ends."""
    reactor = MemoryReactorClock()
    server = make_server(cast(service.Reactor, reactor), options_of("--access-log=a.log"))
    assert isinstance(server._factory.access_log, AccessLog)
    server._factory.access_log(Access(None, IPv4Address("TCP", "192.0.2.1", 5), 499, 0))
    for call, arguments, named in reactor.triggers["after"]["shutdown"]:
        call(*arguments, **named)
    assert '"-" 499 0' in (folder / "a.log").read_text()


def test_demo():
    """Without an application there is something to see."""
    server = make()
    assert isinstance(server._factory.handler, App)
    assert server._factory.access_log is None
    assert server._served == "the demo site"


@pytest.mark.parametrize("debug", [True, False])
def test_debug(folder, debug):
    """Errors are explained only where that was asked for; not to strangers."""
    server = make("--app=daemon_app:app", *(["--debug"] if debug else []))
    assert isinstance(server._factory.handler, App)
    assert server._factory.handler.debug is debug
    assert getDebugging() is debug


def test_debug_of_a_plain_handler(folder):
    """A handler that is no App is served in debug mode as it is."""
    server = make("--app=daemon_app:handler", "--debug")
    assert server._factory.handler is sys.modules["daemon_app"].handler


def test_mistakes(folder, capsys):
    """A mistake ends the process with its one line."""
    for arguments, line in {
        ("--app=daemon_app:ap",): "--app daemon_app:ap: there is no 'ap' in daemon_app.py",
        ("--app=",): "--app is MODULE:ATTRIBUTE, such as hello:app, not ''",
        ("--listen=no:80",): "--listen no:80: Unknown endpoint type: 'no'",
        ("--access-log=no/a.log",): "--access-log no/a.log: No such file or directory",
    }.items():
        with pytest.raises(SystemExit) as caught:
            makeService(options_of(*arguments))
        assert str(caught.value.code).startswith(f"mynet: {line}")
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("debug", [True, False])
def test_broken_application(folder, capsys, debug):
    """A bug in the application is one line; in debug mode its whole traceback comes first."""
    (folder / "daemon_broken.py").write_text("def f():\n    1 / 0\nf()\n")
    with pytest.raises(SystemExit) as caught:
        makeService(options_of("--app=daemon_broken:app", *(["--debug"] if debug else [])))
    assert caught.value.code == (
        "mynet: module daemon_broken cannot be imported: ZeroDivisionError: division by zero "
        "(daemon_broken.py:2)"
    )
    assert ("in <module>" in capsys.readouterr().err) is debug


def test_daemon_without_stdout(folder):
    """A daemon cannot log to a stdout that it does not have."""
    options = options_of("--access-log=-")
    options.parent = cast(Any, {"nodaemon": 0})
    with pytest.raises(CannotStart, match="a daemon has no stdout"):
        make_server(cast(service.Reactor, MemoryReactorClock()), options)
    options.parent = cast(Any, {"nodaemon": 1})
    server = make_server(cast(service.Reactor, MemoryReactorClock()), options)
    assert isinstance(server._factory.access_log, AccessLog)


def test_debug_of_twistd(folder):
    """Who debugs Deferreds already goes on doing so."""
    setDebugging(True)
    make("--app=daemon_app:app")
    assert getDebugging()


def test_systemd_waits():
    """The unit's patience is longer than all that the server waits for on its way down."""
    unit = (Path(__file__).parents[2] / "systemd" / "mynet.service").read_text()
    patience = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert patience
    assert int(patience[1]) > DEFAULT_DRAIN + STOP_TIMEOUT
