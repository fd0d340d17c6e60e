"""Which header fields go on through a proxy (RFC 9110 section 7.6.1). Sans I/O.

Names are in lower case here, as whoever parses fields gives them.
"""

from __future__ import annotations

from mynet.http.exchange import RawHeaders
from mynet.http.limits import KIB

CACHED = 512
"""How many header sections are remembered: clients repeat theirs to the letter, and servers too."""

CACHED_SIZE = 4 * KIB
"""The largest one that is."""

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
"""Those which concern one connection, whether its Connection field names them or not."""


def end_to_end(
    fields: RawHeaders, dropped: frozenset[bytes], trailers: RawHeaders | None = None
) -> list[tuple[bytes, bytes]]:
    """Those that may go on: neither dropped, nor named by Connection.

    Args:
        fields: Those of the message's head.
        dropped: Names of those that may not.
        trailers: Those behind its body, if the question is which of these may go on.
    """
    named = tokens(fields, b"connection")
    asked = fields if trailers is None else trailers
    return [field for field in asked if field[0] not in dropped and field[0] not in named]


def tokens(fields: RawHeaders, name: bytes) -> set[bytes]:
    """The elements, in lower case, of a field that is a list of tokens."""
    values = [value.lower() for each, value in fields if each == name]
    return {token.strip(b" \t") for value in values for token in value.split(b",")} - {b""}


def appended(fields: RawHeaders, name: bytes, element: bytes) -> list[tuple[bytes, bytes]]:
    """The fields, with one element more in a field that is a list; its lines are joined."""
    others = [field for field in fields if field[0] != name]
    values = [value for each, value in fields if each == name]
    return [*others, (name, b", ".join([*values, element]))]


def via_element(pseudonym: str | None) -> bytes | None:
    """What a proxy of that name adds to Via; None adds nothing.

    Raises:
        ValueError: It is no name for that.
    """
    if pseudonym is None:
        return None
    if not pseudonym.isascii() or not pseudonym.replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"a name for Via has letters, digits, dots and hyphens: {pseudonym!r}")
    return f"1.1 {pseudonym}".encode("ascii")
