"""The demo site's App: its pages, and the handlers that their live examples call.

The pages show the code of these handlers word for word, and a test holds them to that. So they
are short, and what they need besides (counting, uploads, addresses) is put elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.task import deferLater

from mynet import App, Handler, HTTPError, Request, Response, __version__
from mynet.demo.chat import add_chat
from mynet.demo.rooms import Rooms
from mynet.demo.uploads import Report, Uploads
from mynet.realtime import MemoryTopics
from mynet.websocket import WebSocket

PACE = 0.12
"""Seconds between the words of the stream, for a calm reader."""

STORY = """
    You are reading a response that is not finished. Each word is a chunk of its own: an async
    generator yields it, the loop sends it, and turns to whoever else is waiting. Nothing is
    buffered, nothing blocks, no thread sits here until the end. Stop it now, and the generator
    is cancelled in the middle of this sentence: a server has no reason to go on talking when
    nobody listens.
"""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TEXT = "text/plain; charset=utf-8"
LINES = "application/x-ndjson"

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<style>
:root { color: #17211b } @media (prefers-color-scheme: dark) { :root { color: #e3ebe5 } }
</style>
<circle cx="16" cy="16" r="12.5" fill="none" stroke="currentColor" stroke-width="3"/>
<path d="M16 16V3.5" stroke="#0a8a66" stroke-width="3"/>
<circle cx="16" cy="16" r="3.5" fill="currentColor"/>
</svg>
"""

PLACE = re.compile(r"\{\{([\w.]+)\}\}")
"""Where a page has the version, or another file."""

Seconds = Callable[[], float]
Sleep = Callable[[float], Deferred[None]]


def demo_site(clock: IReactorTime | None = None) -> App:
    """A new demo site.

    Args:
        clock: For its uptime and its pauses; by default the reactor, fetched late.
    """
    seconds = time.monotonic if clock is None else clock.seconds

    def sleep(delay: float) -> Deferred[None]:
        return deferLater(clock or _reactor(), delay)

    app = App()
    app.use(take_at_its_word)
    streams = Streams()
    topics = MemoryTopics()
    rooms = Rooms(topics)
    _add_pages(app)
    _add_greeting(app)
    _add_stream(app, streams, sleep)
    _add_uploads(app, Uploads(seconds, sleep))
    _add_stats(app, streams, rooms, seconds)
    _add_request(app)
    _add_echo(app)
    add_chat(app, topics, rooms, seconds)
    return app


def _reactor() -> IReactorTime:
    from twisted.internet import reactor

    return cast(IReactorTime, reactor)


def take_at_its_word(handler: Handler) -> Handler:
    """Let no browser guess a type: what clients send comes back to them as plain text or JSON."""

    async def answer(request: Request) -> Response:
        response = handler(request)
        if not isinstance(response, Response):
            response = await response
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return answer


# Pages


class Page:
    """A page of this package, and the fields it is sent with."""

    def __init__(self, file: str) -> None:
        html = PLACE.sub(lambda place: _fill(place[1]), _read(file))
        self.html = html.encode()
        self.headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": "; ".join(_policy(html)),
            "Referrer-Policy": "no-referrer",
        }

    def response(self, status: int = 200) -> Response:
        """A new response with this page."""
        return Response(self.html, status, self.headers, "text/html; charset=utf-8")


def _fill(place: str) -> str:
    return __version__ if place == "version" else _read(place)


def _read(file: str) -> str:
    return files("mynet.demo").joinpath(file).read_text(encoding="utf-8")


def _policy(html: str) -> Iterator[str]:
    """A Content Security Policy under which nothing runs but what is in the page itself."""
    yield "default-src 'none'"
    yield "connect-src 'self'"
    yield "img-src 'self'"
    for tag in ("script", "style"):
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (hashlib.sha256(block.encode()).digest() for block in blocks)
        sources = [f"'sha256-{b64encode(digest).decode()}'" for digest in digests]
        yield " ".join([f"{tag}-src", *(sources or ["'none'"])])
    yield "base-uri 'none'"
    yield "form-action 'none'"
    yield "frame-ancestors 'none'"


