"""Connections over UNIX sockets."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import unix
from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IUNIXTransport
from twisted.internet.protocol import Factory

from mynet.uvreactor.unix import UNIXStream
from tests.uvreactor.stories import MUCH, once_uv, only_direct, story


@pytest.fixture
def path() -> Iterator[str]:
    """Of a socket. Not in tmp_path: it may have a hundred characters or so."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "socket")


@story
async def test_conversation(place, path):
    """What is said on either side arrives on the other, and so does the end."""
    port = place.listen_unix(path, on_data=lambda it: it.transport.write(it.received.upper()))
    peer = place.peer(port)
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"HELLO"
    (protocol,) = place.protocols
    protocol.transport.write(MUCH)
    protocol.transport.loseConnection()
    assert await place.rest(peer) == MUCH
    await place.until(lambda: protocol.reason)
    assert (protocol.told, protocol.lost_by) == (["made", "lost"], ConnectionDone)


@story
async def test_peer_ends(place, path):
    """A client that closes is told of as done."""
    peer = place.peer(place.listen_unix(path))
    await place.until(lambda: place.protocols)
    peer.close()
    await place.until(lambda: place.protocols[0].reason)
    assert place.protocols[0].lost_by is ConnectionDone


@story
async def test_addresses(place, path):
    """The server has the address of its socket, a client mostly none."""
    place.peer(place.listen_unix(path))
    await place.until(lambda: place.protocols)
    transport = place.protocols[0].transport
    assert (transport.getHost(), transport.getPeer()) == (UNIXAddress(path), UNIXAddress(None))
    assert transport.getHandle().family == socket.AF_UNIX


@story
async def test_abort(place, path):
    """A connection may be cut off; the other side reads its end."""
    peer = place.peer(place.listen_unix(path, on_made=lambda it: it.transport.abortConnection()))
    await place.until(lambda: place.protocols and place.protocols[0].reason)
    assert place.protocols[0].lost_by is ConnectionAborted
    assert await place.rest(peer) == b""


@story
async def test_port_closes(place, path):
    """Connections live on when the port that accepted them, and its file, are gone."""
    port = place.listen_unix(path, on_data=lambda it: it.transport.write(it.received))
    peer = place.peer(port)
    await place.until(lambda: place.protocols)
    await port.stopListening()
    assert not Path(path).exists()
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"hello"


@only_direct
@story
async def test_direct(place, path):
    """A direct protocol is served by uvloop, and TCP's options mean nothing to it."""
    place.peer(place.listen_unix(path))
    await place.until(lambda: place.protocols)
    transport = place.protocols[0].transport
    assert type(transport) is UNIXStream
    transport.setTcpNoDelay(True)
    assert transport.getTcpNoDelay() is False


@once_uv
@story
async def test_files(place, path):
    """A protocol that is not direct gets files, too, and so Twisted's own transport."""
    place.peer(place.listen_unix(path))
    await place.until(lambda: place.protocols)
    transport = place.protocols[0].transport
    assert isinstance(transport, unix.Server)
    assert IUNIXTransport.providedBy(transport)


@only_direct
@story
async def test_direct_behind_an_endpoint(place, path):
    """A direct protocol stays one where Twisted's endpoint puts another before it."""
    place.listen_unix(path, on_data=lambda it: it.transport.write(it.received))
    factory = Factory.forProtocol(place.kind)
    client = await UNIXClientEndpoint(place.reactor, path).connect(factory)
    assert isinstance(client.transport, UNIXStream)
    client.transport.write(b"hello")
    await place.until(lambda: client.received == b"hello")
    client.transport.loseConnection()
    await place.until(lambda: client.reason)
