"""Connections over UNIX sockets, where open files may come along with the bytes.

libuv reads bytes alone, and Twisted promises a protocol the files too, or a line in the log. So
only a protocol that is `direct` (see `Stream`) gets libuv's transport here; any other gets
Twisted's own.
"""

from __future__ import annotations

from socket import socket
from typing import Any

from twisted.internet import unix
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress, IProtocol

from mynet.uvreactor.stream import Home, Stream, is_direct


class UNIXStream(Stream):
    """The transport of one connection over a UNIX socket. It passes no files.

    Its `client` is the path of the other side, which mostly has none.
    """

    __slots__ = ()

    def _use_no_delay(self) -> None:
        """There is no such thing here."""

    def _find_host(self) -> IAddress:
        return UNIXAddress(self._socket.getsockname() or None)

    def _find_peer(self) -> IAddress:
        return UNIXAddress(self.client or None)

    @property
    def _log_suffix(self) -> str:
        return f"{self.sessionno},{self.client}"

    def getTcpNoDelay(self) -> bool:
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Ignored, as Twisted does, for those who take this for a TCP connection."""


def unix_transport(
    skt: socket, protocol: IProtocol, client: Any, server: Any, sessionno: int, reactor: Home
) -> UNIXStream | unix.Server:
    """The transport of an accepted connection; what a Twisted Port calls."""
    if is_direct(protocol):
        return UNIXStream(skt, protocol, client, server, sessionno, reactor)
    transport = unix.Server(skt, protocol, client, server, sessionno, reactor)
    if server is None:  # which Twisted expects only where it adopts a connection itself
        name, path = type(protocol).__name__, skt.getsockname()
        transport.repstr = f"<{name} #{sessionno} on {path}>"
        transport.logstr = f"{name},{sessionno},{path}"
    return transport
