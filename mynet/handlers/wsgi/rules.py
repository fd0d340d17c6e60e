"""What PEP 3333 asks of an application: judged here, and nowhere else. Sans I/O.

A rule that is broken is a `WSGIError`, which names it. `start_response` raises it where the
application calls that, so that the traceback leads to the line that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from wsgiref.util import is_hop_by_hop

from mynet.http.exchange import RawHeaders
from mynet.http.writing import encode_fields, field_lines

_STATUS = re.compile(r"[2-5][0-9]{2} [\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_LEFT_TO_THE_CONNECTION = {"connection", "keep-alive"}
"""Hop-by-hop, but set by recipes for server-sent events, and ignored by other servers. The
connection leaves them out, and closes if that is what they ask for."""


class WSGIError(Exception):
    """A WSGI application has broken a rule of PEP 3333, which the message names."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"{rule} (PEP 3333)")


class Head(NamedTuple):
    """What `start_response` was called with."""

    status: int
    fields: RawHeaders
    length: int | None
    """The Content-Length among the fields."""


def check_head(status: object, headers: object) -> Head:
    """What an application gives to `start_response`.

    Raises:
        WSGIError: It may not.
    """
    if not isinstance(status, str):
        raise WSGIError(f"the status must be a str, not {_kind(status)}")
    if not _STATUS.fullmatch(status):
        raise WSGIError(f"the status must be one like '200 OK', not {status!r}")
    if not isinstance(headers, list):
        raise WSGIError(f"the headers must be a list, not {_kind(headers)}")
    for field in headers:
        _check_field(field)
    try:
        fields = encode_fields(headers)
        field_lines(fields)
    except ValueError as error:
        raise WSGIError(str(error)) from None
    return Head(int(status[:3]), fields, _length_of(fields))


def _check_field(field: object) -> None:
    if not isinstance(field, tuple) or len(field) != 2:
        raise WSGIError(f"each header must be a tuple of two, not {field!r}")
    name, value = field
    if not isinstance(name, str) or not isinstance(value, str):
        raise WSGIError(f"the name and the value of a header must be a str, not {field!r}")
    if is_hop_by_hop(name) and name.lower() not in _LEFT_TO_THE_CONNECTION:
        raise WSGIError(f"the header {name!r} is hop-by-hop, which only the server may set")


def _length_of(fields: Sequence[tuple[bytes, bytes]]) -> int | None:
    values = [value for name, value in fields if name.lower() == b"content-length"]
    if not values:
        return None
    if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
        raise WSGIError(f"the Content-Length must be one number, not {values}")
    return int(values[0])


def check_chunk(chunk: object) -> bytes:
    """A part of the body.

    Raises:
        WSGIError: It is not bytes.
    """
    if not isinstance(chunk, bytes):
        raise WSGIError(f"the body must be of bytes, not {_kind(chunk)}")
    return chunk


def check_length(declared: int | None, size: int, *, ended: bool) -> None:
    """How large the body is by now, or altogether where it has ended.

    Raises:
        WSGIError: That cannot be what the Content-Length says.
    """
    if declared is None:
        return
    if size > declared:
        raise WSGIError(f"the body is longer than its Content-Length, {declared}")
    if ended and size < declared:
        raise WSGIError(f"the body has {size} bytes, but its Content-Length is {declared}")


def _kind(value: object) -> str:
    return type(value).__name__
