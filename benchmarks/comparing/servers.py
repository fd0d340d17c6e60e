"""mynet and its peers: what each needs, and how one who knows it starts it, with one worker.

None writes an access log. Where a server can be told, 4,096 connections may wait to be
accepted, one that is idle is kept for 75 seconds, and no WebSocket is pinged.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

APPS = Path(__file__).parent.parent / "apps"

PORT = "{port}"
UPSTREAM = "{upstream}"
FOLDER = "{folder}"
FILES = "{files}"
STATIC = f"{FILES}/static"
"""In a command: what of its `Place` is filled in. In a template it is PORT, UPSTREAM, FILES."""


class Place(NamedTuple):
    """Where a server runs, and what it finds there."""

    port: int
    folder: Path
    """For what it writes."""
    files: Path
    """Those of `write_files` are below it."""
    upstream: int = 0
    """The port of the server behind it."""


@dataclass(frozen=True)
class Server:
    """One that can be measured."""

    label: str
    command: tuple[str, ...]
    modules: tuple[str, ...] = ()
    """The modules that it needs."""
    program: str = ""
    """The program that it needs, which is not of Python."""
    version_option: str = ""
    package: str = ""
    """The package of Node's that it needs."""
    template: str = ""
    """The file of `APPS` which its configuration is made of, which is `config` in the folder."""
    upstream: str = ""
    """The name of the server that it hands requests to."""

    def missing(self) -> str:
        """The first of its needs that is not installed, or nothing."""
        if self.program and shutil.which(self.program) is None:
            return self.program
        if self.package and not package_version(self.package):
            return f"{self.package} for {self.program}"
        if self.upstream and (lacks := SERVERS[self.upstream].missing()):
            return lacks
        return next((name for name in self.modules if not is_installed(name)), "")

    def start_command(self, place: Place) -> list[str]:
        """How to start it there; its configuration is written into the folder."""
        if self.template:
            values = {name.upper(): str(value) for name, value in place._asdict().items()}
            text = (APPS / self.template).read_text(encoding="utf-8")
            (place.folder / "config").write_text(fill_in(text, values), encoding="utf-8")
        values = {f"{{{name}}}": str(value) for name, value in place._asdict().items()}
        return [fill_in(word, values) for word in self.command]

    def versions(self) -> dict[str, str]:
        """What it is made of, and stands before, that has a version."""
        return self._own_versions() | (SERVERS[self.upstream].versions() if self.upstream else {})

    def _own_versions(self) -> dict[str, str]:
        if not self.program:
            return dict(filter(None, map(version_of, self.modules)))
        run = subprocess.run(
            [self.program, self.version_option], capture_output=True, text=True, check=False
        )
        words = (run.stdout or run.stderr).split()
        found = {self.program: words[-1].rpartition("/")[2].removeprefix("v")} if words else {}
        return found | ({self.package: package_version(self.package)} if self.package else {})


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """A text in which values have taken the places that are kept for them."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def package_version(name: str) -> str:
    """The version of a package that the apps of Node's find, or nothing."""
    code = f"console.log(require('{name}/package.json').version)"
    run = subprocess.run(
        ["node", "-e", code], cwd=APPS, capture_output=True, text=True, check=False
    )
    return run.stdout.strip()


def is_installed(module: str) -> bool:
    """Whether a module is there; what it belongs to may have to be imported for that."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def version_of(module: str) -> tuple[str, str] | None:
    """The version of the distribution that is named like a module, or None for a part of one."""
    try:
        return module, version(module)
    except PackageNotFoundError:
        return None


def script(name: str) -> str:
    """A program that pip has installed."""
    return str(Path(sysconfig.get_path("scripts")) / name)


ENDPOINT = f"tcp:{PORT}:interface=127.0.0.1:backlog=4096"


def mynet(
    label: str, option: str, value: str, *modules: str, reactor: str = "uv", upstream: str = ""
) -> Server:
    """The daemon, which serves what an option says, on one of Twisted's reactors."""
    twistd = (script("twistd"), "-n", "--pidfile=", f"--reactor={reactor}")
    uv = ("mynet.uvreactor", "uvloop") if reactor == "uv" else ()
    return Server(
        label,
        (*twistd, "mynet", option, value, "--listen", ENDPOINT),
        ("mynet", "twisted", *uv, *modules),
        upstream=upstream,
    )


def twisted_web(label: str, reactor: str, *what: str, upstream: str = "") -> Server:
    """A Site of twisted.web on one of Twisted's reactors."""
    command = (sys.executable, str(APPS / "twisted_app.py"), reactor, PORT, *what)
    uv = ("mynet.uvreactor", "uvloop") if reactor == "uv" else ()
    return Server(label, command, ("twisted", *uv), upstream=upstream)


def nginx(label: str, template: str, upstream: str = "") -> Server:
    """A worker of nginx with a configuration."""
    return Server(
        label,
        ("nginx", "-p", FOLDER, "-e", "stderr", "-c", f"{FOLDER}/config"),
        program="nginx",
        version_option="-v",
        template=template,
        upstream=upstream,
    )


def node(label: str, app: str, *arguments: str, package: str = "", upstream: str = "") -> Server:
    """A program of Node's."""
    return Server(
        label,
        ("node", str(APPS / app), PORT, *arguments),
        program="node",
        version_option="--version",
        package=package,
        upstream=upstream,
    )


def aiohttp(label: str, app: str, argument: str, upstream: str = "") -> Server:
    """A program of aiohttp's."""
    command = (sys.executable, str(APPS / app), PORT, argument)
    return Server(label, command, ("aiohttp", "uvloop"), upstream=upstream)


