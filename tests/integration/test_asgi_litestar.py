"""A site of Litestar's, on the reactors that run a loop of asyncio's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.children import Child, child, multipart, on_each_reactor
from tests.integration.serving import LARGE


@on_each_reactor
def site(request: pytest.FixtureRequest) -> Iterator[Child]:
    with child("litestar_site:served", request.param) as site:
        yield site


def test_body(site):
    """A body is a dataclass, the path and the query have their types."""
    answer = site.post_json("/items/7?urgent=true", {"name": "a cat", "price": 1.5})
    assert (answer.status, answer.json()) == (
        201,
        {"number": 7, "item": {"name": "a cat", "price": 1.5}, "urgent": True},
    )
    assert site.post_json("/items/7", {"name": "a cat"}).status == 400


def test_upload(site):
    """A request's body is streamed."""
    answer = site.request("POST", "/upload", LARGE[:8_000_000])
    assert answer.json() == {"sha256": hashlib.sha256(LARGE[:8_000_000]).hexdigest()}


def test_form(site):
    """A form has its file."""
    body = multipart("frontier", data=("cat.jpg", LARGE[:8_000_000]))
    fields = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = site.request("POST", "/form", body, fields)
    assert answer.json() == {"name": "cat.jpg", "size": 8_000_000}


def test_stream(site):
    """A streamed response comes in order, and whole."""
    assert site.get("/stream").body == b"".join(b"%d\n" % number for number in range(1000))


def test_errors(site):
    """A bug is 500; what is not there 404."""
    assert site.get("/error").status == 500
    assert site.get("/nothing").status == 404


def test_websocket(site):
    """A WebSocket has its messages answered."""
    with site.websocket("/echo") as socket:
        for message in ("text", "\u20ac" * 100_000):
            socket.send(message)
            assert socket.recv() == message


def test_listener(site):
    """So does one that only listens."""
    with site.websocket("/shout") as socket:
        socket.send("hello")
        assert socket.recv() == "HELLO"


def test_refused(site):
    """An exception before it is accepted refuses it."""
    with pytest.raises(InvalidStatus) as refused:
        site.websocket("/denied")
    assert refused.value.response.status_code == 403


def test_ends(site):
    """Last of all: what is to be done when it starts and stops is done, once."""
    site.terminate()
    assert site.end() == 0
    assert site.log.count("Litestar starts") == site.log.count("Litestar stops") == 1
