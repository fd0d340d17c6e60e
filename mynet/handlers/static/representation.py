"""What is said of a file in the header fields of a response, and its entity-tag. Sans I/O.

The entity-tag is made of the file's number, size and times, as the system has them. What the
system says of a file's changes has the grain of its clock, so that a file may change twice and
look the same; therefore the tag of one that has been changed within `SETTLING` seconds is weak
(RFC 9110 section 8.8.1), and no Last-Modified is told that may not be over.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import NamedTuple
from wsgiref.handlers import format_date_time

from mynet.http.conditional import Validators
from mynet.http.exchange import RawHeaders
from mynet.http.writing import RepeatedFields

SETTLING = 2.0
"""Seconds. FAT has a clock of two; other file systems one of some milliseconds."""

Mark = tuple[int, int, int, int, int]


class Representation(NamedTuple):
    """One file, or one compressed form of it, in one state."""

    validators: Validators
    size: int
    content_type: bytes
    fields: RepeatedFields
    """Of a response that has it, or a part."""
    not_modified_fields: RepeatedFields
    """Of a 304 (section 15.4.5)."""
    settled: bool
    """Whether any change from now on can be told by the file's mark."""

    def part_fields(self, content_type: bytes) -> RawHeaders:
        """Those of a 206 that is of another type."""
        others = [field for field in self.fields if field[0] != b"Content-Type"]
        return [(b"Content-Type", content_type), *others]


_OF_304 = frozenset({b"ETag", b"Cache-Control", b"Vary"})


def mark_of(status: os.stat_result) -> Mark:
    """By what a state of a file is told from others on the same machine."""
    return (
        status.st_ino,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_dev,
    )


def represent(
    status: os.stat_result,
    now: float,
    content_type: str,
    coding: str | None,
    more: RawHeaders,
) -> Representation:
    """What is to be said of a file.

    Args:
        status: Of the file.
        now: Seconds since the epoch.
        content_type: Of what it holds, uncompressed.
        coding: How it is compressed.
        more: Other fields.
    """
    settled = max(status.st_mtime, status.st_ctime) < now - SETTLING
    validators = Validators(
        _etag(mark_of(status), settled),
        int(status.st_mtime) if 0 <= status.st_mtime < now - SETTLING else None,
    )
    fields = [(b"Content-Type", content_type.encode("latin-1"))]
    if coding is not None:
        fields.append((b"Content-Encoding", coding.encode("ascii")))
    fields += _validator_fields(validators)
    fields.append((b"Accept-Ranges", b"bytes"))
    fields += more
    return Representation(
        validators,
        status.st_size,
        fields[0][1],
        RepeatedFields(fields),
        RepeatedFields(field for field in fields if field[0] in _OF_304),
        settled,
    )


def _etag(mark: Mark, strong: bool) -> bytes:
    """It does not tell what it is made of, which is nobody's business.

    A weak one is no strong one of the same file later: that may have changed unseen meanwhile.
    """
    digest = blake2b(repr((mark, strong)).encode("ascii"), digest_size=9).hexdigest()
    return f'"{digest}"'.encode("ascii") if strong else f'W/"{digest}"'.encode("ascii")


def _validator_fields(validators: Validators) -> RawHeaders:
    etag, modified = validators
    fields = [] if etag is None else [(b"ETag", etag)]
    if modified is not None:
        fields.append((b"Last-Modified", format_date_time(modified).encode("ascii")))
    return fields
