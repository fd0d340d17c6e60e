"""Applications served by mynet in processes of their own, whose reactors run a loop of asyncio's.

The modules of these applications are in `apps/`: a file for each framework, some of which are
global to their processes. Clients block, and their calls take no longer than `TIMEOUT` seconds.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, NamedTuple

import pytest
from multidict import CIMultiDict
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.child import PACKAGE, python_running
from tests.integration.serving import DIRECT, TIMEOUT

APPS = Path(__file__).parent / "apps"

PLUGIN = Path(__file__).parents[2] / "twisted_plugins" / "mynet_plugin.py"

DEADLINE = 2 * TIMEOUT
"""Seconds after which a server is killed, and what waits for it fails."""

ANYWHERE = "--listen=tcp:0:interface=127.0.0.1"

HOW = {
    "uv": ["-m", "mynet", ANYWHERE],
    "asyncio": ["-m", "twisted", "--log-format=text", "--reactor=asyncio", "mynet", ANYWHERE],
}
"""The reactors that applications of asyncio's run on, and how to have them."""

on_each_reactor = pytest.fixture(scope="module", params=HOW)
"""Decorate a fixture of a server that is to run on each of them, one after the other."""


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def text(self) -> str:
        """Its body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Its body, which is JSON."""
        return json.loads(self.body)


class Child:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log = ""
        found = self.read_until(r"Serving .* on http://127\.0\.0\.1:(\d+)/")
        self.port = int(found[1])

    @property
    def authority(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.port}"

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read its log up to a line in which this is found."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log += line
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} is not in the log:\n{self.log}")

    def terminate(self) -> None:
        """Tell it to end."""
        self.process.terminate()

    def end(self) -> int:
        """Wait for its end: its exit status."""
        assert self.process.stdout is not None
        self.log += self.process.stdout.read()
        return self.process.wait()

    # Clients

    def connect(self) -> http.client.HTTPConnection:
        """A connection of a client."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request on a connection of its own; a body that is iterated goes in chunks."""
        connection = self.connect()
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        answer = Answer(response.status, CIMultiDict(response.getheaders()), response.read())
        connection.close()
        return answer

    def get(self, target: str) -> Answer:
        """GET."""
        return self.request("GET", target)

    def post_json(self, target: str, value: object) -> Answer:
        """POST a value in JSON."""
        fields = {"Content-Type": "application/json"}
        return self.request("POST", target, json.dumps(value), fields)

    def websocket(self, target: str, *subprotocols: str, **options: Any) -> ClientConnection:
        """Open a WebSocket, which waits no longer for anything than everybody else does."""
        offered = [Subprotocol(each) for each in subprotocols] or None
        opened: ClientConnection = connect(
            f"ws://{self.authority}{target}",
            subprotocols=offered,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            **DIRECT,
            **options,
        )
        return opened


def eventually(condition: Callable[[], object]) -> None:
    """Ask until it is so; what asks takes its time by itself."""
    deadline = monotonic() + TIMEOUT
    while not condition():
        assert monotonic() < deadline, "it is not so"


def closed(socket: ClientConnection) -> tuple[int, str]:
    """With what the server closes a WebSocket, on which nothing else comes before."""
    with pytest.raises(ConnectionClosed) as raised:
        socket.recv(TIMEOUT)
    assert raised.value.rcvd is not None
    return raised.value.rcvd.code, raised.value.rcvd.reason


def multipart(boundary: str, **files: tuple[str, bytes]) -> bytes:
    """A form with files: of each its name, and what is in it."""
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%b\r\n"
        % (boundary.encode(), field.encode(), name.encode(), content)
        for field, (name, content) in files.items()
    ]
    return b"".join(parts) + b"--%b--\r\n" % boundary.encode()


@contextmanager
def child(app: str, how: str = "uv", *options: str) -> Iterator[Child]:
    """Serve an application until the end of the `with`.

    Args:
        app: `MODULE:ATTRIBUTE` in the folder of applications.
        how: One of `HOW`.
        options: More of them.
    """
    with TemporaryDirectory() as folder:
        plugins = Path(folder, "twisted", "plugins")  # where twist finds mynet's
        plugins.mkdir(parents=True)
        shutil.copy(PLUGIN, plugins)
        path = os.pathsep.join([str(PACKAGE.parent), folder])
        with python_running(
            *HOW[how],
            f"--app={app}",
            *options,
            cwd=APPS,
            deadline=DEADLINE,
            environment=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        ) as process:
            yield Child(process)
