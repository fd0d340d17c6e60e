"""The daemon in processes of its own: under twistd, twist and `python -m mynet`, with sockets."""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from tests.daemon.running import ANYWHERE, DAEMON, DEADLINE, FOREGROUND, TWISTD, Running

NO_DATABASE = r"RuntimeError: no database \(hello\.py:\d+\)"

APP = """
import os
from mynet import App
from twisted.internet import reactor
from twisted.internet.defer import Deferred

app = App()

@app.get("/")
def index(request):
    return "Hello, World!"

@app.get("/error")
def error(request):
    raise RuntimeError("a bug")

@app.post("/upload")
async def upload(request):
    return f"{len(await request.read())} bytes"

class Unable:
    def __call__(self, request): ...
    async def start(self):
        later = Deferred()
        reactor.callLater(0, later.callback, None)
        await later
        raise RuntimeError("no database")

unable = Unable()
"""


@pytest.fixture
def folder(tmp_path):
    """The current directory of the daemons, with an application."""
    (tmp_path / "hello.py").write_text(APP)
    return tmp_path


# Serving


@pytest.mark.parametrize("how", FOREGROUND)
def test_serves(serve, folder, how):
    """An application is served by each of the three commands; told to end, it ends well."""
    with serve("--app=hello:app", how=how) as running:
        assert running.get("/") == (200, "Hello, World!")
        assert (folder / "twistd.pid").exists() is how.startswith("twistd")
        running.signal()
        assert running.end() == 0
    assert "Traceback" not in running.log
    assert not (folder / "twistd.pid").exists()


def test_serves_the_demo(serve):
    """Without options there is a page worth looking at."""
    with serve() as running:
        status, body = running.get("/")
    assert status == 200
    assert "<html" in body


def test_debug(serve):
    """In debug mode the browser shows what went wrong; else it does not."""
    with serve("--app=hello:app") as running:
        status, body = running.get("/error")
        assert status == 500
        assert "a bug" not in body
    with serve("--app=hello:app", "--debug") as running:
        status, body = running.get("/error")
        assert status == 500
        assert "a bug" in body


def test_access_log(serve, folder):
    """Each response has its line in the log when the server has ended."""
    with serve("--app=hello:app", "--access-log=access.log") as running:
        running.get("/")
        running.get("/none")
        running.signal()
        assert running.end() == 0
    first, second = (folder / "access.log").read_text().splitlines()
    assert re.fullmatch(r'127\.0\.0\.1 - - \[.+ \+0000\] "GET / HTTP/1\.1" 200 13 "-" "-"', first)
    assert '"GET /none HTTP/1.1" 404 ' in second


def test_access_log_on_stdout(launch):
    """With `-` its lines go to stdout, apart from the server's own log."""
    with launch(ANYWHERE, "--app=hello:app", "--access-log=-", stderr=subprocess.PIPE) as running:
        process = running.process
        for line in process.stderr:
            if found := re.search(r"Serving .* on http://127.0.0.1:(\d+)/", line):
                running.port = int(found[1])
                break
        running.get("/")
        running.signal()
        assert running.end() == 0
        assert re.fullmatch(r'127\.0\.0\.1 - - .* "GET / HTTP/1\.1" 200 13 .*\n', running.log)


def test_rotated_access_log(serve, folder):
    """SIGHUP opens the log anew, where it was moved away, and nobody is cut off by it."""
    log = folder / "access.log"
    with serve("--app=hello:app", "--access-log=access.log") as running:
        running.get("/before")
        log.rename(folder / "access.log.1")
        running.process.send_signal(signal.SIGHUP)
        running.read_until("The access log is opened again")
        running.get("/after")
        running.signal()
        assert running.end() == 0
    assert "GET /before" in (folder / "access.log.1").read_text()
    assert "GET /after" in log.read_text()


def test_hangup(serve):
    """Without an access log SIGHUP does nothing."""
    with serve("--app=hello:app") as running:
        running.process.send_signal(signal.SIGHUP)
        assert running.get("/") == (200, "Hello, World!")
        running.signal()
        assert running.end() == 0


LOGGED = ["--app=hello:app", "--access-log=-"]


