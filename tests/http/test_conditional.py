"""What is made of the conditions of a request."""

from __future__ import annotations

from wsgiref.handlers import format_date_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.conditional import (
    Conditions,
    Validators,
    evaluate,
    parse_date,
    range_applies,
    read_conditions,
)

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
TIME = 784111777
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"

STRONG = Validators(b'"xyzzy"', TIME)
WEAK = Validators(b'W/"xyzzy"', TIME)
NONE = Validators(None, None)


@pytest.mark.parametrize(
    ("tag", "other", "strongly", "weakly"),
    [
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
    ],
)
def test_the_table_of_the_rfc(tag, other, strongly, weakly):
    """Entity-tags are compared as in the table of RFC 9110 section 8.8.3.2."""
    ours = Validators(tag, None)
    assert (evaluate(Conditions(if_match=other), "PUT", ours) == 200) is strongly
    assert (evaluate(Conditions(if_none_match=other), "GET", ours) == 304) is weakly
    assert range_applies(other, ours) is strongly


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"xyzzy"', 200),
        (b'"xyzzy", "r2d2xxxx", "c3piozzzz"', 200),
        (b'"a,b","xyzzy"', 200),
        (b"*", 200),
        (b'"r2d2xxxx"', 412),
        (b'W/"xyzzy"', 412),
        (b"xyzzy", 412),
        (b"", 412),
    ],
)
def test_if_match(value, expected):
    """Who wants to change just this state changes no other."""
    assert evaluate(Conditions(if_match=value), "PUT", STRONG) == expected
    assert evaluate(Conditions(if_match=value), "GET", STRONG) == expected


def test_if_match_of_what_has_a_weak_tag():
    """A weak tag does not tell states apart well enough; `*` asks for no state."""
    assert evaluate(Conditions(if_match=b'W/"xyzzy"'), "GET", WEAK) == 412
    assert evaluate(Conditions(if_match=b'"xyzzy"'), "GET", WEAK) == 412
    assert evaluate(Conditions(if_match=b"*"), "GET", WEAK) == 200


@pytest.mark.parametrize(
    ("value", "matches"),
    [
        (b'"xyzzy"', True),
        (b'W/"xyzzy"', True),
        (b'"xyzzy", "r2d2xxxx", "c3piozzzz"', True),
        (b'W/"xyzzy", W/"r2d2xxxx", W/"c3piozzzz"', True),
        (b"*", True),
        (b'"XYZZY"', False),
        (b'"r2d2xxxx"', False),
        (b"xyzzy", False),
        (b'"xyzzy', False),
    ],
)
def test_if_none_match(value, matches):
    """Who has it already does not get it again; who would overwrite it is stopped."""
    conditions = Conditions(if_none_match=value)
    assert evaluate(conditions, "GET", STRONG) == (304 if matches else 200)
    assert evaluate(conditions, "HEAD", STRONG) == (304 if matches else 200)
    assert evaluate(conditions, "PUT", STRONG) == (412 if matches else 200)


@pytest.mark.parametrize(
    ("since", "expected"),
    [(DATE, 304), (LATER, 304), (EARLIER, 200), (b"yesterday", 200), (DATE + b", " + DATE, 200)],
)
def test_if_modified_since(since, expected):
    """What was not modified since is not sent again; a date that is none counts for nothing."""
    conditions = Conditions(if_modified_since=since)
    assert evaluate(conditions, "GET", STRONG) == expected
    assert evaluate(conditions, "HEAD", STRONG) == expected
    assert evaluate(conditions, "POST", STRONG) == 200


@pytest.mark.parametrize(
    ("since", "expected"), [(DATE, 200), (LATER, 200), (EARLIER, 412), (b"tomorrow", 200)]
)
def test_if_unmodified_since(since, expected):
    """What was modified since is left alone; a date that is none counts for nothing."""
    assert evaluate(Conditions(if_unmodified_since=since), "PUT", STRONG) == expected


