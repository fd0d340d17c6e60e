"""Sending a file without its bytes ever being in this process (sendfile), beside a transport.

The transport knows nothing of it. What was written to it before has to be on its way, and nothing
may be written until all of the file is. Whether the client takes more is told by a descriptor of
our own, of the same socket, because the reactor, or libuv, watches the transport's already.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http.file import FileBody
from mynet.http.limits import KIB
from mynet.http.pace import bytes_waiting

TURN = 512 * KIB
"""How much is sent before others have their turn, if the client takes as much."""

_TRANSPORTS = (tcp.Server, unix.Server)


def can_send_files(transport: object) -> bool:
    """Whether a transport, which has no TLS, is nothing but a socket that can be given files.

    Those of Twisted are, with nothing wrapped around them, and any whose class has a true
    `can_send_files`, as the uv reactor's.
    """
    kind = type(transport)
    return hasattr(os, "sendfile") and (
        kind in _TRANSPORTS or getattr(kind, "can_send_files", False)
    )


async def send_file(
    transport: Any, reactor: IReactorFDSet, body: FileBody, sent: Callable[[int], object]
) -> None:
    """Send all of it at the client's pace; not more than `TURN` at once.

    It ends early where the file does. If the client goes this is to be cancelled, as whoever
    has the transport will know.

    Args:
        transport: One that `can_send_files`.
        reactor: Runs it.
        body: What to send. It is not closed.
        sent: Called with how much it was, each time that the client took some.
    """
    if hasattr(transport, "flush"):
        transport.flush()
    offset, end = body.offset, body.offset + body.length
    room = None
    try:
        while True:
            size = min(TURN, end - offset)
            await body.load(offset, size)
            taken = _send_some(transport, body, offset, size)
            if taken is not None:
                offset += taken
                sent(taken)
                if not taken or offset == end:
                    break
            room = room or _Room(transport, reactor)
            await room.wait()
    finally:
        if room is not None:
            room.close()


def _send_some(transport: Any, body: FileBody, offset: int, size: int) -> int | None:
    """What the client took at once; 0 where the file has ended, None where it takes none."""
    if bytes_waiting(transport):
        return None
    try:
        return os.sendfile(transport.fileno(), body.file.fileno(), offset, size) if size else 0
    except BlockingIOError:
        return None
    except (ConnectionError, TimeoutError):
        transport.abortConnection()  # as it would find out itself, by and by
        return None


@implementer(IWriteDescriptor)
class _Room:
    """Tells when a client takes more."""

    def __init__(self, transport: Any, reactor: IReactorFDSet) -> None:
        self._transport = transport
        self._reactor = reactor
        self._descriptor = os.dup(transport.fileno())
        self._waiting: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """A Deferred that fires when there is room."""
        self._waiting = Deferred(lambda _: self._reactor.removeWriter(self))
        self._reactor.addWriter(self)
        return self._waiting

    def close(self) -> None:
        """Let go of the descriptor, without which the connection cannot end."""
        self._reactor.removeWriter(self)
        os.close(self._descriptor)

    # IWriteDescriptor

    def doWrite(self) -> None:
        if not bytes_waiting(self._transport):  # else the room is the transport's
            self._reactor.removeWriter(self)
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """The transport may have been told no more than that the client sends nothing."""
        self._transport.abortConnection()

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "sendfile"
