"""A server of HTTP in a thread, which answers with whatever bytes a test wants."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"

Answer = Callable[[bytes], bytes]
"""The bytes that answer a request, of which the head and the body are given."""


class Server(ThreadingTCPServer):
    """The server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer, closes: bool, piece: int) -> None:
        self.answer = answer
        self.piece = piece
        self.closes = closes
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(StreamRequestHandler):
    """A connection."""

    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer each request; the connection is then kept, or closed."""
        with suppress(OSError):
            while head := self._head():
                answer = self.server.answer(head + self._body(head))
                for start in range(0, len(answer), self.server.piece):
                    self.wfile.write(answer[start : start + self.server.piece])
                if self.server.closes:
                    self.request.shutdown(socket.SHUT_RDWR)
                    return

    def _head(self) -> bytes:
        """The next head, without the empty line; empty where no more comes."""
        lines = []
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                return b""
            lines.append(line)
        return b"".join(lines)

    def _body(self, head: bytes) -> bytes:
        """What follows a head."""
        length = re.search(rb"Content-Length: (\d+)", head)
        return self.rfile.read(int(length[1])) if length else b""


@contextmanager
def answering(
    answer: bytes | Answer, *, closes: bool = False, piece: int = 1 << 20
) -> Iterator[int]:
    """Answer every request so; what is given is the port.

    Args:
        answer: All bytes of each answer.
        closes: Whether the connection ends with its first answer.
        piece: How many bytes are sent at once.
    """
    call: Any = answer if callable(answer) else lambda head: answer
    with Server(call, closes, piece) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
