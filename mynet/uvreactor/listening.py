"""Ports that accept as Twisted's do, but sockets that know what they are.

One of Python's own works out its family and type each time it is asked, which uvloop does time
and again when it takes one over: a tenth of what a connection for a single request costs.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IProtocolFactory

_twisted: Any = tcp.Port  # whose methods have no annotations


class Accepted4(socket.socket):
    """An IPv4 connection."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM


class Accepted6(socket.socket):
    """An IPv6 connection."""

    family = socket.AF_INET6
    type = socket.SOCK_STREAM


class Listening(socket.socket):
    """A socket that listens for such."""

    def __init__(self, skt: socket.socket) -> None:
        """Take over another's descriptor."""
        self._accepted = Accepted6 if skt.family == socket.AF_INET6 else Accepted4
        super().__init__(skt.family, skt.type, skt.proto, skt.detach())
        self.setblocking(False)

    def accept(self) -> Any:
        """As any socket does."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]  # of what accept is made
        kind = self._accepted
        return kind(kind.family, kind.type, 0, descriptor), address


class TCPPort(tcp.Port):
    """What listenTCP returns."""

    def createInternetSocket(self) -> socket.socket:
        return Listening(_twisted.createInternetSocket(self))

    @classmethod
    def adopt(cls, reactor: Any, descriptor: int, family: int, factory: IProtocolFactory) -> Any:
        """A port for a socket that listens already."""
        make: Any = cls._fromListeningDescriptor
        port = make(reactor, descriptor, family, factory)
        port._preexistingSocket = Listening(port._preexistingSocket)
        return port
