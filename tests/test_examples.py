"""Each example, run as its reader would run it, and asked by a real client."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, unix_connect

from tests.child import PACKAGE
from tests.integration.serving import read_answer

EXAMPLES = Path(__file__).parent.parent / "examples"

PATIENCE = 60.0
"""Seconds that anything may take on a slow machine."""

PROGRAM = """
import sys
from twisted.internet import reactor
from twisted.internet.task import react
from twisted_program import main
reactor.callWhenRunning(print, "Serving", flush=True)
react(main, sys.argv[1:])
"""
"""What the end of twisted_program.py does, with other endpoints; and it says when it serves."""


class Running:
    """Python in the background."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._output = b""

    def wait_until_it_serves(self) -> None:
        """Read what it says until it says so."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while b"Serving" not in self._output:
            left = max(0, deadline - time.monotonic())
            readable, _, _ = select.select([self._process.stdout], [], [], left)
            said = os.read(self._process.stdout.fileno(), 65536) if readable else b""
            assert said, self._output.decode()
            self._output += said

    def connect(self, path: Path) -> socket.socket:
        """A connection to a UNIX socket."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(str(path))
        return client

    def http(self, path: Path) -> HTTPConnection:
        """A client of a UNIX socket."""
        client = HTTPConnection("localhost")
        client.sock = self.connect(path)
        client.auto_open = 0
        return client

    def stop(self) -> None:
        """Tell it to end, and see that it does in good order."""
        self._process.terminate()
        said = self._output + self._process.communicate(timeout=PATIENCE)[0]
        assert self._process.returncode == 0, said.decode()
        assert b"Traceback" not in said, said.decode()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where examples run. (The path of a UNIX socket may not be as long as others.)"""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    """Run Python with these arguments in a folder, until it is stopped."""
    path = os.pathsep.join([str(PACKAGE.parent), str(EXAMPLES)])
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            program = Running(process)
            program.wait_until_it_serves()
            yield program
        finally:
            process.kill()


@contextmanager
def served(folder: Path, app: str, **environment: str) -> Iterator[HTTPConnection]:
    """A client of an example that is an app, which is stopped at the end."""
    listen = f"unix:{folder / 'socket'}"
    options = ["-m", "mynet", "--app", app, "--listen", listen]
    with running(folder, *options, **environment) as program:
        with closing(program.http(folder / "socket")) as client:
            yield client
        program.stop()


def ask(
    client: HTTPConnection, method: str, path: str, body: bytes | Iterator[bytes] | None = None
) -> tuple[int, bytes]:
    client.request(method, path, body)
    response = client.getresponse()
    return response.status, response.read()


def test_hello(folder):
    """It says hello."""
    with served(folder, "hello:app") as client:
        assert ask(client, "GET", "/") == (200, b"Hello, World!\n")
        assert ask(client, "GET", "/hello/Ada") == (200, b'{"hello":"Ada"}')


def test_upload(folder):
    """It keeps what is sent, and gives it back."""
    pieces = [bytes([number]) * 100_000 for number in range(50)]
    with served(folder, "upload:app") as client:
        status, answer = ask(client, "PUT", "/files/large.bin", iter(pieces))
        assert (status, json.loads(answer)) == (201, {"name": "large.bin", "size": 5_000_000})
        assert ask(client, "GET", "/files/large.bin") == (200, b"".join(pieces))
        assert ask(client, "GET", "/files/other.bin")[0] == 404
        for name in ("..", "%2e%2e%2flog", ".hidden", "a%00", "a" * 101):
            assert ask(client, "PUT", f"/files/{name}", b"bad")[0] in (400, 404)
    assert [path.name for path in (folder / "uploads").iterdir()] == ["large.bin"]


def test_upload_breaks_off(folder):
    """Of a file that never was whole, nothing stays."""
    options = ["-m", "mynet", "--app", "upload:app", "--listen", f"unix:{folder / 'socket'}"]
    with running(folder, *options) as program:
        with program.connect(folder / "socket") as client:
            head = b"PUT /files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
            client.sendall(head + b"body")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
        program.stop()
    assert list((folder / "uploads").iterdir()) == []


def test_stream(folder):
    """Events come one by one, for as long as they are read."""
    with served(folder, "stream:app") as client:
        assert b"EventSource" in ask(client, "GET", "/")[1]
        client.request("GET", "/ticks")
        response = client.getresponse()
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = [response.readline() for _ in range(4)]
        assert lines == [b"data: 0\n", b"\n", b"data: 1\n", b"\n"]


class Source(BaseHTTPRequestHandler):
    """A page with a title; another without."""

    def do_GET(self) -> None:
        page = b"<title>\nCaf&eacute;s\n</title>" if self.path == "/page" else b"nothing"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def source() -> Iterator[str]:
    """The URL of such pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("page", "status", "answer"),
    [
        ("/page", 200, "Cafés\n"),
        ("/none", 502, "502 Bad Gateway\nThe page has no title.\n"),
        (None, 502, "502 Bad Gateway\nThe page cannot be had.\n"),
    ],
)
def test_deferred(folder, source, page, status, answer):
    """It asks another server, and says so if that does not answer as it should."""
    url = "http://127.0.0.1:1/" if page is None else source + page  # port 1: nobody is there
    with served(folder, "deferred:app", SOURCE=url) as client:
        assert ask(client, "GET", "/title") == (status, answer.encode())


