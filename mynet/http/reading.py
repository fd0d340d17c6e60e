"""HTTP/1.1 from bytes: request heads and chunked bodies (RFC 9112). Sans I/O.

llhttp judges the syntax and decodes chunks. It is given a head only when all of
it is here, and calls nothing back while it reads one: since what it accepts has
just one `name: value` to a line, the few fields that frame a message are found by
one regular expression, and the rest is taken apart when somebody asks. The end
of a head, and that of a chunked body, is CRLF CRLF, and llhttp is never given
more than up to the next one: so it cannot read ahead, and whatever follows a
message that is in error is never taken for a request.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import httptools

from mynet.http.errors import HTTPError
from mynet.http.limits import KIB, Limits

END = b"\r\n\r\n"
CHUNKED = -1

METHODS: dict[bytes, str] = {
    name.encode(): name
    for name in (
        "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH QUERY COPY LOCK MKCOL MOVE PROPFIND "
        "PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE "
        "M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK"
    ).split()
}
"""Those of llhttp, but for CONNECT and what is not HTTP (RTSP, ICE)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/\d\.\d")
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_FIELD = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")

# The fields that frame a message, and the empty line that ends a head. The first
# letters stand apart because that makes it twice as fast.
_FRAMING = re.compile(
    rb"\n(?:([hHcCtTeEuU](?i:ost|onnection|ontent-length|ransfer-encoding|xpect|pgrade))"
    rb":[ \t]*([^\r]*)|\r\n)"
)
_CACHEABLE = 4 * KIB


class Framing(NamedTuple):
    """What a head says of its message's frame, and of the connection."""

    host: bytes
    length: int
    """Of the body; CHUNKED where that is not known."""
    keep_alive: bool
    """Whether the client wants the connection to go on."""
    expects_continue: bool
    upgrade: bytes
    """The value of the Upgrade field where Connection names it, else empty."""


class Head(NamedTuple):
    """A request head."""

    method: str
    target: bytes
    version: str
    framing: Framing
    fields: bytes
    """The header section: lines with their CRLF, without the empty one at its end."""
