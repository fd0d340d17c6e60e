"""From `--listen ENDPOINT` to a port that listens, or to one line that says why not."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from mynet.daemon import listening
from mynet.daemon.errors import CannotStart
from mynet.daemon.listening import Listener, backlog, describe_port
from mynet.testing import result_of

FACTORY: Any = Factory()


def listen(description: str) -> MemoryReactor:
    reactor = MemoryReactor()
    Listener(reactor, description).listen(FACTORY)
    return reactor


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("tcp:80", (80, "", backlog())),
        ("tcp:80:interface=127.0.0.1", (80, "127.0.0.1", backlog())),
        ("tcp6:80", (80, "::", backlog())),
        ("haproxy:tcp:80", (80, "", backlog())),
        ("tcp:80:backlog=7", (80, "", 7)),
        ("tcp:backlog=7:port=80", (80, "", 7)),
        ("tcp:80:127.0.0.1:7", (80, "127.0.0.1", 7)),
    ],
)
def test_backlog(description, expected):
    """Thousands may connect at once: the queue is as long as the system allows, or as told."""
    ((port, _, queue, interface),) = listen(description).tcpServers
    assert (port, interface, queue) == expected


def test_backlog_of_unix_socket():
    """A UNIX socket has a queue as long, and the mode it was given."""
    ((path, _, queue, mode, lock),) = listen("unix:/run/m.sock:mode=660").unixServers
    assert (path, queue, mode, lock) == ("/run/m.sock", backlog(), 0o660, True)


def test_system_without_somaxconn(monkeypatch, tmp_path):
    """On systems that do not tell, the queue is as long as their headers say."""
    monkeypatch.setattr(listening, "SOMAXCONN", tmp_path / "none")
    assert backlog() == socket.SOMAXCONN


WRONG = {
    "nonsense:80": "Unknown endpoint type: 'nonsense'",
    "": "Unknown endpoint type: ''",
    "8080": "Unknown endpoint type: '8080'",
    "tcp": "it lacks 'port'",
    "tcp:": "'' is no number",
    "tcp:http": "'http' is no number",
    "tcp:80:colour=red": "it knows no 'colour'",
    "tcp:80:interface=::1": r"it has a colon too many; one that is part of a value needs a \ "
    "before it",
    "tcp:80:127.0.0.1:5:6": r"it has a colon too many; one that is part of a value needs a \ "
    "before it",
    "tcp:80\\": "it ends with a \\",
    "systemd:domain=INET:index=0": "systemd passed no such socket",
    "systemd": "it lacks 'domain'",
    "unix:": "it lacks the path of a socket",
    "unix:address=": "it lacks the path of a socket",
    "unix::mode=660": "it lacks the path of a socket",
    "ssl:443:privateKey=/no/such.pem": "/no/such.pem: No such file or directory",
}


@pytest.mark.parametrize("description", WRONG)
def test_no_endpoint(description):
    """What is no endpoint is told before anything listens, with what is wrong about it."""
    with pytest.raises(CannotStart) as caught:
        Listener(MemoryReactor(), description)
    assert str(caught.value) == f"--listen {description}: {WRONG[description]}"


def test_endpoint_of_a_plugin_fails(monkeypatch):
    """Whatever a plugin raises is told as what is wrong with the endpoint."""

    def fail(*_: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr(listening, "serverFromString", fail)
    with pytest.raises(CannotStart) as caught:
        Listener(MemoryReactor(), "odd:80")
    assert str(caught.value) == "--listen odd:80: not a valid endpoint: 'odd'; see --help"


def test_unreadable_certificate(tmp_path):
    """A certificate that is none is told too."""
    pem = tmp_path / "key.pem"
    pem.write_text("no key")
    with pytest.raises(CannotStart, match=r"^--listen ssl:443\S+: its key or certificate cannot"):
        Listener(MemoryReactor(), f"ssl:443:privateKey={pem}")


class Refusing(MemoryReactor):
    """A reactor on which nothing can listen, for a reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def listenTCP(self, *_: Any, **__: Any) -> IListeningPort:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            CannotListenError("", 80, OSError(98, "Address already in use")),
            "Address already in use",
        ),
        (CannotListenError("", 80, OSError(13, "Permission denied")), "Permission denied"),
        (CannotListenError(None, "x", "Cannot acquire lock"), "Cannot acquire lock"),
        (OverflowError("bind(): port must be 0-65535."), "bind(): port must be 0-65535"),
        (OSError(2, "No such file or directory", "/no/x"), "/no/x: No such file or directory"),
        (
            OSError(2, "No such file or directory", "77", None, b"/no/x"),
            "/no/x: No such file or directory",
        ),
        (KeyError(), "KeyError"),
    ],
)
def test_cannot_listen(error, reason):
    """A port that cannot be had is told by the endpoint that was asked for, and the reason."""
    with pytest.raises(CannotStart) as caught:
        Listener(Refusing(error), "tcp:80").listen(FACTORY)
    assert str(caught.value) == f"{reason}: cannot listen on tcp:80"


class Slow:
    """An endpoint that knows later whether it listens."""

    def __init__(self) -> None:
        self.listening: Deferred[IListeningPort] = Deferred()

    def listen(self, _: IProtocolFactory) -> Deferred[IListeningPort]:
        return self.listening


def test_endpoint_that_takes_its_time(monkeypatch):
    """An endpoint may take its time, and fail as clearly then."""
    slow = Slow()
    monkeypatch.setattr(listening, "serverFromString", lambda *_: slow)
    opening = Listener(MemoryReactor(), "slow:80").listen(FACTORY)
    assert isinstance(opening, Deferred)
    slow.listening.errback(OSError(1, "Not today"))
    with pytest.raises(CannotStart, match=r"^Not today: cannot listen on slow:80$"):
        result_of(opening)


@implementer(IListeningPort)
class Port:
    """A port at some address."""

    def __init__(self, address: Any, factory: Any = FACTORY) -> None:
        self.address = address
        self.factory = factory

    def startListening(self) -> None: ...

    def stopListening(self) -> None: ...

    def getHost(self) -> Any:
        return self.address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (IPv4Address("TCP", "127.0.0.1", 8080), "http://127.0.0.1:8080/"),
        (IPv6Address("TCP", "::1", 8080), "http://[::1]:8080/"),
        (UNIXAddress("/run/m.sock"), "unix:/run/m.sock"),
        (UNIXAddress(None), "unix:"),
        (HostnameAddress(b"onion.test", 80), "HostnameAddress(hostname=b'onion.test', port=80)"),
    ],
)
def test_where_it_is_served(address, shown):
    """The log says where to go, so that it can be clicked on."""
    assert describe_port(Port(address)) == shown


def test_where_it_is_served_with_tls():
    """An address with TLS says so."""
    port = Port(IPv4Address("TCP", "127.0.0.1", 443), object.__new__(TLSMemoryBIOFactory))
    assert describe_port(port) == "https://127.0.0.1:443/"
