"""Outgoing connections: Twisted connects, then libuv has the socket."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from mynet.uvreactor.stream import Stream, is_direct
from mynet.uvreactor.unix import UNIXStream


class ClientStream(Stream):
    """The transport of a connection that began here."""

    __slots__ = ()

    _is_client = True
    addr: Any = None
    """Where it was asked to connect to."""

    def __repr__(self) -> str:
        return f"<{type(self)} to {self.addr} at {id(self):x}>"

    def connectionLost(self, reason: Failure) -> None:
        connected = not self.disconnected
        super().connectionLost(reason)
        if connected:
            self.server.connectionLost(reason)

    @property
    def _log_suffix(self) -> str:
        return "client"


class UNIXClientStream(UNIXStream, ClientStream):
    """The transport of a connection to a UNIX socket that began here."""

    __slots__ = ()

    def _find_host(self) -> IAddress:
        return UNIXAddress(None)


def _protocol_of(client: Any) -> Any:
    """What the factory makes for a client that is connected; None if it wants none."""
    return client.connector.buildProtocol(client.getPeer())


def _hand_over(
    client: Any, protocol: Any, kind: type[ClientStream] | type[UNIXClientStream]
) -> None:
    """Give the socket of a client that is connected to a Stream."""
    connector = client.connector
    client.connected = True  # for its connector's sake, should it time out after all
    stream = kind(
        client.socket, protocol or Protocol(), client.realAddress, connector, 0, client.reactor
    )
    stream.addr = client.addr
    connector.transport = stream
    if protocol is None:
        stream.loseConnection()
        return
    try:
        protocol.makeConnection(stream)
    except Exception:
        stream.fail()


class TCPClient(tcp.Client):
    """Connects as Twisted does."""

    def _connectDone(self) -> None:
        _hand_over(self, _protocol_of(self), ClientStream)


class TCPConnector(tcp.Connector):
    """What connectTCP returns."""

    def _makeTransport(self) -> Any:
        make: Any = TCPClient
        return make(self.host, self.port, self.bindAddress, self, self.reactor)


class UNIXClient(unix.Client):
    """Connects as Twisted does; and stays the transport of a protocol that is not direct."""

    def _connectDone(self) -> None:
        protocol = _protocol_of(self)
        # Twisted's endpoints put one of their own before it.
        wanted = getattr(protocol, "_wrappedProtocol", protocol)
        if protocol is None or is_direct(wanted):
            _hand_over(self, protocol, UNIXClientStream)
        else:
            self.protocol = protocol
            self.connected = True
            self.logstr = f"{self._getLogPrefix(protocol)},client"
            self.reactor.addReader(self)
            protocol.makeConnection(self)


class UNIXConnector(unix.Connector):
    """What connectUNIX returns."""

    def _makeTransport(self) -> Any:
        make: Any = UNIXClient
        return make(self.address, self, self.reactor, self.checkPID)
