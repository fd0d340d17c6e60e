"""HTTP/1.1 to bytes: status lines, header sections, chunks (RFC 9112). Sans I/O.

Nothing that an application says can break out of its place on the wire: names are
tokens, values have no control characters, and framing is ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from wsgiref.handlers import format_date_time  # RFC 9110's preferred form

from multidict import CIMultiDict

from mynet.http.errors import REASONS

CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE = b"Connection: close\r\n"
KEEP_ALIVE_LINE = b"Connection: keep-alive\r\n"
UPGRADE_LINE = b"Connection: Upgrade\r\n"

_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n")
_SECTION = re.compile(f"(?:{_FIELD.pattern})*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_NOT_TRAILERS = _HOP_BY_HOP | {
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "host",
    "set-cookie",
    "te",
    "trailer",
    "upgrade",
}


@lru_cache(1024)
def status_line(status: int) -> bytes:
    """The first line of a response, with its CRLF.

    Raises:
        ValueError: It is not the status of a response.
    """
    if not 100 <= status <= 599:
        raise ValueError(f"not a status: {status!r}")
    return f"HTTP/1.1 {status:d} {REASONS.get(status, 'Unknown')}\r\n".encode("ascii")


def date_line(now: float) -> bytes:
    """The Date field, with its CRLF, of a time in seconds since the epoch."""
    return f"Date: {format_date_time(now)}\r\n".encode("ascii")


@lru_cache(1024)
def content_type_line(content_type: str) -> bytes:
    """The Content-Type field with its CRLF.

    Raises:
        ValueError: It is not a field value.
    """
    return field_lines([("Content-Type", content_type)])


def length_line(length: int) -> bytes:
    """The Content-Length field, with its CRLF."""
    return b"Content-Length: %d\r\n" % length


def raw_field_lines(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """As `field_lines`, of pairs of bytes."""
    return field_lines([(n.decode("latin-1"), v.decode("latin-1")) for n, v in fields])


def field_lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """Fields, each with its CRLF.

    Raises:
        ValueError: A name is not a token, or a value holds a control character or what
            Latin-1 lacks.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in fields])
    if not _SECTION.fullmatch(text) or text.count("\n") != len(fields):
        wrong = next(f"{n}: {v}" for n, v in fields if not _FIELD.fullmatch(f"{n}: {v}\r\n"))
        raise ValueError(f"not a valid header field: {wrong!r}")
    return text.encode("latin-1")


class ResponseFields(NamedTuple):
    """The fields that an application gave, and what they say of the frame."""

    lines: bytes
    length: int | None
    """Its Content-Length, which is not among the lines."""
    close: bool
    """Whether it asks to close the connection."""
    dated: bool
    """Whether there is a Date."""


def response_fields(headers: CIMultiDict[str]) -> ResponseFields:
    """Take apart what the application set, and leave out what is the protocol's alone.

    Raises:
        ValueError: A field is not valid, or it is Transfer-Encoding.
    """
    if "Transfer-Encoding" in headers:
        raise ValueError("Transfer-Encoding is for the protocol to set")
    length = headers.get("Content-Length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise ValueError(f"not a valid Content-Length: {length!r}")
    tokens = ",".join(headers.getall("Connection", ())).lower().split(",")
    lines = field_lines([(n, v) for n, v in headers.items() if n.lower() not in _HOP_BY_HOP])
    if "Upgrade" in headers:  # which goes with it wherever it goes (RFC 9110 section 7.8)
        lines += UPGRADE_LINE
    return ResponseFields(
        lines,
        None if length is None else int(length),
        "close" in [token.strip() for token in tokens],
        "Date" in headers,
    )


def chunk(data: bytes) -> bytes:
    """A chunk; the data must not be empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Sequence[tuple[str, str]]) -> bytes:
    """The end of a chunked body.

    Raises:
        ValueError: A field is not valid, or may not stand in trailers (RFC 9110 section 6.5.1).
    """
    for name, _ in trailers:
        if name.lower() in _NOT_TRAILERS:
            raise ValueError(f"not allowed among trailers: {name}")
    return b"0\r\n" + field_lines(trailers) + b"\r\n"
