"""The recipes for hosting, driven: each does what is said about it.

Applications that need a loop, threads, or a process of their own, as Django does, are served by the
daemon; the others are called.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from pathlib import Path
from zlib import compress

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, unix_connect

from mynet.http import Pool
from mynet.testing import Client, result_of
from tests.recipes import run_recipe
from tests.server import Server
from tests.test_docs import ROOT, blocks_of, write_files
from tests.test_examples import PATIENCE, ask, folder, served

HOSTING = ROOT / "docs" / "howto-hosting.md"
FOR_TWISTED = ROOT / "docs" / "howto-twisted.md"

__all__ = ["folder"]


@pytest.fixture
def site(folder: Path) -> Path:
    """A folder with all files of the page."""
    *_, last = blocks_of(HOSTING)
    write_files(last, folder)
    return folder


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Runs a file of the page in a folder of its own; its names are the result's attributes."""
    monkeypatch.chdir(tmp_path)
    return partial(run_recipe, HOSTING)


@pytest.fixture
def for_twisted(tmp_path, monkeypatch):
    """The same of the page for Twisted programs."""
    monkeypatch.chdir(tmp_path)
    return partial(run_recipe, FOR_TWISTED)


def websocket(folder: Path, target: str, **fields: str) -> ClientConnection:
    """A WebSocket to what is served."""
    url = f"ws://localhost{target}"
    return unix_connect(str(folder / "socket"), url, additional_headers=fields)


# Applications


def test_stars(site):
    """Starlette has what its lifespan made; its WebSocket answers."""
    with served(site, "stars:app") as client:
        assert ask(client, "GET", "/stars/Vega") == (200, b"0.03")
        with websocket(site, "/echo") as socket:
            socket.send("Hello?")
            assert socket.recv(PATIENCE) == "Hello?"


def test_sky(site):
    """The same below a prefix, with its lifespan, and a policy for its WebSockets."""
    with served(site, "sky:app") as client:
        assert ask(client, "GET", "/sky/stars/Sirius") == (200, b"-1.46")
        assert ask(client, "GET", "/stars/Sirius")[0] == 404
        with websocket(site, "/sky/echo", Origin="https://example.com") as socket:
            socket.send("x" * 5000)
            with pytest.raises(ConnectionClosed, match="1009"):
                socket.recv(PATIENCE)


def test_items(site):
    """FastAPI checks what it gets, and has an upload as it comes."""
    with served(site, "items:app") as client:
        item = {"name": "tea", "price": 2.5}
        client.request("POST", "/items", json.dumps(item), {"Content-Type": "application/json"})
        assert json.load(client.getresponse()) == item
        assert ask(client, "PUT", "/size", iter([bytes(100_000)] * 10)) == (200, b"1000000")


def test_chat(site):
    """Django answers, and who is in a room hears what is said there."""
    with served(site, "chat:application") as client:
        assert ask(client, "GET", "/") == (200, b"Hello from localhost\n")
        with websocket(site, "/rooms/tea") as ada, websocket(site, "/rooms/tea") as bob:
            bob.send("Hello?")
            assert [each.recv(PATIENCE) for each in (ada, bob)] == ["Hello?", "Hello?"]


def test_board(site):
    """Flask keeps notes, and who watches sees each at once."""
    with served(site, "board:app") as client:
        assert ask(client, "POST", "/notes", b"milk") == (200, b'{"watching":0}\n')
        with websocket(site, "/live") as socket:
            while json.loads(ask(client, "POST", "/notes", b"tea")[1]) != {"watching": 1}:
                pass  # until the server knows that it is open
            assert socket.recv(PATIENCE) == "tea"
        assert ask(client, "GET", "/notes")[1].startswith(b'["milk","tea"')


def test_greeter(site):
    """Klein is served by its name alone."""
    with served(site, "greeter:greeter") as client:
        assert ask(client, "GET", "/hello/Ada") == (200, b"Hello, Ada!")


