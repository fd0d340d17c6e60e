"""What is known when everything has been measured: the page and the chart are made of it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparing.figures import Sample, Spread, advantage, column
from benchmarks.comparing.measuring import Results
from benchmarks.comparing.scenarios import Scenario
from benchmarks.comparing.servers import SERVERS


@dataclass(frozen=True)
class Section:
    """A scenario and what came of it; the servers in the scenario's order."""

    scenario: Scenario
    results: Results

    @property
    def rows(self) -> Mapping[str, Sequence[Sample]]:
        """The rounds of each server, by its label."""
        samples = self.results.samples
        return {SERVERS[name].label: samples[name] for name in samples}

    @property
    def base(self) -> str:
        """The label of the server that the others are compared with."""
        return next(iter(self.rows))

    def figure(self, label: str, name: str) -> Spread:
        """A column of a server."""
        return column(self.rows[label], name)

    def advantage(self, label: str) -> Spread:
        """How many times as good the base is as this server."""
        less = self.scenario.less_is_better
        rows = self.rows
        return advantage(rows[self.base], rows[label], self.scenario.compared, less_is_better=less)


@dataclass(frozen=True)
class Report:
    """All of it."""

    sections: Sequence[Section]
    machine: str
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    """What each server that could not be measured lacks, by its label."""
    rounds: int
    seconds: float
    pinned: bool


def describe_machine() -> str:
    """The processor, the kernel and the Python of this machine."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    processor = found[1].strip() if found else platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    kernel = platform.release().partition("-")[0]  # the rest is its packager's
    return f"{processor}, {os.cpu_count()} CPUs; Linux {kernel}; {python}"
