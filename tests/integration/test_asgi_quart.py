"""A site of Quart's, on the reactors that run a loop of asyncio's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.children import (
    Child,
    child,
    closed,
    eventually,
    multipart,
    on_each_reactor,
)
from tests.integration.serving import LARGE


@on_each_reactor
def site(request: pytest.FixtureRequest) -> Iterator[Child]:
    with child("quart_site:served", request.param) as site:
        yield site


def test_request(site):
    """A request has its path, its query, its cookies, and where it came from."""
    fields = {"Cookie": "name=value"}
    answer = site.request("GET", "/asked/42?tag=a&tag=%C3%A9", headers=fields)
    assert answer.json() == {
        "number": 42,
        "query": ["a", "\u00e9"],
        "cookie": "value",
        "url": f"http://{site.authority}/asked/42?tag=a&tag=\u00e9",
        "client": "127.0.0.1",
    }


def test_upload(site):
    """A request's body is streamed."""
    answer = site.request("POST", "/upload", LARGE)
    assert answer.json() == {"sha256": hashlib.sha256(LARGE).hexdigest()}


def test_form(site):
    """A form has its file."""
    body = multipart("frontier", photo=("cat.jpg", LARGE))
    fields = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = site.request("POST", "/form", body, fields)
    assert answer.json() == {"name": "cat.jpg", "size": len(LARGE)}


def test_stream(site):
    """A streamed response comes in order, and whole."""
    assert site.get("/stream").body == b"".join(b"%d\n" % number for number in range(1000))


def test_errors(site):
    """A bug is 500; what is not there 404."""
    assert site.get("/error").status == 500
    assert site.get("/nothing").status == 404


def test_websocket(site):
    """A WebSocket has its messages answered, in the subprotocol that was chosen."""
    with site.websocket("/echo", "chat") as socket:
        assert socket.subprotocol == "chat"
        for message in ("text", b"bytes", "\u20ac" * 100_000):
            socket.send(message)
            assert socket.recv() == message
    eventually(lambda: "left" in site.get("/notes").json())


def test_refused(site):
    """Quart refuses by a response of its own."""
    with pytest.raises(InvalidStatus) as refused:
        site.websocket("/denied")
    assert refused.value.response.status_code == 403
    assert b"Forbidden" in (refused.value.response.body or b"")


def test_closes(site):
    """It closes with code and reason."""
    with site.websocket("/closes") as socket:
        assert closed(socket) == (4001, "that was all")


def test_ends(site):
    """Last of all: what is to be done before and after serving is done, once."""
    site.terminate()
    assert site.end() == 0
    assert site.log.count("Quart starts") == site.log.count("Quart stops") == 1
