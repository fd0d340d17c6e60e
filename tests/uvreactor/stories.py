"""What tests of connections are told with: a reactor to run in, protocols, and bare sockets.

A test that is decorated with `story` runs in the reactor of its `place`.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IPullProducer,
    IPushProducer,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

TIMEOUT = 20.0
"""Seconds after which a test has failed."""

MUCH = b"0123456789abcdef" * 2**20
"""More than the sockets of both ends hold."""

RESETS = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing the socket cuts the connection off (RST)."""

only_uv = pytest.mark.parametrize("place", ["uv", "uv-direct"], indirect=True)
once_uv = pytest.mark.parametrize("place", ["uv"], indirect=True)
only_direct = pytest.mark.parametrize("place", ["uv-direct"], indirect=True)
not_direct = pytest.mark.parametrize("place", ["uv", "epoll"], indirect=True)


class Recorder(Protocol):
    """A protocol that takes note of what it is told, and does what the test wants then."""

    transport: Any
    on_made: Callable[[Any], object]
    on_data: Callable[[Any], object]
    on_lost: Callable[[Any], object]

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received = b""
        self.reason: Failure | None = None
        self.on_made = self.on_data = self.on_lost = id

    def connectionMade(self) -> None:
        self.told.append("made")
        self.on_made(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.on_data(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append("lost")
        assert self.reason is None
        self.reason = reason
        self.on_lost(self)

    @property
    def lost_by(self) -> type[BaseException] | None:
        """Why the connection was lost, if it was."""
        return self.reason.type if self.reason is not None else None


class Direct(Recorder):
    """One that uvloop itself calls."""

    direct = True


def half_closeable(kind: type[Recorder]) -> type[Recorder]:
    """A protocol of this kind that wants to know of both halves of its connection."""

    @implementer(IHalfCloseableProtocol)
    class HalfCloseable(kind):  # type: ignore[misc, valid-type]
        def readConnectionLost(self) -> None:
            self.told.append("read lost")

        def writeConnectionLost(self) -> None:
            self.told.append("write lost")

    return HalfCloseable


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_resume: Callable[[], object] = list

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self.on_resume()

    def stopProducing(self) -> None:
        self.told.append("stop")


class Place:
    """A reactor of a test's own, the protocols that it is to serve, and the other side."""

    def __init__(self, reactor: Any, kind: type[Recorder]) -> None:
        self.reactor = reactor
        self.kind = kind
        self.peers: list[socket.socket] = []
        self.protocols: list[Recorder] = []
        self.after: Callable[[], object] = list

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run the reactor until this ends, with all that it leaves behind."""
        failures: list[Failure] = []

        def begin() -> None:
            told = Deferred.fromCoroutine(story).addTimeout(TIMEOUT, self.reactor)
            told.addErrback(failures.append)
            told.addBoth(lambda _: self.reactor.running and self.reactor.stop())

        self.reactor.callLater(0, begin)
        self.reactor.run(installSignalHandlers=False)
        self.after()
        for failure in failures:
            failure.raiseException()

    def close(self) -> None:
        """Close what a test has left open."""
        for peer in self.peers:
            peer.close()
        for protocol in self.protocols:
            if protocol.reason is None and protocol.transport is not None:
                protocol.transport.abortConnection()
        self.reactor.iterate(0)
        unbuilt(self.reactor)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what nobody tells of."""
        while not condition():
            await self.turn()

    async def turn(self) -> None:
        """Let the reactor do what there is to do."""
        await deferLater(self.reactor, 0)

    async def turns(self) -> None:
        """Let it do all that it may ever do: for a test that nothing happens."""
        for _ in range(20):
            await self.turn()

    def listen(self, **hooks: Any) -> IListeningPort:
        """Listen on TCP, with protocols that do this; they are kept, in order."""
        return self._listen(
            lambda factory: self.reactor.listenTCP(0, factory, 50, "127.0.0.1"), hooks
        )

    def listen_unix(self, path: str, **hooks: Any) -> IListeningPort:
        """Listen on a UNIX socket."""
        return self._listen(lambda factory: self.reactor.listenUNIX(path, factory), hooks)

    def _listen(self, listen: Callable[[Factory], Any], hooks: dict[str, Any]) -> IListeningPort:
        port: IListeningPort = listen(self.factory(**hooks))
        return port

    def factory(self, kind: Any = None, **hooks: Any) -> Any:
        """Of protocols that do this."""

        def build() -> Recorder:
            protocol = (kind or self.kind)()
            for name, hook in hooks.items():
                setattr(protocol, name, hook)
            self.protocols.append(protocol)
            return protocol

        factory = Factory.forProtocol(build)
        factory.noisy = False
        return factory

    def peer(self, port: IListeningPort) -> socket.socket:
        """A client; connected as far as the system is concerned, but not yet accepted."""
        address = port.getHost()
        if hasattr(address, "port"):
            peer = socket.create_connection(("127.0.0.1", address.port), TIMEOUT)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(address.name)  # type: ignore[attr-defined]
        peer.setblocking(False)
        self.peers.append(peer)
        return peer

    async def connect(
        self, kind: type[Recorder] | None = None, sent: bytes = b"", **hooks: Any
    ) -> tuple[Any, socket.socket]:
        """A connection over TCP that is in full swing: its protocol, and the other side.

        Args:
            kind: Of the protocol.
            sent: What the other side has sent before the connection is accepted.
            hooks: What the protocol does.
        """
        count = len(self.protocols)
        port = self.reactor.listenTCP(0, self.factory(kind, **hooks), 50, "127.0.0.1")
        peer = self.peer(port)
        if sent:
            peer.send(sent)
        await self.until(lambda: len(self.protocols) > count)
        await self.turn()
        await port.stopListening()
        return self.protocols[-1], peer

    async def read(self, peer: socket.socket, size: int) -> bytes:
        """So much of what a peer receives; less if that ends before."""
        received = b""
        while len(received) < size:
            try:
                data = peer.recv(min(size - len(received), 2**18))
            except BlockingIOError:
                await self.turn()
                continue
            if not data:
                break
            received += data
        return received

    async def rest(self, peer: socket.socket) -> bytes:
        """All that a peer receives until its end.

        Raises:
            ConnectionResetError: It is cut off.
        """
        return await self.read(peer, 2**40)

    async def is_cut_off(self, peer: socket.socket) -> bool:
        """Whether a peer's connection ends with a reset."""
        try:
            await self.rest(peer)
        except ConnectionResetError:
            return True
        return False


def reset(peer: socket.socket) -> None:
    """Cut a connection off from the other side."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    peer.close()


def unbuilt(reactor: Any) -> None:
    """Close what a reactor has opened for itself."""
    for reader in list(reactor._internalReaders):
        reactor.removeReader(reader)
        reader.connectionLost(None)
    reactor._internalReaders.clear()
    poller = getattr(reactor, "_poller", None)
    if poller is not None:
        poller.close()
        return
    loop = reactor._asyncioEventloop
    with suppress(RuntimeError):
        loop.run_until_complete(asyncio.sleep(0))  # what it has closed, it frees in another turn
    loop.close()
    asyncio.set_event_loop(None)


def story(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorate a test that is a coroutine: it runs in the reactor of its place."""

    @functools.wraps(test)
    def told(place: Place, **named: Any) -> None:
        place.run(test(place=place, **named))

    return told
