"""A site of Django's with Channels, on the reactors that run a loop of asyncio's."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.integration.children import Child, child, closed, multipart, on_each_reactor
from tests.integration.serving import LARGE
from tests.integration.test_chromium import page_in


@on_each_reactor
def site(request: pytest.FixtureRequest) -> Iterator[Child]:
    with child("django_site:served", request.param) as site:
        yield site


def test_request(site):
    """A view in a thread has the path, the query, cookies, and where the request came from."""
    fields = {"Cookie": "name=value"}
    answer = site.request("GET", "/asked/42?tag=a&tag=%C3%A9", headers=fields)
    assert answer.json() == {
        "number": 42,
        "query": ["a", "\u00e9"],
        "cookie": "value",
        "uri": f"http://{site.authority}/asked/42?tag=a&tag=%C3%A9",
        "client": "127.0.0.1",
    }


def test_upload(site):
    """A body is read, however large Django lets it be."""
    body = LARGE[:2_000_000]
    answer = site.request("POST", "/upload", body)
    assert answer.json() == {"sha256": hashlib.sha256(body).hexdigest()}


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
    """A bug is 500; what is not there 404; another host is none of ours."""
    assert site.get("/error").status == 500
    assert site.get("/nothing").status == 404
    assert site.request("GET", "/asked/1", headers={"Host": "else.test"}).status == 400


# Channels


def enter(site: Child, path: str, *subprotocols: str) -> ClientConnection:
    """Open a WebSocket, as the page does: Channels asks for an Origin."""
    return site.websocket(path, *subprotocols, origin=f"http://{site.authority}")


def say(client: ClientConnection, **content: str) -> None:
    client.send(json.dumps(content))


def hear(client: ClientConnection) -> Any:
    return json.loads(client.recv())["says"]


def test_chat(site):
    """Who is in a room hears what is said there, and who leaves."""
    with enter(site, "/chat/room", "chat") as anna, enter(site, "/chat/room") as ben:
        assert (anna.subprotocol, ben.subprotocol) == ("chat", None)
        say(anna, name="Anna")
        assert hear(anna) == hear(ben) == "Anna: hello"
        with enter(site, "/chat/other") as carl:
            say(carl, name="Carl")
            assert hear(carl) == "Carl: hello"
        say(ben, name="Ben", text="Gr\u00fc\u00dfe")
        assert hear(anna) == hear(ben) == "Ben: Gr\u00fc\u00dfe"
        say(ben, text="leave")
        assert closed(ben) == (4001, "as you like")
        assert hear(anna) == "Ben has left with 4001"


def test_lost(site):
    """Who is lost without a word has left, with 1006."""
    with enter(site, "/chat/lost") as anna, enter(site, "/chat/lost") as ben:
        say(ben, name="Ben")
        assert hear(anna) == "Ben: hello"
        ben.socket.shutdown(socket.SHUT_RDWR)
        assert hear(anna) == "Ben has left with 1006"


def test_echo_in_threads(site):
    """Consumers in threads have their messages, in order."""
    with enter(site, "/echo") as client:
        messages = [f"{number}" if number % 2 else b"%d" % number for number in range(20)]
        for message in messages:
            client.send(message)
        assert [client.recv() for _ in messages] == messages


def test_refused(site):
    """A consumer that lets nobody in; and Channels, that lets in nobody without an Origin."""
    with pytest.raises(InvalidStatus) as refused:
        enter(site, "/closed")
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        site.websocket("/echo")
    assert refused.value.response.status_code == 403


def test_no_such_websocket(site):
    """Where there is no consumer it is an error, which the log tells."""
    with pytest.raises(InvalidStatus) as refused:
        enter(site, "/nothing")
    assert refused.value.response.status_code == 500
    site.read_until("No route found")


def test_ends(site):
    """Last of all: the server ends in good order, though Django knows of no lifespan."""
    with enter(site, "/chat/end") as client:
        site.terminate()
        assert closed(client) == (1001, "the server stops")
        assert site.end() == 0


def test_page(chromium, tmp_path):
    """The chat in a browser."""
    with child("django_site:served") as site:
        dom = page_in(chromium, f"http://{site.authority}/", tmp_path, "--incognito")
    found = re.search("<pre>(.*)</pre>", dom)
    assert found, dom
    assert json.loads(unescape(found[1])) == {
        "heard": [
            "Anna hears Anna: Gr\u00fc\u00dfe \U0001f680",
            "Anna hears Anna: hello",
            "Anna hears Ben: hello",
            "Ben hears Anna: Gr\u00fc\u00dfe \U0001f680",
            "Ben hears Ben: hello",
        ],
        "closed": [4001, "as you like", True],
    }
