"""A server in a process of its own, what it is asked, and what it uses."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.endpoints import serverFromString

from benchmarks.bodies.hosts import HOSTS, PIECE
from mynet.daemon.process import keep_freed_memory
from mynet.http import HTTPFactory, Limits

REACTORS = {
    "uv": "mynet.uvreactor",
    "asyncio": "twisted.internet.asyncioreactor",
    "epoll": "twisted.internet.epollreactor",
}
"""The modules of those that there is a choice of."""

COMMAND = Path(__file__).parent.parent / "memory.py"

PATIENCE = 60.0
"""Seconds that a single call of a client, or the start of a server, may take."""


def serve(reactor_name: str, host: str, size: str, of: str) -> int:
    """Serve until the process is killed. The first line of output tells the port."""
    import_module(REACTORS[reactor_name]).install()
    from twisted.internet import reactor

    def tell(port: Any) -> None:
        sys.stdout.write(f"{port.getHost().port}\n")
        sys.stdout.flush()

    keep_freed_memory()
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    handler = HOSTS[host](int(size), of)
    endpoint.listen(HTTPFactory(handler, Limits(body=int(size)))).addCallback(tell)
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

    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def request(self, head: str) -> socket.socket:
        """Connect, and send the head of a request, but for its end."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\n".encode())
        return client

    def say_hello(self) -> None:
        """Have it answer a small request."""
        with self.request("GET /hello") as client:
            client.sendall(b"Connection: close\r\n\r\n")
            answer = b"".join(received(client))
            assert answer.startswith(b"HTTP/1.1 200 "), answer


def received(client: socket.socket) -> Iterator[bytes]:
    """All that comes."""
    while data := client.recv(len(PIECE)):
        yield data


@contextmanager
def server(reactor_name: str, host: str, size: int, of: str = "") -> Iterator[Server]:
    """A new server, which has answered something already."""
    command = [sys.executable, str(COMMAND), "serve", reactor_name, host, str(size), of]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            one = Server(process.pid, int(process.stdout.readline()))
            one.say_hello()
            yield one
        finally:
            process.kill()
