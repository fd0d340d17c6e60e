"""Twisted's own tests on the uv reactor, test by test beside Twisted's asyncio reactor.

    python tests/conformance/twisted_suite.py

Whatever passes there passes here, and what is not skipped there is not skipped here. It needs what
Twisted's tests need (`pip install pyhamcrest`). Its exit status is 1 if a test is worse here; the
few that depend on time get a second chance on both reactors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import mynet

LIMIT = 600
"""Seconds that one run may take."""

PLUGIN = Path(__file__).parents[2] / "twisted_plugins" / "mynet_plugin.py"

OURS, THEIRS = "uv", "asyncio"

SUITES = {
    "reactor": ["twisted.internet.test"],
    "programs": [
        "twisted.web",
        "twisted.test.test_tcp",
        "twisted.test.test_ssl",
        "twisted.protocols",
    ],
}
"""What is run: the tests of reactors, which build each their own, and those of what runs on one."""

BUILT = {
    OURS: "mynet.uvreactor.UVReactor",
    THEIRS: "twisted.internet.test.reactormixins.AsyncioSelectorReactor",
}

TRIAL = """
import json, sys
from twisted.trial import reporter

outcomes = {}

class Recording(reporter.VerboseTextReporter):
    def _note(self, outcome, test):
        if outcomes.get(test.id()) not in ("error", "failure"):
            outcomes[test.id()] = outcome
    def startTest(self, test):
        outcomes.setdefault(test.id(), "unfinished")
        super().startTest(test)
    def addSuccess(self, test):
        self._note("success", test)
        super().addSuccess(test)
    def addError(self, test, error):
        self._note("error", test)
        super().addError(test, error)
    def addFailure(self, test, failure):
        self._note("failure", test)
        super().addFailure(test, failure)
    def addSkip(self, test, reason):
        self._note("skip", test)
        super().addSkip(test, reason)
    def addExpectedFailure(self, test, *rest):
        self._note("expected failure", test)
        super().addExpectedFailure(test, *rest)
    def addUnexpectedSuccess(self, test, *rest):
        self._note("unexpected success", test)
        super().addUnexpectedSuccess(test, *rest)

reporter.VerboseTextReporter = Recording
file, built, *arguments = sys.argv[1:]
if built:
    from twisted.internet.test import reactormixins
    reactormixins.DEFAULT_TIMEOUT_DURATION = 30
    reactormixins.ReactorBuilder._reactors = [built]
sys.argv = ["trial", "--reporter=bwverbose", *arguments]
from twisted.scripts.trial import run
try:
    run()
finally:
    with open(file, "w") as stream:
        json.dump(outcomes, stream)
"""

FAILED = {"error", "failure", "unfinished", "unexpected success"}

Outcomes = Mapping[str, str]
"""By the name of a test; its class has a reactor's name, where it is of a reactor's."""


class Mismatch(NamedTuple):
    """A test that is worse on our reactor."""

    test: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.test}: {self.ours}, but {self.theirs} on {THEIRS}"


def common(test: str) -> str:
    """The name of a test without that of its reactor."""
    for built in BUILT.values():
        test = test.replace(f"_{built.rpartition('.')[2]}Tests.", "_ReactorTests.")
    return test


def mismatches(ours: Outcomes, theirs: Outcomes) -> list[Mismatch]:
    """The tests that are worse on our reactor than on theirs."""
    here = {common(test): outcome for test, outcome in ours.items()}
    there = {common(test): outcome for test, outcome in theirs.items()}
    compared = (
        Mismatch(test, here.get(test, "missing"), there.get(test, "missing"))
        for test in sorted(here.keys() | there.keys())
    )
    return [each for each in compared if is_worse(each.ours, each.theirs)]


def is_worse(ours: str, theirs: str) -> bool:
    """Whether a test's outcome on our reactor is worse."""
    if ours in {*FAILED, "missing"}:
        return theirs not in FAILED
    return ours == "skip" and theirs not in {"skip", "missing"}


def named(mismatched: Iterable[Mismatch], outcomes: Outcomes) -> list[str]:
    """The full names, in these outcomes, of the tests that are mismatched."""
    wanted = {each.test for each in mismatched}
    return [test for test in outcomes if common(test) in wanted]


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Variables of a process in which trial finds our reactor, though we may not be installed."""
    package = Path(mynet.__path__[0]).parent
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(package)]
        if not (package / "twisted" / "plugins" / PLUGIN.name).exists():
            plugins = Path(folder) / "twisted" / "plugins"
            plugins.mkdir(parents=True)
            (plugins / PLUGIN.name).write_text(PLUGIN.read_text())
            paths.append(folder)
        yield os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def run(suite: str, reactor: str, tests: list[str]) -> Outcomes:
    """Run tests on a reactor.

    Raises:
        SystemExit: They cannot be run, or do not end.
    """
    built = BUILT[reactor] if suite == "reactor" else ""
    options = [] if built else [f"--reactor={reactor}"]
    with environment() as variables, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes"
        options += [f"--temp-directory={folder}/trial", *tests]
        try:
            trial = subprocess.run(
                [sys.executable, "-c", TRIAL, str(file), built, *options],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode(errors="replace")
            sys.exit(f"{output[-2000:]}\n{suite} on {reactor}: no end after {LIMIT} s")
        outcomes: Outcomes = json.loads(file.read_text()) if file.exists() else {}
        if "success" not in outcomes.values() and not FAILED & set(outcomes.values()):
            output = trial.stdout.decode(errors="replace")
            sys.exit(f"{output[-2000:]}\n{suite} on {reactor}: nothing was tested")
    return outcomes


def compare(suite: str) -> list[Mismatch]:
    """The tests of a suite that are worse on our reactor, at the second try, too."""
    tests = SUITES[suite]
    outcomes = {reactor: run(suite, reactor, tests) for reactor in (THEIRS, OURS)}
    found = mismatches(outcomes[OURS], outcomes[THEIRS])
    if found:
        say(*found, "once more:")
        again = {
            reactor: run(suite, reactor, names)
            for reactor, names in ((each, named(found, outcomes[each])) for each in outcomes)
            if names
        }
        found = mismatches(again.get(OURS, {}), again.get(THEIRS, {}))
    counts = {each: len(outcomes[each]) for each in outcomes}
    passed = list(outcomes[OURS].values()).count("success")
    say(
        f"{suite}: {counts[OURS]} tests on {OURS}, {counts[THEIRS]} on {THEIRS}; "
        f"{passed} pass, {len(found)} are worse here"
    )
    return found


def say(*lines: object) -> None:
    """Tell whoever runs this."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main() -> int:
    """Run all, and tell what is worse."""
    worse = [each for suite in SUITES for each in compare(suite)]
    say(*worse)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
