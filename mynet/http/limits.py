"""Every limit of an HTTP connection, with a default that is safe on the open internet.

Sizes are in bytes, times in seconds. Times are looked at once a second, so
each may last up to a second longer. docs/threats.md tells which attack each
of them stops.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of each connection of an `HTTPFactory`.

    Use `dataclasses.replace(Limits(), ...)`, or name those that differ:
    `Limits(body=10 * MIB, idle_timeout=15)`.
    """

    target: int = 8 * KIB
    """Of a request target; 414 beyond. RFC 9110 section 4.1 asks for 8,000 at least."""

    head: int = 32 * KIB
    """Of a request line with its header section; 431 beyond. nginx has 32 KiB, Node.js 16."""

    header_count: int = 100
    """Fields of a header section; 431 beyond. Apache has 100."""

    trailers: int = 8 * KIB
    """Of the trailer section of a chunked body; 431 beyond."""

    body: int = 1 * GIB
    """Of a request body; 413 beyond, before it is read where its length is declared.
    A body streams, so this costs no memory: what gathers one has limits of its own."""

    body_buffer: int = 64 * KIB
    """What is held of a body that its handler has not read yet; then the client waits."""

    drain: int = 256 * KIB
    """What is read and thrown away of a body that a handler left unread, to keep the
    connection; beyond, it is closed."""

    header_timeout: float = 10.0
    """From a connection's start, or a request's first byte, to the end of its head; then 408."""

    body_rate: int = 240
    """The least rate of a body's arrival since its start, in bytes a second; slower is answered
    408, and so is a body of which nothing comes for `idle_timeout`. Kestrel has 240. 0 turns
    it off."""

    body_grace: float = 10.0
    """How long a body may be slower than its least rate, at its start."""

    idle_timeout: float = 75.0
    """How long a connection is kept without a request; nginx has 75 s."""

    send_timeout: float = 60.0
    """How long a client may take for what waits to be sent, which is 128 KiB at most, until it
    has taken all of that; then it is cut off. So it must take about 2 KiB a second."""

    handler_timeout: float | None = None
    """How long a handler may take until its response begins; then it is cancelled: 503."""

    half_closed_timeout: float = 30.0
    """How long a handler may still take after its client has closed its sending side. TCP does
    not tell a client that waits for its answer from one that has gone."""

    linger_timeout: float = 2.0
    """How long a connection that ends with an error is still read from, so that the client,
    which may still be sending, sees the answer (RFC 9112 section 9.6)."""

    connections: int | None = 16_384
    """Open connections of a factory in all; a further one is closed at once. None: no limit."""

    connections_per_address: int | None = 256
    """Open connections of one client address; a further one is closed at once. Loopback
    addresses and UNIX sockets, where proxies come from, are not counted. None: no limit."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit that is out of its range, naming it."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.name in _MAY_BE_NONE:
                continue
            if value is None or not value >= 0:
                raise ValueError(f"limit {each.name} must be a number from 0 on, not {value}")


_MAY_BE_NONE = {"handler_timeout", "connections", "connections_per_address"}
