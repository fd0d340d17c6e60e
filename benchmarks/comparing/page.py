"""The report as a page in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from benchmarks.comparing.figures import Spread
from benchmarks.comparing.report import Report, Section
from benchmarks.comparing.scenarios import LOAD_CPU, RATE, SERVER_CPU
from benchmarks.comparing.servers import SERVERS

KEPT_BUSY = 0.9
"""The share of its CPU below which a server has waited for the load generator."""

WAITED = "*"

INTRODUCTION = """\
# Performance

mynet beside its peers: one worker each, which has one CPU.

![what is answered per second of processor time, by scenario and server](performance.svg)

This page and the chart are written by `benchmarks/compare.py`. Measure it yourself, on Linux with
a C compiler, and with nginx and Node (`npm install ws bufferutil http-proxy`) if you want to
see them beside it:

```sh
python3 -m venv .venv
.venv/bin/pip install . -r benchmarks/requirements.txt
.venv/bin/python benchmarks/compare.py
```

`--help` tells how to choose servers, scenarios, rounds and seconds.

## How it was measured
"""

METHOD = """\
- In each round every server is started, its answer checked, warmed up, measured and ended, one
  after another. {rounds} of {seconds:g} s; figures are medians over the rounds.
- {cpus}
- The load generator is `benchmarks/comparing/load.c`. It sends the next request on a connection
  when the answer to the last one is there, and compares each answer to the byte: one that is
  wrong, or a connection that is lost, and the server has failed. So it does with the messages of
  WebSockets, which nobody compresses. Files are a few seconds old, and nobody compresses them.
- Behind a reverse proxy is nginx, on the CPU of the load generator, which so has more to do.
- Compared is *per CPU second*: the requests that are answered for each second of the server's
  processor time. Of a server that was busy all the time that is about its requests per second.
  One that was not (marked {waited}) had to wait: for the load generator where that was busy,
  else for other programs on its CPU.
- Ratios are taken within a round, then their median; in brackets the least and the most of the
  rounds. Above 1 the first server of the table is the better one.
"""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first one being the head; all columns but the first are figures."""
    rule = ["---", *["--:"] * (len(rows[0]) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (rows[0], rule, *rows[1:]))


def item(text: str) -> str:
    """A sentence of a list."""
    return textwrap.fill(f"- {text}.", 100, subsequent_indent="  ", break_long_words=False) + "\n"


def number(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(value: Spread) -> str:
    """A ratio with the least and the most of it."""
    return f"{value.median:.2f} ({value.least:.2f} to {value.most:.2f})"


def cell(section: Section, label: str, name: str) -> str:
    """A figure of a server."""
    value = section.figure(label, name).median
    if name not in (SERVER_CPU, LOAD_CPU):
        return number(value)
    waited = name == SERVER_CPU and value < KEPT_BUSY
    return f"{value:.0%}{WAITED if waited else ''}"


def heading(section: Section, name: str) -> str:
    """What stands above a column."""
    return f"{section.scenario.unit}/s" if name == RATE else name


def row(section: Section, label: str) -> list[str]:
    """The line of a server."""
    figures = [cell(section, label, name) for name in section.scenario.columns]
    compared = "1" if label == section.base else ratio(section.advantage(label))
    return [label, *figures, compared]


def describe(section: Section) -> Iterator[str]:
    """The parts of a section."""
    scenario = section.scenario
    yield f"## {scenario.title}\n"
    yield f"{scenario.about}\n"
    if section.rows:
        columns = [heading(section, name) for name in scenario.columns]
        head = ["server", *columns, f"{section.base}: times as good"]
        yield table([head, *(row(section, label) for label in section.rows)])
    for name, reason in section.results.failures.items():
        yield f"{SERVERS[name].label} failed: {reason}.\n"


def method(report: Report) -> str:
    """How it was measured."""
    cpus = (
        "The server runs on one CPU, the load generator on another; all of it over loopback."
        if report.pinned
        else "Server and load generator share what CPUs there are: this machine has no two to pin "
        "them to, so that each disturbs the other."
    )
    rounds = f"{report.rounds} round{'s' if report.rounds > 1 else ''}"
    return METHOD.format(rounds=rounds, seconds=report.seconds, cpus=cpus, waited=WAITED)


def render(report: Report) -> str:
    """The page."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    missing = (
        f"{label} was left out: {lacks} is not installed" for label, lacks in report.missing.items()
    )
    facts = "".join(map(item, (report.machine, versions, *missing)))
    parts = [INTRODUCTION, method(report) + facts]
    for section in report.sections:
        parts += describe(section)
    return "\n".join(parts)