def _add_pages(app: App) -> None:
    welcome = Page("welcome.html")
    chat = Page("chat.html")
    echo = Page("echo.html")
    missing = Page("missing.html")

    @app.get("/")
    def index(request: Request) -> Response:
        return welcome.response()

    @app.get("/chat/")
    def chat_page(request: Request) -> Response:
        return chat.response()

    @app.get("/echo/")
    def echo_page(request: Request) -> Response:
        return echo.response()

    @app.get("/favicon.svg")
    def icon(request: Request) -> Response:
        return Response(ICON.encode(), content_type="image/svg+xml")

    @app.error_handler(404)
    def not_found(request: Request, error: HTTPError) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return missing.response(404)
        return Response.text("Not found. This is the demo site of mynet.\n", 404)


# The examples


def _add_greeting(app: App) -> None:
    @app.get("/hello/{name}")
    def hello(request: Request, name: str) -> str:
        return f"Hello, {name}!"


class Streams:
    """How many streams run, came to their end, or were cancelled before it."""

    def __init__(self) -> None:
        self.running = 0
        self.finished = 0
        self.cancelled = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one stream; what ends it early is an exception."""
        self.running += 1
        try:
            yield
        except BaseException:
            self.cancelled += 1
            raise
        else:
            self.finished += 1
        finally:
            self.running -= 1

    def figures(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "running": self.running,
            "finished": self.finished,
            "cancelled": self.cancelled,
        }


def _add_stream(app: App, streams: Streams, sleep: Sleep) -> None:
    async def words() -> AsyncIterator[bytes]:
        with streams.counted():
            for word in STORY.split():
                yield f"{word} ".encode()
                await sleep(PACE)

    @app.get("/stream")
    def stream(request: Request) -> Response:
        return Response(words(), content_type=TEXT)


def _add_uploads(app: App, uploads: Uploads) -> None:
    @app.put("/uploads/{name}")
    async def put(request: Request, name: str) -> Report:
        with uploads.receive(name) as upload:
            async for chunk in request:
                upload.size += len(chunk)
                upload.digest.update(chunk)
        return upload.report()

    @app.get("/uploads/{name}")
    def progress(request: Request, name: str) -> Response:
        reports = uploads.watch(name)
        return Response(reports, content_type=LINES)


def _add_stats(app: App, streams: Streams, rooms: Rooms, seconds: Seconds) -> None:
    started = seconds()

    @app.get("/stats")
    def stats(request: Request) -> dict[str, object]:
        return {
            "uptime": seconds() - started,
            "streams": streams.figures(),
            "chat": rooms.figures(),
            **server_figures(request),
        }


def server_figures(request: Request) -> dict[str, object]:
    """What the server counts that this request came by; nothing where it does not count."""
    factory = getattr(request.exchange, "factory", None)
    if factory is None:
        return {}
    stats = factory.stats
    plain = "accepted refused requests bytes_received bytes_sent timeouts".split()
    return {name: getattr(stats, name) for name in plain} | {
        "connections": len(factory.connections),
        "responses": {f"{kind}xx": count for kind, count in enumerate(stats.responses) if count},
    }


def _add_echo(app: App) -> None:
    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)


def _add_request(app: App) -> None:
    @app.route("/request", methods=METHODS)
    def arrived(request: Request) -> dict[str, object]:
        return {
            "method": request.method,
            "target": request.target.decode("ascii"),
            "version": request.version,
            "headers": fields(request),
            "client": written(request.client),
            "server": written(request.server),
        }


def fields(request: Request) -> list[tuple[str, str]]:
    """The header fields in their order."""
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.raw_headers]


def written(address: IAddress) -> str:
    """An address as people write it."""
    match address:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress(name=bytes(name)):
            return f"unix:{name.decode(errors='replace')}"
        case UNIXAddress():
            return "unix:"  # a client's socket seldom has a name
        case _:
            return str(address)
