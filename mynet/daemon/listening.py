"""Endpoint strings become listening ports.

Every endpoint that Twisted or one of its plugins knows will do. What is added here are the
length of the queue of clients that connect at once, and errors that name the endpoint.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from mynet.daemon.errors import CannotStart

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")

_queueing = re.compile(r"(haproxy:)?(tcp6?|ssl|unix):(?!.*\bbacklog=).*[^\\]$")


_nowhere = re.compile(r"(haproxy:)?unix:(address=)?(:|$)")

MISTAKES = {
    r"missing \d+ required positional arguments?: (.+)": r"it lacks \1",
    r"unexpected keyword argument (.+)": r"it knows no \1",
    r"multiple values for|takes .+ positional arguments": "it has a colon too many; one that is "
    r"part of a value needs a \\ before it",
    r"invalid literal for int\(\) with base \d+: (.+)": r"\1 is no number",
    "generator raised StopIteration": r"it ends with a \\",
    "list index out of range": "systemd passed no such socket",
}
"""What Python says of the arguments of an endpoint, and what that means."""


class Listener:
    """One endpoint to listen on."""

    def __init__(self, reactor: Any, description: str) -> None:
        """`reactor` has what this kind of endpoint needs.

        Raises:
            CannotStart: This is no endpoint, or its certificate cannot be read.
        """
        self.description = description
        self._endpoint = _endpoint(reactor, description)

    def listen(self, factory: IProtocolFactory) -> IListeningPort | Deferred[IListeningPort]:
        """Listen: the port, or a Deferred of it from an endpoint that takes its time.

        Raises:
            CannotStart: That is not possible. The Deferred fails with it too.
        """
        settled: list[IListeningPort | Failure] = []
        listening = self._endpoint.listen(factory).addErrback(self._explain)
        if not listening.called:
            return listening
        listening.addCallbacks(settled.append, settled.append)
        if isinstance(settled[0], Failure):
            settled[0].raiseException()
        return settled[0]

    def _explain(self, failure: Failure) -> IListeningPort:
        error: object = failure.value
        if isinstance(error, CannotListenError):
            error = error.socketError
        # The reason is first, since twistd cuts off what a daemon's parent tells.
        raise CannotStart(f"{_reason(error)}: cannot listen on {self.description}")


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    endpoint: IStreamServerEndpoint
    if _nowhere.match(description):
        raise CannotStart(f"--listen {description}: it lacks the path of a socket")
    try:
        try:
            endpoint = serverFromString(reactor, _with_backlog(description))
        except TypeError:  # it may have a backlog that is not told by name
            endpoint = serverFromString(reactor, description)
    except Exception as error:  # any, since an endpoint may be a plugin
        raise CannotStart(f"--listen {description}: {_mistake(error)}") from error
    return endpoint


def _mistake(error: Exception) -> str:
    for pattern, meaning in MISTAKES.items():
        if found := re.search(pattern, str(error)):
            return found.expand(meaning)
    if isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("OpenSSL"):
        return _reason(error)
    return f"not a valid endpoint: {_reason(error)}; see --help"


def _with_backlog(description: str) -> str:
    return f"{description}:backlog={backlog()}" if _queueing.match(description) else description


def backlog() -> int:
    """How many clients this system lets wait to be accepted."""
    try:
        return int(SOMAXCONN.read_text())
    except (OSError, ValueError):  # not Linux
        return socket.SOMAXCONN


def _reason(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        file = error.filename2 or error.filename  # of a link, which is where it would be
        return f"{os.fsdecode(file)}: {error.strerror}" if file else error.strerror
    text = str(error).rstrip(".") or type(error).__name__
    if type(error).__module__.startswith("OpenSSL"):
        return f"its key or certificate cannot be used: {text}"
    return text


def hold(port: object, held: bool) -> None:
    """Leave clients in the queue, or accept them again, where this kind of port can."""
    if isinstance(port, FileDescriptor):
        if held:
            port.stopReading()
        else:
            port.startReading()


def describe_port(port: IListeningPort) -> str:
    """Where to go for what is served: `http://127.0.0.1:8080/`, `unix:/run/mynet.sock`."""
    address = port.getHost()
    scheme = "https" if isinstance(getattr(port, "factory", None), TLSMemoryBIOFactory) else "http"
    if isinstance(address, IPv6Address):
        return f"{scheme}://[{address.host}]:{address.port}/"
    if isinstance(address, IPv4Address):
        return f"{scheme}://{address.host}:{address.port}/"
    if isinstance(address, UNIXAddress):
        return f"unix:{(address.name or b'').decode(errors='backslashreplace')}"
    return str(address)