def uvicorn(label: str, app: str, *modules: str) -> Server:
    """Uvicorn with what makes it fast."""
    command = ("env", f"FILES={STATIC}", sys.executable, "-m", "uvicorn", *UVICORN.split(), app)
    return Server(label, command, ("uvicorn", "uvloop", "httptools", *modules))


def granian(label: str, interface: str, app: str, *options: str, module: str = "") -> Server:
    """Granian, with an application of that interface."""
    command = (sys.executable, "-m", "granian", *GRANIAN.split(), "--interface", interface)
    modules = ("granian", "uvloop", *([module] if module else []))
    return Server(label, (*command, *options, app), modules)


NO_PINGS = "86400"
"""Seconds until the first one."""

UVICORN = f"""
    --backlog 4096 --timeout-keep-alive 75 --no-access-log --log-level warning
    --ws-ping-interval {NO_PINGS} --loop uvloop --http httptools --port {PORT}
"""

GRANIAN = f"""
    --http 1 --loop uvloop --no-log --backlog 4096 --backpressure 16384
    --port {PORT}
"""

DAPHNE = f"-v 0 -e {ENDPOINT} --ping-interval {NO_PINGS}"

GUNICORN = f"""
    --worker-class gthread --threads 16 --backlog 4096 --keep-alive 75 --log-level warning
    --worker-connections 16384 --bind 127.0.0.1:{PORT}
"""

SERVERS: Mapping[str, Server] = {
    "mynet-uv": mynet("mynet, uv reactor", "--app", "mynet_app:app"),
    "mynet-epoll": mynet("mynet, epoll reactor", "--app", "mynet_app:app", reactor="epoll"),
    "mynet-coroutine": mynet("mynet, uv, coroutine", "--app", "mynet_app:coroutines"),
    "mynet-asgi": mynet("mynet, uv, plain ASGI", "--app", "asgi_app:app"),
    "mynet-asgi-asyncio": mynet(
        "mynet, asyncio, plain ASGI", "--app", "asgi_app:app", reactor="asyncio"
    ),
    "mynet-starlette": mynet("mynet, uv, Starlette", "--app", "starlette_app:app", "starlette"),
    "mynet-wsgi": mynet("mynet, uv, WSGI", "--app", "wsgi_app:app"),
    "mynet-static": mynet("mynet, uv, files", "--static", FILES),
    "mynet-proxy": mynet(
        "mynet, uv, proxy", "--proxy", f"http://127.0.0.1:{UPSTREAM}", upstream="nginx"
    ),
    "nginx": nginx("nginx", "nginx.conf"),
    "nginx-proxy": nginx("nginx, proxy_pass", "nginx_proxy.conf", "nginx"),
    "node": node("Node", "node_app.js"),
    "node-ws": node("Node, ws", "node_ws_app.js", package="ws"),
    "node-proxy": node(
        "Node, http-proxy", "node_proxy_app.js", UPSTREAM, package="http-proxy", upstream="nginx"
    ),
    "picows": Server(
        "picows",
        (sys.executable, str(APPS / "picows_app.py"), PORT),
        ("picows", "uvloop"),
    ),
    "granian": granian("Granian, RSGI", "rsgi", "rsgi_app:app"),
    "granian-asgi": granian("Granian, plain ASGI", "asginl", "asgi_app:app"),
    "granian-starlette": granian(
        "Granian, Starlette", "asgi", "starlette_app:app", module="starlette"
    ),
    "granian-wsgi": granian("Granian, WSGI", "wsgi", "wsgi_app:app"),
    "granian-static": granian(
        "Granian, files", "rsgi", "rsgi_app:app", "--static-path-mount", STATIC
    ),
    "uvicorn": uvicorn("Uvicorn, plain ASGI", "asgi_app:app", "websockets"),
    "starlette": uvicorn("Uvicorn, Starlette", "starlette_app:app", "starlette"),
    "starlette-static": uvicorn(
        "Uvicorn, Starlette's files", "starlette_static_app:app", "starlette"
    ),
    "gunicorn": Server(
        "Gunicorn, threads",
        (sys.executable, "-m", "gunicorn", *GUNICORN.split(), "wsgi_app:app"),
        ("gunicorn",),
    ),
    "aiohttp": aiohttp("aiohttp", "aiohttp_app.py", STATIC),
    "aiohttp-proxy": aiohttp("aiohttp, proxy", "aiohttp_proxy_app.py", UPSTREAM, "nginx"),
    "twisted-uv": twisted_web("twisted.web, uv reactor", "uv"),
    "twisted-epoll": twisted_web("twisted.web, epoll reactor", "epoll"),
    "twisted-wsgi": twisted_web("twisted.web, WSGI", "epoll", "wsgi"),
    "twisted-static": twisted_web("twisted.web, files", "epoll", "files", FILES),
    "twisted-proxy": twisted_web(
        "twisted.web, proxy", "epoll", "proxy", UPSTREAM, upstream="nginx"
    ),
    "twisted-ws": Server(
        "twisted websocket, epoll",
        (sys.executable, str(APPS / "twisted_ws_app.py"), "epoll", PORT),
        ("twisted", "twisted.web.websocket", "wsproto"),
    ),
    "daphne": Server(
        "Daphne, plain ASGI",
        (sys.executable, "-m", "daphne", *DAPHNE.split(), "asgi_app:app"),
        ("daphne",),
    ),
}
"""All of them, by the names that the command line takes."""
