"""What clients encode in paths, query strings, forms and cookies."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.decoding import FIELDS, decode_path, parse_cookies, parse_urlencoded
from mynet.http.errors import HTTPError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


# Paths


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"", ""),
        (b"/caf%C3%A9", "/café"),
        (b"/caf%c3%a9", "/café"),
        (b"/caf\xc3\xa9", "/café"),
        (b"/a%2Fb", "/a/b"),
        (b"/a+b", "/a+b"),
        (b"/100%", "/100%"),
        (b"/%zz", "/%zz"),
        (b"/%2541", "/%41"),
    ],
)
def test_path_is_decoded_once(raw, path):
    """Percent-encodings of a path are decoded as UTF-8, once; a plus sign stays one."""
    assert decode_path(raw) == path


@pytest.mark.parametrize("raw", [b"/%ff", b"/%C3", b"/%ED%A0%80", b"/\xff", b"/\xff%20"])
def test_path_that_is_not_utf8(raw):
    """A path in another encoding is the client's mistake, not a crash."""
    with pytest.raises(HTTPError, match="path is not UTF-8") as caught:
        decode_path(raw)
    assert caught.value.status == 400


@given(TEXT)
def test_path_comes_back(text):
    """Whatever text a client quotes into a path, the handler sees that text."""
    assert decode_path(quote(text, safe="").encode()) == text


# Query strings and forms


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", []),
        (b"a=1&b=2", [("a", "1"), ("b", "2")]),
        (b"a=1&a=2&a=1", [("a", "1"), ("a", "2"), ("a", "1")]),
        (b"a", [("a", "")]),
        (b"a=&b", [("a", ""), ("b", "")]),
        (b"=1", [("", "1")]),
        (b"&&a=1&", [("a", "1")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"q=a+b%2Bc", [("q", "a b+c")]),
        (b"%C3%A9=%26", [("é", "&")]),
        (b"n=Zo\xc3\xab%20K", [("n", "Zoë K")]),
    ],
)
def test_fields(data, fields):
    """Fields keep their order, their repetitions and their empty values."""
    assert parse_urlencoded(data) == fields


@pytest.mark.parametrize("data", [b"a=%ff", b"%ff=a", b"a=\xff", b"a=%C3&b=%A9"])
def test_fields_that_are_not_utf8(data):
    """Fields in another encoding get an answer that says so."""
    with pytest.raises(HTTPError, match="not UTF-8") as caught:
        parse_urlencoded(data)
    assert caught.value.status == 400


def test_number_of_fields_is_limited():
    """A thousand fields pass; one more is refused, before any is decoded."""
    assert len(parse_urlencoded(b"&".join([b"a"] * FIELDS))) == FIELDS
    with pytest.raises(HTTPError, match="more than 1000") as caught:
        parse_urlencoded(b"&".join([b"a"] * (FIELDS + 1)))
    assert caught.value.status == 400
    with pytest.raises(HTTPError, match="more than 2"):
        parse_urlencoded(b"&&", 2)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=20))
def test_fields_come_back(fields):
    """Whatever fields a client encodes, the handler sees those fields."""
    assert parse_urlencoded(urlencode(fields).encode()) == fields


@given(st.binary())
def test_any_bytes_are_fields_or_an_error(data):
    """No bytes at all make anything but fields, a path, or an HTTPError."""
    with suppress(HTTPError):
        parse_urlencoded(data)
    with suppress(HTTPError):
        decode_path(data)


# Cookies


@pytest.mark.parametrize(
    ("text", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2 ;  c=3;", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="quoted; b=2', {"a": '"quoted', "b": "2"}),
        ('a="1"; b=""; c="', {"a": "1", "b": "", "c": '"'}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("lonely; =nameless; ;; a=1", {"a": "1"}),
        ("a=%20", {"a": "%20"}),
    ],
)
def test_cookies(text, cookies):
    """Cookies are read as browsers write them; of two with one name the first counts."""
    assert parse_cookies(text) == cookies


@given(st.text())
def test_any_text_has_cookies(text):
    """A malformed Cookie field spoils no request."""
    assert all(parse_cookies(text))
