"""How much memory a body of 1 GiB costs the server: `python benchmarks/memory.py`.

For each row of the table a server is started in a process of its own, on Twisted's default
reactor, and one client talks to it over loopback. What counts is how far the server's
resident memory ever rises (VmHWM) above what it was before (VmRSS); a rise of `ALLOWED` or
more is an error. The figures come from /proc, so this is for Linux.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString

from mynet.http import HTTPFactory, Limits, Request, Response

MIB = 1024 * 1024
SIZE = 1024 * MIB
ALLOWED = 32 * MIB
PIECE = bytes(64 * 1024)

PATIENCE = 60.0
"""Seconds that a single call of a client, or the start of a server, may take."""

QUIET = 0.5
"""Seconds in which nothing moves, after which nothing will."""

# The server


class Site:
    """Handlers, by the last part of their path."""

    def __init__(self) -> None:
        self.produced = 0

    def __call__(self, request: Request) -> Any:
        return getattr(self, request.path.rpartition("/")[2])(request)

    async def read(self, request: Request) -> Response:
        """Read the body as it comes."""
        size = 0
        async for chunk in request:
            size += len(chunk)
        return Response.text(f"{size}")

    def answer_at_once(self, request: Request) -> Response:
        """Do not read the body."""
        return Response.text("No, thank you.")

    def wait(self, request: Request) -> Deferred[Response]:
        """Neither read the body nor answer."""
        return Deferred()

    def generator(self, request: Request) -> Response:
        """Send what a generator gives."""
        return Response(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        self.produced = 0
        while self.produced < SIZE:
            self.produced += len(PIECE)
            yield PIECE

    def async_generator(self, request: Request) -> Response:
        """Send what an async generator gives."""
        return Response(self.async_pieces())

    async def async_pieces(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    def file(self, request: Request) -> Response:
        """Send a file: that is the path before `/file`."""
        return Response.file(request.path.removesuffix("/file"))

    def count(self, request: Request) -> Response:
        """Tell how much a generator has given."""
        return Response.text(f"{self.produced}")


def serve() -> int:
    """Serve until the process is killed. The first line of output tells the port."""
    from twisted.internet import reactor

    def tell(port: Any) -> None:
        sys.stdout.write(f"{port.getHost().port}\n")
        sys.stdout.flush()

    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    endpoint.listen(HTTPFactory(Site(), Limits(body=SIZE))).addCallback(tell)
    reactor.run()
    return 0


class Server(NamedTuple):
    """A server in another process."""

    pid: int
    port: int

    def memory(self, figure: str) -> int:
        """One of the figures of /proc/PID/status, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"{figure}:\s*(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def request(self, head: str) -> socket.socket:
        """Connect, and send the head of a request."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\n".encode())
        return client

    def get(self, path: str) -> bytes:
        """The body of a small response."""
        with self.request(f"GET {path}") as client:
            client.sendall(b"Connection: close\r\n\r\n")
            return b"".join(received(client)).partition(b"\r\n\r\n")[2]


@contextmanager
def server() -> Iterator[Server]:
    """A new server, which has answered something already."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            one = Server(process.pid, int(process.stdout.readline()))
            one.get("/count")
            yield one
        finally:
            process.kill()


# The clients


def received(client: socket.socket) -> Iterator[bytes]:
    """All that comes."""
    while data := client.recv(len(PIECE)):
        yield data


def upload(one: Server, path: str) -> None:
    """Send all of it, then look for the answer."""
    with one.request(f"POST {path}") as client:
        client.sendall(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            client.sendall(PIECE)
        answer = b"".join(received(client))
        assert answer.endswith(b"\r\n\r\n%d" % SIZE), answer


def upload_in_vain(one: Server, path: str) -> None:
    """Send all of it, or as much as the server lets us, and never look for the answer."""
    with one.request(f"POST {path}") as client, suppress(ConnectionError):
        client.sendall(b"Content-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            client.sendall(PIECE)


def upload_until_it_stops(one: Server, path: str) -> None:
    """Send until the server takes no more."""
    with one.request(f"POST {path}") as client:
        client.sendall(b"Content-Length: %d\r\n\r\n" % SIZE)
        client.settimeout(QUIET)
        try:
            for _ in range(SIZE // len(PIECE)):
                client.sendall(PIECE)
        except TimeoutError:
            return
        raise AssertionError("the server has taken all of it")


def download(one: Server, path: str) -> None:
    """Read all of it as fast as it comes."""
    with one.request(f"GET {path}") as client:
        client.sendall(b"Connection: close\r\n\r\n")
        size = sum(map(len, received(client)))
        assert size >= SIZE, size


def never_read(one: Server, path: str) -> None:
    """Ask, and read nothing, until the server has nothing more to do."""
    with one.request(f"GET {path}") as client:
        client.sendall(b"\r\n")
        before, now = -1, 0
        while now != before:
            time.sleep(QUIET)
            before, now = now, int(one.get("/count"))
        assert 0 < now < SIZE, now


# The figures


class Case(NamedTuple):
    """A row of the table."""

    name: str
    client: Callable[[Server, str], None]
    path: str


def cases(large_file: str) -> list[Case]:
    """All rows."""
    return [
        Case("upload, read with async for", upload, "/read"),
        Case("upload, answered unread", upload_in_vain, "/answer_at_once"),
        Case("upload, neither read nor answered", upload_until_it_stops, "/wait"),
        Case("download from an async generator", download, "/async_generator"),
        Case("download from a generator", download, "/generator"),
        Case("download from a file", download, f"{large_file}/file"),
        Case("download that is never read", never_read, "/async_generator"),
    ]


def measure(case: Case) -> tuple[int, int, float]:
    """Resident memory before and at most, in bytes, and the seconds it took."""
    with server() as one:
        before = one.memory("VmRSS")
        start = time.perf_counter()
        case.client(one, case.path)
        taken = time.perf_counter() - start
        return before, one.memory("VmHWM"), taken


def main() -> int:
    """Print the table.

    Returns:
        The exit status: 1 where memory rises too far.
    """
    worst = 0
    row = "{:36}{:>12}{:>12}{:>12}{:>9}\n".format
    sys.stdout.write(row("1 GiB", "before, MiB", "peak, MiB", "rise, MiB", "seconds"))
    with tempfile.NamedTemporaryFile() as large_file:
        large_file.truncate(SIZE)
        for case in cases(large_file.name):
            before, peak, taken = measure(case)
            worst = max(worst, peak - before)
            figures = (f"{size / MIB:.1f}" for size in (before, peak, peak - before))
            sys.stdout.write(row(case.name, *figures, f"{taken:.1f}"))
            sys.stdout.flush()
    return 0 if worst < ALLOWED else 1


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main())
