"""A server of WebSockets in a thread, which answers with whatever bytes a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

SWITCH = b"""\
HTTP/1.1 101 Switching Protocols\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
\r
"""

Answer = Callable[[bytes], bytes]
"""The bytes that answer a frame, which is given as it came, but not masked.

Where there are none the connection is closed."""


class Server(ThreadingTCPServer):
    """The server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer, handshake: bytes, fans_out: bool, piece: int) -> None:
        self.answer = answer
        self.handshake = handshake
        self.fans_out = fans_out
        self.piece = piece
        self.everybody: list[Handler] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(StreamRequestHandler):
    """A connection."""

    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Open the WebSocket, and answer each frame."""
        self.server.everybody.append(self)
        with suppress(OSError):
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(self.server.handshake)
            if self.server.handshake:
                self._answer_frames()

    def _answer_frames(self) -> None:
        while (frame := self._frame()) and (answer := self.server.answer(frame)):
            for each in self.server.everybody if self.server.fans_out else [self]:
                each.send(answer)

    def send(self, data: bytes) -> None:
        """Send it in pieces."""
        for start in range(0, len(data), self.server.piece):
            self.wfile.write(data[start : start + self.server.piece])

    def _frame(self) -> bytes:
        """The next frame; empty where no more comes."""
        head = self.rfile.read(2)
        if not head:
            return b""
        assert head[1] & 0x80, "it is not masked"
        short = head[1] & 0x7F
        more = self.rfile.read({126: 2, 127: 8}.get(short, 0))
        size = int.from_bytes(more) if more else short
        key = int.from_bytes((self.rfile.read(4) * (size // 4 + 1))[:size])
        payload = int.from_bytes(self.rfile.read(size)) ^ key
        return bytes([head[0], short]) + more + payload.to_bytes(size)


@contextmanager
def echoing(
    answer: Answer = lambda frame: frame,
    *,
    handshake: bytes = SWITCH,
    fans_out: bool = False,
    piece: int = 1 << 20,
) -> Iterator[int]:
    """Open every WebSocket, and answer every frame; what is given is the port.

    Args:
        answer: Makes the bytes of each answer.
        handshake: What is sent first; empty to close instead.
        fans_out: Whether an answer goes to everybody.
        piece: How many bytes are sent at once.
    """
    with Server(answer, handshake, fans_out, piece) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
