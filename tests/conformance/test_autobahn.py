"""The running of Autobahn|Testsuite: that it can fail, and when. The suite itself takes minutes."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from tests.conformance import autobahn, autobahn_suite
from tests.conformance.autobahn import main
from tests.conformance.autobahn_cases import (
    CASES,
    Deviation,
    Outcome,
    chosen,
    deviations,
    expected_of,
)
from tests.conformance.autobahn_suite import (
    INDEX,
    Program,
    Suite,
    SuiteError,
    environment,
    find_python,
    free_port,
    listens,
    result,
)

GOOD = Outcome("OK", "OK")
BAD = Outcome("NON-STRICT", "OK")
LEFT_OPEN = Outcome("INFORMATIONAL", "INFORMATIONAL")

FOREVER = "import time; time.sleep(600)"


# Cases


def test_cases():
    """All cases of the suite are asked for, each once."""
    assert len(CASES) == len(set(CASES)) == 517
    assert CASES[6:10] == ("1.1.7", "1.1.8", "1.2.1", "1.2.2")
    assert CASES[-1] == "13.7.18"


def test_chosen():
    """A part of them can be asked for, in the suite's own words."""
    assert chosen(["*"]) == list(CASES)
    assert chosen(["1.*"]) == [f"1.{group}.{n}" for group in (1, 2) for n in range(1, 9)]
    assert chosen(["7.1.*", "6.4.1"], ["7.1.[3-6]"]) == ["6.4.1", "7.1.1", "7.1.2"]
    assert chosen(["8.*"]) == []


@pytest.mark.parametrize(
    ("case", "outcome", "is_fine"),
    [
        ("1.1.1", GOOD, True),
        ("1.1.1", BAD, False),
        ("1.1.1", LEFT_OPEN, False),
        ("1.1.1", Outcome("OK", "UNCLEAN"), False),
        ("1.1.1", Outcome("OK", "INFORMATIONAL"), False),
        ("7.1.6", LEFT_OPEN, True),
        ("7.1.6", Outcome("FAILED", "INFORMATIONAL"), False),
        ("12.1.1", Outcome("UNIMPLEMENTED", "OK"), False),
    ],
)
def test_outcomes(case, outcome, is_fine):
    """A case is only as good as it must be: strict, and cleanly closed."""
    expected = [] if is_fine else [Deviation("server", case, outcome, expected_of(case))]
    assert deviations({"server": {case: outcome}}, {"server": [case]}) == expected


def test_missing_and_unexpected():
    """What has not been run has failed, and so has what nobody knows of; in the suite's order."""
    report = {"server": {"2.10": GOOD, "2.9": GOOD}, "other": {"1.1.1": GOOD}}
    found = deviations(report, {"server": ["2.9", "2.11"], "client": ["2.1"]})
    assert found == [
        Deviation("client", "2.1", None, GOOD),
        Deviation("other", "1.1.1", GOOD, None),
        Deviation("server", "2.10", GOOD, None),
        Deviation("server", "2.11", None, GOOD),
    ]
    assert str(found[0]) == "client, case 2.1: not run; expected: OK, closing OK"
    assert str(found[1]) == "other, case 1.1.1: OK, closing OK; expected: not to be run"


# The command


class Runs:
    """In place of the suite: what it says of each case."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        different: Mapping[str, Outcome] | None = None,
    ) -> None:
        self._different = different or {}
        self.asked: dict[str, list[str]] = {}
        monkeypatch.setattr(autobahn, "find_python", lambda: sys.executable)
        monkeypatch.setattr(autobahn, "Suite", lambda python, folder, reactor: self)

    def install(self) -> None:
        """It is there already."""

    def run_server(self, agent, path, cases, folder):
        return self.run_client(agent, cases, folder)

    def run_client(self, agent, cases, folder):
        assert folder.is_dir()
        self.asked[agent] = cases
        return {agent: {case: self._different.get(case, expected_of(case)) for case in cases}}


def test_success(monkeypatch, capsys):
    """All is well if all cases are, of both roles and of both ways to write a server."""
    runs = Runs(monkeypatch)
    assert main([]) == 0
    assert {agent: len(cases) for agent, cases in runs.asked.items()} == {
        "coroutine": 517,
        "protocol": 517 - 54 - 90 - 126,
        "client": 517,
    }
    assert capsys.readouterr().out.splitlines() == [
        "coroutine: 517 cases: 514 OK, closing OK; 3 INFORMATIONAL, closing INFORMATIONAL",
        "protocol: 247 cases: 244 OK, closing OK; 3 INFORMATIONAL, closing INFORMATIONAL",
        "client: 517 cases: 514 OK, closing OK; 3 INFORMATIONAL, closing INFORMATIONAL",
        "all as expected",
    ]


def test_failure(monkeypatch, capsys):
    """One case that is less than strict fails the script, by its name."""
    Runs(monkeypatch, {"6.4.1": BAD})
    assert main(["--client", "--cases", "6.4.*"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "client: 4 cases: 3 OK, closing OK; 1 NON-STRICT, closing OK",
        "client, case 6.4.1: NON-STRICT, closing OK; expected: OK, closing OK",
        "1 not as expected",
    ]


def test_roles(monkeypatch):
    """One of the roles may be tested alone; whoever has no cases then is not tested."""
    runs = Runs(monkeypatch)
    assert main(["--server", "--cases", "1.*"]) == 0
    assert set(runs.asked) == {"coroutine", "protocol"}
    runs.asked.clear()
    assert main(["--server", "--cases", "9.*"]) == 0
    assert set(runs.asked) == {"coroutine"}


def test_no_cases(monkeypatch, capsys):
    """A run in which nothing is tested does not pass unseen."""
    Runs(monkeypatch)
    with pytest.raises(SystemExit, match="2"):
        main(["--cases", "8.*"])
    assert "there are no such cases" in capsys.readouterr().err


def test_reports(monkeypatch, tmp_path):
    """The suite's reports can be kept."""
    Runs(monkeypatch)
    assert main(["--cases", "1.*", "--reports", str(tmp_path / "reports")]) == 0
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {
        "coroutine",
        "protocol",
        "client",
    }


