"""What a request asks its upstream for: the path as it was sent, behind the upstream's own prefix.

Nothing is decoded and encoded again, since that is how two servers come to see two paths. What a
mount has taken off stays off. Dot segments are refused, encoded ones too: clients fold them before
they send, and an upstream that did it after us could be led out of its prefix, or behind a route
that asks for a password.
"""

from __future__ import annotations

import re

from mynet.http import HTTPError, Request

_SLASH = rb"(?:/|\\|%2f|%5c)"
_DOT_SEGMENT = re.compile(
    rb"(?:^|%b)(?:\.|%%2e){1,2}(?:$|;|%%3b|%b)" % (_SLASH, _SLASH), re.IGNORECASE
)


def path_and_query(request: Request) -> bytes:
    """The target to go on with, to the letter; `*` for `OPTIONS *`.

    Raises:
        HTTPError: 400, its path has dot segments.
    """
    path = request.raw_path
    if (b"." in path or b"%" in path) and has_dot_segments(path):
        raise HTTPError(400, "The path has dot segments.")
    if request.query_string:
        return b"%b?%b" % (path, request.query_string)
    return path + b"?" if request.target[-1:] == b"?" else path


def has_dot_segments(path: bytes) -> bool:
    """Whether some server might take a segment of the path for `.` or `..`."""
    return _DOT_SEGMENT.search(path) is not None


def join(prefix: bytes, target: bytes) -> bytes:
    """A target behind a prefix, which is empty or begins with a slash and does not end with one."""
    if target[:1] == b"/":
        return prefix + target
    return target if target == b"*" else b"%b/%b" % (prefix, target)
