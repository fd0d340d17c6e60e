"""The reactor: what it listens and connects with, and what runs beside."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ftplib import FTP
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.request import urlopen

import pytest
import uvloop
from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, UnsupportedAddressFamily
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from mynet.uvreactor import UVReactor
from tests.child import PACKAGE, run_python
from tests.uvreactor.stories import MUCH, TIMEOUT, once_uv, only_uv, story

INTERFACES = [
    interfaces.IReactorCore,
    interfaces.IReactorTime,
    interfaces.IReactorTCP,
    interfaces.IReactorUNIX,
    interfaces.IReactorSocket,
    interfaces.IReactorUDP,
    interfaces.IReactorProcess,
    interfaces.IReactorThreads,
    interfaces.IReactorFDSet,
]


@pytest.mark.parametrize("interface", INTERFACES)
@once_uv
def test_interfaces(place, interface):
    """It has all that Twisted's interfaces of one name."""
    assert verifyObject(interface, place.reactor)


# What others have opened


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@story
async def test_adopt_connection(place, family):
    """A connection that there is already is served; its owner may close it."""
    peer, ours = _pair(family)
    place.peers.append(peer)
    factory = place.factory(on_data=lambda it: it.transport.write(it.received))
    place.reactor.adoptStreamConnection(ours.fileno(), family, factory)
    ours.close()
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"hello"
    peer.close()
    await place.until(lambda: place.protocols[0].reason)
    assert place.protocols[0].lost_by is ConnectionDone


def _pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        one, other = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname())
            other, _ = server.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


@story
async def test_adopt_another_family(place):
    """What is no stream of a kind it knows is refused."""
    with pytest.raises(UnsupportedAddressFamily):
        place.reactor.adoptStreamPort(0, socket.AF_APPLETALK, place.factory())
    with pytest.raises(UnsupportedAddressFamily):
        place.reactor.adoptStreamConnection(0, socket.AF_APPLETALK, place.factory())


# Its end


@story
async def test_stop(place):
    """All connections are told when it stops."""
    for _ in range(3):
        await place.connect()
    protocols = list(place.protocols)
    lost = (["made", "lost"], ConnectionLost)
    place.after = lambda: _all(lambda it: (it.told, it.lost_by) == lost, protocols)


def _all(condition: Any, items: list[Any]) -> None:
    assert all(map(condition, items))


# asyncio


@once_uv
@story
async def test_asyncio_future(place):
    """A future of asyncio is awaited as a Deferred, and the reverse."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, uvloop.Loop)
    future = loop.create_future()
    loop.call_soon(future.set_result, "hello")
    assert await Deferred.fromFuture(future) == "hello"

    async def task() -> str:
        await asyncio.sleep(0)
        return str(await waiting.asFuture(loop))

    waiting: Deferred[str] = Deferred()
    place.reactor.callLater(0, waiting.callback, "world")
    assert await Deferred.fromFuture(asyncio.ensure_future(task())) == "world"


@only_uv
@story
async def test_asyncio_streams(place):
    """A client of asyncio's talks with a server of Twisted's in one process."""
    port = place.listen(on_data=lambda it: it.transport.write(it.received[-1:] * 2**16))

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.getHost().port)
        writer.write(b"x")
        answer = await reader.readexactly(2**16)
        writer.close()
        await writer.wait_closed()
        return answer

    assert await Deferred.fromFuture(asyncio.ensure_future(client())) == b"x" * 2**16
    await place.until(lambda: place.protocols[0].reason)


@once_uv
@story
async def test_asyncio_failure(place, logged):
    """What goes wrong in asyncio, and nobody takes, is logged as asyncio does."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.default_exception_handler = lambda context: told.append(context["message"])  # type: ignore[method-assign]
    loop.call_exception_handler({"message": "hello"})
    assert told == ["hello"]


@story
async def test_threads(place):
    """Threads have their say."""
    assert await deferToThread(lambda: "hello") == "hello"


@once_uv
@story
async def test_loop_of_another(place):
    """An event loop that is not uvloop's is refused in a line."""
    loop = asyncio.SelectorEventLoop()
    try:
        with pytest.raises(TypeError, match="needs an event loop of uvloop, not <_UnixSelector"):
            UVReactor(loop)
    finally:
        loop.close()


# In processes of their own

PROCESSES = """
import asyncio, sys
from mynet import uvreactor
uvreactor.install()
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater

class Child(ProcessProtocol):
    def __init__(self):
        self.ended, self.out = Deferred(), b""
    def outReceived(self, data):
        self.out += data
    def processEnded(self, reason):
        self.ended.callback(reason.value.exitCode)

async def of_asyncio(code):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"print('asyncio'); raise SystemExit({code})",
        stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    print(out.decode().strip(), child.returncode)

async def of_twisted(code):
    child = Child()
    script = f"print('twisted'); raise SystemExit({code})"
    reactor.spawnProcess(child, sys.executable, [sys.executable, "-c", script], env=None)
    code = await child.ended
    print(child.out.decode().strip(), code)

async def story():
    ORDER

def failed(failure):
    failure.printTraceback()

def begin():
    done = Deferred.fromCoroutine(story()).addTimeout(20, reactor)
    done.addErrback(failed).addBoth(lambda _: reactor.stop())

reactor.callWhenRunning(begin)
reactor.run()
"""

ASYNCIO = "await Deferred.fromFuture(asyncio.ensure_future(of_asyncio({})))"
TWISTED = "await of_twisted({})"


