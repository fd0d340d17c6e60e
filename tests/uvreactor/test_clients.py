"""Connections that begin here."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import ssl
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    UserError,
)
from twisted.internet.interfaces import IAddress, IConnector, ISSLTransport
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from tests.integration.certificates import Certificates
from tests.uvreactor.stories import MUCH, Place, Recorder, half_closeable, reset, story


class Outgoing(ClientFactory):
    """Takes note of what it is told, too."""

    noisy = False

    def __init__(self, place: Place, protocol: Recorder | None) -> None:
        self.told: list[str] = []
        self.reason: Any = None
        self.made = protocol
        if protocol is not None:
            place.protocols.append(protocol)

    def startedConnecting(self, connector: Any) -> None:
        self.told.append("started")

    def buildProtocol(self, addr: Any) -> Any:
        self.address = addr
        return self.made

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.told.append("failed")
        self.reason = reason

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.told.append("lost")
        self.reason = reason


class Listening:
    """A server, with as little as that takes."""

    def __init__(self, place: Place, family: int, address: Any) -> None:
        self._place = place
        self.socket = socket.socket(family)
        self.socket.bind(address)
        self.socket.listen()
        self.socket.setblocking(False)
        place.peers.append(self.socket)

    async def accept(self) -> socket.socket:
        """The next connection."""
        while True:
            try:
                peer, _ = self.socket.accept()
            except BlockingIOError:
                await self._place.turn()
                continue
            peer.setblocking(False)
            self._place.peers.append(peer)
            return peer


class Begun:
    """A connection over TCP that has begun here."""

    def __init__(self, place: Place, protocol: Recorder | None = None, **hooks: Any) -> None:
        self.protocol: Any = protocol or place.kind()
        for name, hook in hooks.items():
            setattr(self.protocol, name, hook)
        self.factory = Outgoing(place, self.protocol)
        self.server = Listening(place, socket.AF_INET, ("127.0.0.1", 0))
        self.port = self.server.socket.getsockname()[1]
        self.connector = place.reactor.connectTCP("127.0.0.1", self.port, self.factory)


@story
async def test_conversation(place):
    """What is said on either side arrives on the other; the factory is told how it went."""
    begun = Begun(place, on_made=lambda it: it.transport.write(b"hello"))
    peer = await begun.server.accept()
    assert await place.read(peer, 5) == b"hello"
    assert begun.connector.state == "connected"
    peer.sendall(b"world")
    await place.until(lambda: begun.protocol.received == b"world")
    peer.close()
    await place.until(lambda: begun.factory.reason)
    assert begun.protocol.told == ["made", "lost"]
    assert begun.protocol.lost_by is ConnectionDone
    assert begun.factory.told == ["started", "lost"]
    assert begun.factory.reason.type is ConnectionDone
    assert begun.connector.state == "disconnected"


@story
async def test_addresses(place):
    """A client knows both addresses, and so does its factory."""
    begun = Begun(place)
    peer = await begun.server.accept()
    await place.until(lambda: begun.protocol.told)
    transport = begun.protocol.transport
    assert transport.getHost() == IPv4Address("TCP", *peer.getpeername())
    assert transport.getPeer() == IPv4Address("TCP", "127.0.0.1", begun.port)
    assert begun.factory.address == transport.getPeer()
    assert begun.connector.getDestination() == transport.getPeer()


@story
async def test_ipv6(place):
    """So it is with IPv6."""
    server = Listening(place, socket.AF_INET6, ("::1", 0))
    protocol = place.kind()
    port = server.socket.getsockname()[1]
    place.reactor.connectTCP("::1", port, Outgoing(place, protocol))
    peer = await server.accept()
    await place.until(lambda: protocol.told)
    assert protocol.transport.getPeer() == IPv6Address("TCP", "::1", port)
    assert protocol.transport.getHost() == IPv6Address("TCP", "::1", peer.getpeername()[1])


@story
async def test_refused(place):
    """Where nobody listens the factory is told so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        factory = Outgoing(place, None)
        place.reactor.connectTCP("127.0.0.1", unused.getsockname()[1], factory)
        await place.until(lambda: factory.reason)
    assert factory.told == ["started", "failed"]
    assert factory.reason.type is ConnectionRefusedError


