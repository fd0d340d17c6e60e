from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.comparing.figures import Spread
from benchmarks.comparing.page import number, ratio, render, table
from tests.benchmarks import reports

HELLO = """
## Hello, World!

A small answer on 64 connections that are kept, with one header field.

| server | requests/s | per CPU second | server CPU | load CPU | {} |
| --- | --: | --: | --: | --: | --: |
| mynet, epoll reactor | 60,000 | 60,000 | 100% | 50% | 1 |
| nginx | 97,600 | 122,000 | 80%* | 50% | 0.50 (0.40 to 0.50) |
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.04321, "0.0432"), (7.6, "7.6"), (99.94, "99.9"), (1234.5, "1,234")],
)
def test_number(value, text):
    """Numbers have as many digits as mean something."""
    assert number(value) == text


def test_ratio():
    """A ratio comes with its spread."""
    assert ratio(Spread(1.234, 1.1, 2.0)) == "1.23 (1.10 to 2.00)"


def test_table():
    """A table is one in Markdown."""
    assert table([["a", "b"], ["c", "1"]]) == "| a | b |\n| --- | --: |\n| c | 1 |\n"


def test_section():
    """A scenario is told with its figures; a server that the load did not keep busy is marked."""
    expected = HELLO.format("mynet, epoll reactor: times as good")
    assert expected in render(reports.report(reports.hello()))


def test_start():
    """The start of a server is told in milliseconds."""
    page = render(reports.report(reports.start()))
    assert "| server | milliseconds | mynet, epoll reactor: times as good |" in page
    assert "| Node | 50 | 0.25 (0.25 to 0.25) |" in page


def test_idle():
    """Where there are idle connections their memory is told."""
    page = render(reports.report(reports.idle()))
    assert "| per CPU second | KiB per idle connection |" in page
    assert "| 50,000 | 2.5 |" in page


def test_unit():
    """What is counted on WebSockets is no requests."""
    page = render(reports.report(reports.fanout()))
    assert "| server | deliveries/s | per CPU second | server CPU |" in page


def test_failure():
    """A server that failed is told with the reason."""
    page = render(reports.report(reports.hello(node="wrong body: Boo"), reports.failed()))
    assert "\nNode failed: wrong body: Boo.\n" in page
    assert page.endswith("\ntwisted.web, epoll reactor failed: it ended: boom.\n")


def test_method():
    """A reader is told on what, with what, how often and how long it was measured."""
    page = render(reports.report())
    assert "3 rounds of 2.5 s" in page
    assert "The server runs on one CPU" in page
    assert "- Abacus, 2 CPUs; Linux 6.1; CPython 3.11.\n- mynet 1.2.3, nginx 1.22.\n" in page
    assert "\n- Behind a reverse proxy is nginx" in page
    assert "- aiohttp was left out: uvloop is not installed.\n" in page


def test_not_pinned():
    """Figures of a machine with one CPU are not taken for what they are not."""
    page = render(reports.report(pinned=False, rounds=1))
    assert "this machine has no two" in page
    assert "1 round of" in page


def test_lines():
    """The page reads well as text: only tables have long lines."""
    report = reports.report(reports.hello(), reports.idle(), reports.start())
    versions = {f"peer{number}": "1.2.3" for number in range(20)}
    page = render(replace(report, versions=versions))
    assert [line for line in page.splitlines() if len(line) > 100 and line[0] != "|"] == []
    assert "\n\n\n" not in page
