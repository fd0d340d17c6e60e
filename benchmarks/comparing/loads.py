"""The load generator: load.c, compiled by this machine's C compiler.

One in Python would be slower than many a server, and so the server's figure would be its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.comparing.errors import MeasurementError, UsageError

SOURCE = Path(__file__).with_name("load.c")
COMPILER = "cc"

RESULT = re.compile(r"answers (\d+) seconds ([\d.]+) cpu ([\d.]+)\n")

BROWSER = """\
Cache-Control: max-age=0
sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24", "Google Chrome";v="131"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Linux"
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Sec-Fetch-User: ?1
Sec-Fetch-Dest: document
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=8f14e45fceea167a5a36dedd4bea2543; csrftoken=Zm9vYmFyYmF6cXV4; theme=dark
"""
"""The 14 fields, besides Host, that a browser sends with a request for a page."""

CLOSE = "Connection: close\n"
"""The field that asks for a connection of each request's own."""

UPGRADE = """\
Connection: Upgrade
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
"""
"""The fields that ask for a WebSocket; the key is that of RFC 6455. No compression is offered."""


FILLING = "What is long is made of this sentence, which has 64 characters.\n"
"""Of files and streams: the apps in asgi_app.py have it as well."""


class Load(NamedTuple):
    """What is asked for, and how; NUMBER in it differs from request to request."""

    path: str = "/"
    body: str = "Hello, World!"
    fields: str = ""
    connections: int = 64
    idle: int = 0
    kind: str = ""
    """Of messages on WebSockets: text, binary or fanout; else long or upload, or nothing.

    load.c tells what each is."""
    size: int = 0
    """Of what has a kind, in bytes: it is `body` over and over."""

    @property
    def on_websockets(self) -> bool:
        """Whether messages are sent."""
        return self.kind in ("text", "binary", "fanout")

    def request(self) -> str:
        """The request as it is sent, but for the body of an upload."""
        method, length = "GET", ""
        if self.kind == "upload":
            method, length = "POST", f"Content-Length: {self.size}\n"
        head = f"{method} {self.path} HTTP/1.1\nHost: 127.0.0.1\n{self.fields}{length}\n"
        return head.replace("\n", "\r\n")

    def uploaded(self) -> bytes:
        """The body of the request."""
        return repeat(self.body, self.size) if self.kind == "upload" else b""

    def answer(self) -> bytes:
        """The body of the right answer."""
        return repeat(self.body, self.size) if self.kind == "long" else self.body.encode()

    def arguments(self, port: int) -> list[str]:
        """Those of the generator."""
        figures = [str(figure) for figure in (port, self.connections, self.idle)]
        kind = [self.kind, str(self.size)] if self.kind else []
        return [*figures, self.request(), self.body, *kind]


def repeat(text: str, size: int) -> bytes:
    """So many bytes of a text, over and over."""
    return (text.encode() * (size // len(text) + 1))[:size]


class Outcome(NamedTuple):
    """What a load came to."""

    answers: int
    seconds: float
    cpu: float
    """The processor time of the generator, in seconds."""


def parse(output: str) -> Outcome:
    """Read the result that the generator prints.

    Raises:
        MeasurementError: That is not one, or nothing was answered.
    """
    found = RESULT.fullmatch(output)
    if not found:
        raise MeasurementError(f"the load generator says {output!r}")
    outcome = Outcome(int(found[1]), float(found[2]), float(found[3]))
    if not outcome.answers:
        raise MeasurementError("it answers nothing under load")
    return outcome


def build(folder: Path) -> Path:
    """Compile the generator into a folder.

    Raises:
        UsageError: There is no compiler, or it does not.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise UsageError(
            f"the load generator is compiled, which needs a C compiler as {COMPILER!r}"
        )
    program = folder / "load"
    command = [compiler, "-O2", "-o", str(program), str(SOURCE)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise UsageError(f"the load generator cannot be compiled: {run.stderr.strip()[:200]}")
    return program


class Generator:
    """A generator that has its idle connections, and waits to be told what to do."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self) -> str:
        """Wait for the next line.

        Raises:
            MeasurementError: An answer was wrong, or a connection was closed.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if line := self._process.stdout.readline():
            return line
        complaint = self._process.stderr.read().strip()
        raise MeasurementError(complaint or "the load generator had to wait too long")

    def run(self, seconds: float) -> Outcome:
        """Ask for some time.

        Raises:
            MeasurementError: An answer was wrong, or a connection was closed.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it tells why
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        return parse(self.read())


@contextmanager
def generator(program: Path, load: Load, port: int) -> Iterator[Generator]:
    """Start one, which is ended when it is not needed any more.

    Raises:
        MeasurementError: Its idle connections were not answered.
    """
    with subprocess.Popen(
        [str(program), *load.arguments(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            started = Generator(process)
            started.read()
            yield started
        finally:
            process.kill()