@pytest.mark.parametrize("order", ["at", "ta", "atat", "taat", "ttaatt"])
def test_processes(order):
    """Both asyncio and Twisted notice when a process ends that they began, in any order."""
    steps = [(ASYNCIO if who == "a" else TWISTED).format(n) for n, who in enumerate(order)]
    run = run_python("-W", "error", "-c", PROCESSES.replace("ORDER", "; ".join(steps)))
    names = {"a": "asyncio", "t": "twisted"}
    expected = "".join(f"{names[who]} {n}\n" for n, who in enumerate(order))
    assert (run.stdout, run.stderr) == (expected, "")


OUTLIVING = """
    child = Child()
    script = "import os, signal; os.close(1); os.close(2); signal.pause()"
    process = reactor.spawnProcess(child, sys.executable, [sys.executable, "-c", script], env=None)
    process.closeStdin()
    while process.pipes:
        await deferLater(reactor, 0)
    await Deferred.fromFuture(asyncio.ensure_future(of_asyncio(0)))
    for _ in range(20):
        await deferLater(reactor, 0)
    process.signalProcess("TERM")
    await child.ended
    print("twisted")
"""


def test_process_that_outlives_another():
    """Twisted notices the end of a process though one of asyncio's began and ended meanwhile."""
    run = run_python("-W", "error", "-c", PROCESSES.replace("ORDER", OUTLIVING.strip()))
    assert (run.stdout, run.stderr) == ("asyncio 0\ntwisted\n", "")


def test_install():
    """It can be the process's reactor, once."""
    code = (
        "from mynet import uvreactor; uvreactor.install()\n"
        "from twisted.internet import reactor\n"
        "print(type(reactor).__name__)\n"
        "uvreactor.install()\n"
    )
    run = run_python("-c", code)
    assert run.stdout == "UVReactor\n"
    last = "twisted.internet.error.ReactorAlreadyInstalledError: reactor already installed"
    assert run.stderr.splitlines()[-1] == last


@pytest.fixture
def plugins(tmp_path):
    """A folder for sys.path where twistd finds the reactor, as it does where that is installed."""
    source = Path(__file__).parents[2] / "twisted_plugins" / "mynet_plugin.py"
    folder = tmp_path / "twisted" / "plugins"
    folder.mkdir(parents=True)
    (folder / source.name).write_text(source.read_text())
    return os.pathsep.join([str(PACKAGE.parent), str(tmp_path)])


TWISTD = "import sys; {}; from twisted.scripts.twistd import run; run()"


def test_twistd(plugins, tmp_path):
    """twistd lists it."""
    run = run_python("-c", TWISTD.format("0"), "--help-reactors", cwd=tmp_path, PYTHONPATH=plugins)
    assert run.returncode == 0
    assert any(line.split()[:1] == ["uv"] for line in run.stdout.splitlines())


@pytest.fixture
def twistd(plugins, tmp_path):
    """Run a server of Twisted's on it, and tell its port; it has a large file."""
    (tmp_path / "large").write_bytes(MUCH)

    @contextmanager
    def running(*options: str) -> Iterator[int]:
        command = [sys.executable, "-c", TWISTD.format("0"), "-n", "--reactor=uv", *options]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": plugins, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            deadline = Timer(TIMEOUT, server.kill)
            deadline.start()
            try:
                assert server.stdout is not None
                log = ""
                while not (found := re.search(r"(?:Site|Factory) starting on (\d+)", log)):
                    line = server.stdout.readline()
                    assert line, log
                    log += line
                yield int(found[1])
                server.terminate()
                log += server.stdout.read()
            finally:
                deadline.cancel()
                server.kill()
        assert server.returncode == -signal.SIGTERM  # as twistd ends by a signal
        assert "reactor class: mynet.uvreactor.reactor.UVReactor" in log
        assert "Traceback" not in log

    return running


def test_web_of_twisted(twistd):
    """Servers that know nothing of mynet run on it, such as Twisted's for the web."""
    with (
        twistd("web", "--listen=tcp:0:interface=127.0.0.1", "--path=.") as port,
        urlopen(f"http://127.0.0.1:{port}/large", timeout=TIMEOUT) as response,
    ):
        assert response.read() == MUCH


def test_ftp_of_twisted(twistd):
    """So do those that listen and connect while they run, such as Twisted's for FTP."""
    received: list[bytes] = []
    with (
        twistd("ftp", "--port=0", "--root=.") as port,
        FTP(timeout=TIMEOUT) as client,
    ):
        client.connect("127.0.0.1", port)
        client.login()
        for is_passive in (True, False):
            received.clear()
            client.set_pasv(is_passive)
            client.retrbinary("RETR large", received.append)
            assert b"".join(received) == MUCH


def test_without_uvloop(plugins, tmp_path):
    """Where uvloop is missing twistd says in a line what to install."""
    code = TWISTD.format("sys.modules['uvloop'] = None")
    run = run_python("-c", code, "--reactor=uv", "-n", "web", cwd=tmp_path, PYTHONPATH=plugins)
    assert "Traceback" not in run.stdout + run.stderr
    assert "the uv reactor needs uvloop (pip install uvloop" in run.stdout + run.stderr


def test_without_uvloop_in_a_program():
    """So does a program that wants it."""
    code = "import sys; sys.modules['uvloop'] = None\nfrom mynet import uvreactor"
    run = run_python("-c", code)
    assert "ModuleNotFoundError: the uv reactor needs uvloop (pip install uvloop" in run.stderr
    assert "During handling" not in run.stderr


@only_uv
@story
async def test_timers_do_not_spin(place, monkeypatch):
    """A call that is due in a while is waited for, and looked for once, not in a busy loop."""
    looked: list[None] = []
    run = place.reactor.runUntilCurrent

    def look() -> None:
        looked.append(None)
        run()

    monkeypatch.setattr(place.reactor, "runUntilCurrent", look)
    for _ in range(20):
        await deferLater(place.reactor, 0.0013)
    assert len(looked) <= 60