def test_access_log_that_nobody_reads(folder, environment):
    """Who stops reading a log on stdout neither stops the serving nor keeps it from ending."""
    unread, stdout = os.pipe()
    path = folder / "m.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "mynet", f"--listen=unix:{path}", *LOGGED],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = Timer(DEADLINE, process.kill)
    deadline.start()
    try:
        Running(process, process.stderr).read_until("Serving")
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        for _ in range(100):
            connection.request("GET", "/", headers={"User-Agent": "x" * 4000})
            assert connection.getresponse().read() == b"Hello, World!"
        connection.close()
        process.terminate()
        assert process.wait() == 0
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        os.close(unread)
        os.close(stdout)


def test_unix_socket(launch, folder):
    """A UNIX socket is there while the server is, with the mode that was asked for."""
    path = folder / "mynet.sock"
    with launch("--app=hello:app", f"--listen=unix:{path}:mode=660") as running:
        running.read_until(re.escape(f"Serving hello:app on unix:{path}"))
        assert path.stat().st_mode & 0o777 == 0o660
        assert get_unix(path) == b"Hello, World!"
        running.signal()
        assert running.end() == 0
    assert not path.exists()


def get_unix(path: Path) -> bytes:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE)
    connection.sock.connect(str(path))
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    return body


# Ending


def begin_upload(running: Running) -> http.client.HTTPConnection:
    """A request whose handler waits for the second half of its body."""
    connection = running.connect()
    connection.putrequest("POST", "/upload")
    connection.putheader("Content-Length", "10")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.sock is not None
    assert connection.sock.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"hello")
    return connection


def wait_for_refusal(running: Running) -> None:
    """Wait until nobody is accepted any more; until then some may still be, or be reset."""
    while running.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", running.port), DEADLINE).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue
    raise AssertionError(f"it ended instead:\n{running.log}")


def test_drains(serve):
    """Told to end it accepts nobody new, and finishes what it has begun."""
    with serve("--app=hello:app") as running:
        connection = begin_upload(running)
        running.signal()
        wait_for_refusal(running)
        connection.send(b"world")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"10 bytes")
        assert response.getheader("Connection") == "close"
        assert running.end() == 0


def test_does_not_drain_for_ever(serve):
    """A client that does not finish is cut off when its time is over."""
    with serve("--app=hello:app", "--drain=0") as running:
        connection = begin_upload(running)
        running.signal()
        assert running.end() == 0
        with pytest.raises((http.client.BadStatusLine, ConnectionError)):
            connection.getresponse()


@pytest.mark.parametrize("how", FOREGROUND)
def test_second_signal(serve, folder, how):
    """Told a second time it ends at once, and in good order but for that."""
    options = ["--app=hello:app", "--drain=1000", "--access-log=access.log"]
    with serve(*options, how=how) as running:
        connection = begin_upload(running)
        running.signal()
        running.read_until("SIGTERM: draining")
        running.signal()
        assert running.end() == 0
        connection.close()
    assert "SIGTERM again: what is left is cut off" in running.log
    assert '"POST /upload HTTP/1.1" 499 0 ' in (folder / "access.log").read_text()
    assert "Traceback" not in running.log


# In the background


def test_daemon(run, folder):
    """As a daemon it listens when the command returns, and its pid is in a file until it ends."""
    path = folder / "mynet.sock"
    arguments = ["--app=hello:app", f"--listen=unix:{path}", "--access-log=access.log"]
    started = run(*DAEMON, *arguments)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    pid = int((folder / "twistd.pid").read_text())
    process = os.pidfd_open(pid)
    try:
        assert get_unix(path) == b"Hello, World!"
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], DEADLINE)
        assert ended
    finally:
        if not select.select([process], [], [], 0)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        os.close(process)
    assert not (folder / "twistd.pid").exists()
    assert not path.exists()
    assert '"GET / HTTP/1.1" 200 13' in (folder / "access.log").read_text()
    assert "Traceback" not in (folder / "twistd.log").read_text()


