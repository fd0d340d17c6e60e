"""What a WebSocket endpoint allows: its limits and deadlines, whom it lets in, how it compresses.

Sizes are in bytes, times in seconds. Times are looked at once a second, so each may last up to a
second longer. docs/threats.md tells which attack each of them stops.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, get_args

from mynet.http.limits import KIB, MIB
from mynet.websocket.deflate import Deflate
from mynet.websocket.handshake import parse_origins

SlowConsumer = Literal["wait", "drop-oldest", "latest", "close"]
"""What to do when more waits to be sent to a peer than `send_limit`.

- `wait`: whoever can wait does, as `await socket.send(...)` can. A peer to whom something is sent
  that cannot wait is closed with 1013: by topics, or by a protocol that goes on regardless.
- `drop-oldest`: drop what has waited longest.
- `latest`: of messages with the same key keep only the latest, from the first that waits on; and
  beyond the limit drop what has waited longest.
- `close`: close with 1013.
"""


class PolicyFields(TypedDict, total=False):
    """The fields of a `Policy`, as keyword arguments."""

    max_message_size: int | None
    max_frames: int
    receive_limit: int
    send_limit: int
    slow_consumer: SlowConsumer
    send_timeout: float
    ping_interval: float | None
    ping_timeout: float
    handshake_timeout: float
    close_timeout: float
    leave_timeout: float
    subprotocols: Sequence[str]
    origins: Collection[str] | None
    deflate: Deflate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for each connection of an endpoint.

    Name what is different: `Policy(max_message_size=64 * KIB, slow_consumer="latest")`.
    """

    max_message_size: int | None = 1 * MIB
    """Of a message that is received, also after inflation; 1009 beyond. None: no limit."""

    max_frames: int = 4096
    """Of a message that is received; 1009 beyond. Browsers send one, or one for each 128 KiB."""

    receive_limit: int = 64 * KIB
    """What is held for a coroutine that has not received it yet, besides one message; then the
    peer waits."""

    send_limit: int = 256 * KIB
    """What may wait to be sent to one peer, besides what its transport holds: 64 KiB and one
    message. A message larger than that waits if it is the only one."""

    slow_consumer: SlowConsumer = "wait"
    """What to do beyond that limit."""

    send_timeout: float = 60.0
    """How long a peer may take nothing of what waits to be sent; then it is cut off. Where a
    transport does not tell what it holds, all of that must be taken in this time."""

    ping_interval: float | None = 20.0
    """How long a peer may be silent until it is asked for a sign of life. None: never; then a
    peer that has gone without a word is never missed."""

    ping_timeout: float = 20.0
    """How long it may be silent then; after that it is dead, and cut off."""

    handshake_timeout: float = 10.0
    """How long the handshake may take: a handler's until it accepts (then 503), a server's until
    it answers our client."""

    close_timeout: float = 10.0
    """How long closing may take, with all that was to be sent before; then it is cut off."""

    leave_timeout: float = 10.0
    """How long a coroutine may go on after its connection is over; then what it waits for is
    cancelled."""

    subprotocols: Sequence[str] = ()
    """What is spoken here, best first: the first that the client offers too is agreed on."""

    origins: Collection[str] | None = None
    """From which pages browsers may connect: `https://example.com`. None: those of the same host.
    `*` among them: any. Who sends no Origin is no browser, and let in."""

    deflate: Deflate | None = field(default_factory=Deflate)
    """How to compress where the peer wants to. None: never."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is out of its range, naming it."""
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                continue
            if value is None or not value >= _NUMBERS[name]:
                least = _NUMBERS[name]
                raise ValueError(f"{name} must be a number from {least} on, not {value}")
        if self.slow_consumer not in get_args(SlowConsumer):
            kinds = ", ".join(get_args(SlowConsumer))
            raise ValueError(f"slow_consumer must be one of {kinds}, not {self.slow_consumer!r}")
        for name in ("subprotocols", "origins"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list, such as [{getattr(self, name)!r}]")
        if self.origins is not None:
            parse_origins(self.origins)


_NUMBERS = {
    "max_message_size": 0,
    "max_frames": 1,
    "receive_limit": 0,
    "send_limit": 0,
    "send_timeout": 0,
    "ping_interval": 1,
    "ping_timeout": 1,
    "handshake_timeout": 0,
    "close_timeout": 0,
    "leave_timeout": 0,
}
_MAY_BE_NONE = {"max_message_size", "ping_interval"}
