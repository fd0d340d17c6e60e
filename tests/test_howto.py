"""The recipes of docs/howto.md, driven: each does what is said about it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from uuid import UUID

import pytest
from twisted.internet import defer
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionRefusedError
from twisted.web.client import ResponseNeverReceived

from mynet import Response
from mynet.http import FormLimits, HTTPFactory
from mynet.testing import Client, MemoryExchange, Wire, make_request, result_of
from tests.recipes import run_recipe
from tests.test_docs import ROOT

HOWTO = ROOT / "docs" / "howto.md"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Runs a file of the page in a folder of its own; its names are the result's attributes."""
    monkeypatch.chdir(tmp_path)
    return partial(run_recipe, HOWTO)


def get(target: str, *fields: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: test", *fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


# Send events to browsers


def test_events(recipe):
    """What is said reaches everybody who listens, at once."""
    factory = HTTPFactory(recipe("events.py").app)
    listeners = [Wire(factory), Wire(factory)]
    for listener in listeners:
        listener.send(get("/events"))
        assert b"Content-Type: text/event-stream\r\n" in listener.take()
    Wire(factory).send(b"POST /say HTTP/1.1\r\nHost: test\r\nContent-Length: 7\r\n\r\nHi\nAda!")
    assert [b"data: Hi\ndata: Ada!\n\n" in each.take() for each in listeners] == [True, True]


def test_listener_leaves(recipe):
    """A listener who goes is forgotten."""
    events = recipe("events.py")
    wire = Wire(events.app)
    wire.send(get("/events"))
    assert len(events.listeners) == 1
    wire.hang_up()
    assert events.listeners == set()


def test_slow_listener(recipe):
    """A listener who does not read holds up neither the others nor the memory."""
    events = recipe("events.py")
    slow = Wire(events.app)
    slow.stop_reading()
    slow.send(get("/events"))
    for _ in range(300):
        assert result_of(Client(events.app).post("/say", body=bytes(1000))).status == 204
    (queue,) = events.listeners
    assert len(queue.pending) == 100
    slow.advance(62)
    assert events.listeners == set()


# Receive a large upload

UPLOAD = b"POST /files HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n"


def test_upload(recipe, tmp_path):
    """What is uploaded is kept, and can be fetched again."""
    wire = Wire(recipe("uploads.py").app)
    wire.send(UPLOAD + bytes(200_000), 4096)
    assert wire.received.startswith(b"HTTP/1.1 201 ")
    name = wire.take().rpartition(b"\r\n")[2].decode()
    assert (tmp_path / str(UUID(name))).stat().st_size == 200_000
    wire.send(get(f"/files/{name}"))
    assert wire.received.startswith(b"HTTP/1.1 200 ")
    assert wire.take().endswith(b"\r\n\r\n" + bytes(200_000))
    wire.send(get("/files/12345678-1234-5678-1234-567812345678"))
    assert wire.received.startswith(b"HTTP/1.1 404 ")


def test_half_an_upload(recipe, tmp_path):
    """Nothing is left of an upload whose client goes half-way."""
    wire = Wire(recipe("uploads.py").app)
    wire.send(UPLOAD + bytes(100_000))
    assert len([*tmp_path.glob("*.part")]) == 1
    wire.hang_up()
    assert [path.name for path in tmp_path.iterdir()] == ["uploads.py"]


# Serve files


@pytest.fixture
def static(recipe, tmp_path):
    """A client of the recipe, with files in its folder, and a secret beside that."""
    (tmp_path / "static" / "deep").mkdir(parents=True)
    for name in ("static/deep/page.html", "static/a b.css", "secret"):
        (tmp_path / name).write_text(name)
    (tmp_path / "static" / "link").symlink_to(tmp_path / "secret")
    return Client(recipe("static_files.py").app)


@pytest.mark.parametrize(
    ("target", "name", "kind"),
    [
        ("/static/deep/page.html", "static/deep/page.html", "text/html; charset=utf-8"),
        ("/static/a%20b.css", "static/a b.css", "text/css; charset=utf-8"),
    ],
)
def test_static(static, target, name, kind):
    """A file of the folder is served, with the type that its name tells."""
    answer = result_of(static.get(target))
    assert (answer.status, answer.text, answer.headers["Content-Type"]) == (200, name, kind)


@pytest.mark.parametrize("path", ["../secret", "%2e%2e%2fsecret", "link", "deep/", "none"])
def test_static_gives_nothing_else(static, path):
    """Nothing out of the folder is served."""
    assert result_of(static.get(f"/static/{path}")).status == 404


def test_report(static, tmp_path):
    """One file is sent as soon as there is one."""
    assert result_of(static.get("/report")).status == 404
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    answer = result_of(static.get("/report"))
    assert (answer.body, answer.headers["Content-Type"]) == (b"%PDF", "application/pdf")


# Wait for something else


@pytest.fixture
def weather(recipe, monkeypatch):
    """The recipe with a weather service whose answers are Deferreds in a list."""
    import treq

    asked: list[defer.Deferred[object]] = []

    def ask(url: str, **options: object) -> defer.Deferred[object]:
        asked.append(defer.Deferred())
        return asked[-1]

    monkeypatch.setattr(treq, "get", ask)
    monkeypatch.setattr(treq, "text_content", lambda response: defer.succeed(response.text))
    monkeypatch.setattr(treq, "json_content", lambda response: defer.succeed(response.json))
    return SimpleNamespace(asked=asked, client=Client(recipe("weather.py").app))


def test_deferred_chain(weather):
    """The result of a chain of callbacks is the response."""
    waiting = weather.client.get("/now")
    weather.asked[0].callback(SimpleNamespace(text="rain"))
    assert result_of(waiting).text == "rain"


def test_both_at_once(weather):
    """Two questions are asked at the same time, and either may be answered first."""
    waiting = weather.client.get("/compare/Oslo/Rome")
    assert len(weather.asked) == 2
    weather.asked[1].callback(SimpleNamespace(code=200, json={"celsius": 20.5}))
    weather.asked[0].callback(SimpleNamespace(code=200, json={"celsius": -3.0}))
    assert result_of(waiting).json() == {"Oslo": -3.0, "Rome": 20.5}


@pytest.mark.parametrize(
    "error", [defer.TimeoutError(), ConnectionRefusedError(), ResponseNeverReceived([])]
)
def test_no_service(weather, error):
    """A service that does not answer is told apart from a fault of ours."""
    waiting = weather.client.get("/now")
    weather.asked[0].errback(error)
    assert result_of(waiting).status == 504


# Mount an application in another


def test_mount(recipe):
    """A mounted App answers below its prefix, and so does a mounted handler."""
    client = Client(recipe("shop.py").app)
    assert result_of(client.get("/shop/tea")).json() == {"item": "tea", "url": "/shop/tea"}
    answer = result_of(client.get("/old/a/b"))
    assert (answer.status, answer.text) == (501, "/a/b is still to be moved here\n")


# Write middleware


@pytest.mark.parametrize("key", ["", "Bearer wrong", "correct horse battery", "Bearer \xe9"])
def test_no_key(recipe, key):
    """Without a key nobody is let in."""
    answer = result_of(Client(recipe("middleware.py").app).get("/", headers={"Authorization": key}))
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_key(recipe):
    """With a key the handler knows who asks."""
    headers = {"Authorization": "Bearer correct horse battery staple"}
    answer = result_of(Client(recipe("middleware.py").app).get("/", headers=headers))
    assert (answer.status, answer.text) == (200, "Hello, Ada!")
    assert answer.headers["Cache-Control"] == "no-store"


# Use cookies


def test_cookies(recipe):
    """A choice is kept in a cookie, and can be taken back."""
    client = Client(recipe("cookies.py").app)
    assert "light" in result_of(client.get("/")).text
    answer = result_of(client.post("/theme/dark"))
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert sorted(attributes) == [
        "HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax", "Secure"
    ]  # fmt: skip
    assert "dark" in result_of(client.get("/", headers={"Cookie": cookie})).text
    assert "Max-Age=0" in result_of(client.post("/theme/none")).headers["Set-Cookie"]


# Send early hints, send trailers


def test_hints(recipe):
    """The hints are there before the page."""
    answer = result_of(Client(recipe("hints.py").app).get("/"))
    ((status, fields),) = answer.interim
    assert status == 103
    assert fields[0] == (b"link", b"</style.css>; rel=preload; as=style")


def test_trailers(recipe):
    """Behind the body comes what was not known before it."""
    wire = Wire(recipe("trailers.py").app)
    wire.send(get("/report"))
    head, _, rest = wire.received.partition(b"\r\n\r\n")
    assert b"Trailer: X-Sha256" in head
    assert b"\r\n0\r\nX-Sha256: " in rest


# Set limits


def test_limits(recipe):
    """The handler gathers what the recipe allows, and the server takes no more."""
    limited = recipe("limited.py")
    form = result_of(Client(limited.app).post("/photos", form={"a": "1", "b": "2"}))
    assert form.text == "2 fields and files\n"
    many = {str(number): "x" for number in range(11)}
    assert result_of(Client(limited.app).post("/photos", form=many)).status == 413
    assert limited.factory.limits.body == 100 * 1024 * 1024 > FormLimits().size


# Serve over TLS


@pytest.mark.parametrize("host", ["www.example.org", "evil.example:8080"])
def test_only_https(recipe, host):
    """Who comes without TLS is sent to the same page with it, on our own host."""
    answer = result_of(Client(recipe("hello.py").app).get("/a%20b?c=d", headers={"Host": host}))
    assert (answer.status, answer.headers["Location"]) == (
        308, "https://www.example.org/a%20b?c=d"
    )  # fmt: skip


def test_https(recipe):
    """Who comes with TLS is let through."""
    exchange = MemoryExchange()
    exchange.scheme = "https"
    handler = recipe("hello.py").only_https(lambda request: Response())
    assert handler(make_request(exchange=exchange)).status == 200


# Serve behind nginx


def test_forwarded(recipe):
    """The proxy on our own socket is believed, and nobody else; and of it only what it added."""
    client_of = recipe("forwarded.py").client_of
    exchange = MemoryExchange()
    fields = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    assert client_of(make_request(headers=fields, exchange=exchange)) == "192.0.2.1"
    exchange.client = UNIXAddress(None)
    assert client_of(make_request(headers=fields, exchange=exchange)) == "203.0.113.7"