def test_broken(monkeypatch, capsys):
    """A suite that does not come to its end fails the script."""
    runs = Runs(monkeypatch)

    def breaks() -> None:
        raise SuiteError("no network")

    monkeypatch.setattr(runs, "install", breaks)
    assert main([]) == 1
    assert capsys.readouterr().out == "no network\n"


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--required"], 1)])
def test_without_python(monkeypatch, capsys, arguments, status):
    """Without Python 2.7 nothing is tested, which is said, and is a failure only if told so."""
    monkeypatch.setattr(autobahn, "find_python", lambda: None)
    assert main(arguments) == status
    assert capsys.readouterr().out.startswith("skipped: ")


# The suite's programs


def script(path: Path, text: str) -> str:
    """A program of the shell's."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_find_python(tmp_path):
    """Only a Python that runs, is 2.7, and has pip is taken."""
    missing = str(tmp_path / "missing")
    broken = script(tmp_path / "broken", "echo no such version; exit 127")
    other = script(tmp_path / "other", "echo False")
    right = script(tmp_path / "right", "echo True")
    assert find_python([missing, broken, other, right]) == right
    assert find_python([missing, broken, other, sys.executable]) is None


def test_environment(monkeypatch):
    """What is meant for this Python, or for a newer pip, is not told to the other."""
    monkeypatch.setenv("PYTHONPATH", "here")
    monkeypatch.setenv("PIP_QUIET", "2")
    monkeypatch.setenv("HERE", "there")
    made = environment(PYTHONUSERBASE="folder")
    assert made.keys().isdisjoint({"PYTHONPATH", "PIP_QUIET"})
    assert (made["HERE"], made["PYTHONUSERBASE"]) == ("there", "folder")


def test_install(tmp_path):
    """The suite is installed once in a folder; where that fails, pip's own words are told."""
    folder = tmp_path / "suite"
    pip = script(tmp_path / "pip", 'mkdir "$PYTHONUSERBASE"')
    for _ in range(2):
        Suite(pip, folder, "default").install()
    fails = script(tmp_path / "fails", "echo no network >&2; exit 1")
    with pytest.raises(SuiteError, match="no network"):
        Suite(fails, tmp_path / "other", "default").install()


def python(text: str, folder: Path, name: str = "it") -> Program:
    """A program of Python's."""
    return Program(name, [sys.executable, "-c", text], os.environ, folder)


def ended(program: Program) -> None:
    """Wait for its end."""
    with suppress(SuiteError):
        program.wait_for(lambda: False, autobahn_suite.READY_LIMIT)


def test_program_ends(tmp_path):
    """A program that should go on, and ends, is told of with what it has printed."""
    with (
        python("import sys; sys.exit('it is over')", tmp_path) as program,
        pytest.raises(SuiteError, match="it has ended:\nit is over"),
    ):
        program.wait_for(lambda: False, autobahn_suite.READY_LIMIT)


def test_program_hangs(tmp_path):
    """What does not happen in time is told of, and the program is ended."""
    with (
        python(FOREVER, tmp_path) as program,
        pytest.raises(SuiteError, match="no end after 0 s"),
    ):
        program.wait_for(lambda: False, 0)
    assert not program.is_running()


def test_listens():
    """A port is free until somebody listens."""
    port = free_port()
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port)


@pytest.mark.parametrize(
    ("prints", "reports", "message"),
    [
        ("", True, ""),
        ("", False, "without a report:\nreached the end"),
        ("Traceback", True, "mynet has printed something, .*:\nTraceback"),
    ],
)
def test_result(tmp_path, prints, reports, message):
    """The outcomes are the suite's own; none is believed if mynet has had something to tell."""
    if reports:
        case = {"behavior": "OK", "behaviorClose": "UNCLEAN", "duration": 2}
        (tmp_path / INDEX).write_text(json.dumps({"server": {"1.1.1": case}}))
    with (
        python(f"print({prints!r}, end='')", tmp_path, "mynet") as mynet,
        python("print('reached the end')", tmp_path, "the suite") as suite,
        pytest.raises(SuiteError, match=message) if message else nullcontext(),
    ):
        for program in (mynet, suite):
            ended(program)
        assert result(mynet, suite, tmp_path) == {"server": {"1.1.1": Outcome("OK", "UNCLEAN")}}
