"""docs/reference.md, held against the code: its names, options, defaults, patterns and links."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from urllib.parse import unquote
from uuid import UUID

import msgspec
import pytest
from multidict import CIMultiDict
from twisted.internet.task import Clock
from twisted.web.resource import Resource

import mynet
import mynet.http
import mynet.realtime
import mynet.testing
import mynet.websocket
from mynet import App, FormLimits, Response
from mynet.daemon.options import Options
from mynet.handlers.asgi import ASGIHandler
from mynet.handlers.proxy import FailurePolicy, HealthCheck, ReverseProxy, Upstream
from mynet.handlers.resource import ResourceHandler
from mynet.handlers.static import StaticFiles
from mynet.handlers.wsgi import WSGIHandler
from mynet.http import ClientLimits, FileBody, HTTPFactory, Limits, Pool
from mynet.http.limits import GIB, KIB, MIB
from mynet.realtime import MemoryTopics, TopicLimits, TopicStats
from mynet.routing import Router
from mynet.testing import Client, MemoryExchange, Refused, Wire, make_request, result_of
from mynet.websocket import (
    Accepted,
    ClientWebSocket,
    Deflate,
    HandshakeRefused,
    Message,
    Opening,
    Policy,
    WebSocket,
    WebSocketConnection,
    WebSocketEndpoint,
    WebSocketError,
    WebSocketFactory,
    WebSocketHandler,
    WebSocketProtocol,
)
from tests.child import PACKAGE
from tests.server import Server
from tests.test_docs import PAGES, ROOT, blocks_of

REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
UNITS = {"": 1, "B/s": 1, "s": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}

INTERNAL = {
    "HTTPFactory": {
        *("connected", "context", "disconnected", "now", "plain_template", "reader"),
        *("responded", "status_and_date", "sweep", "templates"),
    },
    "Request": {"finish", "forget", "peek_raw_headers"},
    "Response": {"check_fields"},
    "Form": {"add", "spool"},
    "ASGIHandler": {"clock", "tasks"},
    "ReverseProxy": {"balancer", "responses", "send_timeout"},
    "Upstream": {"origin", "prefix"},
    "Pool": {
        *("building", "check_deadlines", "chunk_limits", "connected", "failed", "forget", "lost"),
        *("not_connected", "reader", "rests", "retired", "sweep", "switched"),
    },
    "WebSocket": {"controls_reading", "finished", "run"},
    "ClientWebSocket": {"controls_reading"},
    "WebSocketConnection": {
        *("check_deadlines", "direct", "drain", "failed", "opened", "state", "sweep"),
    },
}
INTERNAL["WebSocketFactory"] = INTERNAL["HTTPFactory"]
"""What the parts of mynet have for each other."""

CONSTANTS = {"CLIENT", "HIGH_WATER", "SERVER"}


def section(title: str) -> str:
    """What stands between a heading and the next."""
    heading, text = f"# {title}\n", "\n" + REFERENCE
    assert heading in text, f"there is no section {title}"
    return re.split(r"^#+ ", text.partition(heading)[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> Iterator[list[str]]:
    """The cells of a section's tables, without their heads."""
    for line in section(title).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            yield cells


def names_in(text: str) -> set[str]:
    """What is named first in a piece of code: `name`, `Class.name(...)`, `await name()`."""
    found = (re.match(r"(?:await )?(?:[A-Z]\w+\.)?(\w+)", code) for code in CODE.findall(text))
    return {each[1] for each in found if each}


def value(text: str) -> object:
    if text == "off":
        return None
    if text.startswith("`"):
        return eval(text.strip("`"), {"Deflate": Deflate})
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


# Limits


LIMITS = [Limits(), FormLimits(), Policy(), Deflate(), TopicLimits(), ClientLimits()]


@pytest.mark.parametrize("limits", [*LIMITS, FailurePolicy(), HealthCheck()])
def test_limits(limits):
    """The table of limits has each of them, with its default."""
    told = {name.strip("`"): value(default) for name, default, *_ in rows(type(limits).__name__)}
    fields = dataclasses.fields(limits)
    assert told == {field.name: getattr(limits, field.name) for field in fields}


def test_slow_consumers():
    """Each policy for slow consumers is told, and no other."""
    kinds = [kind.strip('`"') for kind, _ in rows("SlowConsumer")]
    assert kinds == list(get_args(mynet.websocket.SlowConsumer))


# Names