@story
async def test_stop_connecting(place):
    """Who does not want it any more has no connection."""
    begun = Begun(place)
    begun.connector.stopConnecting()
    await place.until(lambda: begun.factory.reason)
    assert begun.factory.told == ["started", "failed"]
    assert begun.factory.reason.type is UserError
    await place.turns()
    assert begun.protocol.told == []


@story
async def test_no_protocol(place):
    """A factory that has no protocol for it has it closed."""
    server = Listening(place, socket.AF_INET, ("127.0.0.1", 0))
    factory = Outgoing(place, None)
    place.reactor.connectTCP("127.0.0.1", server.socket.getsockname()[1], factory)
    peer = await server.accept()
    assert await place.rest(peer) == b""
    await place.until(lambda: factory.reason)
    assert factory.told == ["started", "lost"]


@story
async def test_disconnect(place):
    """A connector closes its connection when all has been sent."""
    begun = Begun(place, on_made=lambda it: it.transport.write(MUCH))
    peer = await begun.server.accept()
    await place.until(lambda: begun.protocol.told)
    begun.connector.disconnect()
    assert await place.rest(peer) == MUCH
    await place.until(lambda: begun.factory.reason)
    assert begun.factory.reason.type is ConnectionDone


@story
async def test_connects_again(place):
    """A factory that has lost its connection may begin it again."""
    begun = Begun(place)
    peer = await begun.server.accept()
    await place.until(lambda: begun.protocol.told)
    reset(peer)
    await place.until(lambda: begun.factory.reason)
    assert begun.factory.reason.type is ConnectionLost
    begun.factory.made = again = place.kind()
    place.protocols.append(again)
    begun.connector.connect()
    peer = await begun.server.accept()
    peer.send(b"hello")
    await place.until(lambda: again.received == b"hello")
    assert begun.factory.told == ["started", "lost", "started"]


@story
async def test_abort_at_once(place):
    """A connection may be cut off when it is just made; factory and protocol are told."""
    begun = Begun(place, on_made=lambda it: it.transport.abortConnection())
    peer = await begun.server.accept()
    await place.until(lambda: begun.factory.reason)
    assert begun.protocol.told == ["made", "lost"]
    assert begun.protocol.lost_by is ConnectionAborted
    assert begun.factory.told == ["started", "lost"]
    assert await place.is_cut_off(peer)


@story
async def test_half_close(place):
    """A client may say that it sends no more, and be answered."""
    begun = Begun(place, half_closeable(place.kind)())
    peer = await begun.server.accept()
    await place.until(lambda: begun.protocol.told)
    begun.protocol.transport.write(b"question")
    begun.protocol.transport.loseWriteConnection()
    assert await place.rest(peer) == b"question"
    peer.sendall(b"answer")
    peer.close()
    await place.until(lambda: "read lost" in begun.protocol.told)
    assert begun.protocol.received == b"answer"
    begun.protocol.transport.loseConnection()
    await place.until(lambda: begun.protocol.reason)
    assert begun.protocol.told == ["made", "write lost", "read lost", "lost"]


# UNIX sockets


