"""The comparing of Twisted's tests on two reactors: that it can fail, and when."""

from __future__ import annotations

import pytest

from tests.conformance import twisted_suite
from tests.conformance.twisted_suite import Mismatch, common, compare, main, mismatches, named

TEST = "twisted.internet.test.test_tcp.PortTests_{}Tests.test_it"
OURS, THEIRS = TEST.format("UVReactor"), TEST.format("AsyncioSelectorReactor")
COMMON = TEST.format("Reactor")


def test_names():
    """A test is the same one on both reactors, and no other."""
    assert common(OURS) == common(THEIRS) == COMMON
    other = "twisted.internet.test.test_asyncioreactor.AsyncioSelectorReactorTests.test_it"
    assert common(other) == other


OUTCOMES = [
    ("success", "success", True),
    ("success", "failure", True),
    ("success", "skip", True),
    ("failure", "failure", True),
    ("failure", "error", True),
    ("failure", "success", False),
    ("error", "success", False),
    ("error", "skip", False),
    ("unfinished", "success", False),
    ("missing", "success", False),
    ("missing", "skip", False),
    ("skip", "skip", True),
    ("skip", "success", False),
    ("skip", "failure", False),
    ("expected failure", "expected failure", True),
    ("unexpected success", "expected failure", False),
]


@pytest.mark.parametrize(("ours", "theirs", "is_fine"), OUTCOMES)
def test_outcomes(ours, theirs, is_fine):
    """A test that passes there must pass here, and one that is run there be run here."""
    here = {} if ours == "missing" else {OURS: ours}
    expected = [] if is_fine else [Mismatch(COMMON, ours, theirs)]
    assert mismatches(here, {THEIRS: theirs}) == expected


def test_tests_of_our_own():
    """A test that there is only here must not fail."""
    assert mismatches({OURS: "success"}, {}) == mismatches({OURS: "skip"}, {}) == []
    assert mismatches({OURS: "error"}, {}) == [Mismatch(COMMON, "error", "missing")]


def test_named():
    """What is tried again goes by the name that it has on the reactor."""
    found = [Mismatch(COMMON, "error", "success")]
    assert named(found, {OURS: "error", "other.test_it": "success"}) == [OURS]
    assert named(found, {THEIRS: "success"}) == [THEIRS]


class Runs:
    """In place of running tests: what comes out each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ours: str) -> None:
        self._ours = list(ours)
        self.tests: list[list[str]] = []
        monkeypatch.setattr(twisted_suite, "run", self)
        monkeypatch.setattr(twisted_suite, "SUITES", {"reactor": ["twisted.internet.test"]})

    def __call__(self, suite: str, reactor: str, tests: list[str]) -> dict[str, str]:
        if reactor == "asyncio":
            return {THEIRS: "success"}
        self.tests.append(tests)
        return {OURS: self._ours.pop(0)}


def test_success(monkeypatch, capsys):
    """All is well if all passes."""
    Runs(monkeypatch, "success")
    assert main() == 0
    assert "1 pass, 0 are worse here" in capsys.readouterr().out


def test_failure(monkeypatch, capsys):
    """What fails twice fails the script, by its name."""
    runs = Runs(monkeypatch, "failure", "failure")
    assert main() == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == f"{COMMON}: failure, but success on asyncio"
    assert runs.tests == [["twisted.internet.test"], [OURS]]


def test_second_chance(monkeypatch):
    """What fails once, and then passes, has passed."""
    Runs(monkeypatch, "failure", "success")
    assert compare("reactor") == []


def test_runs():
    """A suite is run, and tells of each of its tests."""
    pytest.importorskip("uvloop")
    name = "twisted.internet.test.test_abstract"
    assert set(twisted_suite.run("reactor", "uv", [name]).values()) == {"success"}


def test_runs_nothing():
    """A suite in which nothing is tested does not pass unseen."""
    with pytest.raises(SystemExit, match="nothing was tested"):
        twisted_suite.run("programs", "uv", [])
