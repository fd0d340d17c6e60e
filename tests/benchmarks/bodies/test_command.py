from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.bodies import command
from benchmarks.bodies.clients import never_read
from benchmarks.bodies.command import ALLOWED, CASES, MIB, Figures, chosen, print_table, run
from benchmarks.bodies.hosts import HOSTS
from tests.child import run_python

COMMAND = str(Path(__file__).parents[3] / "benchmarks" / "memory.py")

SOME = [
    "ASGI: upload, neither",
    "WSGI: download that",
    "file: download that",
    "proxy: upload, read",
]


def test_whole_command():
    """Servers of all kinds are started, asked, and their memory told."""
    done = run_python(COMMAND, "--size", "64", "--reactor", "asyncio", *SOME)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert re.fullmatch(
        r"64 MiB, asyncio reactor +before, MiB +peak, MiB +rise, MiB +seconds", lines[0]
    )
    assert len(lines) == 5
    for line, name in zip(lines[1:], SOME, strict=True):
        assert re.fullmatch(rf"{name}.*( +\d+\.\d){{4}}", line)


def test_cases():
    """Each kind of server is asked, also by a client that never reads."""
    assert {case.host for case in CASES} == set(HOSTS)
    assert {case.host for case in CASES if case.client is never_read} == set(HOSTS)
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("peak", "status", "mark"), [(ALLOWED - 1, 0, ""), (ALLOWED, 1, " !"), (100 * MIB, 1, " !")]
)
def test_rise(monkeypatch, capsys, peak, status, mark):
    """Memory that rises too far fails the command, and is marked."""
    figures = [Figures(5, 5 + peak, 1.25), Figures(5, 5, 0.5)]
    monkeypatch.setattr(command, "measure", lambda *_: figures.pop(0))
    assert print_table(CASES[:2], "uv", 1024 * MIB) == status
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("1,024 MiB, uv reactor ")
    assert rows[0].endswith(f"1.2{mark}")
    assert rows[1].endswith("0.5")


def test_chosen():
    """Rows are chosen by what is in their names."""
    assert chosen([], "uv") == CASES
    assert {case.host for case in chosen(["WSGI", "file"], "uv")} == {"wsgi", "static"}
    assert chosen(["no such"], "uv") == []


def test_reactor_without_loop():
    """ASGI is left out where it cannot be."""
    assert {case.host for case in CASES} - {case.host for case in chosen([], "epoll")} == {"asgi"}


def exit_status(arguments):
    try:
        return run(arguments.split())
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("nonsense", "there is no such row"),
        ("--reactor epoll ASGI", "there is no such row"),
        ("--size 0", "0 is not a whole number of MiB"),
        ("--size 1.5", "1.5 is not a whole number of MiB"),
        ("--reactor fusion", "invalid choice: 'fusion'"),
    ],
)
def test_mistake(capsys, arguments, complaint):
    """A mistake is told, and nothing is measured."""
    assert exit_status(arguments) == 2
    assert complaint in capsys.readouterr().err
