"""The demo site, served by a real factory to clients in memory."""

from __future__ import annotations

import hashlib
import io
import json
import re
from base64 import b64encode
from contextlib import closing
from email.message import Message
from html.parser import HTMLParser
from http.client import HTTPResponse
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock

from mynet import __version__
from mynet.demo import demo_site, site
from mynet.demo.uploads import BETWEEN_REPORTS
from mynet.http import HTTPFactory
from mynet.testing import Client, Wire, make_request, result_of

WELCOME = files("mynet.demo").joinpath("welcome.html").read_text(encoding="utf-8")
SOURCES = [
    files("mynet.demo").joinpath(name).read_text(encoding="utf-8")
    for name in ("site.py", "chat.py")
]
PAGES = ["/", "/chat/", "/echo/", "/nowhere"]
WORDS = site.STORY.split()


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class Connection(Wire):
    """A client of the site."""

    def ask(self, method, target, body=b"", length=None, **headers):
        if length is None and body:
            length = len(body)
        fields = {"Host": "demo", **headers}
        if length is not None:
            fields["Content-Length"] = str(length)
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        self.send("\r\n".join([*lines, "", ""]).encode("ascii") + body)

    def answer(self, method="GET"):
        class Socket:
            makefile = staticmethod(lambda mode: io.BytesIO(self.received))

        response = HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]  # no more is used
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def chunks(self):
        """What has come of a chunked body."""
        body = self.received.partition(b"\r\n\r\n")[2]
        return re.findall(rb"[0-9a-f]+\r\n(.+)\r\n", body)


class Site:
    """The site, and its time."""

    def __init__(self):
        self.clock = Clock()
        self.clock.advance(1000)
        self.factory = HTTPFactory(demo_site(self.clock), reactor=self.clock)
        self.connections: list[Connection] = []

    def close(self):
        for connection in self.connections:
            connection.hang_up()

    def send(self, *request, **headers):
        connection = Connection(self.factory, clock=self.clock)
        self.connections.append(connection)
        connection.ask(*request, **headers)
        return connection

    def ask(self, method, target, body=b"", **headers):
        return self.send(method, target, body, **headers).answer(method)

    def get(self, target, **headers):
        return self.ask("GET", target, **headers)

    def streams(self):
        return self.get("/stats").json()["streams"]


@pytest.fixture
def demo():
    with closing(Site()) as demo:
        yield demo


# The page


