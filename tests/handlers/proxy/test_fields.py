"""Which fields go on."""

from __future__ import annotations

import pytest

from mynet.handlers.proxy.fields import HOP_BY_HOP, appended, end_to_end, tokens, via_element

FIELDS = [
    (b"a", b"1"),
    (b"connection", b"close, X-Mine ,,"),
    (b"x-mine", b"secret"),
    (b"connection", b"other"),
    (b"other", b"2"),
    (b"keep-alive", b"timeout=5"),
    (b"te", b"trailers"),
    (b"b", b"3"),
]


def test_hop_by_hop():
    """What concerns one connection goes no further, nor what Connection names, in any line."""
    assert end_to_end(FIELDS, HOP_BY_HOP) == [(b"a", b"1"), (b"b", b"3")]


def test_tokens():
    """The elements of a list are those of all its lines, and empty ones are none."""
    assert tokens(FIELDS, b"connection") == {b"close", b"x-mine", b"other"}


def test_appended():
    """An element is added behind those that are there, or makes the field."""
    fields = [(b"via", b"1.0 a"), (b"x", b"y"), (b"via", b"1.1 b")]
    assert appended(fields, b"via", b"1.1 c") == [(b"x", b"y"), (b"via", b"1.0 a, 1.1 b, 1.1 c")]
    assert appended([], b"via", b"1.1 c") == [(b"via", b"1.1 c")]


def test_via():
    """A proxy says its name in Via if it has one."""
    assert via_element(None) is None
    assert via_element("front-1.example") == b"1.1 front-1.example"


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\r\nb", "é"])
def test_via_that_is_none(name):
    """What would break out of Via is refused when the proxy is made."""
    with pytest.raises(ValueError, match="Via"):
        via_element(name)