@pytest.mark.parametrize("tags", [b"", b"xyzzy", b'"xyzzy', b"W/", b"*, *", b'"x yzzy"'])
def test_malformed_tags(tags):
    """What is no tag matches nothing, so that nothing is changed for it that should not be."""
    assert evaluate(Conditions(if_match=tags), "PUT", STRONG) == 412
    assert evaluate(Conditions(if_none_match=tags, if_modified_since=DATE), "GET", STRONG) == 200


def test_without_validators():
    """What has no validators is sent always, and changed only by who asks for no state."""
    assert evaluate(Conditions(if_modified_since=DATE), "GET", NONE) == 200
    assert evaluate(Conditions(if_unmodified_since=EARLIER), "GET", NONE) == 200
    assert evaluate(Conditions(if_none_match=b'"xyzzy"'), "GET", NONE) == 200
    assert evaluate(Conditions(if_none_match=b"*"), "GET", NONE) == 304
    assert evaluate(Conditions(if_match=b'"xyzzy"'), "PUT", NONE) == 412
    assert not range_applies(b'"xyzzy"', NONE)
    assert not range_applies(DATE, NONE)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (Conditions(if_match=b'"xyzzy"', if_unmodified_since=EARLIER), 200),
        (Conditions(if_match=b'"other"', if_unmodified_since=LATER), 412),
        (Conditions(if_none_match=b'"other"', if_modified_since=LATER), 200),
        (Conditions(if_none_match=b'"xyzzy"', if_modified_since=EARLIER), 304),
        (Conditions(if_match=b'"other"', if_none_match=b'"xyzzy"'), 412),
        (Conditions(if_match=b'"xyzzy"', if_none_match=b'"xyzzy"'), 304),
        (Conditions(if_unmodified_since=LATER, if_modified_since=LATER), 304),
        (Conditions(if_range=b'"other"'), 200),
    ],
)
def test_precedence(conditions, expected):
    """Of several conditions those with entity-tags count, in the order of section 13.2.2."""
    assert evaluate(conditions, "GET", STRONG) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        (b'"xyzzy"', True),
        (DATE, True),
        (b'"other"', False),
        (b'W/"xyzzy"', False),
        (LATER, False),
        (EARLIER, False),
        (b"*", False),
        (b'"other", "xyzzy"', False),
        (b"xyzzy", False),
    ],
)
def test_if_range(value, expected):
    """Who has a part of just this gets another; who has a part of anything else, the whole."""
    assert range_applies(value, STRONG) is expected


def test_reading_them():
    """A request without conditions has none; a list may be in several fields."""
    assert read_conditions([(b"host", b"a.test"), (b"range", b"bytes=0-")]) is None
    fields = [(b"if-none-match", b'"a"'), (b"if-none-match", b'"b"'), (b"if-range", DATE)]
    assert read_conditions(fields) == Conditions(if_none_match=b'"a", "b"', if_range=DATE)


@pytest.mark.parametrize(
    "value",
    [DATE, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_dates(value):
    """The three forms of RFC 9110 section 5.6.7 are one time."""
    assert parse_date(value) == TIME


@pytest.mark.parametrize(
    ("value", "year"),
    [(b"Friday, 01-Jan-99 00:00:00 GMT", 1999), (b"Saturday, 01-Jan-00 00:00:00 GMT", 2000)],
)
def test_years_of_two_digits(value, year):
    """A year of two digits is the last such one that is not far in the future."""
    date = parse_date(value)
    assert date is not None
    assert f" {year} " in format_date_time(date)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"784111777",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Now 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 32 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b" " + DATE,
    ],
)
def test_what_is_no_date(value):
    """What is no date is not guessed at."""
    assert parse_date(value) is None


@given(st.integers(0, 253402300799))
def test_dates_that_we_send(time):
    """Any date that a server sends is understood again."""
    assert parse_date(format_date_time(time).encode()) == time


@given(st.binary())
def test_whatever_is_sent(value):
    """No field that a client can make up causes an error."""
    conditions = Conditions(value, value, value, value, value)
    assert evaluate(conditions, "GET", STRONG) in (200, 304, 412)
    assert range_applies(value, STRONG) in (True, False)
