"""A response on its way out: how it is framed (RFC 9110 sections 6.4, 8.6; RFC 9112 section 6).

Sans I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import NamedTuple

from twisted.web.iweb import IBodyProducer

from mynet.http.limits import KIB
from mynet.http.message import Response
from mynet.http.writing import (
    CHUNKED_LINE,
    CLOSE_LINE,
    KEEP_ALIVE_LINE,
    content_type_line,
    length_line,
    status_line,
)

PIECE = 64 * KIB
"""The largest body that goes out in one piece with its head. A larger one goes in pieces of
this size, so that a client that reads slowly is seen to read."""

BODILESS = frozenset({204, 205, 304})
"""The final statuses whose responses have no body."""


class Outgoing(NamedTuple):
    """A response, framed."""

    head: bytes
    """Its status line and fields, and the empty line."""
    body: bytes | None
    """What follows at once; None where the body is streamed."""
    chunked: bool
    """Whether a streamed body goes in chunks."""
    length: int | None
    """What a streamed body that does not has promised to be, if anything."""
    keep_alive: bool
    """Whether the connection may go on."""


def frame_response(
    response: Response,
    method: str,
    version: str,
    keep_alive: bool,
    status_and_date: Callable[[int], bytes],
) -> Outgoing:
    """Frame a response to a request with that method and version.

    Args:
        response: What a handler returned.
        method: That of the request: the answer to HEAD has no body.
        version: That of the request: 1.0 has no chunks.
        keep_alive: Whether the connection may go on, as far as the response does not tell.
        status_and_date: Makes the status line and a Date.

    Raises:
        ValueError, TypeError: The response is not valid.
    """
    status, lines, declared = response.status, b"", None
    if not 200 <= status <= 599:
        raise ValueError(f"a response has a status from 200 to 599, not {status}")
    _check_body(response.body)
    prefix = status_and_date(status)
    if response.has_headers:
        fields = response.check_fields()
        lines, declared = fields.lines, fields.length
        keep_alive = keep_alive and not fields.close
        prefix = status_line(status) if fields.dated else prefix
    elif response.content_type is not None:
        lines = content_type_line(response.content_type)
    bodiless = method == "HEAD" or status in BODILESS
    length = None if response.has_trailers else _length(response.body, declared, bodiless, status)
    framing = b""
    chunked = False
    if length is not None:
        framing = length_line(0 if status == 205 else length) if status != 204 else b""
    elif status == 205:  # of those without a body the one whose end a client does not know
        framing = length_line(0)
    elif not bodiless:
        chunked = version == "1.1"
        keep_alive = keep_alive and chunked  # else the end of the connection is that of the body
        framing = CHUNKED_LINE if chunked else b""
    head = prefix + lines + framing + _connection_line(version, keep_alive) + b"\r\n"
    if bodiless:
        return Outgoing(head, b"", False, None, keep_alive)
    if length is not None and isinstance(response.body, bytes) and length <= PIECE:
        return Outgoing(head, response.body, False, None, keep_alive)
    return Outgoing(head, None, chunked, length, keep_alive)


def _connection_line(version: str, keep_alive: bool) -> bytes:
    if not keep_alive:
        return CLOSE_LINE
    return KEEP_ALIVE_LINE if version == "1.0" else b""


def _check_body(body: object) -> None:
    """Raises TypeError for what is no body, as far as that can be seen before it is sent."""
    wrong = isinstance(body, str | bytearray | memoryview | Mapping)
    known = isinstance(body, bytes | Iterable | AsyncIterable)
    if wrong or not (known or hasattr(body, "read") or IBodyProducer.providedBy(body)):
        raise TypeError(f"a body consists of bytes, and is no {type(body).__name__}")


def _length(body: object, declared: int | None, bodiless: bool, status: int) -> int | None:
    """The Content-Length; None if it is not known, or not to be told."""
    if bodiless and (declared is not None or status == 304):
        return declared
    if not isinstance(body, bytes):
        return declared if declared is not None else _produced_length(body)
    if declared is not None and declared != len(body):
        raise ValueError(f"Content-Length is {declared}, but the body has {len(body)} bytes")
    return len(body)


def _produced_length(body: object) -> int | None:
    length = getattr(body, "length", None)  # of an IBodyProducer; UNKNOWN_LENGTH is no int
    if not isinstance(length, int):
        return None
    if length < 0:
        raise ValueError(f"a body's length is {length}")
    return length


def plain_template(prefix: bytes, content_type: str | None, keep_alive: bool) -> bytes:
    """What becomes a whole response by `% (length, body)`, where nothing is out of the ordinary.

    Nothing is when the client speaks 1.1, and the response has a body in bytes, of `PIECE` at
    most, and no fields but its Content-Type.
    """
    lines = prefix if content_type is None else prefix + content_type_line(content_type)
    if not keep_alive:
        lines += CLOSE_LINE
    return lines.replace(b"%", b"%%") + b"Content-Length: %d\r\n\r\n%b"
