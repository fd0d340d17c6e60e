"""Autobahn|Testsuite, which needs Python 2.7: found, installed, and run against mynet.

Nothing that it needs is released for that Python any more, so what is installed stays as it is.
Both of its sides are bound to the loopback interface. Only processes that were started here are
ended here, and all of them are.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import mynet
from tests.conformance.autobahn_cases import Report, read_report

SUITE = "autobahntestsuite==0.8.2"

ROOT = Path(__file__).parents[2]

LIMIT = 2400.0
"""Seconds that all cases may take. Mostly it is the suite that takes them."""

READY_LIMIT = 60.0
"""Seconds until a server listens."""

INDEX = "index.json"
"""The file with all outcomes, which the suite writes at the end."""

WSTEST = """
import functools
from autobahntestsuite import fuzzing, wstest
fuzzing.listenWS = functools.partial(fuzzing.listenWS, interface="127.0.0.1")
wstest.run()
"""


class SuiteError(Exception):
    """The suite, or what it tests, could not be run to its end."""


def find_python(candidates: Sequence[str] = ()) -> str | None:
    """A Python 2.7 that works, and has pip."""
    installed = sorted(Path.home().glob(".pyenv/versions/2.7*/bin/python"), reverse=True)
    for candidate in candidates or ("python2.7", *map(str, installed)):
        tried = [candidate, "-c", "import pip, sys; print(sys.version_info[:2] == (2, 7))"]
        try:
            run = subprocess.run(tried, env=environment(), capture_output=True, check=False)
        except OSError:
            continue
        if run.stdout.strip() == b"True":
            return candidate
    return None


def environment(**added: str) -> dict[str, str]:
    """The variables of this process, but for what is meant for the Python that runs it.

    A level of PIP_QUIET above 1 is not understood by the last pip for Python 2.7.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.pop("PIP_QUIET", None)
    return kept | added


class Program:
    """A process that runs, and the file with what it prints."""

    def __init__(
        self, name: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self._printed = folder / f"{name}.txt"
        with self._printed.open("wb") as stream:
            self._process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def is_running(self) -> bool:
        return self._process.poll() is None

    def printed(self) -> str:
        """The last of what it has printed."""
        return self._printed.read_text(errors="replace")[-4000:]

    def wait_for(self, condition: Callable[[], bool], limit: float) -> None:
        """Wait while this program must go on.

        Raises:
            SuiteError: It has ended, or the time is over.
        """
        end = time.monotonic() + limit
        while not condition():
            if not self.is_running():
                raise SuiteError(f"{self.name} has ended:\n{self.printed()}")
            if time.monotonic() > end:
                raise SuiteError(f"{self.name}: no end after {limit:.0f} s:\n{self.printed()}")
            time.sleep(0.05)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), READY_LIMIT).close()
    except ConnectionRefusedError:
        return False
    return True


class Suite:
    """The suite, installed in a folder as if these were the user's own packages."""

    def __init__(self, python: str, folder: Path, reactor: str) -> None:
        self._python = python
        self._folder = folder.resolve()
        self._variables = environment(PYTHONUSERBASE=str(self._folder), PYTHONWARNINGS="ignore")
        self._reactor = reactor

    def install(self) -> None:
        """Install it, unless that has been done.

        Raises:
            SuiteError: It cannot be done.
        """
        done = self._folder / "installed"
        if done.exists():
            return
        pip = [self._python, "-m", "pip", "install", "--user", "--ignore-installed", SUITE]
        run = subprocess.run(pip, env=self._variables, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SuiteError(f"{SUITE} cannot be installed:\n{(run.stdout + run.stderr)[-4000:]}")
        done.touch()

    def run_server(self, agent: str, path: str, cases: Sequence[str], folder: Path) -> Report:
        """Test a path of mynet's server; a folder gets the reports.

        Raises:
            SuiteError: It could not be run to its end.
        """
        port = free_port()
        servers = [{"agent": agent, "url": f"ws://127.0.0.1:{port}{path}"}]
        with self._mynet("serve", str(port), folder=folder) as server:
            server.wait_for(lambda: listens(port), READY_LIMIT)
            with self._wstest("fuzzingclient", cases, folder, servers=servers) as suite:
                server.wait_for(lambda: not suite.is_running(), LIMIT)
                return result(server, suite, folder)

    def run_client(self, agent: str, cases: Sequence[str], folder: Path) -> Report:
        """Test mynet's client; a folder gets the reports.

        Raises:
            SuiteError: It could not be run to its end.
        """
        port = free_port()
        url = f"ws://127.0.0.1:{port}"
        with self._wstest("fuzzingserver", cases, folder, url=url) as suite:
            suite.wait_for(lambda: listens(port), READY_LIMIT)
            with self._mynet("connect", url, agent, folder=folder) as client:
                suite.wait_for(lambda: not client.is_running(), LIMIT)
                return result(client, suite, folder)

    def _mynet(self, *arguments: str, folder: Path) -> Program:
        command = [sys.executable, "-m", "tests.conformance.autobahn_echo", self._reactor]
        package = str(Path(mynet.__path__[0]).parent)
        variables = os.environ | {"PYTHONPATH": package}
        return Program("mynet", [*command, *arguments], variables, folder)

    def _wstest(self, mode: str, cases: Sequence[str], folder: Path, **rest: object) -> Program:
        specification = {"cases": cases, "outdir": str(folder.resolve()), **rest}
        (folder / INDEX).unlink(missing_ok=True)
        file = folder / "specification.json"
        file.write_text(json.dumps(specification))
        arguments = ["--mode", mode, "--spec", str(file.resolve()), "--webport", "0"]
        return Program(
            "the suite", [self._python, "-c", WSTEST, *arguments], self._variables, folder
        )


def result(tested: Program, suite: Program, folder: Path) -> Report:
    """What has come out.

    Raises:
        SuiteError: There is no report, or what was tested has printed something.
    """
    if tested.printed():
        raise SuiteError(f"mynet has printed something, and has no reason to:\n{tested.printed()}")
    index = folder / INDEX
    if not index.exists():
        raise SuiteError(f"the suite has ended without a report:\n{suite.printed()}")
    return read_report(index)
