"""What holds for all tests: CI runs them the same way each time, and all of them.

A test that needs a program which the machine lacks is skipped with its reason;
where `CI` is set a skipped test has failed.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import hypothesis
import pytest

import mynet

IN_CI = bool(os.environ.get("CI"))

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


def pytest_report_header() -> str:
    """Say which mynet is tested."""
    return f"mynet: {mynet.__path__[0]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test skipped in CI has failed."""
    return _skips_fail((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file skipped in CI has failed."""
    return _skips_fail((yield))


def _skips_fail(report: Report) -> Report:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (where CI is set, a skipped test has failed)"
    return report
