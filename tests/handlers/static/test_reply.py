"""From a file and what a client wishes of it to a response."""

from __future__ import annotations

import os
from time import time

import pytest

from mynet.handlers.static.reply import asked_ranges, partial, precondition_reply
from mynet.handlers.static.representation import represent
from mynet.handlers.static.wishes import Wishes
from mynet.http.conditional import Conditions
from mynet.http.errors import HTTPError
from mynet.testing import Client, result_of


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    return path


@pytest.fixture
def found(path):
    return represent(
        os.stat(path), time() + 60, "text/plain", None, [(b"Vary", b"Accept-Encoding")]
    )


def test_no_conditions(found):
    """Without conditions a client gets the file."""
    assert precondition_reply(found, Wishes("", None, None), "GET") is None


def test_conditions(found):
    """A client that has it is told so, with its tag and what caches must know, and no more."""
    wishes = Wishes("", Conditions(if_none_match=found.validators.etag), None)
    reply = precondition_reply(found, wishes, "GET")
    assert reply is not None
    assert (reply.status, reply.body) == (304, b"")
    assert set(reply.headers) == {"ETag", "Vary"}
    assert (
        precondition_reply(found, Wishes("", Conditions(if_none_match=b'"x"'), None), "GET") is None
    )
    with pytest.raises(HTTPError, match="412"):
        precondition_reply(found, Wishes("", Conditions(if_match=b'"x"'), None), "GET")


def test_ranges(found):
    """A GET may ask for parts, of just this state if it says so."""
    assert asked_ranges(found, Wishes("", None, None), "GET") is None
    assert asked_ranges(found, Wishes("", None, b"bytes=2-3"), "GET") == [range(2, 4)]
    assert asked_ranges(found, Wishes("", None, b"bytes=2-3"), "HEAD") is None
    same = Conditions(if_range=found.validators.etag)
    assert asked_ranges(found, Wishes("", same, b"bytes=2-3"), "GET") == [range(2, 4)]
    other = Conditions(if_range=b'"x"')
    assert asked_ranges(found, Wishes("", other, b"bytes=2-3"), "GET") is None
    assert asked_ranges(found, Wishes("", other, b"bytes=20-"), "GET") is None


def test_ranges_that_there_are_not(found):
    """Who asks for what there is not is told how much there is."""
    with pytest.raises(HTTPError, match="416") as raised:
        asked_ranges(found, Wishes("", None, b"bytes=10-"), "GET")
    assert raised.value.headers == {"Content-Range": "bytes */10"}


def test_one_part(path, found):
    """One part is sent as it is, with its place."""
    response = partial(path.open("rb", buffering=0), found, [range(2, 5)])
    answer = result_of(Client(lambda request: response).get("/"))
    assert (answer.status, answer.body) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"
    assert answer.headers["Content-Type"] == "text/plain"
    assert "ETag" in answer.headers


def test_several_parts(path, found):
    """Several are sent in an envelope, which has no place itself."""
    response = partial(path.open("rb", buffering=0), found, [range(2, 5), range(7, 8)])
    answer = result_of(Client(lambda request: response).get("/"))
    assert answer.status == 206
    assert answer.body.count(b"Content-Range: bytes ") == 2
    assert "Content-Range" not in answer.headers
    assert answer.headers.getall("Content-Type") == [response.content_type]
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert "ETag" in answer.headers