def test_daemon_on_a_port_in_use(run, folder):
    """A daemon that cannot listen tells that to whoever started it, and leaves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        failed = run(*DAEMON, f"--listen={where}")
    assert failed.returncode == 1
    assert "CannotStart: Address already in use: " in failed.stderr
    assert "Traceback" not in failed.stderr
    log = (folder / "twistd.log").read_text()
    assert f"mynet: Address already in use: cannot listen on {where}" in log
    assert "Traceback" not in log
    assert not (folder / "twistd.pid").exists()


def test_daemon_that_cannot_log(run):
    """A daemon has no stdout to log to."""
    failed = run(*DAEMON, "--access-log=-")
    assert failed.returncode == 1
    assert failed.stderr.startswith("mynet: --access-log -: a daemon has no stdout")


# What goes wrong


@pytest.mark.parametrize("how", FOREGROUND)
def test_port_in_use(run, folder, how):
    """A port in use is one line, and what was open before is closed again."""
    path = folder / "mynet.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        failed = run(*FOREGROUND[how], f"--listen=unix:{path}", f"--listen={where}")
    assert failed.returncode == 1
    told = [line for line in failed.stderr.splitlines() if where in line]
    assert told[-1].endswith(f"Address already in use: cannot listen on {where}")
    assert len(told) == (2 if how == "twist" else 1)  # twist has not begun to log, and shows it
    assert "Traceback" not in failed.stdout + failed.stderr
    assert list(folder.glob("*.sock*")) == []
    assert not (folder / "twistd.pid").exists()


WRONG = {
    "--nonsense": "option --nonsense not recognized (--help tells the options)",
    "hello:app": "unexpected argument 'hello:app' (--help tells the options)",
    "--drain=soon": "--drain is a number of seconds, not 'soon' (--help tells the options)",
    "--app=hello": "--app is MODULE:ATTRIBUTE, such as hello:app, not 'hello'",
    "--app=hello:ap": "--app hello:ap: there is no 'ap' in hello.py; did you mean app?",
    "--listen=nonsense:80": "--listen nonsense:80: Unknown endpoint type: 'nonsense'",
    "--access-log=no/a.log": "--access-log no/a.log: No such file or directory",
}


@pytest.mark.parametrize("how", ["daemon", "module"])
@pytest.mark.parametrize("argument", WRONG)
def test_mistakes(run, folder, argument, how):
    """A mistake is one line on stderr, and a status that is not 0."""
    failed = run(*(DAEMON if how == "daemon" else FOREGROUND[how]), argument)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"mynet: {WRONG[argument]}\n"
    assert not (folder / "twistd.pid").exists()


@pytest.mark.parametrize("how", FOREGROUND)
def test_handler_cannot_start(run, folder, how):
    """A handler that cannot start ends the process: with one line, and status 1."""
    failed = run(*FOREGROUND[how], ANYWHERE, "--app=hello:unable")
    assert failed.returncode == 1
    logged = failed.stdout + failed.stderr
    assert len(re.findall("mynet: cannot start hello:unable: " + NO_DATABASE, logged)) == 1
    assert "Traceback" not in logged
    assert "Serving" not in logged
    assert not (folder / "twistd.pid").exists()


def test_handler_cannot_start_in_debug_mode(run):
    """Who develops it sees the traceback too."""
    failed = run("-m", "mynet", ANYWHERE, "--app=hello:unable", "--debug")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


def test_handler_cannot_start_in_a_daemon(run, folder):
    """A daemon has let go of who started it by then: it ends, and its log tells why."""
    alive, inherited = os.pipe()
    started = run(*DAEMON, ANYWHERE, "--app=hello:unable", pass_fds=[inherited])
    os.close(inherited)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    ended, _, _ = select.select([alive], [], [], DEADLINE)
    os.close(alive)
    assert ended
    log = (folder / "twistd.log").read_text()
    assert re.search("mynet: cannot start hello:unable: " + NO_DATABASE, log)
    assert "Traceback" not in log
    assert not (folder / "twistd.pid").exists()


def test_help(run):
    """The help says how the command that shows it is used."""
    assert run("-m", "mynet", "--help").stdout.startswith("Usage: python -m mynet [options]\n")
    shown = run("-c", TWISTD, "mynet", "--help").stdout
    assert shown.startswith("Usage: twistd [options] mynet [options]\n")


def test_twistd_lists_it(run):
    """Twistd's own help knows it, without loading it."""
    shown = run("-v", "-c", TWISTD, "--help")
    assert re.search(r"\n +mynet +An event-driven web server\.\n", shown.stdout)
    assert "import 'mynet.daemon" not in shown.stderr
