"""The command line: what to measure; and the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.bodies.clients import (
    download,
    never_read,
    upload,
    upload_in_vain,
    upload_until_it_stops,
)
from benchmarks.bodies.hosts import PIECE
from benchmarks.bodies.serving import REACTORS, Server, serve, server

MIB = 1024 * 1024

ALLOWED = 16 * MIB
"""How far memory may rise."""


class Case(NamedTuple):
    """A row of the table."""

    name: str
    host: str
    client: Callable[[Server, str, int], None]
    path: str


CASES = [
    Case("upload, read with async for", "native", upload, "/read"),
    Case("upload, answered unread", "native", upload_in_vain, "/refuse"),
    Case("upload, neither read nor answered", "native", upload_until_it_stops, "/wait"),
    Case("download from an async generator", "native", download, "/stream"),
    Case("download from a generator", "native", download, "/generator"),
    Case("download that is never read", "native", never_read, "/stream"),
    Case("ASGI: upload, read", "asgi", upload, "/read"),
    Case("ASGI: upload, answered unread", "asgi", upload_in_vain, "/refuse"),
    Case("ASGI: upload, neither read nor answered", "asgi", upload_until_it_stops, "/wait"),
    Case("ASGI: download", "asgi", download, "/stream"),
    Case("ASGI: download that is never read", "asgi", never_read, "/stream"),
    Case("WSGI: upload, read", "wsgi", upload, "/read"),
    Case("WSGI: upload, answered unread", "wsgi", upload_in_vain, "/refuse"),
    Case("WSGI: upload, neither read nor answered", "wsgi", upload_until_it_stops, "/wait"),
    Case("WSGI: download", "wsgi", download, "/stream"),
    Case("WSGI: download that is never read", "wsgi", never_read, "/stream"),
    Case("file: download", "static", download, "/stream"),
    Case("file: download that is never read", "static", never_read, "/stream"),
    Case("proxy: upload, read", "proxy", upload, "/read"),
    Case("proxy: upload, answered unread", "proxy", upload_in_vain, "/refuse"),
    Case("proxy: upload, neither read nor answered", "proxy", upload_until_it_stops, "/wait"),
    Case("proxy: download", "proxy", download, "/stream"),
    Case("proxy: download that is never read", "proxy", never_read, "/stream"),
]

LOOPLESS = "epoll"
"""The reactor without an asyncio loop, which ASGI needs."""


class Figures(NamedTuple):
    """What was measured of a row."""

    before: int
    """Resident memory, in bytes."""
    peak: int
    seconds: float

    @property
    def rise(self) -> int:
        """What counts."""
        return self.peak - self.before


def mebibytes(text: str) -> int:
    """A number of MiB, in bytes."""
    if text.isdecimal() and int(text):
        return int(text) * MIB
    raise argparse.ArgumentTypeError(f"{text} is not a whole number of MiB")


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="memory.py", description="Measure memory of large bodies.")
    add = made.add_argument
    add("rows", nargs="*", metavar="TEXT", help="rows with this in their names; all by default")
    add("--reactor", choices=REACTORS, default="uv", help="uv by default")
    add("--size", type=mebibytes, default=1024 * MIB, metavar="MIB", help="of bodies; 1024")
    return made


def run(arguments: Sequence[str]) -> int:
    """Measure, and print the table; or be one of the servers.

    Returns:
        The exit status: 1 where memory rises too far, 2 for a mistake.
    """
    if arguments[:1] == ["serve"]:
        return serve(*arguments[1:])
    options = parser().parse_args(arguments)
    cases = chosen(options.rows, options.reactor)
    if not cases:
        sys.stderr.write("memory.py: there is no such row\n")
        return 2
    return print_table(cases, options.reactor, options.size)


def chosen(rows: Sequence[str], reactor: str) -> list[Case]:
    """The rows whose names have any of these texts, that the reactor can have."""
    cases = [case for case in CASES if not rows or any(text in case.name for text in rows)]
    return [case for case in cases if case.host != "asgi" or reactor != LOOPLESS]


def print_table(cases: Sequence[Case], reactor: str, size: int) -> int:
    """Measure each row, and print it.

    Returns:
        The exit status.
    """
    status = 0
    row = "{:42}{:>12}{:>12}{:>12}{:>9}\n".format
    title = f"{size // MIB:,} MiB, {reactor} reactor"
    sys.stdout.write(row(title, "before, MiB", "peak, MiB", "rise, MiB", "seconds"))
    for case in cases:
        figures = measure(case, reactor, size)
        told = (f"{each / MIB:.1f}" for each in (figures.before, figures.peak, figures.rise))
        too_far = figures.rise >= ALLOWED
        sys.stdout.write(row(case.name, *told, f"{figures.seconds:.1f}{' !' * too_far}"))
        sys.stdout.flush()
        status |= too_far
    return status


def measure(case: Case, reactor: str, size: int) -> Figures:
    """Start a server, and have its client do what it does."""
    with what_it_needs(case.host, reactor, size) as of, server(reactor, case.host, size, of) as one:
        before = one.memory("VmRSS")
        start = time.perf_counter()
        case.client(one, case.path, size)
        taken = time.perf_counter() - start
        return Figures(before, one.memory("VmHWM"), taken)


@contextmanager
def what_it_needs(host: str, reactor: str, size: int) -> Iterator[str]:
    """The folder of a server of files, the URL of the server behind a proxy; else nothing."""
    if host == "static":
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "hello").write_bytes(PIECE[:10])
            with Path(folder, "stream").open("wb") as file:
                file.truncate(size)
            yield folder
    elif host == "proxy":
        with server(reactor, "native", size) as upstream:
            yield f"http://127.0.0.1:{upstream.port}"
    else:
        yield ""