def test_together(site):
    """All of it in one process, each below its prefix."""
    (site / "static").mkdir()
    (site / "static" / "a.txt").write_text("a file")
    with served(site, "together:app") as client:
        assert ask(client, "GET", "/") == (200, b"Everything is here.\n")
        assert ask(client, "GET", "/chat/") == (200, b"Hello from localhost\n")
        assert ask(client, "POST", "/board/notes", b"tea") == (200, b'{"watching":0}\n')
        assert ask(client, "GET", "/greeter/hello/Ada") == (200, b"Hello, Ada!")
        assert ask(client, "GET", "/static/a.txt") == (200, b"a file")


# Files, other servers


def test_files(recipe, tmp_path):
    """What the build made is kept as it says; the browser's own routes get the page."""
    for name in ("dist/assets/a.123.js", "dist/index.html", "dist/.well-known/x", "dist/.env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "big.iso").touch()
    client = Client(recipe("files.py").app)
    asset = result_of(client.get("/assets/a.123.js"))
    assert "immutable" in asset.headers["Cache-Control"]
    page = result_of(client.get("/orders/7"))
    assert (page.text, page.headers["Cache-Control"]) == ("dist/index.html", "no-cache")
    assert result_of(client.get("/.well-known/x")).status == 200
    assert result_of(client.get("/.env")).status == 404


def test_edge(recipe):
    """Where a server is, and its certificate's authority, is looked at when it starts."""
    edge = recipe("edge.py")
    with pytest.raises(FileNotFoundError, match="authority"):
        result_of(Deferred.fromCoroutine(edge.app.start()))


# Middleware


def test_guarded(recipe, tmp_path):
    """Who has the password sees the reports; all answers have the fields."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "may.txt").write_text("x" * 5000)
    client = Client(recipe("guarded.py").app)
    refused = result_of(client.get("/reports/may.txt"))
    assert (refused.status, refused.headers["X-Content-Type-Options"]) == (401, "nosniff")
    password = b64encode(b"ada:correct horse battery staple").decode()
    headers = {"Authorization": f"Basic {password}", "Accept-Encoding": "gzip"}
    report = result_of(client.get("/reports/may.txt", headers=headers))
    assert (report.status, report.headers["Content-Encoding"]) == (200, "gzip")


def test_guarded_api(recipe):
    """A page of the other origin may use it, and compress what it sends, within the limit."""
    client = Client(recipe("guarded.py").app)
    headers = {"Origin": "https://app.example", "Content-Encoding": "deflate"}
    answer = result_of(client.post("/api/count", headers=headers, body=compress(bytes(5000))))
    assert answer.json() == {"bytes": 5000}
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    bomb = compress(bytes(2_000_000))
    assert result_of(client.post("/api/count", headers=headers, body=bomb)).status == 413


def test_released(recipe):
    """Answers tell their release, errors too."""
    client = Client(recipe("released.py").app)
    answers = [result_of(client.get(target)) for target in ("/", "/none")]
    assert [(each.status, each.headers["X-Release"]) for each in answers] == [
        (200, "1.2.3"),
        (404, "1.2.3"),
    ]


# In Twisted programs


def test_visits(for_twisted):
    """A session counts its visits, and the resource knows where it is."""
    client = Client(for_twisted("visits.py").app, Clock())
    first = result_of(client.get("/old/visits"))
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    second = result_of(client.get("/old/visits", headers={"Cookie": cookie}))
    assert second.text == "Visit 2 to http://test/old/visits\n"


def test_later(for_twisted):
    """A resource that takes its time sends what it has, and then the rest."""
    clock = Clock()
    visits = for_twisted("visits.py")
    visits.Later.render_GET.__globals__["reactor"] = clock
    waiting = Client(visits.app, clock).get("/old/later")
    clock.pump([0, 0.1])
    assert result_of(waiting).text == "Wait...\ndone.\n"


def test_converter(for_twisted):
    """The other server is asked, and what it says is used; its trouble is told."""
    server = Server(Clock())
    converter = for_twisted("converter.py")
    converter.euro.__globals__["rates"] = Pool(server, clock=server.clock)
    client = Client(converter.app)
    answers = [client.get("/euro/2"), client.get("/euro/2"), client.get("/euro/2")]
    server.lines[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1.25")
    server.lines[1].send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    server.lines[2].end()
    told = [result_of(each) for each in answers]
    assert [each.status for each in told] == [200, 502, 502]
    assert told[0].text == "2.50\n"
