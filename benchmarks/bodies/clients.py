"""What a client does with a large body; each raises AssertionError if it is not done as it should.

Each gets the server, the path, and the size of the body.
"""

from __future__ import annotations

import socket
import time
from array import array
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD

from benchmarks.bodies.hosts import PIECE, pieces
from benchmarks.bodies.serving import Server, received

QUIET = 0.5
"""Seconds in which nothing moves, after which nothing will."""

IDLE = 0.05
"""Seconds of processor time that a server may use meanwhile."""


def upload(one: Server, path: str, size: int) -> None:
    """Send all of it, then look for the answer."""
    with one.request(f"POST {path}") as client:
        client.sendall(b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size)
        for piece in pieces(size):
            client.sendall(piece)
        answer = b"".join(received(client))
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"\r\n%d" % size in answer, answer


def upload_in_vain(one: Server, path: str, size: int) -> None:
    """Send all of it, or as much as the server lets us, and never look for the answer."""
    with one.request(f"POST {path}") as client, suppress(ConnectionError):
        client.sendall(b"Content-Length: %d\r\n\r\n" % size)
        for piece in pieces(size):
            client.sendall(piece)


def upload_until_it_stops(one: Server, path: str, size: int) -> None:
    """Send until the server takes no more."""
    with one.request(f"POST {path}") as client:
        client.sendall(b"Content-Length: %d\r\n\r\n" % size)
        client.settimeout(QUIET)
        try:
            for piece in pieces(size):
                client.sendall(piece)
        except TimeoutError:
            return
        raise AssertionError("the server has taken all of it")


def download(one: Server, path: str, size: int) -> None:
    """Read all of it as fast as it comes."""
    with one.request(f"GET {path}") as client:
        client.sendall(b"Connection: close\r\n\r\n")
        got = sum(map(len, received(client)))
        assert got >= size, got


def never_read(one: Server, path: str, size: int) -> None:
    """Ask, and read nothing, until the server has nothing more to do."""
    with one.request(f"GET {path}") as client:
        client.sendall(b"\r\n")
        before = -1
        while (now := unread(client)) != before or not is_idle(one):
            before = now
            time.sleep(QUIET)
        assert now > len(PIECE), now
        status = client.recv(13, socket.MSG_PEEK)
        assert status == b"HTTP/1.1 200 ", status


def unread(client: socket.socket) -> int:
    """How many bytes have arrived that nobody has read."""
    count = array("i", [0])
    ioctl(client, FIONREAD, count)
    return count[0]


def is_idle(one: Server) -> bool:
    """Whether a server does next to nothing for a while."""
    before = one.cpu_seconds()
    time.sleep(QUIET)
    return one.cpu_seconds() - before < IDLE
