"""What a request says about the file that it wants. Sans I/O."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mynet.http.conditional import Conditions, read_conditions
from mynet.http.exchange import RawHeaders
from mynet.http.message import Request
from mynet.http.reading import parse_fields

_REMEMBERED = 256
_LONGEST = 2048


class Wishes(NamedTuple):
    """The values of its fields, as far as they matter here."""

    encodings: str
    """Of Accept-Encoding; empty if there is none."""
    conditions: Conditions | None
    """None if there are none."""
    range: bytes | None
    """Of Range; None if there is none, or several."""


def read_wishes(request: Request) -> Wishes:
    """Those of a request. Clients repeat their fields, so that those of the last are remembered."""
    fields = request._raw_headers
    if isinstance(fields, bytes) and len(fields) <= _LONGEST:
        return _remembered(fields)
    return _wishes(request.peek_raw_headers())


@lru_cache(_REMEMBERED)
def _remembered(section: bytes) -> Wishes:
    return _wishes(parse_fields(section))


def _wishes(fields: RawHeaders) -> Wishes:
    encodings = b",".join(value for name, value in fields if name == b"accept-encoding")
    ranges = [value for name, value in fields if name == b"range"]
    return Wishes(
        encodings.decode("latin-1"),
        read_conditions(fields),
        ranges[0] if len(ranges) == 1 else None,
    )
