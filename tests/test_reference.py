"""docs/reference.md, held against the code: its names, options, defaults, patterns and links."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from keyword import iskeyword
from types import ModuleType
from urllib.parse import unquote
from uuid import UUID

import msgspec
import pytest
from twisted.internet.task import Clock

import mynet
import mynet.http
import mynet.testing
from mynet import App, FormLimits, Response
from mynet.daemon.options import Options
from mynet.http import HTTPFactory, Limits
from mynet.http.limits import GIB, KIB, MIB
from mynet.routing import Router
from mynet.testing import Client, MemoryExchange, Peer, Refused, Wire, make_request, result_of
from mynet.websocket import WebSocket
from tests.test_docs import PAGES, ROOT

REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
UNITS = {"": 1, "B/s": 1, "s": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}

INTERNAL = {
    "HTTPFactory": {
        *("connected", "context", "disconnected", "next_sweep", "now", "plain_template"),
        *("reader", "responded", "status_and_date", "templates"),
    },
    "Request": {"finish"},
    "Form": {"add", "spool"},
}
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


def value(text: str) -> float | None:
    if text == "off":
        return None
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


# Limits


@pytest.mark.parametrize("limits", [Limits(), FormLimits()])
def test_limits(limits):
    """The table of limits has each of them, with its default."""
    told = {name.strip("`"): value(default) for name, default, *_ in rows(type(limits).__name__)}
    assert told == dataclasses.asdict(limits)


# Names


def public_names(module: ModuleType) -> set[str]:
    if hasattr(module, "__all__"):
        return set(module.__all__)
    ours = {
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    return ours - {"T"} | CONSTANTS


@pytest.mark.parametrize("module", [mynet, mynet.http, mynet.testing])
def test_names(module):
    """A module's section begins with the import of all that it has, and each is told somewhere."""
    names = set(
        re.findall(r"\w+", section(module.__name__).partition(" import ")[2].partition("`")[0])
    )
    assert names == public_names(module)
    told = {name for _, title in HEADING.findall(REFERENCE) for name in title.split(", ")}
    assert names - told == set()


def a_peer() -> Peer:
    app = App()

    @app.websocket("/")
    async def accept(socket: WebSocket) -> None:
        await socket.accept()

    return result_of(Client(app).websocket("/"))


def instances() -> Iterator[object]:
    """One of each public class."""
    wire = Wire(lambda request: Response())
    exchange = MemoryExchange()
    request = make_request(body=b"x")
    yield from (App(), request, Response(), mynet.HTTPError(400), Limits(), FormLimits())
    yield from (HTTPFactory(lambda request: Response(), reactor=Clock()), mynet.http.Stats())
    yield from (wire, wire.transport, exchange, request.body, Client(App()))
    answer = result_of(Client(lambda request: Response()).get("/"))
    yield from (answer, Refused(answer), a_peer())
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
    """What a class's table tells of is there."""
    told = {name for cells in rows(type(thing).__name__) for name in names_in(cells[0])}
    assert [name for name in told if not (iskeyword(name) or hasattr(thing, name))] == []


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
