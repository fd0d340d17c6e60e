"""Servers as processes: only what a test has started is looked at, and ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from benchmarks.comparing import processes
from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.loads import Load
from benchmarks.comparing.processes import (
    TICK,
    Process,
    check_answer,
    cpu_seconds_of,
    free_port,
    is_running,
    memory_of,
    on_cpu,
    session_of,
)
from tests.benchmarks.serving import HELLO, answering

STAT = "17 (a) b (c)) S 1 17 15 0 -1 4194560 1 2 3 4 100 50 7 3 20 0 1 0 5 6 7"
"""The name of a program may look like anything."""

SERVER = """
import http.server, os, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"Hello, World!"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""A server of two processes, which tells the id of the second one."""


@pytest.fixture
def start(tmp_path):
    """Start Python code as a server."""
    started = []

    def start(code: str) -> Process:
        port = free_port()
        command = [sys.executable, "-c", code, str(port)]
        started.append(Process(command, tmp_path, port, tmp_path / "log"))
        return started[-1]

    yield start
    for process in started:
        process.end()


def test_stat():
    """The kernel's figures are found behind whatever name a process has."""
    assert session_of(STAT) == 15
    assert cpu_seconds_of(STAT) == pytest.approx(160 * TICK)


def test_running():
    """A process that has ended does not run, though nobody has asked yet how it ended."""
    assert is_running(STAT)
    assert not is_running(STAT.replace(" S ", " Z "))


def test_memory():
    """Resident memory is told in bytes."""
    assert memory_of("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t   12 kB\n") == 12 * 1024


def test_no_memory():
    """A process that has just ended has no memory any more."""
    assert memory_of("Name:\tx\nState:\tZ (zombie)\n") == 0


def test_right_answer():
    """An answer that is right to the byte, twice on a connection, is accepted."""
    with answering(HELLO) as port:
        check_answer(port, Load())


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (HELLO.replace(b"World", b"Worle"), "instead of b'Hello, World!'"),
        (HELLO.replace(b"200 OK", b"500 No"), "answers 500"),
        (HELLO.replace(b": 13", b": 12"), "instead of"),
        (HELLO.replace(b"Content-Length: 13", b"Connection: close"), "no Content-Length"),
        (HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), "keep its connections"),
        (b"SMTP ready\r\n\r\n", "does not answer"),
        (HELLO[:-1], "instead of"),
    ],
)
def test_wrong_answer(answer, complaint):
    """A server that does not answer as it should is not measured."""
    with answering(answer, closes=True) as port, pytest.raises(MeasurementError, match=complaint):
        check_answer(port, Load())


LONG = Load(body="abcde", kind="long", size=4001)

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 4001\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [LENGTH, CHUNKED + b"fa1\r\n"])
def test_long_answer(head):
    """A long answer is one of its length, or in chunks."""
    end = b"\r\n0\r\n\r\n" if head is not LENGTH else b""
    with answering(head + LONG.answer() + end) as port:
        check_answer(port, LONG)


def test_wrong_long_answer():
    """Of a long answer that is wrong the beginning is told."""
    told = r"answers b'(abcd!){16}'\.\.\. \(4,001 bytes\) instead of b'(abcde){16}'\.\.\. "
    answer = LENGTH + LONG.answer().replace(b"e", b"!")
    with answering(answer) as port, pytest.raises(MeasurementError, match=told):
        check_answer(port, LONG)


def test_short_answer_in_chunks():
    """The load generator takes chunks of long answers only."""
    answer = CHUNKED + b"d\r\nHello, World!\r\n0\r\n\r\n"
    with answering(answer) as port, pytest.raises(MeasurementError, match="Content-Length"):
        check_answer(port, Load())


def test_upload():
    """What is to be uploaded is uploaded."""
    asked = []

    def answer(request):
        asked.append(request)
        return HELLO

    with answering(answer) as port:
        check_answer(port, Load("/length", kind="upload", size=20))
    assert len(asked) == 2
    assert asked[0].startswith(b"POST /length HTTP/1.1\r\n")
    assert asked[0].endswith(b"\r\nHello, World!Hello, ")


def test_server(start):
    """A server is there when it answers; all its processes count, and all end with it."""
    process = start(SERVER)
    assert process.wait_until_it_answers(Load()) > 0
    assert process.cpu_seconds() > 0
    assert process.memory() > 2 * 1024 * 1024
    child = int((process._log).read_text().split()[0])
    assert os.getsid(child) == process._popen.pid
    process.end()
    assert process._popen.returncode is not None
    assert process.memory() == 0


def test_other_processes_stay(start):
    """What somebody else has started is not ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        start("import signal; signal.pause()").end()
        assert other.poll() is None
        other.kill()


def test_server_that_ends(start):
    """The last words of a server that cannot start are told."""
    process = start("print('Listening.\\n'); raise SystemExit('no such app\\n')")
    with pytest.raises(MeasurementError, match="it ended: no such app"):
        process.wait_until_it_answers(Load())


def test_silent_server_that_ends(start):
    """A server that ends without a word has ended, too."""
    with pytest.raises(MeasurementError, match="it said nothing"):
        start("").wait_until_it_answers(Load())


def test_server_that_never_listens(start, monkeypatch):
    """A server is not waited for without end."""
    monkeypatch.setattr(processes, "START_PATIENCE", 0)
    with pytest.raises(MeasurementError, match="does not listen"):
        start("import signal; signal.pause()").wait_until_it_answers(Load())


def test_server_that_will_not_end(start, monkeypatch):
    """A server that does not heed SIGTERM is killed."""
    monkeypatch.setattr(processes, "GRACE", 0.01)
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN)"
    process = start(f"{stubborn}\n{SERVER}")
    process.wait_until_it_answers(Load())
    process.end()
    assert process._popen.returncode == -9


def test_cpu():
    """What is started for a CPU may run there only, and what comes after it where it could."""
    before = os.sched_getaffinity(0)
    cpu = max(before)
    code = "import os; print(os.sched_getaffinity(0))"
    with on_cpu(cpu):
        said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert re.findall(r"\d+", said) == [str(cpu)]
    assert os.sched_getaffinity(0) == before


def test_no_cpu():
    """Where there is nothing to choose nothing is changed."""
    before = os.sched_getaffinity(0)
    with on_cpu(None):
        assert os.sched_getaffinity(0) == before
