"""The cases of Autobahn|Testsuite 0.8.2, and what must come out of each of them.

All of them, in both roles, and only what `expected_of` says: what is missing, and what should not
be there, is a deviation as much as what has failed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

GROUPS = """
    1.1.1-8 1.2.1-8 2.1-11 3.1-7 4.1.1-5 4.2.1-5 5.1-20
    6.1.1-3 6.2.1-4 6.3.1-2 6.4.1-4 6.5.1-5 6.6.1-11 6.7.1-4 6.8.1-2 6.9.1-4 6.10.1-3 6.11.1-5
    6.12.1-8 6.13.1-5 6.14.1-10 6.15.1-1 6.16.1-3 6.17.1-5 6.18.1-5 6.19.1-5 6.20.1-7 6.21.1-8
    6.22.1-34 6.23.1-7
    7.1.1-6 7.3.1-6 7.5.1-1 7.7.1-13 7.9.1-9 7.13.1-2
    9.1.1-6 9.2.1-6 9.3.1-9 9.4.1-9 9.5.1-6 9.6.1-6 9.7.1-6 9.8.1-6 10.1.1-1
    12.1.1-18 12.2.1-18 12.3.1-18 12.4.1-18 12.5.1-18
    13.1.1-18 13.2.1-18 13.3.1-18 13.4.1-18 13.5.1-18 13.6.1-18 13.7.1-18
"""
"""The first of each group, and the number of its last."""


def _group(text: str) -> Iterator[str]:
    first, _, last = text.partition("-")
    return (f"{first.removesuffix('.1')}.{number}" for number in range(1, int(last) + 1))


CASES = tuple(case for group in GROUPS.split() for case in _group(group))

INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
"""Cases of which the suite never says anything else: RFC 6455 leaves open what has to happen."""


class Outcome(NamedTuple):
    """What the suite says of a case, and of how its connection was closed."""

    behavior: str
    close: str

    def __str__(self) -> str:
        return f"{self.behavior}, closing {self.close}"


Report = Mapping[str, Mapping[str, Outcome]]
"""By agent, which is what was tested, and by case."""


class Deviation(NamedTuple):
    """A case that did not come out as it must. None: it was not run, or should not have been."""

    agent: str
    case: str
    outcome: Outcome | None
    expected: Outcome | None

    def __str__(self) -> str:
        return (
            f"{self.agent}, case {self.case}: {self.outcome or 'not run'}; "
            f"expected: {self.expected or 'not to be run'}"
        )


def expected_of(case: str) -> Outcome:
    """The only good outcome of a case."""
    word = "INFORMATIONAL" if case in INFORMATIONAL else "OK"
    return Outcome(word, word)


def chosen(patterns: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The cases that match one of the patterns, as `1.*`, and none of the others."""
    return [case for case in CASES if _matches(case, patterns) and not _matches(case, without)]


def _matches(case: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(case, pattern) for pattern in patterns)


def deviations(report: Report, wanted: Mapping[str, Collection[str]]) -> list[Deviation]:
    """What is not as it must be, given the cases that each agent has to go through."""
    return [
        Deviation(agent, case, outcome, expected)
        for agent in sorted({*report, *wanted})
        for case in sorted({*report.get(agent, ()), *wanted.get(agent, ())}, key=_in_order)
        if (outcome := report.get(agent, {}).get(case))
        != (expected := expected_of(case) if case in wanted.get(agent, ()) else None)
    ]


def _in_order(case: str) -> list[int]:
    return [int(number) for number in case.split(".")]


def read_report(index: Path) -> Report:
    """Read the index of the suite's reports."""
    return {
        agent: {case: Outcome(of["behavior"], of["behaviorClose"]) for case, of in cases.items()}
        for agent, cases in json.loads(index.read_text()).items()
    }
