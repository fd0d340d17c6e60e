"""Compression of messages: permessage-deflate (RFC 7692), with all four parameters. Sans I/O.

Here is what both sides agree on, and what then turns messages into compressed ones and back. It
knows nothing of frames: a message, or its pieces, come without them.

zlib has the same windows as RFC 7692, of 8 to 15 bits, but cannot look for repetitions with
one of 8 bits (zlib.h, deflateInit2). Where the peer insists on that, messages are compressed by
the frequencies of their bytes alone: what refers back to nothing fits any window.

What compression costs a connection while it rests (zlib's zconf.h), in bytes:

- what we send: `2**(window_bits + 2) + 2**(memory_level + 9)`, with context takeover, until
  that is forgotten; 32 KiB by default
- what the peer sends: `2**peer_window_bits`, and 7 KiB, with context takeover; 11 KiB by default
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from mynet.websocket.codes import INVALID_DATA, POLICY_VIOLATION, TOO_BIG, WebSocketError

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress  # there at type checking only

NAME: Final = "permessage-deflate"

TAIL: Final = b"\x00\x00\xff\xff"
"""What every compressed message ends with, and what is not sent of it (RFC 7692 section 7.2.1)."""

MAX_STREAMS: Final = 64
"""How many DEFLATE streams, each with a final block, a message may have. One in two bytes could
be a final block, and beginning anew costs a microsecond. Who uses them at all ends each message,
or each frame of it, by one."""

_SERVER_NO_CONTEXT: Final = "server_no_context_takeover"
_CLIENT_NO_CONTEXT: Final = "client_no_context_takeover"
_SERVER_BITS: Final = "server_max_window_bits"
_CLIENT_BITS: Final = "client_max_window_bits"
_BITS: Final = {str(bits): bits for bits in range(8, 16)}
_MAX_BITS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate:
    """How messages are compressed, and what is asked of the peer.

    The defaults take a third of the time of zlib's own, and an eighth of the memory, for
    messages that become a quarter larger (measured with 1 KiB of JSON with text).
    """

    window_bits: int = 12
    """How far what we send refers back, as a power of two: 9 to 15. See this module for what it
    takes of memory."""

    peer_window_bits: int = 12
    """The same of what the peer sends, 9 to 15. A request: some clients cannot be told,
    and some servers do not listen."""

    context_takeover: bool = True
    """Whether what we send refers back to earlier messages. It makes small messages much
    smaller, and costs memory between them."""

    peer_context_takeover: bool = True
    """The same of what the peer sends. A server that does not agree to False gets no
    connection."""

    level: int = 1
    """How hard to look for repetitions: 1 to 9. 6 takes twice the time of 1."""

    memory_level: int = 5
    """How much memory is used for that: 1 to 9. See this module."""

    threshold: int = 128
    """Messages of fewer bytes are sent as they are."""

    def __post_init__(self) -> None:
        """Raises ValueError for a field that is out of its range, naming it."""
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {value}")
        if self.threshold < 0:
            raise ValueError(f"threshold must not be negative, but is {self.threshold}")


_RANGES: Final = (
    ("window_bits", 9, _MAX_BITS),
    ("peer_window_bits", 9, _MAX_BITS),
    ("level", 1, 9),
    ("memory_level", 1, 9),
)


class Extension(NamedTuple):
    """One extension of a Sec-WebSocket-Extensions field: an offer of it, or its acceptance."""

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()
    """In order, with repetitions; the value of a parameter is None where it has none."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What both sides have agreed on (RFC 7692 section 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _MAX_BITS
    client_max_window_bits: int = _MAX_BITS


# What is agreed on


def accept_offers(offers: Iterable[Extension], deflate: Deflate) -> tuple[Parameters, str] | None:
    """Accept the first offer that is acceptable; a server's part.

    Returns:
        What is agreed on, and the field that says so to the client. None if there was no such
        offer, which is no error: messages are not compressed then.
    """
    for offer in offers:
        if offer.name == NAME:
            try:
                return _accept(_settings(offer, bare_client_bits=True), deflate)
            except ValueError:
                continue  # a server declines what it does not understand (section 7)
    return None


