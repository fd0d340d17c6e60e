"""A line for each response, in the combined log format of Apache and nginx.

    203.0.113.7 - - [20/Nov/2026:20:58:56 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8.5.0"

Times are UTC. Whatever the client sent is escaped, so that nobody forges a line, or sends
commands to the terminal of who reads it. Lines are written in batches: one costs no system
call of its own. Serving never waits for a log that cannot be written: its lines are lost,
which is reported once, and counted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import lru_cache

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from mynet.daemon.errors import CannotStart
from mynet.http.limits import KIB
from mynet.http.message import Request
from mynet.http.shared import Access

BATCH = 64 * KIB
"""Characters that wait at most; as much as a pipe holds on Linux."""

BATCH_DELAY = 0.5
"""Seconds that a line waits at most."""

KNOWN_FIELDS = 1000
"""How many values of header fields are remembered as they are written: most clients send what
others sent before."""

KNOWN_FIELD = 300
"""Bytes of the longest of them."""

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
        return STDOUT
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    except OSError as error:
        raise CannotStart(f"--access-log {path}: {error.strerror}") from None


class AccessLog:
    """The log of one server: it is called with each `Access`."""

    def __init__(self, fd: int, clock: IReactorTime, now: Callable[[], float] = time.time) -> None:
        """Write to a file descriptor, which is closed with the log unless it is stdout."""
        self._fd = fd
        self._clock = clock
        self._now = now
        self._second = -1
        self._time = ""
        self._lines: list[str] = []
        self._size = 0
        self._flushing: IDelayedCall | None = None
        self._torn = False
        self.lost = 0
        """Lines lost since one could last be written."""

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
        """Write what waits."""
        flushing, self._flushing = self._flushing, None
        if flushing is not None and flushing.active():
            flushing.cancel()
        data = "".join(self._lines).encode("ascii")
        self._lines.clear()
        self._size = 0
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            if self._torn:
                os.write(self._fd, b"\n")
                self._torn = False
            while data:
                size = os.write(self._fd, data)
                self._torn = data[size - 1] != NEWLINE
                data = data[size:]
        except OSError as error:
            if not self.lost:
                log.error("The access log loses its lines: {reason}", reason=error.strerror)
            self.lost += data.count(NEWLINE)
        else:
            if self.lost:
                log.warn("The access log is written again; {lost} lines were lost", lost=self.lost)
            self.lost = 0

    def close(self) -> None:
        """Write what waits; nothing may be logged after this."""
        self.flush()
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