class Markup(HTMLParser):
    """What matters of a page here."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.attributes = []
        self.blocks: dict[str, list[str]] = {"script": [], "style": [], "code": []}
        self._open = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in self.blocks:
            self.blocks[tag].append("")
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.blocks:
            self._open.remove(tag)

    def handle_data(self, data):
        for tag in self._open:
            self.blocks[tag][-1] += data


@pytest.mark.parametrize("target", PAGES)
def test_pages_are_whole(demo, target):
    """A page has its version, and all its parts."""
    html = demo.get(target, Accept="text/html").text
    assert __version__ in html
    assert "{{" not in html


@pytest.mark.parametrize("target", ["/chat/", "/echo/"])
def test_way_to_the_pages(demo, target):
    """Who sees the first page finds the others, and the way back."""
    assert f'href="{target}"' in WELCOME
    assert 'href="/"' in demo.get(target).text


def test_welcome(demo):
    """Whoever starts the server and looks at it sees a page, with its version."""
    answer = demo.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"mynet {__version__}<" in answer.text


@pytest.mark.parametrize("target", PAGES)
def test_pages_are_self_contained(demo, target):
    """A page looks and works the same without the internet."""
    html = demo.get(target, Accept="text/html").text
    page = Markup(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert {link for link in links if not link.startswith("#")} <= {"/favicon.svg", *PAGES}
    assert (
        re.findall(r"(?<!\.)\burl\(|@import|https?://[^\"]+\.\w+", html.replace("www.w3.org", ""))
        == []
    )


@pytest.mark.parametrize("target", PAGES)
def test_pages_are_kept_to_themselves(demo, target):
    """No other site gets a page into a frame, or its forms and links elsewhere, or its address."""
    headers = demo.get(target, Accept="text/html").headers
    policy = re.sub(r"'sha256-[^']+'", "(hash)", headers["content-security-policy"])
    script = "'none'" if target == "/nowhere" else "(hash)"
    assert policy.split("; ") == [
        "default-src 'none'",
        "connect-src 'self'",
        "img-src 'self'",
        f"script-src {script}",
        "style-src (hash)",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", PAGES)
def test_pages_run_nothing_else(demo, target):
    """Whatever gets into a page, the browser runs no script but the page's own."""
    answer = demo.get(target, Accept="text/html")
    page = Markup(answer.text)
    policy = dict(
        directive.split(" ", 1)
        for directive in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    for tag in ("script", "style"):
        assert "unsafe" not in policy[f"{tag}-src"]
        assert len(page.blocks[tag]) == page.tags.count(tag)
        for block in page.blocks[tag]:
            digest = hashlib.sha256(block.encode()).digest()
            assert f"'sha256-{b64encode(digest).decode()}'" in policy[f"{tag}-src"]
    inline = [name for name, _ in page.attributes if name == "style" or name.startswith("on")]
    assert inline == []


@pytest.mark.parametrize(("target", "least"), [("/", 8), ("/echo/", 1)])
def test_code_on_the_pages(demo, target, least):
    """The code that a page shows is the code that runs."""
    lines = [line.strip() for source in SOURCES for line in source.splitlines()]
    blocks = Markup(demo.get(target).text).blocks["code"]
    shown = [code for code in blocks if "@app" in code or "def " in code]
    parts = [part for code in shown if "import" not in code for part in code.split("\n\n")]
    assert len(parts) >= least
    for part in parts:
        wanted = [line.strip() for line in part.splitlines()]
        places = [i for i, line in enumerate(lines) if line == wanted[0]]
        assert any(lines[i : i + len(wanted)] == wanted for i in places), part


def test_code_to_begin_with():
    """The first application that the page proposes works as it stands there."""
    (code,) = (code for code in Markup(WELCOME).blocks["code"] if "import App" in code)
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert result_of(Client(scope["app"]).get("/")).text == "Hello, World!"


@pytest.mark.parametrize("target", ["/", "/chat/", "/echo/"])
def test_labels(demo, target):
    """Every control of a page has a label, for those who do not see it."""
    html = demo.get(target).text
    labels = re.findall(r'<label\b[^>]* for="([^"]+)"', html)
    controls = re.findall(r'<(?:input|select|progress)\b[^>]* id="([^"]+)"', html)
    assert controls
    assert sorted(labels) == sorted(controls)


def test_icon(demo):
    """The tab of the page has an icon."""
    answer = demo.get("/favicon.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg ")


def test_not_found(demo):
    """A path that leads nowhere is answered with a page in a browser, with a line elsewhere."""
    page = demo.get("/nowhere", Accept="text/html,*/*")
    line = demo.get("/nowhere")
    assert (page.status, line.status) == (404, 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert line.headers["content-type"] == "text/plain; charset=utf-8"
    assert line.text.count("\n") == 1


@pytest.mark.parametrize("target", ["/", "/hello/a", "/stats", "/request", "/nowhere"])
def test_types_are_not_guessed(demo, target):
    """No browser takes for a page what is none."""
    assert demo.get(target).headers["x-content-type-options"] == "nosniff"


# A greeting


@pytest.mark.parametrize("name", ["World", "a/b", "Grüße", "🦊", "50% & more?", "<b>", "x" * 200])
def test_greeting(demo, name):
    """Any name is greeted as it is, whatever letters it has."""
    answer = demo.get(f"/hello/{quote(name, safe='')}")
    assert answer.text == f"Hello, {name}!"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


# A streamed response


def test_stream(demo):
    """A stream comes word by word as time passes, each as soon as there is one."""
    connection = demo.send("GET", "/stream")
    for count in range(1, len(WORDS) + 1):
        assert connection.chunks() == [f"{word} ".encode() for word in WORDS[:count]]
        demo.clock.advance(site.PACE)
    assert connection.answer().text.split() == WORDS
    assert demo.streams() == {"running": 0, "finished": 1, "cancelled": 0}


def test_two_streams(demo):
    """A stream keeps nobody else waiting."""
    first, second = demo.send("GET", "/stream"), demo.send("GET", "/stream")
    demo.clock.advance(site.PACE)
    assert len(first.chunks()) == len(second.chunks()) == 2
    assert demo.streams() == {"running": 2, "finished": 0, "cancelled": 0}


def test_stream_is_stopped(demo):
    """When its client goes, a stream ends at once, and is counted as cancelled."""
    connection = demo.send("GET", "/stream")
    demo.clock.advance(site.PACE)
    connection.hang_up()
    assert demo.streams() == {"running": 0, "finished": 0, "cancelled": 1}


def test_head_of_a_stream(demo):
    """Who asks for the head only starts no stream."""
    answer = demo.ask("HEAD", "/stream")
    assert (answer.status, answer.body) == (200, b"")
    assert demo.streams() == {"running": 0, "finished": 0, "cancelled": 0}


# An upload


def test_upload(demo):
    """What is uploaded is counted and digested."""
    body = bytes(range(256)) * 100
    report = demo.ask("PUT", "/uploads/a", body).json()
    digest = hashlib.sha256(body).hexdigest()
    assert report == {"state": "complete", "size": 25600, "sha256": digest}


def test_upload_progress(demo):
    """While an upload arrives, another request is told how much has."""
    watcher = demo.send("GET", "/uploads/a")
    client = demo.send("PUT", "/uploads/a", length=6)
    demo.clock.advance(BETWEEN_REPORTS)
    for part in (b"abc", b"de", b"f"):
        client.send(part)
        demo.clock.advance(BETWEEN_REPORTS)
    assert client.answer().json()["state"] == "complete"
    reports = [json.loads(line) for line in watcher.answer().body.splitlines()]
    assert [report["size"] for report in reports] == [0, 0, 3, 5, 6]
    assert reports[-1] == client.answer().json()


def test_upload_is_stopped(demo):
    """An upload that is broken off is told as such, with what had arrived of it."""
    client = demo.send("PUT", "/uploads/a", b"abc", length=6)
    watcher = demo.send("GET", "/uploads/a")
    client.hang_up()
    demo.clock.advance(BETWEEN_REPORTS)
    last = json.loads(watcher.answer().body.splitlines()[-1])
    assert last == {"state": "broken", "size": 3, "sha256": None}


def test_name_of_an_upload(demo):
    """A name that is too long is an error that says so."""
    for method in ("GET", "PUT"):
        answer = demo.ask(method, f"/uploads/{'n' * 300}")
        assert answer.status == 400
        assert "255" in answer.text


# Figures


def test_stats(demo):
    """The figures are those of the server that is asked."""
    demo.get("/hello/a")
    demo.get("/nowhere")
    demo.send("GET", "/stream").hang_up()
    demo.clock.advance(5)
    stats = demo.get("/stats").json()
    assert stats["uptime"] == 5
    assert stats["streams"] == {"running": 0, "finished": 0, "cancelled": 1}
    assert stats["chat"] == {"rooms": 0, "people": 0}
    assert stats["requests"] == 4
    assert stats["accepted"] == 4
    assert stats["connections"] == 3
    assert stats["refused"] == stats["timeouts"] == 0
    assert stats["responses"]["4xx"] == 1
    assert stats["bytes_received"] > 100
    assert stats["bytes_sent"] > 100


def test_stats_elsewhere():
    """Where the protocol does not count, the rest of the figures is still there."""
    assert site.server_figures(make_request("GET", "/stats")) == {}
    assert result_of(Client(demo_site(Clock())).get("/stats")).json().keys() == {
        "uptime",
        "streams",
        "chat",
    }


# An echo


@pytest.mark.parametrize("method", site.METHODS)
def test_echo(demo, method):
    """A request comes back as it arrived: target undecoded, fields in order, addresses."""
    answer = demo.ask(method, "/request?a=%C3%BC&b", **{"X-B": "2", "X-A": "1"})
    assert answer.json() == {
        "method": method,
        "target": "/request?a=%C3%BC&b",
        "version": "1.1",
        "headers": [["host", "demo"], ["x-b", "2"], ["x-a", "1"]],
        "client": "192.0.2.1:50000",
        "server": "192.0.2.2:80",
    }


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "192.0.2.7", 80), "192.0.2.7:80"),
        (IPv6Address("TCP", "2001:db8::1", 80), "[2001:db8::1]:80"),
        (UNIXAddress("/run/mynet.sock"), "unix:/run/mynet.sock"),
        (UNIXAddress(None), "unix:"),
        (HostnameAddress(b"demo", 80), str(HostnameAddress(b"demo", 80))),
    ],
)
def test_addresses(address, text):
    """Addresses are written as people write them."""
    assert site.written(address) == text


# The whole


def test_two_sites():
    """Two sites in one process know nothing of each other."""
    with closing(Site()) as one, closing(Site()) as other:
        one.send("GET", "/stream")
        assert (one.streams()["running"], other.streams()["running"]) == (1, 0)


def test_global_time():
    """Without a clock of its own, a site takes the reactor's time."""
    stats = result_of(Client(demo_site()).get("/stats")).json()
    assert 0 <= stats["uptime"] < 60