def _accept(asked: Mapping[str, int], deflate: Deflate) -> tuple[Parameters, str]:
    agreed = Parameters(
        _SERVER_NO_CONTEXT in asked or not deflate.context_takeover,
        _CLIENT_NO_CONTEXT in asked or not deflate.peer_context_takeover,
        min(deflate.window_bits, asked.get(_SERVER_BITS, _MAX_BITS)),
        # A client that did not name it may not understand it (section 7.1.2.2).
        min(deflate.peer_window_bits, asked[_CLIENT_BITS]) if _CLIENT_BITS in asked else _MAX_BITS,
    )
    says = {
        _SERVER_NO_CONTEXT: agreed.server_no_context_takeover,
        _CLIENT_NO_CONTEXT: agreed.client_no_context_takeover,
        f"{_SERVER_BITS}={agreed.server_max_window_bits}": (
            agreed.server_max_window_bits < _MAX_BITS or _SERVER_BITS in asked
        ),
        f"{_CLIENT_BITS}={agreed.client_max_window_bits}": (
            agreed.client_max_window_bits < _MAX_BITS
        ),
    }
    return agreed, _field(says)


def _field(says: Mapping[str, bool]) -> str:
    return "; ".join([NAME, *(parameter for parameter, said in says.items() if said)])


def _settings(extension: Extension, *, bare_client_bits: bool) -> dict[str, int]:
    """The parameters by name; ValueError for what section 7.1 does not know."""
    settings: dict[str, int] = {}
    for name, value in extension.parameters:
        if name in settings:
            raise ValueError(f"{NAME} has {name} twice.")
        if name in (_SERVER_NO_CONTEXT, _CLIENT_NO_CONTEXT) and value is None:
            settings[name] = True
        elif name in (_SERVER_BITS, _CLIENT_BITS) and value in _BITS:
            settings[name] = _BITS[value]
        elif name == _CLIENT_BITS and value is None and bare_client_bits:
            settings[name] = _MAX_BITS
        else:
            raise ValueError(f"{NAME} has an invalid parameter {name}.")
    return settings


def make_offer(deflate: Deflate) -> str:
    """The Sec-WebSocket-Extensions of a client.

    A server that cannot restrict its window has to decline an offer which asks for that, so a
    second one does not. Ours it may always restrict.
    """
    bits = "" if deflate.window_bits == _MAX_BITS else f"={deflate.window_bits}"
    says = {
        _SERVER_NO_CONTEXT: not deflate.peer_context_takeover,
        _CLIENT_NO_CONTEXT: not deflate.context_takeover,
        f"{_CLIENT_BITS}{bits}": True,
    }
    offer = _field(says)
    if deflate.peer_window_bits == _MAX_BITS:
        return offer
    return f"{offer}; {_SERVER_BITS}={deflate.peer_window_bits}, {offer}"


def accept_response(extensions: Sequence[Extension], deflate: Deflate | None) -> Parameters | None:
    """Look at what a server chose of `make_offer(deflate)`; a client's part.

    Args:
        extensions: Those of its response.
        deflate: None if nothing was offered.

    Returns:
        What is agreed on; None if messages are not compressed.

    Raises:
        ValueError: It answers something else than what was offered. The connection fails
            (RFC 6455 section 4.1, RFC 7692 section 7.1).
    """
    if not extensions:
        return None
    if deflate is None or len(extensions) > 1 or extensions[0].name != NAME:
        raise ValueError("The server chose extensions that were not offered.")
    chosen = _settings(extensions[0], bare_client_bits=False)
    if not deflate.peer_context_takeover and _SERVER_NO_CONTEXT not in chosen:
        raise ValueError(f"The server did not agree to {_SERVER_NO_CONTEXT}.")
    if chosen.get(_CLIENT_BITS, 0) > deflate.window_bits:
        raise ValueError(f"The server chose a larger {_CLIENT_BITS} than offered.")
    return Parameters(
        _SERVER_NO_CONTEXT in chosen,
        _CLIENT_NO_CONTEXT in chosen or not deflate.context_takeover,
        chosen.get(_SERVER_BITS, _MAX_BITS),
        min(deflate.window_bits, chosen.get(_CLIENT_BITS, _MAX_BITS)),
    )


# What is done then


def make_codec(
    parameters: Parameters, deflate: Deflate, *, client: bool
) -> tuple[Deflater, Inflater]:
    """What compresses our messages, and what inflates the peer's, on one connection."""
    server_side = parameters.server_max_window_bits, not parameters.server_no_context_takeover
    client_side = parameters.client_max_window_bits, not parameters.client_no_context_takeover
    ours, theirs = (client_side, server_side) if client else (server_side, client_side)
    return Deflater(*ours, deflate), Inflater(*theirs)


