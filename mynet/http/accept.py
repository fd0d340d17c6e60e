"""Which content coding a client gets (RFC 9110 section 12.5.3). Sans I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

_ELEMENT = re.compile(
    r"(?P<coding>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}  # section 8.4.1

_REMEMBERED = 256
"""How many different fields are worth remembering, and the length of the longest of them."""


def choose_encoding(field_values: Iterable[str], available: Sequence[str]) -> str | None:
    """The content coding that a client likes best, of those that there are.

    Args:
        field_values: Of the request's Accept-Encoding fields. Elements of them that are
            malformed are skipped.
        available: Names of codings in lower case, the server's favourite first: it decides
            between those that the client likes equally. The body as it is goes without saying.

    Returns:
        One of them. None for the body as it is: where the client likes that better, or none of
        them, or does not tell; and where it takes nothing at all, since that is better than
        an error.
    """
    text = ",".join(field_values)
    if not text or not available:
        return None
    choose = _choose if len(text) <= _REMEMBERED else _choose.__wrapped__
    return choose(text, tuple(available))


@lru_cache(_REMEMBERED)
def _choose(text: str, available: tuple[str, ...]) -> str | None:
    weights = _weights(text)
    others = weights.get("*", 0.0)
    best, chosen = 0.0, None
    for coding in available:
        weight = weights.get(coding, others)
        if weight > best:
            best, chosen = weight, coding
    return chosen if best >= weights.get("identity", others) else None


def _weights(text: str) -> dict[str, float]:
    weights = {}
    for element in text.split(","):
        match = _ELEMENT.fullmatch(element.strip(" \t"))
        if match is not None:
            coding = match["coding"].lower()
            weights[_ALIASES.get(coding, coding)] = float(match["weight"] or 1)
    return weights
