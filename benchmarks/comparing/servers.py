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

APPS = Path(__file__).parent.parent / "apps"

PORT = "{port}"
FOLDER = "{folder}"
"""In a command: a temporary folder. If there is a template, `config` in it is made of that."""


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
    """The file of `APPS` which its configuration is made of."""

    def missing(self) -> str:
        """The first of its needs that is not installed, or nothing."""
        if self.program and shutil.which(self.program) is None:
            return self.program
        if self.package and not package_version(self.package):
            return f"{self.package} for {self.program}"
        return next((name for name in self.modules if not is_installed(name)), "")

    def start_command(self, port: int, folder: Path) -> list[str]:
        """How to start it on a port; its configuration is written into the folder."""
        if self.template:
            text = (APPS / self.template).read_text(encoding="utf-8")
            (folder / "config").write_text(text.replace("PORT", str(port)), encoding="utf-8")
        filled = (word.replace(PORT, str(port)) for word in self.command)
        return [word.replace(FOLDER, str(folder)) for word in filled]

    def versions(self) -> Mapping[str, str]:
        """What it is made of that has a version."""
        if not self.program:
            return dict(filter(None, map(version_of, self.modules)))
        run = subprocess.run(
            [self.program, self.version_option], capture_output=True, text=True, check=False
        )
        words = (run.stdout or run.stderr).split()
        found = {self.program: words[-1].rpartition("/")[2].removeprefix("v")} if words else {}
        return found | ({self.package: package_version(self.package)} if self.package else {})


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


def mynet(label: str, app: str, reactor: str, *modules: str) -> Server:
    """The daemon on one of Twisted's reactors."""
    twistd = (script("twistd"), "-n", "--pidfile=", f"--reactor={reactor}")
    return Server(
        label,
        (*twistd, "mynet", "--app", f"mynet_app:{app}", "--listen", ENDPOINT),
        ("mynet", "twisted", *modules),
    )


def twisted_web(reactor: str, *modules: str) -> Server:
    """A Site of twisted.web on one of Twisted's reactors."""
    command = (sys.executable, str(APPS / "twisted_app.py"), reactor, PORT)
    return Server(f"twisted.web, {reactor} reactor", command, ("twisted", *modules))


def uvicorn(label: str, app: str, *modules: str) -> Server:
    """Uvicorn with what makes it fast."""
    command = (sys.executable, "-m", "uvicorn", *UVICORN.split(), app)
    return Server(label, command, ("uvicorn", "uvloop", "httptools", *modules))


NO_PINGS = "86400"
"""Seconds until the first one."""

UVICORN = f"""
    --backlog 4096 --timeout-keep-alive 75 --no-access-log --log-level warning
    --ws-ping-interval {NO_PINGS} --loop uvloop --http httptools --port {PORT}
"""

GRANIAN = f"""
    --interface rsgi --http 1 --loop uvloop --no-log --backlog 4096 --backpressure 16384
    --port {PORT}
"""

DAPHNE = f"-v 0 -e {ENDPOINT} --ping-interval {NO_PINGS}"

SERVERS: Mapping[str, Server] = {
    "mynet-uv": mynet("mynet, uv reactor", "app", "uv", "mynet.uvreactor", "uvloop"),
    "mynet-epoll": mynet("mynet, epoll reactor", "app", "epoll"),
    "mynet-coroutine": mynet(
        "mynet, uv, coroutine", "coroutines", "uv", "mynet.uvreactor", "uvloop"
    ),
    "nginx": Server(
        "nginx",
        ("nginx", "-p", FOLDER, "-e", "stderr", "-c", f"{FOLDER}/config"),
        program="nginx",
        version_option="-v",
        template="nginx.conf",
    ),
    "node": Server(
        "Node",
        ("node", str(APPS / "node_app.js"), PORT),
        program="node",
        version_option="--version",
    ),
    "node-ws": Server(
        "Node, ws",
        ("node", str(APPS / "node_ws_app.js"), PORT),
        program="node",
        version_option="--version",
        package="ws",
    ),
    "picows": Server(
        "picows",
        (sys.executable, str(APPS / "picows_app.py"), PORT),
        ("picows", "uvloop"),
    ),
    "granian": Server(
        "Granian, RSGI",
        (sys.executable, "-m", "granian", *GRANIAN.split(), "rsgi_app:app"),
        ("granian", "uvloop"),
    ),
    "uvicorn": uvicorn("Uvicorn, plain ASGI", "asgi_app:app", "websockets"),
    "starlette": uvicorn("Uvicorn, Starlette", "starlette_app:app", "starlette"),
    "aiohttp": Server(
        "aiohttp",
        (sys.executable, str(APPS / "aiohttp_app.py"), PORT),
        ("aiohttp", "uvloop"),
    ),
    "twisted-uv": twisted_web("uv", "mynet.uvreactor", "uvloop"),
    "twisted-epoll": twisted_web("epoll"),
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
