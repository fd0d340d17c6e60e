"""The daemon in a process of its own: how it is run, and what is asked of it there."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
from typing import IO

TWISTD = "from twisted.scripts.twistd import run; run()"
FOREGROUND = {
    "twistd": ["-c", TWISTD, "-n", "mynet"],
    "twistd on Twisted's reactor": ["-c", TWISTD, "-n", "--reactor=default", "mynet"],
    "twist": ["-m", "twisted", "--log-format=text", "mynet"],
    "module": ["-m", "mynet"],
}
DAEMON = ["-c", TWISTD, "mynet"]

DEADLINE = 30
"""Seconds after which a process that hangs is killed, and its test fails."""

ANYWHERE = "--listen=tcp:0:interface=127.0.0.1"


class Running:
    """A server in the foreground, and what it logs."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str] | None = None) -> None:
        self.process = process
        self._lines = log or process.stdout
        self.log = ""
        self.port = 0

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read the log up to a line in which this is found."""
        assert self._lines is not None
        for line in self._lines:
            self.log += line
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} is not in the log:\n{self.log}")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def get(self, target: str) -> tuple[int, str]:
        connection = self.connect()
        connection.request("GET", target)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body

    def signal(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for its end: its exit status."""
        assert self.process.stdout is not None
        self.log += self.process.stdout.read()
        return self.process.wait()
