"""A line for each response, in the combined log format of Apache and nginx.

    203.0.113.7 - - [20/Nov/2026:20:58:56 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8.5.0"

Times are UTC. Whatever the client sent is escaped, so that nobody forges a line, or sends
commands to the terminal of who reads it. Lines are written in batches: one costs no system
call of its own. Serving never waits for a log: where a pipe or terminal is full some lines
wait, and others are lost, as all are that cannot be written; this is reported once, and counted.
"""

from __future__ import annotations

import os
import re
import select
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from errno import ENXIO
from functools import lru_cache

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from mynet.daemon.errors import CannotStart
from mynet.http.limits import KIB
from mynet.http.message import Request
from mynet.http.shared import Access

BATCH = 64 * KIB
"""Characters that wait at most; as much as a pipe holds on Linux. As much again waits for a
slow reader."""

BATCH_DELAY = 0.5
"""Seconds that a line waits at most."""

KNOWN_FIELDS = 1000
"""How many values of header fields are remembered as they are written: most clients send what
others sent before."""

KNOWN_FIELD = 300
"""Bytes of the longest of them."""

PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe takes without waiting, if it takes any."""

NONBLOCKING = getattr(os, "O_NONBLOCK", 0)

STDOUT = 1

NEWLINE = ord("\n")

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

log = Logger()

_escape = re.compile(r"[^ !#-\[\]-~]").sub


def escape(text: str) -> str:
    r"""Printable ASCII without quotes and backslashes; all else as `\xHH`, as nginx has it."""
    return _escape(_hex, text)


def _hex(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02X}"


def open_access_log(path: str) -> int:
    """A file descriptor for a log, which is made if need be and appended to; `-` is stdout.

    Raises:
        CannotStart: It cannot be opened.
    """
    if path == "-":
        return _stdout()
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NONBLOCKING, 0o640)
    except OSError as error:
        reason = "nobody reads from it" if error.errno == ENXIO else error.strerror
        raise CannotStart(f"--access-log {path}: {reason}") from None


def _stdout() -> int:
    # A terminal may be writable but not for a whole piece. Whoever shares it relies on waiting.
    if NONBLOCKING and os.isatty(STDOUT):
        with suppress(OSError):
            return os.open(os.ttyname(STDOUT), os.O_WRONLY | os.O_NOCTTY | NONBLOCKING)
    return STDOUT


class AccessLog:
    """The log of one server: it is called with each `Access`."""

    def __init__(
        self,
        fd: int,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
        *,
        path: str = "-",
    ) -> None:
        """Write to a file descriptor, which is closed with the log unless it is stdout.

        `path` is what `reopen` opens.
        """
        self._use(fd)
        self._path = path if path == "-" else os.path.abspath(path)
        self._clock = clock
        self._now = now
        self._second = -1
        self._time = ""
        self._lines: list[str] = []
        self._size = 0
        self._flushing: IDelayedCall | None = None
        self._unwritten = b""
        self._within_line = False
        self._torn = False
        self.lost = 0
        """Lines lost since all could last be written."""

    def _use(self, fd: int) -> None:
        self._fd = fd
        self._piece = BATCH
        self._poll: select.poll | None = None
        if sys.platform != "win32" and not stat.S_ISREG(os.fstat(fd).st_mode):
            self._piece = PIECE
            self._poll = select.poll()
            self._poll.register(fd, select.POLLOUT)

    def __call__(self, access: Access) -> None:
        """Log a response. Its line is written soon."""
        request, client, status, length = access
        asked, referer, agent = _describe(request)
        line = (
            f"{_host(client)} - - {self._when()} "
            f'"{asked}" {status} {length} "{referer}" "{agent}"\n'
        )
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BATCH:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._clock.callLater(BATCH_DELAY, self.flush)

    def _when(self) -> str:
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._time = format_time(second)
        return self._time

    def flush(self) -> None:
        """Write what waits, as far as that needs no waiting."""
        flushing, self._flushing = self._flushing, None
        if flushing is not None and flushing.active():
            flushing.cancel()
        data = "".join(self._lines).encode("ascii")
        self._lines.clear()
        self._size = 0
        if self._unwritten and len(self._unwritten) + len(data) > BATCH:
            self._lose(data, "its reader is too slow")
        else:
            self._unwritten += data
        if self._unwritten:
            self._write()
        if self._unwritten:
            self._flushing = self._clock.callLater(BATCH_DELAY, self.flush)

    def _write(self) -> None:
        try:
            if self._torn and self._writable():
                os.write(self._fd, b"\n")
                self._torn = self._within_line = False
            while self._unwritten and self._writable():
                size = os.write(self._fd, self._unwritten[: self._piece])
                self._within_line = self._unwritten[size - 1] != NEWLINE
                self._unwritten = self._unwritten[size:]
        except BlockingIOError:
            pass
        except OSError as error:
            data, self._unwritten = self._unwritten, b""
            self._torn = self._within_line
            self._lose(data, error.strerror)
        else:
            if self.lost and not self._unwritten:
                log.warn("The access log is written again; {lost} lines were lost", lost=self.lost)
                self.lost = 0

    def _writable(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))

    def _lose(self, data: bytes, reason: str | None) -> None:
        if not self.lost:
            log.error("The access log loses its lines: {reason}", reason=reason)
        self.lost += data.count(NEWLINE)

    def reopen(self) -> None:
        """Go on in a new file, where the old one was moved away; stdout stays what it is."""
        if self._path == "-":
            return
        self.flush()
        try:
            fd = open_access_log(self._path)
        except CannotStart as error:
            log.error("The access log cannot be opened again: {error}", error=error)
            return
        os.close(self._fd)
        self._use(fd)
        log.info("The access log is opened again")

    def close(self) -> None:
        """Write what can be written at once; nothing may be logged after this."""
        self.flush()
        if self._flushing is not None:
            self._flushing.cancel()
            self._lose(self._unwritten, "its reader is too slow")
        if self._fd != STDOUT:
            os.close(self._fd)


def _describe(request: Request | None) -> tuple[str, str, str]:
    if request is None:
        return "-", "-", "-"
    referer = agent = "-"
    for name, value in request.raw_headers:
        if name == b"referer":
            referer = _field(value)
        elif name == b"user-agent":
            agent = _field(value)
    asked = f"{request.method} {request.target.decode('latin-1')} HTTP/{request.version}"
    return escape(asked), referer, agent


def _field(value: bytes) -> str:
    return _known_field(value) if len(value) <= KNOWN_FIELD else _new_field(value)


def _new_field(value: bytes) -> str:
    return escape(value.decode("latin-1")) or "-"


_known_field = lru_cache(KNOWN_FIELDS)(_new_field)


def _host(client: IAddress) -> str:
    host = getattr(client, "host", None)
    return "unix:" if host is None else escape(host)


def format_time(second: int) -> str:
    """`[20/Nov/2026:20:58:56 +0000]`."""
    year, month, day, hour, minute, second, *_ = time.gmtime(second)
    month_name = MONTHS[month - 1]
    return f"[{day:02}/{month_name}/{year}:{hour:02}:{minute:02}:{second:02} +0000]"
