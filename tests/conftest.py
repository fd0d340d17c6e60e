"""What holds for all tests: CI runs them the same way each time, and all of them.

A test that needs a program which the machine lacks is skipped with its reason;
where `CI` is set a skipped test has failed.

The tests run in Twisted's own reactor; with `--uv`, in mynet's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TypeVar

import hypothesis
import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it has no annotations

import mynet

# Those who help tests assert, too; before anything imports them.
pytest.register_assert_rewrite(
    "tests.conversation", "tests.handlers.wsgi.hosting", "tests.websocket.line"
)

IN_CI = bool(os.environ.get("CI"))

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the reactor be chosen."""
    parser.addoption("--uv", action="store_true", help="run the tests in mynet's uv reactor")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Install the uv reactor, if that is chosen, instead of the default one."""
    if config.getoption("--uv"):
        pytest_twisted.reactor_installers["default"] = _install_uv


def _install_uv() -> None:
    from mynet import uvreactor

    pytest_twisted._install_reactor(uvreactor.install, uvreactor.UVReactor)


def pytest_report_header() -> list[str]:
    """Say which mynet is tested, and in which reactor."""
    reactor = type(sys.modules["twisted.internet.reactor"]).__name__
    return [f"mynet: {mynet.__path__[0]}", f"reactor: {reactor}"]


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
