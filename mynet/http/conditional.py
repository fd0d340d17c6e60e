"""Preconditions: what a client has already, and what it wants only if (RFC 9110 section 13).

Sans I/O. Who answers knows the validators of what it would send, and is told here whether to send
it. Entity-tags are compared strongly or weakly as each field asks (section 8.8.3.2), dates to the
second. A date that is malformed counts as not sent, and a tag that is matches nothing.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable
from time import gmtime
from typing import NamedTuple

_TAG = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')

_MONTH = rb"(?P<month>[A-Z][a-z]{2})"
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = tuple(  # section 5.6.7: IMF-fixdate, and the two obsolete forms
    re.compile(form % (_MONTH, _TIME))
    for form in (
        rb"[A-Z][a-z]{2}, (?P<day>[0-9]{2}) %b (?P<year>[0-9]{4}) %b GMT",
        rb"[A-Z][a-z]+day, (?P<day>[0-9]{2})-%b-(?P<year>[0-9]{2}) %b GMT",
        rb"[A-Z][a-z]{2} %b (?P<day>[0-9 ][0-9]) %b (?P<year>[0-9]{4})",
    )
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}


class Validators(NamedTuple):
    """By what one state of a representation is told from others."""

    etag: bytes | None
    """The entity-tag with its quotes, and `W/` before them if it is weak."""
    modified: int | None
    """The time of Last-Modified, in seconds since the epoch."""


class Conditions(NamedTuple):
    """The values of a request's fields; several fields of one name are one list."""

    if_match: bytes | None = None
    if_none_match: bytes | None = None
    if_modified_since: bytes | None = None
    if_unmodified_since: bytes | None = None
    if_range: bytes | None = None


CONDITION_NAMES = tuple(name.replace("_", "-").encode() for name in Conditions._fields)
"""The names of the fields, in the order of `Conditions`."""


def read_conditions(fields: Iterable[tuple[bytes, bytes]]) -> Conditions | None:
    """Those among a request's fields, whose names are in lower case; None if there are none."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in CONDITION_NAMES:
            found[name] = found[name] + b", " + value if name in found else value
    return Conditions(*map(found.get, CONDITION_NAMES)) if found else None


def evaluate(conditions: Conditions, method: str, validators: Validators) -> int:
    """What the conditions make of a request that would be answered with 200 (section 13.2.2).

    Args:
        conditions: Of the request.
        method: Of the request.
        validators: Of what would be sent, or changed, which does exist.

    Returns:
        200: as if there were none, but see `range_applies`. 304 or 412: answer with that.
    """
    if not _may_proceed(conditions, validators):
        return 412
    reads = method in ("GET", "HEAD")
    if conditions.if_none_match is not None:
        if _matches(conditions.if_none_match, validators.etag, weak=True):
            return 304 if reads else 412
    elif reads and conditions.if_modified_since is not None and validators.modified is not None:
        since = parse_date(conditions.if_modified_since)
        if since is not None and validators.modified <= since:
            return 304
    return 200


def range_applies(if_range: bytes | None, validators: Validators) -> bool:
    """Whether a Range is to be looked at: the client has a part of just this (section 13.1.5).

    A date counts only if it is the very one that was sent, which is never sent for a time that
    may not be over: that makes it a strong validator.
    """
    if if_range is None:
        return True
    if if_range.startswith((b'"', b"W/")):
        is_one = _TAG.fullmatch(if_range) is not None
        return is_one and _matches(if_range, validators.etag, weak=False)
    return validators.modified is not None and parse_date(if_range) == validators.modified


def _may_proceed(conditions: Conditions, validators: Validators) -> bool:
    if conditions.if_match is not None:
        return _matches(conditions.if_match, validators.etag, weak=False)
    if conditions.if_unmodified_since is None or validators.modified is None:
        return True
    since = parse_date(conditions.if_unmodified_since)
    return since is None or validators.modified <= since


def _matches(listed: bytes, etag: bytes | None, *, weak: bool) -> bool:
    """Whether an entity-tag is in a list, or the list is `*`."""
    if listed == b"*":
        return True
    if etag is None or (not weak and etag.startswith(b"W/")):
        return False
    opaque = etag.removeprefix(b"W/")
    return any(tag == opaque and (weak or not mark) for mark, tag in _TAG.findall(listed))


def parse_date(value: bytes) -> int | None:
    """An HTTP-date in seconds since the epoch; None if it is none (section 5.6.7)."""
    for form in _DATES:
        match = form.fullmatch(value)
        if match is not None:
            return _seconds(match)
    return None


def _seconds(match: re.Match[bytes]) -> int | None:
    month = _MONTHS.get(match["month"])
    year, day, hour = int(match["year"]), int(match["day"]), int(match["hour"])
    minute, second = int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:
        year = _full_year(year)
    if month is None or not year or hour > 23 or minute > 59 or second > 60:
        return None
    return timegm((year, month, day, hour, minute, second)) if 1 <= day <= 31 else None


def _full_year(year: int) -> int:
    """Of two digits: the last such year that is not more than 50 years in the future."""
    latest = gmtime().tm_year + 50
    return latest - (latest - year) % 100
