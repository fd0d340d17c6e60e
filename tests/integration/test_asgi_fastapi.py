"""A site of FastAPI's, on the reactors that run a loop of asyncio's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.children import Child, child, eventually, multipart, on_each_reactor
from tests.integration.serving import LARGE


@on_each_reactor
def site(request: pytest.FixtureRequest) -> Iterator[Child]:
    with child("fastapi_site:served", request.param) as site:
        yield site


def test_body(site):
    """A body is a model, the path and the query have their types."""
    answer = site.post_json("/items/7?urgent=yes", {"name": "a cat", "price": 1.5})
    assert (answer.status, answer.json()) == (
        201,
        {"number": 7, "item": {"name": "a cat", "price": 1.5, "tags": []}, "urgent": True},
    )


def test_invalid_body(site):
    """What is not valid is told, field by field."""
    answer = site.post_json("/items/seven", {"price": 0})
    assert answer.status == 422
    assert [error["loc"][-1] for error in answer.json()["detail"]] == ["number", "name", "price"]


@pytest.mark.parametrize("path", ["/session", "/in_a_thread"])
def test_dependency(site, path):
    """What a dependency yields is held while the request runs, in the loop and in threads."""
    answer = site.get(path)
    assert (answer.status, answer.json()[:9]) == (200, "a session")
    eventually(lambda: balanced(site))


def test_dependency_of_what_fails(site):
    """It is let go of where the request fails, too."""
    answer = site.get("/fails")
    assert (answer.status, answer.json()) == (409, {"detail": "Not now."})
    assert answer.headers["X-Why"] == "because"
    eventually(lambda: balanced(site))


def balanced(site: Child) -> bool:
    notes = site.get("/notes").json()
    return bool(notes.count("begun") == notes.count("ended") > 0)


def test_upload(site):
    """Files are uploaded, several in one field too."""
    body = multipart("b", files=("a.bin", LARGE)).removesuffix(b"--b--\r\n")
    body += multipart("b", files=("b.bin", b"b"))
    answer = site.request(
        "POST", "/upload", body, {"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.json() == [{"name": "a.bin", "size": len(LARGE)}, {"name": "b.bin", "size": 1}]


def test_background(site):
    """What is to be done after the response is."""
    assert site.get("/background").json() == "soon"
    eventually(lambda: "the work is done" in site.get("/notes").json())


def test_openapi(site):
    """The site describes itself."""
    assert site.get("/openapi.json").json()["info"]["title"] == "A shop"
    assert "text/html" in site.get("/docs").headers["Content-Type"]


def test_websocket(site):
    """A WebSocket with a parameter and a dependency."""
    with site.websocket("/shout/anna?token=secret") as socket:
        socket.send(json.dumps({"name": "a cat", "price": 1}))
        shout = {"to": "anna", "shout": "A CAT", "token": "secret"}
        assert json.loads(socket.recv()) == shout
        socket.close(4000)
    eventually(lambda: "left with 4000" in site.get("/notes").json())


def test_refused_websocket(site):
    """One whose dependency raises is refused."""
    with pytest.raises(InvalidStatus) as refused:
        site.websocket("/shout/anna")
    assert refused.value.response.status_code == 403
