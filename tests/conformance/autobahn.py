"""Autobahn|Testsuite, case by case, against mynet's WebSocket server and its client.

    python -m tests.conformance.autobahn

The suite's fuzzing client talks to a server of ours, and its fuzzing server to a client of ours.
All cases must come out as `autobahn_cases.py` has it. The programs under test, which echo, are in
`autobahn_echo.py`; if they print anything, say a traceback, that is a failure, too. The suite needs
a Python 2.7, into a folder of which it is installed for this run, or for all with `--suite FOLDER`.
Where there is none, nothing is tested, which is a failure only with `--required`.

Its exit status is 1 if anything is not as expected.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.autobahn_cases import Report, chosen, deviations
from tests.conformance.autobahn_suite import Suite, SuiteError, find_python

SERVERS = {"coroutine": "/", "protocol": "/protocol"}
"""The ways to write a server, and the paths of one echo of each kind."""

CLIENT = "client"

LONG = {"protocol": ["9.*", "12.*", "13.*"]}
"""Cases that take minutes, and do not depend on how a server is written: one way has to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Test what is asked for, and tell how it went."""
    options = parser().parse_args(arguments)
    if not wanted(options):
        parser().error("there are no such cases")
    python = find_python()
    if python is None:
        say("skipped: Autobahn|Testsuite needs Python 2.7 with pip, and there is none")
        return 1 if options.required else 0
    try:
        return tell(run(python, options), wanted(options))
    except SuiteError as error:
        say(error)
        return 1


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    made = argparse.ArgumentParser(prog="python -m tests.conformance.autobahn")
    made.add_argument("--server", action="store_true", help="test only the server")
    made.add_argument("--client", action="store_true", help="test only the client")
    made.add_argument("--cases", default="*", help="such as 1.*,6.4.1; all, if not told")
    made.add_argument("--reactor", choices=["uv", "default"], default="uv")
    made.add_argument("--suite", type=Path, help="a folder where the suite stays installed")
    made.add_argument("--reports", type=Path, help="a folder that keeps the suite's reports")
    made.add_argument("--required", action="store_true", help="a missing Python 2.7 is a failure")
    return made


def agents(options: argparse.Namespace) -> Iterator[str]:
    """What is tested, by name."""
    if options.server or not options.client:
        yield from SERVERS
    if options.client or not options.server:
        yield CLIENT


def wanted(options: argparse.Namespace) -> dict[str, list[str]]:
    """The cases that each agent has to go through."""
    patterns = options.cases.split(",")
    asked = {agent: chosen(patterns, LONG.get(agent, ())) for agent in agents(options)}
    return {agent: cases for agent, cases in asked.items() if cases}


def run(python: str, options: argparse.Namespace) -> Report:
    """Test all at once: each, and the suite with it, keeps one processor busy.

    Raises:
        SuiteError: One could not be run to its end.
    """
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor() as executor:
        suite = Suite(python, options.suite or Path(temporary, "suite"), options.reactor)
        suite.install()
        runs = []
        for agent, cases in wanted(options).items():
            folder = Path(options.reports or temporary, agent)
            folder.mkdir(parents=True, exist_ok=True)
            runs.append(executor.submit(_run_one, suite, agent, cases, folder))
        return {agent: cases for each in runs for agent, cases in each.result().items()}


def _run_one(suite: Suite, agent: str, cases: Sequence[str], folder: Path) -> Report:
    if agent in SERVERS:
        return suite.run_server(agent, SERVERS[agent], cases, folder)
    return suite.run_client(agent, cases, folder)


def tell(report: Report, expected: Mapping[str, Sequence[str]]) -> int:
    """Tell how many cases came out how, and each that is not as expected."""
    for agent, cases in report.items():
        counts = Counter(map(str, cases.values())).most_common()
        outcomes = "; ".join(f"{count} {outcome}" for outcome, count in counts)
        say(f"{agent}: {len(cases)} cases: {outcomes}")
    found = deviations(report, expected)
    say(*found)
    say(f"{len(found)} not as expected" if found else "all as expected")
    return 1 if found else 0


def say(*lines: object) -> None:
    """Tell whoever runs this."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
