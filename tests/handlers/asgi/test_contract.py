"""What of an application's errors is the client's going, and what heads say."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.handlers.asgi.contract import (
    ClientDisconnected,
    ContractError,
    is_disconnect,
    response_body,
    response_head,
    response_start,
)
from mynet.http.writing import response_fields


def raised_from(cause: Exception, explicitly: bool) -> Exception:
    try:
        try:
            raise cause
        except Exception as error:
            if explicitly:
                raise KeyError from error
            raise KeyError from None
    except KeyError as error:
        return error


GONE = ClientDisconnected()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GONE, True),
        (OSError(), False),
        (raised_from(GONE, True), True),
        (raised_from(GONE, False), True),
        (raised_from(ValueError(), True), False),
        (ExceptionGroup("", [GONE, raised_from(GONE, True)]), True),
        (ExceptionGroup("", [GONE, ValueError()]), False),
    ],
)
def test_disconnects(error, expected):
    """An error is a disconnect if it is one, has come of one, or is a group of nothing else."""
    assert is_disconnect(error) is expected


def test_disconnect_is_an_os_error():
    """ASGI wants a subclass of OSError."""
    assert issubclass(ClientDisconnected, OSError)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"content-length", b"0"), (b"content-length", "text")],
        [(b"connection", b"close"), (b"keep-alive", "text")],
    ],
)
def test_headers_that_are_left_out(fields: list[Any]):
    """Also those that are not sent have to be bytes, since middleware may look at them."""
    with pytest.raises(ContractError, match="are pairs of bytes"):
        response_head({"type": "http.response.start", "status": 200, "headers": fields})


names = st.sampled_from(
    [b"content-type", b"content-length", b"x-a", b"Content-Type", b"x b", "x-c"]
)
values = st.one_of(
    st.binary(max_size=4), st.sampled_from([b"12", b"+1", b" 7", b"1\n", "text", 5, None])
)
headers = st.lists(st.tuples(names, values), max_size=3)


@given(headers)
def test_short_way_of_heads(fields: list[Any]):
    """What is looked at in a hurry is allowed, and means, just what it does at length."""
    event = {"type": "http.response.start", "status": 200, "headers": fields}
    head = None
    with suppress(ContractError):
        head = response_head(event)
    if head is None:
        with pytest.raises(ContractError):
            response_start(event)
        return
    status, kept, content_type, length, checked = head
    assert (status, kept) == response_start(event)
    known = response_fields(kept)
    assert length == known.length
    if checked is None:
        line = (
            b""
            if content_type is None
            else b"content-type: %b\r\n" % content_type.encode("latin-1")
        )
        assert known.lines == line
    else:
        assert checked == known


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind(kind):
    """A body may be anything of bytes."""
    assert response_body({"type": "", "body": kind(b"x"), "more_body": 1}) == (b"x", True)
