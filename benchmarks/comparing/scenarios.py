"""What is measured, of whom, and what of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.comparing.loads import BROWSER, CLOSE, FILLING, UPGRADE, Load

RATE = "per second"
PER_CPU = "per CPU second"
SERVER_CPU = "server CPU"
LOAD_CPU = "load CPU"
MEMORY = "KiB per idle connection"
START = "milliseconds"

SPARE_FILES = 900
"""How many files a process may have open besides its connections."""

HELLO = Load()
NAMED = Load("/hello/NUMBER", "Hello, NUMBER!", BROWSER)
ECHO = Load("/echo", "NUMBER: what a chat is made of. ", UPGRADE, kind="text", size=32)
LARGE = ECHO._replace(kind="binary", size=1024 * 1024, connections=8)
UPLOAD = Load("/length", "1048576", kind="upload", size=1024 * 1024, connections=16)
JSON = Load("/json", '{"message":"Hello, World!","items":[1,2,3],"ok":true}')
STREAM = Load("/stream", FILLING, kind="long", size=100 * 16 * 1024, connections=16)
FANOUT = ECHO._replace(path="/fanout", kind="fanout", size=128, connections=1000)


@dataclass(frozen=True)
class Scenario:
    """A row of servers that are asked for the same; ratios are to the first that is there."""

    title: str
    about: str
    servers: tuple[str, ...]
    load: Load | None = HELLO
    """None to measure how soon the first request is answered."""
    unit: str = "requests"
    """What is counted."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What is told of each server."""
        if self.load is None:
            return (START,)
        return (RATE, PER_CPU, *([MEMORY] if self.load.idle else []), SERVER_CPU, LOAD_CPU)

    @property
    def compared(self) -> str:
        """The column that the ratios are of."""
        return START if self.load is None else PER_CPU

    @property
    def less_is_better(self) -> bool:
        """Whether the smaller figure is the better one."""
        return self.load is None

    @property
    def open_files(self) -> int:
        """How many a process may have open: its connections, and some of its own."""
        return SPARE_FILES + (self.load.connections + self.load.idle if self.load else 0)


ALL = tuple("mynet-uv mynet-epoll nginx node granian uvicorn aiohttp twisted-epoll daphne".split())

SOCKETS = tuple(
    "mynet-uv mynet-epoll mynet-coroutine picows node-ws uvicorn aiohttp twisted-ws daphne".split()
)
"""Those that speak WebSocket."""

STATIC = tuple("mynet-static nginx granian-static aiohttp twisted-static starlette-static".split())
"""Those that send files."""

PROXIES = tuple("mynet-proxy nginx-proxy node-proxy aiohttp-proxy twisted-proxy".split())
"""Those that hand on requests."""

SCENARIOS: Mapping[str, Scenario] = {
    "hello": Scenario(
        "Hello, World!",
        "A small answer on 64 connections that are kept, with one header field.",
        ALL,
    ),
    "browser": Scenario(
        "To a browser",
        "The same, with the 14 header fields more that a browser sends.",
        ALL,
        Load(fields=BROWSER),
    ),
    "route": Scenario(
        "A route with a parameter",
        "`/hello/{name}` by a router, with the fields of a browser, and another name each time.",
        ("mynet-uv", "mynet-epoll", "starlette", "aiohttp"),
        NAMED,
    ),
    "connect": Scenario(
        "A connection for each request",
        "64 at a time: connect, ask once with `Connection: close`, wait until it is closed.",
        ALL,
        Load(fields=CLOSE),
    ),
    "idle": Scenario(
        "Beside 5,000 idle connections",
        "Hello, World! on 64 connections, while 5,000 others that were answered once are kept.",
        ALL,
        Load(idle=5000),
    ),
    "twisted": Scenario(
        "Any Twisted program on the uv reactor",
        "Hello, World! from a `twisted.web` Site that knows nothing of mynet, on both reactors.",
        ("twisted-uv", "twisted-epoll"),
    ),
    "ws-echo": Scenario(
        "WebSocket echo",
        "Texts of 32 bytes on 64 WebSockets, one under way on each.",
        SOCKETS,
        ECHO,
        "messages",
    ),
    "ws-large": Scenario(
        "WebSocket echo of 1 MiB",
        "Binary messages of 1 MiB on 8 WebSockets, one under way on each.",
        SOCKETS,
        LARGE,
        "messages",
    ),
    "ws-fanout": Scenario(
        "One to a thousand WebSockets",
        "One of 1,000 WebSockets sends a text of 128 bytes, all get it; then the next one.",
        SOCKETS,
        FANOUT,
        "deliveries",
    ),
    "ws-idle": Scenario(
        "Beside 5,000 idle WebSockets",
        "The echo of 32 bytes on 64 WebSockets, while 5,000 others that had one echo are kept.",
        SOCKETS,
        ECHO._replace(idle=5000),
        "messages",
    ),
    "asgi": Scenario(
        "An ASGI application",
        "Hello, World! by an application without a framework, on 64 connections.",
        ("mynet-asgi", "mynet-asgi-asyncio", "granian-asgi", "uvicorn", "daphne"),
    ),
    "starlette": Scenario(
        "Starlette",
        "A route that answers with a little JSON, on 64 connections.",
        ("mynet-starlette", "granian-starlette", "starlette"),
        JSON,
    ),
    "asgi-ws": Scenario(
        "WebSocket echo through ASGI",
        "Texts of 32 bytes on 64 WebSockets, one under way on each.",
        ("mynet-asgi", "uvicorn", "granian-asgi", "daphne"),
        ECHO,
        "messages",
    ),
    "post": Scenario(
        "Uploads to an ASGI application",
        "1 MiB, answered with its length, on 16 connections.",
        ("mynet-asgi", "granian-asgi", "uvicorn"),
        UPLOAD,
    ),
    "stream": Scenario(
        "A stream of an ASGI application",
        "100 events of 16 KiB each, on 16 connections.",
        ("mynet-asgi", "granian-asgi", "uvicorn"),
        STREAM,
    ),
    "wsgi": Scenario(
        "A WSGI application",
        "Hello, World! by an application without a framework, on 64 connections.",
        ("mynet-wsgi", "granian-wsgi", "gunicorn", "twisted-wsgi"),
    ),
    "static": Scenario(
        "A file of 1 KiB",
        "The same one again and again, on 64 connections.",
        STATIC,
        Load("/static/1k", FILLING, kind="long", size=1024),
    ),
    "static-100k": Scenario(
        "A file of 100 KiB",
        "The same one again and again, on 64 connections.",
        STATIC,
        Load("/static/100k", FILLING, kind="long", size=100 * 1024),
    ),
    "proxy": Scenario(
        "A reverse proxy",
        "Hello, World! by nginx behind it, which shares the CPU of the load generator.",
        PROXIES,
    ),
    "proxy-1m": Scenario(
        "1 MiB through a reverse proxy",
        "A file of 1 MiB, sent by nginx behind it, on 16 connections.",
        PROXIES,
        Load("/static/1m", FILLING, kind="long", size=1024 * 1024, connections=16),
    ),
    "start": Scenario(
        "Start",
        "From the start of the program to its first answer: the median of three.",
        ALL,
        None,
    ),
}
"""All of them, by the names that the command line takes."""
