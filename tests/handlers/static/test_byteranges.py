"""Several parts of a file in one response."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations

from mynet.handlers.static.byteranges import ByteRanges
from mynet.http.message import Response
from mynet.testing import Client, result_of

DATA = bytes(range(256)) * 4


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    return path


def make(path, parts):
    return ByteRanges(open(path, "rb", buffering=0), len(DATA), parts, b"image/png")


def received(body):
    """As a client gets it."""
    answer = result_of(Client(lambda request: Response.raw(body, 206, [])).get("/"))
    assert len(answer.body) == body.length
    return answer.body


def test_the_parts(path):
    """Each part is as in the file, with its type and its place."""
    body = make(path, [range(5), range(1000, 1024), range(3, 4)])
    message = message_from_bytes(
        b"Content-Type: %b\r\n\r\n%b" % (body.content_type, received(body)), policy=HTTP
    )
    parts = list(message.iter_parts())
    assert [part["Content-Range"] for part in parts] == [
        "bytes 0-4/1024", "bytes 1000-1023/1024", "bytes 3-3/1024",
    ]  # fmt: skip
    assert {part.get_content_type() for part in parts} == {"image/png"}
    expected = [DATA[0:5], DATA[1000:], DATA[3:4]]
    assert [part.get_payload(decode=True) for part in parts] == expected


def test_the_form(path):
    """The form is that of RFC 9110 section 14.6, with a boundary that nobody can guess."""
    body = make(path, [range(65, 67), range(70, 71)])
    kind, _, boundary = body.content_type.partition(b"; boundary=")
    assert kind == b"multipart/byteranges"
    assert len(boundary) == 32
    assert received(body) == (
        b"\r\n--%b\r\nContent-Type: image/png\r\nContent-Range: bytes 65-66/1024\r\n\r\nAB"
        b"\r\n--%b\r\nContent-Type: image/png\r\nContent-Range: bytes 70-70/1024\r\n\r\nF"
        b"\r\n--%b--\r\n" % (boundary, boundary, boundary)
    )
    other = make(path, [range(65, 67)])
    assert other.content_type != body.content_type
    other.close()


@pytest_twisted.ensureDeferred
async def test_a_file_that_becomes_shorter(path):
    """Nothing is sent in the place of a part that is there no longer."""
    body = make(path, [range(1000), range(10)])
    path.write_bytes(DATA[:500])
    pieces = [piece async for piece in body]
    assert pieces[1:] == [DATA[:500]]
    body.close()