@pytest.fixture
def path() -> Iterator[str]:
    """Of a socket. Not in tmp_path: it may have a hundred characters or so."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "socket")


@story
async def test_unix(place, path):
    """It is the same with UNIX sockets."""
    server = Listening(place, socket.AF_UNIX, path)
    protocol = place.kind()
    factory = Outgoing(place, protocol)
    connector = place.reactor.connectUNIX(path, factory)
    peer = await server.accept()
    await place.until(lambda: protocol.told)
    assert protocol.transport.getPeer() == UNIXAddress(path)
    assert protocol.transport.getHost() == UNIXAddress(None)
    assert connector.state == "connected"
    protocol.transport.write(MUCH)
    assert await place.read(peer, len(MUCH)) == MUCH
    peer.sendall(b"thanks")
    await place.until(lambda: protocol.received == b"thanks")
    peer.close()
    await place.until(lambda: factory.reason)
    assert protocol.told == ["made", "lost"]
    assert (factory.told, factory.reason.type) == (["started", "lost"], ConnectionDone)
    assert connector.state == "disconnected"


# TLS


def server_options(certificates: Certificates) -> Any:
    """What startTLS wants of a server."""
    files = certificates.server
    return ssl.DefaultOpenSSLContextFactory(str(files.key), str(files.certificate))


def client_options(certificates: Certificates) -> Any:
    """What startTLS wants of a client."""
    authority = ssl.Certificate.loadPEM(certificates.authority.read_bytes())
    return ssl.optionsForClientTLS("localhost", trustRoot=authority)


@pytest.mark.parametrize("server_connects", [False, True])
@story
async def test_start_tls(place, certificates, server_connects):
    """Two that have talked go on in secret, whoever of them is the server then."""
    context, options = server_options(certificates), client_options(certificates)

    def on_server(protocol: Any) -> None:
        if protocol.received == b"STARTTLS":
            protocol.received = b""
            protocol.transport.write(b"GO")
            protocol.transport.startTLS(context, normal=not server_connects)
            protocol.transport.write(b"secret")
        elif protocol.received == MUCH:
            protocol.transport.loseConnection()

    def on_client(protocol: Any) -> None:
        if protocol.received == b"GO":
            protocol.received = b""
            protocol.transport.startTLS(options, normal=not server_connects)
            protocol.transport.write(MUCH)

    server, client = place.kind(), place.kind()
    server.on_data, client.on_data = on_server, on_client
    client.on_made = lambda it: it.transport.write(b"STARTTLS")
    accepting, connecting = (client, server) if server_connects else (server, client)
    incoming = place.factory(lambda: accepting)
    port = place.reactor.listenTCP(0, incoming, interface="127.0.0.1")
    place.protocols.append(connecting)
    factory = Outgoing(place, connecting)
    place.reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
    await place.until(lambda: server.reason and client.reason)
    assert client.received == b"secret"
    assert server.received == MUCH
    assert ISSLTransport.providedBy(client.transport)
    assert (server.lost_by, client.lost_by) == (ConnectionDone, ConnectionDone)
    assert (server.told, client.told) == (["made", "lost"], ["made", "lost"])


@story
async def test_endpoints(place, certificates):
    """Twisted's endpoints for TLS find a server and a client here."""
    files = certificates.server
    description = f"ssl:0:interface=127.0.0.1:privateKey={files.key}:certKey={files.certificate}"

    def echo(protocol: Recorder) -> None:
        data, protocol.received = protocol.received, b""
        protocol.transport.write(data)

    port = await serverFromString(place.reactor, description).listen(place.factory(on_data=echo))
    client = place.kind()
    place.protocols.append(client)
    authorities = certificates.authority.parent / "trusted"
    authorities.mkdir(exist_ok=True)
    (authorities / "authority.pem").write_bytes(certificates.authority.read_bytes())
    where = f"tls:localhost:{port.getHost().port}:trustRoots={authorities}"
    endpoint = clientFromString(place.reactor, where)
    await connectProtocol(endpoint, client)
    client.transport.write(MUCH)
    await place.until(lambda: client.received == MUCH)
    assert client.transport.getPeerCertificate() is not None
    client.transport.loseConnection()
    await place.until(lambda: client.reason and place.protocols[-1].reason)
    assert [protocol.lost_by for protocol in place.protocols] == [ConnectionDone] * 2


@story
async def test_client_that_fails(place, logged):
    """A client that fails at its start loses its connection for that, as its factory is told."""

    def fail(protocol: Recorder) -> None:
        raise RuntimeError("no")

    port = place.listen()
    heard: list[Failure] = []

    class Connecting(ClientFactory):
        noisy = False

        def buildProtocol(self, addr: IAddress | None) -> Recorder:
            protocol: Recorder = place.kind()
            protocol.on_made = fail
            place.protocols.append(protocol)
            return protocol

        def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
            heard.append(reason)

    place.reactor.connectTCP("127.0.0.1", port.getHost().port, Connecting())
    await place.until(lambda: heard)
    assert heard[0].type is RuntimeError
    assert RuntimeError in [protocol.lost_by for protocol in place.protocols]
    assert logged.take() == [RuntimeError]
    await port.stopListening()
