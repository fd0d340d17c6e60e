"""The reactor: Twisted's asyncio reactor on a uvloop loop, with `Stream` for its connections.

Ports accept and clients connect by Twisted's own code; only the connected socket is handed to
libuv. Everything else (datagrams, processes, timers, threads, files that are watched) is
Twisted's asyncio reactor, and asyncio itself runs beside it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextvars import copy_context
from math import ceil
from typing import Any

import uvloop
from twisted.internet import process, unix
from twisted.internet.address import UNIXAddress
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure

from mynet.uvreactor.clients import TCPConnector, UNIXConnector
from mynet.uvreactor.listening import TCPPort
from mynet.uvreactor.stream import Stream, scoped, tcp_address
from mynet.uvreactor.unix import unix_transport

_twisted: Any = AsyncioSelectorReactor  # whose methods have no annotations


class UVReactor(AsyncioSelectorReactor):
    """A reactor whose stream connections, over TCP and UNIX sockets, are libuv's own.

    Args:
        eventloop: Of uvloop. Without one, that which is running is taken, or a new one made, which
            becomes the thread's current event loop.

    Raises:
        TypeError: The event loop is another's.
    """

    def __init__(self, eventloop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = eventloop or _event_loop()
        if not isinstance(self.loop, uvloop.Loop):
            raise TypeError(f"the uv reactor needs an event loop of uvloop, not {self.loop!r}")
        self.streams: set[Stream] = set()
        self.context = copy_context()
        self.unflushed: list[Stream] = []
        self._fail_otherwise = self.loop.get_exception_handler()
        self.loop.set_exception_handler(self._failed)
        super().__init__(self.loop)

    # For streams

    def flush_soon(self, stream: Stream) -> None:
        """Flush it when this turn's events have been dealt with.

        That answers go out together, after all that has arrived was read, spares the other
        sides, if they run on this machine, from being woken for each one.
        """
        if not self.unflushed:
            self.loop.call_soon(self._flush, context=self.context)
        self.unflushed.append(stream)

    def _flush(self) -> None:
        unflushed, self.unflushed = self.unflushed, []
        for stream in unflushed:
            try:
                stream.flush()
            except BaseException:  # of one, which must not be that of all
                stream.fail()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what nobody has caught: of a connection as Twisted would, else as it was before."""
        stream = context.get("protocol")
        if isinstance(stream, Stream) and "exception" in context:
            stream.tell_failure(Failure(context["exception"]))
        elif self._fail_otherwise is not None:
            self._fail_otherwise(loop, context)
        else:
            loop.default_exception_handler(context)

    # IReactorCore

    def startRunning(self, installSignalHandlers: bool = True) -> None:
        """Begin; notice children that exit, though uvloop takes the place of Twisted's waker."""
        super().startRunning(installSignalHandlers=installSignalHandlers)
        if installSignalHandlers:
            call_in_loop: Any = self.callFromThread
            signal.signal(signal.SIGCHLD, lambda *_: call_in_loop(process.reapAllProcesses))

    # IReactorTime

    def callLater(self, delay: Any, callable: Any, *arguments: Any, **named: Any) -> Any:
        """As Twisted's, which asks for the next of all calls each time that one is added."""
        call = PosixReactorBase.callLater(self, delay, callable, *arguments, **named)
        if self._scheduledAt is None or self.loop.time() + delay < self._scheduledAt:
            self._reschedule()
        return call

    def _reschedule(self) -> None:
        """As Twisted's, in whole milliseconds: uvloop rounds them down, too, and we would spin."""
        timeout = self.timeout()
        if timeout is None:
            return
        base: Any = self  # where Twisted says that these two are None
        if base._timerHandle is not None:
            base._timerHandle.cancel()
        when = self.loop.time() + ceil(timeout * 1000) / 1000
        base._scheduledAt = when
        base._timerHandle = self.loop.call_at(when, self._onTimer, context=self.context)

    # IReactorProcess

    def spawnProcess(self, *arguments: Any, **named: Any) -> Any:
        """Begin a process, and notice its end though asyncio begins some, too.

        For its own libuv takes SIGCHLD from us, and in the end resets it; so where the system has
        them, we watch a descriptor of the process.
        """
        made = _twisted.spawnProcess(self, *arguments, **named)
        if made.pid is not None:
            try:
                watched = os.pidfd_open(made.pid)
            except (AttributeError, OSError):  # this is not Linux, or an old one
                return made
            self.loop.add_reader(watched, self._process_ended, watched)
        return made

    def _process_ended(self, watched: int) -> None:
        self.loop.remove_reader(watched)
        os.close(watched)
        process.reapAllProcesses()

    # IReactorTCP

    def listenTCP(
        self, port: Any, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        return _listen(TCPPort(port, factory, backlog, interface, self), Stream)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> Any:
        return _connect(TCPConnector(host, port, factory, timeout, bindAddress, self))

    # IReactorUNIX

    def listenUNIX(
        self,
        address: Any,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> Any:
        return _listen(unix.Port(address, factory, backlog, mode, self, wantPID), unix_transport)

    def connectUNIX(
        self, address: Any, factory: Any, timeout: float = 30, checkPID: bool = False
    ) -> Any:
        make: Any = UNIXConnector
        return _connect(make(address, factory, timeout, self, checkPID))

    # IReactorSocket

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> Any:
        if addressFamily not in self._supportedAddressFamilies:
            raise UnsupportedAddressFamily(addressFamily)
        if addressFamily == socket.AF_UNIX:
            port = unix.Port._fromListeningDescriptor(self, fileDescriptor, factory)
            return _listen(port, unix_transport)
        port = TCPPort.adopt(self, fileDescriptor, addressFamily, factory)
        return _listen(port, Stream)

    def adoptStreamConnection(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> Any:
        if addressFamily not in self._supportedAddressFamilies:
            raise UnsupportedAddressFamily(addressFamily)
        skt = socket.fromfd(fileDescriptor, addressFamily, socket.SOCK_STREAM)
        skt.setblocking(False)
        if addressFamily == socket.AF_UNIX:
            address = UNIXAddress(skt.getsockname())
            return self._adopt(skt, factory, address, unix_transport, skt.getpeername(), 0)
        peer = scoped(skt.getpeername())
        return self._adopt(skt, factory, tcp_address(peer), Stream, peer, peer[1])

    def _adopt(
        self,
        skt: socket.socket,
        factory: IProtocolFactory,
        address: Any,
        transport: Any,
        peer: Any,
        sessionno: int,
    ) -> Any:
        protocol = factory.buildProtocol(address)
        if protocol is None:
            skt.close()
            return None
        made = transport(skt, protocol, peer, None, sessionno, self)
        protocol.makeConnection(made)
        return made

    # IReactorFDSet

    def addReader(self, reader: Any) -> None:
        if isinstance(reader, Stream):
            reader.resumeProducing()
        else:
            _twisted.addReader(self, reader)

    def removeReader(self, reader: Any) -> None:
        if isinstance(reader, Stream):
            reader.pauseProducing()
        else:
            _twisted.removeReader(self, reader)

    def getReaders(self) -> list[Any]:
        return [*(stream for stream in self.streams if stream.reading), *_twisted.getReaders(self)]

    def getWriters(self) -> list[Any]:
        return [*(stream for stream in self.streams if stream.writing), *_twisted.getWriters(self)]

    def removeAll(self) -> list[Any]:
        """Of connections, too: those that read or write, as on any reactor."""
        busy = [stream for stream in self.streams if stream.reading or stream.writing]
        self.streams.clear()
        for stream in busy:
            stream.pauseProducing()
        return [*busy, *_twisted.removeAll(self)]


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


def _listen(port: Any, transport: Any) -> Any:
    port.transport = transport
    port.startListening()
    return port


def _connect(connector: Any) -> Any:
    connector.connect()
    return connector
