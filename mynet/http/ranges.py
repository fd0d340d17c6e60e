"""Which parts of a representation a client asks for (RFC 9110 section 14). Sans I/O."""

from __future__ import annotations

import re

RANGES = 100
"""The most ranges of one request; with more the whole is sent, as if none had been asked for."""

_UNIT = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(rb"([0-9]{1,100})-([0-9]{0,100})|-([0-9]{1,100})")


def parse_ranges(value: bytes, size: int) -> list[range] | None:
    """The parts that a Range field asks for, as far as there are such.

    Args:
        value: Of the field.
        size: Of the whole, in bytes.

    Returns:
        The parts in the order of the field, none empty; so many bytes as `size` in all at most.
        An empty list if the whole has none of them: 416. None if the field is to be ignored, and
        the whole sent: it is malformed, of another unit, has more than `RANGES`, or asks for more
        than all, as only ranges do that overlap (section 14.2); and where there is no part of an
        empty whole that could be told.
    """
    match = _UNIT.fullmatch(value)
    if match is None:
        return None
    elements = [element for each in match[1].split(b",") if (element := each.strip(b" \t"))]
    if not 1 <= len(elements) <= RANGES:
        return None
    parts = []
    for element in elements:
        part = _parse_range(element, size)
        if part is None:
            return None
        if part:
            parts.append(part)
    if not parts and not size and any(_wants_end(element) for element in elements):
        return None
    return parts if sum(map(len, parts)) <= size else None


def content_range(part: range | None, size: int) -> bytes:
    """The value of a Content-Range field; None is that of a 416."""
    if part is None:
        return b"bytes */%d" % size
    return b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)


def _parse_range(element: bytes, size: int) -> range | None:
    """One part, empty if the whole has no such; None if it is malformed."""
    match = _RANGE.fullmatch(element)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return range(max(0, size - int(suffix)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _wants_end(element: bytes) -> bool:
    """Whether it asks for the last bytes, which even an empty whole has: all of them."""
    return element.startswith(b"-") and int(element[1:]) > 0
