"""Ports: what they accept, what they turn away, and what is left when they close."""

from __future__ import annotations

import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError, ConnectionDone

from tests.uvreactor.stories import MUCH, story


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
@story
async def test_accepts(place, host, family):
    """Each connection is accepted, and knows what it is and where it comes from."""
    port = place.reactor.listenTCP(0, place.factory(), interface=host)
    peers = [socket.create_connection((host, port.getHost().port)) for _ in range(3)]
    place.peers.extend(peers)
    await place.until(lambda: len(place.protocols) == 3)
    kind = IPv6Address if family == socket.AF_INET6 else IPv4Address
    ours = {peer.getsockname()[1] for peer in peers}
    transports = [protocol.transport for protocol in place.protocols]
    assert {transport.getPeer().port for transport in transports} == ours
    for transport in transports:
        assert transport.getHost() == kind("TCP", host, port.getHost().port)
        assert transport.getPeer().host == host
        handle = transport.getHandle()
        assert (handle.family, handle.type) == (family, socket.SOCK_STREAM)
        assert handle.fileno() == transport.fileno()
        assert not os.get_inheritable(handle.fileno())
        with handle.dup() as other:
            assert other.getpeername() == handle.getpeername()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # by old versions of Twisted
@story
async def test_address_in_use(place):
    """Where another listens already it says so at once."""
    port = place.listen()
    with pytest.raises(CannotListenError, match="in use"):
        place.reactor.listenTCP(port.getHost().port, place.factory(), interface="127.0.0.1")


@story
async def test_no_protocol(place):
    """A factory that wants no connection has it closed."""
    factory = place.factory()
    factory.buildProtocol = lambda address: None
    port = place.reactor.listenTCP(0, factory, interface="127.0.0.1")
    assert await place.rest(place.peer(port)) == b""


@story
async def test_listens_again(place):
    """A port that was closed can be opened again."""
    port = place.listen(on_data=lambda it: it.transport.write(it.received))
    await port.stopListening()
    port.startListening()
    peer = place.peer(port)
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"hello"


@story
async def test_port_closes(place):
    """Connections live on when the port that accepted them has been closed."""
    port = place.listen(on_data=lambda it: it.transport.write(it.received))
    peer = place.peer(port)
    await place.until(lambda: place.protocols)
    await port.stopListening()
    await place.turns()
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"hello"
    peer.close()
    await place.until(lambda: place.protocols[0].reason)
    assert place.protocols[0].lost_by is ConnectionDone


@story
async def test_no_files_left(place):
    """When no more files can be opened, clients are turned away, and the reactor rests."""
    port = place.listen(on_data=lambda it: it.transport.write(it.received))
    crowd = [place.peer(port) for _ in range(20)]
    tries: list[int] = []
    do_read = port.doRead

    def counted() -> Any:
        tries.append(1)
        return do_read()

    port.doRead = counted
    with no_files_left():
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)
        for peer in crowd:
            with suppress(ConnectionResetError):
                assert await place.rest(peer) == b""
        assert place.protocols == []
        tries.clear()
        await place.turns()
        assert tries == []
    peer = place.peer(port)
    peer.send(b"hello")
    assert await place.read(peer, 5) == b"hello"


@contextmanager
def no_files_left() -> Iterator[None]:
    """This process has opened as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < highest:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[-1] + 1, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
@story
async def test_adopt_port(place, family):
    """A socket that listens already is served; its owner may close it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(family) as listening:
        path = str(Path(folder) / "socket")
        local = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}.get(family, path)
        listening.bind(local)
        listening.listen()
        listening.setblocking(False)
        factory = place.factory(on_data=lambda it: it.transport.write(it.received))
        port = place.reactor.adoptStreamPort(listening.fileno(), family, factory)
        address = listening.getsockname()
        listening.close()
        peer = socket.socket(family)
        place.peers.append(peer)
        peer.connect(address)
        peer.setblocking(False)
        peer.send(MUCH[:10])
        assert await place.read(peer, 10) == MUCH[:10]
        kinds = {socket.AF_INET: IPv4Address, socket.AF_INET6: IPv6Address}
        assert type(port.getHost()) is kinds.get(family, UNIXAddress)
        assert port.getHost() == place.protocols[0].transport.getHost()
        await port.stopListening()
