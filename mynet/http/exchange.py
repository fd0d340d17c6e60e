"""The Exchange: what the two ends of a request may ask of the protocol between them.

A request and its response are written once, against this interface, for every
protocol below: an HTTP/1.1 connection is its own exchange (so that the hot path
allocates none), an HTTP/2 stream will be another, `mynet.testing` has a third.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from mynet.http.body import BodySource
from mynet.http.file import FileBody
from mynet.http.sweep import Deadlines, Sweep
from mynet.http.tls import TLS

RawHeaders = Sequence[tuple[bytes, bytes]]


class Exchange(BodySource, Protocol):
    """One request and its response on the wire."""

    @property
    def client(self) -> IAddress:
        """Where the request came from."""

    @property
    def server(self) -> IAddress:
        """Where it arrived."""

    @property
    def scheme(self) -> str:
        """`https` if what carries it is TLS, else `http`."""

    @property
    def tls(self) -> TLS | None:
        """What the TLS handshake settled; None without TLS."""

    @property
    def sweep(self) -> Sweep[Deadlines]:
        """Looks at deadlines once a second; its clock is the reactor that this runs on."""

    def send_informational(self, status: int, headers: RawHeaders) -> None:
        """Send an interim response (1xx); nothing where the client cannot take one."""

    def send(self, data: bytes) -> Deferred[None] | None:
        """Send some of the response's body, in the order of the calls.

        Returns:
            None if more may be sent at once; else a Deferred that fires when the
            client has taken enough of it. It fails when the client goes.
        """

    def send_file(self, file: FileBody) -> Awaitable[None] | None:
        """Send the whole body from a file, if there is a better way than to read it.

        Returns:
            None if there is none; else what is done when the client has taken enough of it, or
            the file has ended. Cancelled with the client.
        """

    def disconnected(self) -> Deferred[None]:
        """A new Deferred that fires when the client goes before its response is sent.

        Or seems to: when it closes its side.
        """

    def abort(self) -> None:
        """Cut it off: nothing more is sent, and what has been does not look complete."""
