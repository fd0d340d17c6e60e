"""Which content coding a client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.http.accept import choose_encoding

OURS = ("br", "zstd", "gzip")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("compress, gzip", "gzip"),
        ("", None),
        ("*", "br"),
        ("compress;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
    ],
)
def test_the_examples_of_the_rfc(field: str, expected: str | None) -> None:
    """The examples of RFC 9110 section 12.5.3 mean what it says they mean."""
    assert choose_encoding([field], OURS) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("gzip, deflate, br, zstd", "br"),  # Chromium's and Firefox's
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.8, br;q=0.7, zstd;q=0.9", "zstd"),
        ("br;q=0.001", "br"),
        ("GZIP;Q=0.3", "gzip"),
        ("gzip ;\tq=0.3", "gzip"),
        ("x-gzip", "gzip"),
        (" ,, gzip ,", "gzip"),
        ("br;q=0, *", "zstd"),
        ("br;q=0.2, *;q=0.1", "br"),
    ],
)
def test_the_weightiest_then_our_favourite(field: str, expected: str) -> None:
    """A client gets what it likes best; where it likes several equally, the server's favourite."""
    assert choose_encoding([field], OURS) == expected


@pytest.mark.parametrize(
    "field",
    [
        "deflate",
        "gzip;q=0",
        "gzip;q=0.0, br;q=0.000",
        "identity",
        "identity, gzip;q=0.5",
        "gzip;q=0.5, *",
        "*;q=0",
        "identity;q=0",
    ],
)
def test_the_body_as_it_is(field: str) -> None:
    """A client that does not take our codings, or likes the body as it is better, gets that."""
    assert choose_encoding([field], ("gzip",)) is None


@pytest.mark.parametrize(
    "field",
    ["gzip;q=2", "gzip;q=1.1", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=", "gzip;level=9", "g zip"],
)
def test_what_is_malformed_is_skipped(field: str) -> None:
    """An element that breaks the grammar counts for nothing; the others count."""
    assert choose_encoding([field], OURS) is None
    assert choose_encoding([field, "br;q=0.1"], OURS) == "br"


def test_several_fields_are_one() -> None:
    """A client may split its list over several fields."""
    assert choose_encoding(["gzip;q=0.5", "br;q=0.4"], OURS) == "gzip"


def test_no_field_and_no_codings() -> None:
    """Who does not tell what it takes gets the body as it is; so does everybody without codings."""
    assert choose_encoding([], OURS) is None
    assert choose_encoding(["gzip"], ()) is None


def test_long_fields() -> None:
    """A field of any length is understood."""
    assert choose_encoding([", ".join(["x"] * 5000) + ", gzip"], OURS) == "gzip"


@given(st.lists(st.text(alphabet="gzipbr;q=01.,* \t")))
def test_whatever_is_sent(fields: list[str]) -> None:
    """No field that a client can make up causes an error."""
    assert choose_encoding(fields, OURS) in (None, *OURS)
