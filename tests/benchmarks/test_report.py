from __future__ import annotations

import pytest

from benchmarks.comparing.report import describe_machine
from benchmarks.comparing.scenarios import PER_CPU
from tests.benchmarks import reports


def test_base():
    """Others are compared with the first server that was measured."""
    section = reports.hello()
    assert section.base == "mynet, epoll reactor"
    assert section.advantage("nginx") == pytest.approx((0.5, 0.4, 0.5))


def test_figure():
    """A figure is that of all rounds."""
    assert reports.hello().figure("nginx", PER_CPU) == (122_000, 120_000, 125_000)


def test_less_is_better():
    """Who takes four times as long is a quarter as good."""
    assert reports.start().advantage("Node").median == 0.25


def test_machine():
    """A reader is told on what it was measured, in one line, and not whose machine it is."""
    told = describe_machine()
    assert "CPUs; Linux " in told
    assert "Python 3." in told
    assert "\n" not in told