class Deflater:
    """Compresses the messages of one direction.

    With context takeover it holds memory from its first message on, until it is told to forget.
    """

    __slots__ = (
        "_context_takeover",
        "_level",
        "_memory_level",
        "_stream",
        "threshold",
        "window_bits",
    )

    def __init__(self, window_bits: int, context_takeover: bool, deflate: Deflate) -> None:
        """`window_bits`, from 8 on, and `context_takeover` are what was agreed on."""
        self.window_bits: Final = window_bits
        self.threshold: Final = deflate.threshold
        """Messages of fewer bytes are better sent as they are; that is the caller's to do."""
        self._context_takeover = context_takeover
        self._level = deflate.level
        self._memory_level = deflate.memory_level
        self._stream: _Compress | None = None

    def compress(self, payload: bytes) -> bytes:
        """Compress a whole message. They must be sent in the order in which this is called."""
        stream = self._stream or self._new_stream()
        if self._context_takeover:
            self._stream = stream
        return _compress(stream, payload)

    def compress_alone(self, payload: bytes) -> bytes:
        """Compress a message so that it refers back to no other.

        It may be sent to any receiver whose window is no smaller. But what that receiver
        remembers then is another message than its own deflater does, which has to forget.
        """
        return _compress(self._new_stream(), payload)

    def forget(self) -> None:
        """Let the memory go, at any time: what follows refers back to nothing before."""
        self._stream = None

    def _new_stream(self) -> _Compress:
        bits, strategy = self.window_bits, zlib.Z_DEFAULT_STRATEGY
        if bits == 8:
            bits, strategy = 9, zlib.Z_HUFFMAN_ONLY
        return zlib.compressobj(self._level, zlib.DEFLATED, -bits, self._memory_level, strategy)


def _compress(stream: _Compress, payload: bytes) -> bytes:
    if not payload:
        return b"\x00"  # section 7.2.3.6; not left to what zlib makes of a flush of nothing
    data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    return data[: -len(TAIL)]


class Inflater:
    """Inflates the messages of one direction, as their pieces arrive, in order.

    After it has raised an error it is of no use any more.
    """

    __slots__ = ("_context_takeover", "_ended", "_stream", "_window_bits")

    def __init__(self, window_bits: int, context_takeover: bool) -> None:
        """Both are what was agreed on; `window_bits` is from 8 on."""
        self._window_bits = window_bits
        self._context_takeover = context_takeover
        self._stream: _Decompress | None = None
        self._ended = 0  # streams of the present message

    def inflate(self, piece: bytes, room: int | None) -> bytes:
        """Inflate a piece of a message.

        Args:
            piece: In any cut.
            room: How many bytes the message may still have, from here on. None: any.

        Raises:
            WebSocketError: 1009: it has more. No more than one byte too many is inflated.
                1007: this is not compressed data. 1008: it has more than `MAX_STREAMS`.
        """
        if not piece:
            return b""
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._window_bits)
        try:
            data = stream.decompress(piece, 0 if room is None else room + 1)
        except zlib.error:
            raise WebSocketError(INVALID_DATA, "compressed data cannot be inflated") from None
        if room is not None:
            room -= len(data)
            if room < 0:
                raise WebSocketError(TOO_BIG, "the message is too big")
        return data + self._begin_anew(stream.unused_data, room) if stream.eof else data

    def finish(self, room: int | None) -> bytes:
        """What is left when all pieces of a message have been inflated; usually nothing.

        It cannot tell a message that was cut off from a whole one: zlib does not say whether a
        block has ended. The next message is then no compressed data.

        Arguments and errors are those of `inflate`; what that has returned is not in the room.
        """
        # There is no stream where a final block has ended the message: it lacks what goes
        # before the tail then (section 7.2.3.4), and so there is nothing to complete.
        data = b"" if self._stream is None else self.inflate(TAIL, room)
        if not self._context_takeover:
            self._stream = None
        self._ended = 0
        return data

    def _begin_anew(self, rest: bytes, room: int | None) -> bytes:
        """Go on behind a final block, with a new stream (section 7.2.1)."""
        self._stream = None
        self._ended += 1
        if self._ended > MAX_STREAMS:
            raise WebSocketError(POLICY_VIOLATION, "too many final blocks in a message")
        return self.inflate(rest, room)