def imports() -> Iterator[tuple[str, set[str]]]:
    """What the imports of the page name, by module."""
    for block in blocks_of(ROOT / "docs" / "reference.md"):
        if block.kind == "python":
            for found in ast.parse(block.code).body:
                assert isinstance(found, ast.ImportFrom)
                yield str(found.module), {each.name for each in found.names}


NAMES = dict(imports())


WITH_MIDDLEWARE = {"around"} | {
    path.stem
    for path in PACKAGE.glob("middleware/*.py")
    if "    def middleware(" in path.read_text(encoding="utf-8")
}


def test_modules():
    """No module that is for users is left out."""
    folders = [path.parent for path in PACKAGE.glob("*/*/__init__.py")]
    hosting = {f"mynet.handlers.{path.name}" for path in folders if path.parent.name == "handlers"}
    middleware = {f"mynet.middleware.{name}" for name in WITH_MIDDLEWARE}
    others = {"mynet", "mynet.http", "mynet.websocket", "mynet.realtime", "mynet.testing"}
    assert NAMES.keys() == hosting | middleware | others


def public_names(module: ModuleType) -> set[str]:
    if hasattr(module, "__all__"):
        return set(module.__all__)
    ours = {
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    return ours - {"T"} | (CONSTANTS if module is mynet.testing else set())


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    """The import of a module's names has all that there are, and each is told somewhere."""
    assert NAMES[name] == public_names(import_module(name))
    told = {name for _, title in HEADING.findall(REFERENCE) for name in title.split(", ")}
    assert NAMES[name] - told == set()


# Signatures


def calls() -> Iterator[tuple[str, str, str]]:
    """Each function and class that is told how to call, where it is, and that."""
    for module, names in NAMES.items():
        for name in sorted(names):
            found = re.search(rf"^[^|\n]*`{name}\(([^`]*)\)`", REFERENCE, re.MULTILINE)
            if found and not found[1].endswith("..."):
                yield module, name, " ".join(found[1].split())


@pytest.mark.parametrize(("module", "name", "arguments"), [*calls()])
def test_signature(module, name, arguments):
    """It is called as the page says, and its defaults are those."""
    thing = getattr(import_module(module), name)
    told = inspect.signature(eval(f"lambda {arguments}: 0", vars(import_module(thing.__module__))))
    real = inspect.signature(thing)
    assert [(each.name, each.kind, each.default) for each in told.parameters.values()] == [
        (each.name, each.kind, each.default) for each in real.parameters.values()
    ]


class Silent(WebSocketProtocol):
    """Does nothing."""


def of_websockets() -> Iterator[object]:
    sockets: list[WebSocket] = []

    async def keep(socket: WebSocket) -> None:
        sockets.append(socket)
        await socket.receive()

    endpoint = WebSocketEndpoint(keep)
    peer = result_of(Client(endpoint).websocket("/"))
    assert isinstance(sockets[0].connection, WebSocketConnection)
    yield from (endpoint, *sockets, sockets[0].connection, peer, Message(""), MemoryTopics())
    accepted = Accepted("ws://test/", None, CIMultiDict())
    yield from (accepted, ClientWebSocket(accepted), TopicStats(), WebSocketError(1002, ""))
    yield from (HandshakeRefused(401, CIMultiDict(), b""), mynet.WebSocketClosed())
    yield WebSocketFactory(lambda request: Silent(), reactor=Clock())
    yield WebSocketHandler(lambda request: Silent())
    yield Opening(sockets[0].request, endpoint.shared)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing."""


def of_hosting() -> Iterator[object]:
    """What hosts others, and asks them."""
    yield from (ASGIHandler(asgi), WSGIHandler(lambda environ, start: []), StaticFiles("."))
    yield from (ResourceHandler(Resource()), ReverseProxy("http://a"), Upstream("http://a"))
    with Path(__file__).open("rb") as file:
        yield FileBody(file)
    server = Server(Clock())
    pool = Pool(server, clock=server.clock)
    asked = pool.request("GET", b"/", [(b"Host", b"a")])
    server.lines[0].send(b"HTTP/1.1 200 OK\r\n\r\nsome")
    response = result_of(asked)
    yield from (pool, response, response.body, mynet.http.ClientError())


def instances() -> Iterator[object]:
    """One of each public class."""
    wire = Wire(lambda request: Response())
    exchange = MemoryExchange()
    request = make_request(body=b"x")
    yield from (App(), request, Response(), mynet.HTTPError(400), Limits(), FormLimits())
    yield from (HTTPFactory(lambda request: Response(), reactor=Clock()), mynet.http.Stats())
    yield from (wire, wire.transport, exchange, request.body, Client(App()))
    answer = result_of(Client(lambda request: Response()).get("/"))
    yield from (answer, Refused(answer), *of_websockets(), *of_hosting())
    yield mynet.http.Access(None, exchange.client, 200, 0)
    yield mynet.http.TLS("", "", None, None, None)
    content_type = "multipart/form-data; boundary=x"
    body = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n--x--\r\n'
    form = result_of(make_request("POST", "/", {"Content-Type": content_type}, body).form())
    yield form
    yield form["a"]


@pytest.mark.parametrize("thing", [*instances()], ids=lambda thing: type(thing).__name__)
def test_members(thing):
    """Each public attribute and method of a class is told in its section."""
    title = type(thing).__name__
    foreign = [base for base in type(thing).__mro__ if not base.__module__.startswith("mynet")]
    public = {name for name in dir(thing) if name.islower() and not name.startswith("_")}
    told = set(re.findall(r"\w+", " ".join(CODE.findall(section(title)))))
    assert public - told - INTERNAL.get(title, set()) - set().union(*map(dir, foreign)) == set()


@pytest.mark.parametrize("thing", [*instances()], ids=lambda thing: type(thing).__name__)
def test_no_other_members(thing):
    """What a class's table tells of is there, or an argument when one is made."""
    told = {name for cells in rows(type(thing).__name__) for name in names_in(cells[0])}
    known = {*dir(thing), *inspect.signature(type(thing).__init__).parameters}
    assert [name for name in told - known if not iskeyword(name)] == []


def test_stats_of_websockets():
    """Each count of an endpoint is told, and none that is not kept."""
    counts = {name for name in dir(mynet.websocket.Stats) if not name.startswith("_")}
    assert names_in(section("Stats of WebSockets")) - {"Counter", "SlowConsumer", "mynet"} == counts


@pytest.mark.parametrize(
    "interface",
    [
        mynet.realtime.Subscriber,
        mynet.realtime.Topics,
        mynet.websocket.WebSocketProtocol,
        mynet.websocket.WebSocketTransport,
    ],
)
def test_interfaces(interface: Any):
    """Who implements an interface, or calls one, is told all of its methods."""
    public = {name for name in dir(interface) if not name.startswith("_")}
    told = set(re.findall(r"\w+", " ".join(CODE.findall(section(interface.__name__)))))
    assert public - told == set()


def test_exchange():
    """Who writes a protocol is told all that is asked of it."""
    public = {name for name in dir(mynet.http.Exchange) if not name.startswith("_")}
    assert public - names_in(section("Exchange")) == set()


# The daemon


def test_options():
    """Each option is there, and none that is not; with its default."""
    options = Options()
    known = {name.removesuffix("=") for name in options.longOpt}
    cells = [(CODE.findall(option)[0], default) for option, default, *_ in rows("twistd mynet")]
    told = {option.split()[0].removeprefix("--"): default for option, default in cells}
    assert told.keys() == known
    defaults = {
        name: default.strip("`") for name, default in told.items() if name in options.defaults
    }
    assert defaults == {name: str(options.defaults[name]) for name in defaults}
    assert defaults.keys() >= {"listen", "drain"}


# The App


class Item(msgspec.Struct):
    id: int


@pytest.mark.parametrize(
    ("example", "becomes"), [cells[1:3] for cells in rows("What a function may return")]
)
def test_coercion(example, becomes):
    """What a function returns becomes the response that the table tells."""
    app = App()
    app.add_route("/", lambda request: eval(example.strip("`"), globals()))
    answer = result_of(Client(app).get("/"))
    assert str(answer.status) in becomes
    assert answer.headers.get("Content-Type", "no content") in becomes


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"), [cells[:3] for cells in rows("Patterns")]
)
def test_pattern(pattern, path, parameters):
    """A path fits a pattern, and gives the parameters that the table tells."""
    router: Router[None] = Router()
    router.add(["GET"], pattern.strip("`"), None)
    _, found = router.find("GET", path.strip("`").encode())
    assert found == eval(parameters.strip("`"), {"UUID": UUID})


# Links


def anchor(title: str) -> str:
    """GitHub's name of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors(page):
    """A link into the middle of a page leads to a heading."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for file, fragment in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", text):
        target = page.parent / file if file else page
        headings = HEADING.findall(FENCED.sub("", target.read_text(encoding="utf-8")))
        assert unquote(fragment) in {anchor(title) for _, title in headings}
