"""A server in a process of its own: on which CPU it runs, when it answers, what it uses, its end.

A server may be several processes (Granian's and nginx's are). They are a session of their own,
whose id is that of the first; only that session is ever looked at, or ended. Figures are
those of /proc, and so this is for Linux.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.loads import Load

TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds: how exactly /proc tells the processor time of a process."""

START_PATIENCE = 20.0
"""Seconds that a server may take until it listens."""

PATIENCE = 20.0
"""Seconds that it may then be silent while it is asked."""

GRACE = 5.0
"""Seconds that a server may take to end."""

POLLING = 0.001
"""Seconds between looks whether a server answers yet."""

SHOWN = 80
"""Bytes of a wrong answer that are told."""


@contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Start processes on one CPU; None lets them run where they may."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cpu is None else {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Process:
    """A server that has been started, and listens on a port of loopback sooner or later."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_it_answers(
        self, load: Load, check: Callable[[int, Load], None] | None = None
    ) -> float:
        """Ask until there is an answer, which must be the right one.

        Args:
            load: What is asked for, and must be answered.
            check: Asks for it on a port; `check_answer` unless given.

        Returns:
            The seconds from the start of the process to that.

        Raises:
            MeasurementError: It ended, or did not answer in time, or not so.
        """
        while True:
            with suppress(ConnectionRefusedError, ConnectionResetError):
                (check or check_answer)(self.port, load)
                return time.monotonic() - self.started
            if self._popen.poll() is not None:
                raise MeasurementError(f"it ended: {self._last_words()}")
            if time.monotonic() > self.started + START_PATIENCE:
                raise MeasurementError(f"it does not listen: {self._last_words()}")
            time.sleep(POLLING)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def _files(self, name: str) -> Iterator[str]:
        """The files of that name of all its processes."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if session_of((folder / "stat").read_text()) == self._popen.pid:
                    yield (folder / name).read_text()

    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        return sum(map(cpu_seconds_of, self._files("stat")))

    def memory(self) -> int:
        """Its resident memory, in bytes."""
        return sum(map(memory_of, self._files("status")))

    def end(self) -> None:
        """End it, and what it has started; then all of it is gone.

        Raises:
            MeasurementError: A process of it does not go, though it was killed.
        """
        with suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(GRACE)
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        # Whoever adopted its children waits for them, and so they go in their own time.
        deadline = time.monotonic() + GRACE
        while any(is_running(stat) for stat in self._files("stat")):
            if time.monotonic() > deadline:
                raise MeasurementError("a process of it does not end")
            time.sleep(POLLING)


def fields_of(stat: str) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may have any characters."""
    return stat.rpartition(")")[2].split()


def session_of(stat: str) -> int:
    """The session that the process of a /proc/PID/stat is in."""
    return int(fields_of(stat)[3])


def is_running(stat: str) -> bool:
    """Whether the process of a /proc/PID/stat is more than an entry that waits to be read."""
    return fields_of(stat)[0] not in "ZX"


def cpu_seconds_of(stat: str) -> float:
    """The processor time of a process, with that of its children that have ended."""
    return sum(map(int, fields_of(stat)[11:15])) * TICK


def memory_of(status: str) -> int:
    """The resident memory of the process of a /proc/PID/status; one that ended has none."""
    found = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(next(found, "0")) * 1024


def check_answer(port: int, load: Load) -> None:
    """Ask twice on one connection.

    Raises:
        MeasurementError: An answer is not as it should be.
        ConnectionError: There is no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    method = load.request().partition(" ")[0]
    try:
        for _ in range(2):
            connection.request(method, load.path, load.uploaded() or None)
            check(connection.getresponse(), load)
    except (TimeoutError, http.client.HTTPException) as error:
        raise MeasurementError(f"it does not answer: {error!r}") from None
    finally:
        connection.close()


def check(answer: http.client.HTTPResponse, load: Load) -> None:
    """Look at all of an answer that the load generator will take for granted, or compare.

    Raises:
        MeasurementError: It is not as it should be.
    """
    body = load.answer()
    got = answer.read(len(body) + 1)
    if answer.status != 200:
        raise MeasurementError(f"it answers {answer.status}")
    if got != body:
        raise MeasurementError(f"it answers {shown(got)} instead of {shown(body)}")
    in_chunks = answer.getheader("Transfer-Encoding") == "chunked" and load.kind == "long"
    if not in_chunks and answer.getheader("Content-Length") != str(len(body)):
        raise MeasurementError("its answer has no Content-Length")
    if answer.will_close:
        raise MeasurementError("it does not keep its connections")


def shown(body: bytes) -> str:
    """A body, or the beginning of one that is long."""
    return repr(body) if len(body) <= SHOWN else f"{body[:SHOWN]!r}... ({len(body):,} bytes)"
