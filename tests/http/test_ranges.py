"""Which parts of a representation a client asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.ranges import RANGES, content_range, parse_ranges


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"bytes=0-499", [range(500)]),
        (b"bytes=500-999", [range(500, 1000)]),
        (b"bytes=-500", [range(9500, 10000)]),
        (b"bytes=9500-", [range(9500, 10000)]),
        (b"bytes=0-0,-1", [range(1), range(9999, 10000)]),
        (b"bytes= 0-0, -2", [range(1), range(9998, 10000)]),
        (b"bytes= 0-999, 4500-5499, -1000", [range(1000), range(4500, 5500), range(9000, 10000)]),
        (b"bytes=500-600,601-999", [range(500, 601), range(601, 1000)]),
        (b"bytes=500-700,601-999", [range(500, 701), range(601, 1000)]),
    ],
)
def test_the_examples_of_the_rfc(value, parts):
    """The examples of RFC 9110 section 14.1.2, of 10,000 bytes, are these parts."""
    assert parse_ranges(value, 10000) == parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"BYTES=0-0", [range(1)]),
        (b"bytes=8-20", [range(8, 10)]),
        (b"bytes=-20", [range(10)]),
        (b"bytes=0-", [range(10)]),
        (b"bytes=9-,0-1,\t,", [range(9, 10), range(2)]),
        (b"bytes=20-30,0-0,-0", [range(1)]),
        (b"bytes=3-" + b"9" * 50, [range(3, 10)]),
    ],
)
def test_parts_end_where_the_whole_does(value, parts):
    """A client gets of each part what there is, in the order in which it asked."""
    assert parse_ranges(value, 10) == parts


@pytest.mark.parametrize("value", [b"bytes=10-", b"bytes=10-11,20-", b"bytes=-0"])
def test_parts_that_there_are_not(value):
    """Who asks only for what there is not is told so."""
    assert parse_ranges(value, 10) == []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=2-1",
        b"bytes=0-1,2-1",
        b"bytes=0-1;2-3",
        b"bytes=0 - 1",
        b"bytes =0-1",
        b"bytes=+1-2",
        b"bytes=--1",
        b"bytes=0x1-2",
        b"lines=0-1",
        b"bytes=" + b"9" * 101 + b"-",
    ],
)
def test_what_is_to_be_ignored(value):
    """A field that is malformed, or of a unit that nobody knows, is as if it were not there."""
    assert parse_ranges(value, 10) is None


def test_an_empty_whole():
    """Of nothing the last bytes are nothing, which is the whole; it has no first."""
    assert parse_ranges(b"bytes=-5", 0) is None
    assert parse_ranges(b"bytes=0-", 0) == []
    assert parse_ranges(b"bytes=-0", 0) == []


def test_more_than_all():
    """Parts that overlap so much that they are more than the whole are not sent, but that is."""
    assert parse_ranges(b"bytes=0-,0-", 10) is None
    assert parse_ranges(b"bytes=0-5,4-9", 10) is None
    assert parse_ranges(b"bytes=0-5,6-9", 10) == [range(6), range(6, 10)]


def test_too_many():
    """Who asks for very many parts gets the whole."""
    many = [b"%d-%d" % (place, place) for place in range(RANGES)]
    assert parse_ranges(b"bytes=" + b",".join(many), 1000) == [range(n, n + 1) for n in range(100)]
    assert parse_ranges(b"bytes=500-500," + b",".join(many), 1000) is None


def test_content_range():
    """A client is told what it gets, and of how much."""
    assert content_range(range(42, 1234), 1234) == b"bytes 42-1233/1234"
    assert content_range(None, 1234) == b"bytes */1234"


@given(st.text(alphabet="0123456789-, \t").map(str.encode), st.integers(0, 1000))
def test_whatever_is_sent(value, size):
    """Whatever a client asks for, it gets parts of the whole, and no more than all in sum."""
    parts = parse_ranges(b"bytes=" + value, size)
    if parts is not None:
        assert all(0 <= part.start < part.stop <= size and part.step == 1 for part in parts)
        assert sum(map(len, parts)) <= size
