"""The access log: the combined format, lines that nobody forges, and a disk that is full."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock

from mynet.daemon import access_log
from mynet.daemon.access_log import (
    BATCH,
    BATCH_DELAY,
    KNOWN_FIELD,
    STDOUT,
    AccessLog,
    escape,
    format_time,
    open_access_log,
)
from mynet.daemon.errors import CannotStart
from mynet.http import Access, Request
from mynet.testing import MemoryExchange

CLIENT = IPv4Address("TCP", "203.0.113.7", 50000)
NOW = 1795208336  # 20 November 2026, 20:58:56


def make_access(
    target: bytes = b"/",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    client: IAddress = CLIENT,
) -> Access:
    request = Request(MemoryExchange(), "GET", target, "1.1", b"host", headers, None, target, b"")
    return Access(request, client, 200, 13)


class Logged:
    """A log in a file, at a time that stands still."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.now = float(NOW)
        self.log = AccessLog(open_access_log(str(path)), self.clock, lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.path.read_text("ascii").splitlines()

    def line(self, access: Access) -> str:
        self.log(access)
        self.log.flush()
        return self.lines[-1]


@pytest.fixture
def logged(tmp_path):
    return Logged(tmp_path / "access.log")


def test_combined_format(logged):
    """A line is what the tools that read Apache's and nginx's logs expect."""
    headers = ((b"host", b"h"), (b"user-agent", b"curl/8.5.0"), (b"referer", b"http://a.test/"))
    assert logged.line(make_access(b"/a?b=c", headers)) == (
        '203.0.113.7 - - [20/Nov/2026:20:58:56 +0000] "GET /a?b=c HTTP/1.1" 200 13 '
        '"http://a.test/" "curl/8.5.0"'
    )


def test_absent_fields(logged):
    """What the client did not say is a dash."""
    assert logged.line(make_access()).endswith('"GET / HTTP/1.1" 200 13 "-" "-"')


def test_unreadable_request(logged):
    """A request that could not be read has its line too."""
    line = logged.line(Access(None, CLIENT, 400, 60))
    assert line == '203.0.113.7 - - [20/Nov/2026:20:58:56 +0000] "-" 400 60 "-" "-"'


@pytest.mark.parametrize(
    ("client", "shown"),
    [(IPv6Address("TCP", "2001:db8::7", 5), "2001:db8::7"), (UNIXAddress(None), "unix:")],
)
def test_clients(logged, client, shown):
    """Clients are told by their address; those on a UNIX socket have none."""
    assert logged.line(make_access(client=client)).startswith(f"{shown} - - [")


def test_time(logged):
    """Each line has the time at which it was logged."""
    logged.line(make_access())
    logged.now += 1.5
    assert "[20/Nov/2026:20:58:57 +0000]" in logged.line(make_access())
    assert format_time(0) == "[01/Jan/1970:00:00:00 +0000]"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'a"b', r"a\x22b"),
        (rb"a\b", r"a\x5Cb"),
        (b"a\nb\r", r"a\x0Ab\x0D"),
        (b"\x1b[2J\x7f", r"\x1B[2J\x7F"),
        ("ü".encode(), r"\xC3\xBC"),
        (b"{status} {0} %s ~", "{status} {0} %s ~"),
    ],
)
def test_escapes(logged, sent, shown):
    """What a client sends cannot end a field or a line, nor command a terminal."""
    line = logged.line(make_access(sent, ((b"user-agent", sent), (b"referer", sent))))
    assert line.endswith(f'"GET {shown} HTTP/1.1" 200 13 "{shown}" "{shown}"')
    assert len(logged.lines) == 1


@given(st.text(st.characters(max_codepoint=255)))
def test_escape_is_reversible(text):
    """The log tells exactly what was sent, in printable ASCII without quotes."""
    escaped = escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert '"' not in escaped
    assert re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), escaped) == text


def test_batches(logged):
    """Lines wait for each other, but not for long."""
    logged.log(make_access())
    logged.clock.advance(BATCH_DELAY / 2)
    logged.log(make_access())
    assert logged.lines == []
    assert len(logged.clock.getDelayedCalls()) == 1
    logged.clock.advance(BATCH_DELAY / 2)
    assert len(logged.lines) == 2
    assert logged.clock.getDelayedCalls() == []


