"""A site of Starlette's, on the reactors that run a loop of asyncio's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.children import (
    APPS,
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
    with child("starlette_site:served", request.param) as site:
        yield site


def test_lifespan_state(site):
    """What the lifespan yields is the state of each request."""
    answer = site.get("/")
    assert (answer.status, answer.text) == (200, "Hello from the lifespan")
    assert answer.headers["X-Marked"] == "yes"


def test_request(site):
    """A request has its path, its query, its cookies, and where it came from."""
    fields = {"Cookie": "name=value"}
    answer = site.request("GET", "/asked/42?tag=a&tag=%C3%A9", headers=fields)
    assert answer.json() == {
        "number": 42,
        "query": [["tag", "a"], ["tag", "\u00e9"]],
        "cookie": "value",
        "url": f"http://{site.authority}/asked/42?tag=a&tag=%C3%A9",
        "client": "127.0.0.1",
        "root_path": "",
        "path": "/asked/42",
        "link": f"http://{site.authority}/",
    }


def test_mount(site):
    """A mounted application has its root_path."""
    answer = site.get("/mounted/asked/7").json()
    assert (answer["number"], answer["root_path"]) == (7, "/mounted")
    assert answer["path"] == "/mounted/asked/7"


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_upload(site, chunked):
    """A request's body is streamed."""
    body: Any = (LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000))
    answer = site.request("POST", "/upload", body if chunked else LARGE)
    digest = hashlib.sha256(LARGE).hexdigest()
    assert answer.json() == {"size": len(LARGE), "sha256": digest}


def test_form(site):
    """A form has its file."""
    body = multipart("frontier", photo=("cat.jpg", LARGE))
    fields = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = site.request("POST", "/form", body, fields)
    assert answer.json() == {"name": "cat.jpg", "size": len(LARGE)}


def test_stream(site):
    """A streamed response comes in order, and whole."""
    answer = site.get("/stream")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == bytes(range(256)) * 64 * 100


def test_client_leaves_a_stream(site):
    """Who leaves a stream ends it."""
    connection = site.connect()
    connection.request("GET", "/endless")
    assert connection.getresponse().read(100_000)
    connection.close()
    eventually(lambda: "the stream was left" in site.get("/notes").json())


def test_client_closes_while_nothing_is_sent(site):
    """A client that just closes is noticed at once, though it is not sent anything."""
    connection = site.connect()
    connection.request("GET", "/events")
    assert connection.getresponse().read1() == b"data: hello\n\n"
    connection.close()
    eventually(lambda: "the events were left" in site.get("/notes").json())


def test_file(site):
    """A file is served, also parts of it, and not at all where it has not changed."""
    content = (APPS / "starlette_site.py").read_bytes()
    answer = site.get("/file")
    assert answer.body == content
    assert 'filename="site.py"' in answer.headers["Content-Disposition"]
    part = site.request("GET", "/file", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, content[10:20])
    head = site.request("HEAD", "/file")
    assert (head.headers["Content-Length"], head.body) == (str(len(content)), b"")


def test_background(site):
    """What is to be done after the response is."""
    assert site.get("/background").text == "soon"
    eventually(lambda: "the work is done" in site.get("/notes").json())


def test_errors(site):
    """A bug is 500, and in the log; an HTTPException is what it says."""
    assert site.get("/error").status == 500
    site.read_until("RuntimeError: a bug of the site")
    answer = site.get("/teapot")
    assert (answer.status, answer.text) == (418, "I am one.")
    assert site.get("/nothing").status == 404
    assert site.request("POST", "/").status == 405


def test_echo(site):
    """A WebSocket has its messages answered, and its code and reason told."""
    with site.websocket("/echo") as socket:
        assert socket.response.headers["X-Greeting"] == "Hello from the lifespan"
        for message in ("text", b"bytes", "\u20ac" * 100_000, b"x" * 500_000):
            socket.send(message)
            assert socket.recv() == message
        socket.close(4000, "enough")
    eventually(lambda: "left with 4000 enough" in site.get("/notes").json())


def test_many_messages(site):
    """Messages that are sent at once are answered in order."""
    with site.websocket("/echo") as socket:
        for number in range(1000):
            socket.send(f"{number}")
        assert [socket.recv() for _ in range(1000)] == [f"{number}" for number in range(1000)]


def test_subprotocol(site):
    """A WebSocket speaks the subprotocol that was chosen, and is closed with code and reason."""
    with site.websocket("/chosen", "superchat", "chat") as socket:
        assert socket.subprotocol == "chat"
        assert json.loads(socket.recv()) == {"subprotocols": ["superchat", "chat"]}
        assert closed(socket) == (4001, "that was all")


@pytest.mark.parametrize(
    ("path", "status", "body"), [("/denied", 402, b'{"pay":"first"}'), ("/refused", 403, None)]
)
def test_refused(site, path, status, body):
    """One that is refused is so by the response that was sent, or by 403."""
    with pytest.raises(InvalidStatus) as refused:
        site.websocket(path)
    response = refused.value.response
    assert response.status_code == status
    assert body is None or response.body == body


def test_broken_socket(site):
    """A bug closes with 1011, and is in the log."""
    with site.websocket("/broken") as socket:
        assert closed(socket) == (1011, "")
    site.read_until("RuntimeError: a bug of the socket")


def test_pages_of_others(site):
    """A page of another host may not open a WebSocket."""
    with pytest.raises(InvalidStatus) as refused:
        site.websocket("/echo", origin="https://else.test")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("how", ["uv", "asyncio"])
def test_ends(how):
    """When the server is told to end, WebSockets are closed with 1001, and the lifespan ends."""
    with child("starlette_site:served", how) as site, site.websocket("/echo") as socket:
        socket.send("a")
        assert socket.recv() == "a"
        site.terminate()
        assert closed(socket) == (1001, "the server stops")
        assert site.end() == 0
    assert site.log.count("Starlette starts") == 1
    assert site.log.count("Starlette stops") == 1
    assert "Traceback" not in site.log


def test_fails_to_start():
    """A lifespan that fails keeps the server from starting, and its message is told."""
    with (
        pytest.raises(AssertionError, match="no database here"),
        child("starlette_broken:served"),
    ):
        pass
