"""Limits of requests to another server: each has a name, a default, and where that comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mynet.http.limits import KIB, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """The limits of a `Pool`, and of each of its connections. Times are in seconds.

    Deadlines are looked at once a second, so that each may be a second late.
    """

    head: int = 64 * KIB
    """Of a response's status line with its header section."""

    header_count: int = 256
    """Fields of a header section."""

    interim: int = 32
    """Interim responses (1xx) before the one that counts."""

    trailers: int = 8 * KIB
    """Of the trailer section of a chunked body, or of its chunk extensions."""

    gather: int = 64 * KIB
    """A body with a Content-Length up to this is delivered in one piece: who gets it need not
    stream it, and a response that is cut off is an error before it has begun."""

    connect_timeout: float = 10.0
    """Until a connection is there, TLS and all."""

    send_timeout: float = 60.0
    """How long the server may take nothing of a request body that waits to be sent, unless it
    answers already. nginx has 60 s, here and below."""

    response_timeout: float = 60.0
    """From the end of the request to the head of the response; from each interim one anew."""

    body_timeout: float = 60.0
    """Between two pieces of a body, while somebody wants them."""

    idle_timeout: float = 30.0
    """How long a connection is kept without a request. A server's own is better longer."""

    max_connections: int = 1024
    """Connections of a pool in all, of which those handed over to another protocol are none.
    It is Envoy's default."""

    max_idle: int = 128
    """Connections that are kept without a request. Who has more requests at a time than that
    connects anew for each of the others."""

    max_waiting: int = 1024
    """Requests that wait for a connection, beside those for which one is being made."""

    queue_timeout: float = 10.0
    """How long a request waits for a connection."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that is out of its range, naming it."""
        for each in fields(self):
            least = 1 if each.name == "max_connections" else 0
            if not getattr(self, each.name) >= least:
                raise ValueError(f"limit {each.name} must be a number from {least} on")

    @property
    def chunks(self) -> Limits:
        """The same, for what decodes chunks."""
        return Limits(trailers=self.trailers, header_count=self.header_count)
