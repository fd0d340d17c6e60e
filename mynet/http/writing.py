"""HTTP/1.1 to bytes: status lines, header sections, chunks (RFC 9112). Sans I/O.

Nothing that an application says can break out of its place on the wire: names are
tokens, values have no control characters, and framing is ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from wsgiref.handlers import format_date_time  # RFC 9110's preferred form

from mynet.http.errors import REASONS

CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE = b"Connection: close\r\n"
KEEP_ALIVE_LINE = b"Connection: keep-alive\r\n"
UPGRADE_LINE = b"Connection: Upgrade\r\n"

_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n")
_SECTION = re.compile(b"(?:%b)*" % _FIELD.pattern)
KNOWN_LINES = 1024
KNOWN_SIZE = 256
"""How many fields, up to how many bytes each, are known to be valid."""

_LENGTH = re.compile(rb"[0-9]{1,18}")
PROTOCOLS_OWN = frozenset({b"connection", b"content-length", b"keep-alive", b"transfer-encoding"})
_TOLD = PROTOCOLS_OWN | {b"date", b"upgrade"}
"""Those which say something to the protocol."""
_NOT_TRAILERS = PROTOCOLS_OWN | {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"host",
    b"set-cookie",
    b"te",
    b"trailer",
    b"upgrade",
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
    return field_lines(encode_fields([("Content-Type", content_type)]))


def length_line(length: int) -> bytes:
    """The Content-Length field, with its CRLF."""
    return b"Content-Length: %d\r\n" % length


def encode_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Fields as pairs of bytes.

    Raises:
        ValueError: There is what Latin-1 lacks.
    """
    return [_encode_field(name, value) for name, value in fields]


def _encode_field(name: str, value: str) -> tuple[bytes, bytes]:
    try:
        return name.encode("latin-1"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise _wrong(f"{name}: {value}") from None


def field_lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Fields, each with its CRLF.

    Raises:
        ValueError: A name is not a token, or a value holds a control character.
    """
    checked = list(fields)
    section = b"".join([b"%b: %b\r\n" % field for field in checked])
    colons = any(b":" in name for name, _ in checked)  # of which a line tells only the first
    if colons or not _SECTION.fullmatch(section) or section.count(b"\n") != len(checked):
        wrong = next(field for field in checked if not _is_field(field))
        raise _wrong((b"%b: %b" % wrong).decode("latin-1"))
    return section


def _is_field(field: tuple[bytes, bytes]) -> bool:
    return b":" not in field[0] and _FIELD.fullmatch(b"%b: %b\r\n" % field) is not None


def _wrong(field: str) -> ValueError:
    return ValueError(f"not a valid header field: {field!r}")


class ResponseFields(NamedTuple):
    """The fields that an application gave, and what they say of the frame."""

    lines: bytes
    length: int | None
    """Its Content-Length, which is not among the lines."""
    close: bool
    """Whether it asks to close the connection."""
    dated: bool
    """Whether there is a Date."""


class RepeatedFields(tuple[tuple[bytes, bytes], ...]):
    """Fields of many responses: what they say is made out once, and kept with them."""

    said: ResponseFields | None = None
    """What `response_fields` has made of them."""


def response_fields(fields: Iterable[tuple[bytes, bytes]]) -> ResponseFields:
    """Take apart what the application set, and leave out what is the protocol's alone.

    Raises:
        ValueError: A field is not valid, or it is Transfer-Encoding.
    """
    if type(fields) is not RepeatedFields:
        return _take_apart(fields)
    if fields.said is None:
        fields.said = _take_apart(fields)
    return fields.said


def _take_apart(fields: Iterable[tuple[bytes, bytes]]) -> ResponseFields:
    lines = []
    length = None
    close = dated = upgrade = False
    for field in fields:
        line = _known_lines.get(field)
        if line is None:
            name = field[0].lower()
            if name == b"content-length":
                length = _parse_length(field[1]) if length is None else length
                continue
            if name == b"connection":
                close = close or b"close" in [each.strip() for each in field[1].lower().split(b",")]
                continue
            if name == b"keep-alive":
                continue
            if name == b"transfer-encoding":
                raise ValueError("Transfer-Encoding is for the protocol to set")
            dated = dated or name == b"date"
            upgrade = upgrade or name == b"upgrade"
            line = _field_line(field, name)
        lines.append(line)
    if upgrade:  # Connection goes with it wherever it goes (RFC 9110 section 7.8)
        lines.append(UPGRADE_LINE)
    return ResponseFields(b"".join(lines), length, close, dated)


_known_lines: dict[tuple[bytes, bytes], bytes] = {}
"""Applications send the same fields with most of their responses."""


def _field_line(field: tuple[bytes, bytes], name: bytes) -> bytes:
    """A field's line; kept, if it says nothing to the protocol."""
    line = field_lines([field])
    if name not in _TOLD and len(line) <= KNOWN_SIZE:
        if len(_known_lines) >= KNOWN_LINES:
            _known_lines.clear()
        _known_lines[field] = line
    return line


def _parse_length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value):
        raise ValueError(f"not a valid Content-Length: {value.decode('latin-1')!r}")
    return int(value)


def chunk(data: bytes) -> bytes:
    """A chunk; the data must not be empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Iterable[tuple[str, str]]) -> bytes:
    """The end of a chunked body.

    Raises:
        ValueError: A field is not valid, or may not stand in trailers (RFC 9110 section 6.5.1).
    """
    fields = encode_fields(trailers)
    for name, _ in fields:
        if not may_trail(name):
            raise ValueError(f"not allowed among trailers: {name.decode('latin-1')}")
    return b"0\r\n%b\r\n" % field_lines(fields)


def may_trail(name: bytes) -> bool:
    """Whether a field may stand in trailers (RFC 9110 section 6.5.1)."""
    return name.lower() not in _NOT_TRAILERS
