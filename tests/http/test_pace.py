"""How much of what was sent a peer has yet to take."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from mynet.http.pace import bytes_waiting
from mynet.testing import MemoryTransport


class Descriptor(FileDescriptor):
    """A transport of Twisted's, of which the system takes so much and no more."""

    connected = True
    takes = 0

    def writeSomeData(self, data: bytes) -> int:
        taken, self.takes = min(self.takes, len(data)), 0
        return taken


def test_of_twisted():
    """It is told of Twisted's transports while it grows less, whatever is wrapped around them."""
    descriptor = Descriptor(cast(IReactorFDSet, MemoryReactor()))
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.transport = cast(Any, descriptor)
    assert bytes_waiting(descriptor) == bytes_waiting(wrapper) == 0
    descriptor.write(bytes(100))
    descriptor.writeSequence([bytes(20), bytes(3)])
    assert bytes_waiting(descriptor) == bytes_waiting(wrapper) == 123
    descriptor.takes = 50
    descriptor.doWrite()
    assert bytes_waiting(wrapper) == 73


def test_in_memory():
    """It is told of what stands for a transport in a test."""
    transport = MemoryTransport(Clock())
    transport.reading = False
    transport.write(b"abc")
    assert bytes_waiting(transport) == 3


def test_unknown():
    """Where a transport does not tell, nothing is claimed."""
    assert bytes_waiting(StringTransport()) is None