def test_ticker(folder):
    """All who watch see a price change, and who comes later sees how it is."""
    with served(folder, "ticker:app") as client:
        assert b"new WebSocket" in ask(client, "GET", "/")[1]
        with watching(folder) as first, watching(folder) as second:
            assert ask(client, "POST", "/prices/apples", b"1.25") == (200, b'{"watching":2}')
            with watching(folder) as third:
                for each in (first, second, third):
                    price = json.loads(each.recv(PATIENCE))
                    assert price == {"name": "apples", "price": 1.25}
        assert ask(client, "POST", "/prices/apples", b"cheap")[0] == 400


def watching(folder: Path) -> ClientConnection:
    """Somebody who watches the ticker."""
    return unix_connect(str(folder / "socket"), "ws://localhost/prices")


def test_hosting(folder):
    """A route, an ASGI application, a resource and files answer, each in its place."""
    with served(folder, "hosting:app") as client:
        status, clock = ask(client, "GET", "/clock")
        assert (status, len(clock)) == (200, len("12:34:56\n"))
        assert ask(client, "POST", "/upper/", b"hello") == (200, b"HELLO")
        greetings = [ask(client, "GET", "/guests/Ada")[1] for _ in range(2)]
        assert greetings == [b"Hello, Ada, for the %d. time.\n" % number for number in (1, 2)]
        assert b"hosting.py" in ask(client, "GET", "/source/")[1]
        assert ask(client, "GET", "/source/hosting.py")[1].startswith(b'"""Three kinds')


def test_gateway(folder, source):
    """What is asked goes to the server behind, and is counted."""
    with served(folder, "gateway:app", BACKENDS=source) as client:
        assert ask(client, "GET", "/page")[1] == b"<title>\nCaf&eacute;s\n</title>"
        assert json.loads(ask(client, "GET", "/gateway/counts")[1]) == {"requests": 1, "200": 1}


def test_gateway_without_backend(folder):
    """Who asks a server that is not there is told so."""
    with served(folder, "gateway:app", BACKENDS="http://127.0.0.1:1") as client:
        assert ask(client, "GET", "/page")[0] in (502, 503)


LATER = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What has been said, and what is said next: who has the first answer waits for the second."""


def test_twisted_program(folder):
    """What is said on either side is heard on both."""
    web, chat = folder / "web", folder / "chat"
    with running(folder, "-c", PROGRAM, f"unix:{web}", f"unix:{chat}") as program:
        with (
            program.connect(chat) as member,
            member.makefile("rb") as heard,
            program.connect(web) as listener,
            listener.makefile("rb") as answers,
            closing(program.http(web)) as client,
        ):
            member.sendall(b"Hello, web\r\n")
            assert heard.readline() == b"Hello, web\n"
            listener.sendall(LATER)
            assert read_answer(answers).body == b"Hello, web\n"
            assert ask(client, "POST", "/", b"Hello,\nall") == (204, b"")
            assert heard.readline() == b"Hello, all\n"
            assert read_answer(answers).body == b"Hello, all\n"
            assert ask(client, "GET", "/") == (200, b"Hello, web\nHello, all\n")
        program.stop()


def test_twisted_program_ends(folder):
    """When it is stopped, who waits is answered, and told that this was the last."""
    web, chat = folder / "web", folder / "chat"
    with (
        running(folder, "-c", PROGRAM, f"unix:{web}", f"unix:{chat}") as program,
        program.connect(chat) as member,
        program.connect(web) as listener,
        listener.makefile("rb") as answers,
    ):
        listener.sendall(LATER)
        assert read_answer(answers).status == 200
        program.stop()
        answer = read_answer(answers)
        assert (answer.status, answer.headers["Connection"]) == (204, "close")
        assert answers.read() == b""
        assert member.recv(1) == b""