def test_many_lines_do_not_wait(logged):
    """What waits is limited, however many requests there are, and however long."""
    logged.log(make_access(b"/" + b"x" * BATCH))
    assert len(logged.lines) == 1
    logged.log(make_access())
    assert len(logged.lines) == 1
    for _ in range(BATCH // 70):
        logged.log(make_access())
    assert len(logged.lines) > 1


def test_close(logged):
    """Nothing is lost when the server stops."""
    logged.log(make_access())
    logged.log.close()
    assert len(logged.lines) == 1
    assert logged.clock.getDelayedCalls() == []


def test_appends(logged):
    """An earlier log is kept, and a new one is not for everybody's eyes."""
    logged.line(make_access())
    again = Logged(logged.path)
    again.line(make_access())
    assert len(again.lines) == 2
    assert logged.path.stat().st_mode & 0o007 == 0


def test_stdout(capfd):
    """`-` is stdout, which stays open."""
    log = AccessLog(open_access_log("-"), Clock())
    log(make_access())
    log.close()
    assert '"GET / HTTP/1.1" 200' in capfd.readouterr().out
    os.fstat(STDOUT)


@pytest.mark.parametrize(
    ("path", "reason"), [("no/such/folder.log", "No such file or directory"), (".", "directory")]
)
def test_cannot_be_opened(path, reason, tmp_path, monkeypatch):
    """A log that cannot be written is told before anything is served."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotStart, match=rf"^--access-log {re.escape(path)}: .*{reason}"):
        open_access_log(path)


def test_full_disk(logged, events, monkeypatch):
    """With a full disk the server serves on; that lines are lost is told once, and how many."""
    write = os.write
    room = 10

    def write_some(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = write(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write_some)
    for _ in range(3):
        logged.log(make_access())
        logged.log.flush()
    assert logged.log.lost == 3
    assert events == [("error", "The access log loses its lines: No space left on device")]
    room = 1000
    whole = logged.line(make_access(b"/whole"))
    assert events[1:] == [("warn", "The access log is written again; 3 lines were lost")]
    assert logged.lines == ["203.0.113.", whole]
    assert whole.startswith("203.0.113.7 - - ")
    assert logged.log.lost == 0


def test_reader_gone(events):
    """A log piped into a program that ended does not end the server."""
    reader, writer = os.pipe()
    os.close(reader)
    log = AccessLog(writer, Clock())
    log(make_access())
    log.close()
    assert events == [("error", "The access log loses its lines: Broken pipe")]


def fill(writer: int) -> int:
    """Fill a pipe: how much is in it."""
    os.set_blocking(writer, False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    return size


def test_stuck_reader(events):
    """Serving does not wait for who reads a pipe: lines wait, and are lost beyond a limit."""
    reader, writer = os.pipe()
    filled = fill(writer)
    clock = Clock()
    log = AccessLog(writer, clock)
    log(make_access(b"/first"))
    clock.advance(BATCH_DELAY)
    assert log.lost == 0
    log(make_access(b"/" + b"x" * BATCH))
    assert log.lost == 1
    assert events == [("error", "The access log loses its lines: its reader is too slow")]
    os.read(reader, filled)
    clock.advance(BATCH_DELAY)
    assert b'"GET /first HTTP/1.1"' in os.read(reader, filled)
    assert events[1:] == [("warn", "The access log is written again; 1 lines were lost")]
    assert log.lost == 0
    assert clock.getDelayedCalls() == []
    log.close()
    os.close(reader)


def test_stuck_reader_at_the_end(events):
    """Who does not read the log does not keep the server from ending."""
    reader, writer = os.pipe()
    fill(writer)
    clock = Clock()
    log = AccessLog(writer, clock)
    log(make_access())
    log.close()
    assert log.lost == 1
    assert len(events) == 1
    assert clock.getDelayedCalls() == []
    os.close(reader)


def test_slow_reader_gets_whole_lines():
    """Whatever a pipe takes at a time, the lines that come out of it are whole."""
    reader, writer = os.pipe()
    clock = Clock()
    log = AccessLog(writer, clock)
    for number in range(900):
        log(make_access(b"/%d" % number + b"x" * 50))
    read = b""
    while clock.getDelayedCalls() or len(read.splitlines()) < 900 - log.lost:
        clock.advance(BATCH_DELAY)
        read += os.read(reader, 5000)
    assert log.lost == 0
    assert [line.count(b"GET /") for line in read.splitlines()] == [1] * 900
    log.close()
    os.close(reader)


def test_stuck_terminal(monkeypatch):
    """A terminal that is full costs lines, and not the server; others still wait for it."""
    master, terminal = os.openpty()
    monkeypatch.setattr(access_log, "STDOUT", terminal)
    fd = open_access_log("-")
    log = AccessLog(fd, Clock())
    for _ in range(3):
        log(make_access(b"/" + b"x" * BATCH))
    assert os.get_blocking(terminal)
    log.close()
    os.close(terminal)
    os.close(master)


def test_fifo_that_nobody_reads(tmp_path):
    """A pipe in the file system that nobody reads is told, and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CannotStart, match=r"pipe: nobody reads from it$"):
        open_access_log(str(tmp_path / "pipe"))


def test_reopen(tmp_path, events):
    """A log that was moved away is kept; what comes then is in a new file."""
    path = tmp_path / "access.log"
    log = AccessLog(open_access_log(str(path)), Clock(), path=str(path))
    log(make_access(b"/before"))
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log(make_access(b"/after"))
    log.close()
    assert '"GET /before' in (tmp_path / "access.log.1").read_text()
    assert '"GET /after' in path.read_text()
    assert len(path.read_text().splitlines()) == 1
    assert events == [("info", "The access log is opened again")]


def test_reopen_in_vain(tmp_path, events):
    """Where no new file can be made the old one is written on."""
    folder = tmp_path / "log"
    folder.mkdir()
    log = AccessLog(open_access_log(f"{folder}/a"), Clock(), path=f"{folder}/a")
    folder.rename(tmp_path / "old")
    log.reopen()
    log(make_access())
    log.close()
    assert '"GET / ' in (tmp_path / "old" / "a").read_text()
    assert [level for level, _ in events] == ["error"]


def test_reopen_stdout():
    """Stdout is not reopened."""
    log = AccessLog(STDOUT, Clock())
    log.reopen()
    log.close()


def test_long_fields_are_not_remembered(logged):
    """What is remembered of clients is limited."""
    access_log._known_field.cache_clear()
    logged.line(make_access(headers=((b"referer", b"x" * (KNOWN_FIELD + 1)),)))
    assert access_log._known_field.cache_info().currsize == 0
    logged.line(make_access(headers=((b"referer", b"x" * KNOWN_FIELD),)))
    assert access_log._known_field.cache_info().currsize == 1


def test_slow_reader(events):
    """A pipe that is full, and not to be waited for, costs lines and no time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = AccessLog(writer, Clock())
    for _ in range(3):
        log(make_access(b"/" + b"x" * BATCH))
    assert log.lost >= 2
    assert len(events) == 1
    log.close()
    os.close(reader)
