"""What the WebSockets of an endpoint have done, in plain integers; read them whenever you like."""

from __future__ import annotations

from collections import Counter


class Stats:
    """The counts of one endpoint."""

    __slots__ = (
        "accepted",
        "bytes_received",
        "bytes_sent",
        "closed",
        "dead",
        "dropped",
        "failures",
        "lingering",
        "messages_received",
        "messages_sent",
        "refused",
        "replaced",
        "slow",
    )

    def __init__(self) -> None:
        self.accepted = 0
        """Connections."""
        self.refused = 0
        """Handshakes that were answered with anything but an upgrade."""
        self.closed: Counter[int] = Counter()
        """Connections that are over, by close code: 1006 where there was no closing handshake."""
        self.messages_received = 0
        self.messages_sent = 0
        self.bytes_received = 0
        """With all that frames are made of, as they are on the wire."""
        self.bytes_sent = 0
        self.failures = 0
        """Connections closed with 1011, because of an error of whatever handles them."""
        self.lingering = 0
        """Coroutines that go on now, though their connections are over, or were never opened."""
        self.dead = 0
        """Peers cut off because they gave no sign of life, or took nothing."""
        self.slow = 0
        """Slow peers closed with 1013."""
        self.dropped = 0
        """Messages that were not sent, because too many waited."""
        self.replaced = 0
        """Messages that were not sent, because a later one with the same key was."""
