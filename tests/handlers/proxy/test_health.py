"""When an upstream is left alone."""

from __future__ import annotations

import pytest

from mynet.handlers.proxy.health import FailurePolicy, HealthCheck, Record


@pytest.fixture
def record():
    return Record(FailurePolicy(failures=3, window=10, pause=5, longest_pause=12))


def fail(record, *times):
    return [record.failed(now) for now in times]


def test_failures(record):
    """After so many failures it is left alone for a while."""
    assert fail(record, 0, 1, 2) == [False, False, True]
    assert record.out_until == 7


def test_window(record):
    """Failures that are far apart are no reason."""
    assert fail(record, 0, 9, 18, 27) == [False] * 4
    assert not record.out_until


def test_answer(record):
    """Nor are those with an answer between them."""
    fail(record, 0, 1)
    record.answered()
    assert fail(record, 2, 3) == [False, False]


def test_back_off(record):
    """Tried again in vain it is left alone for twice as long, up to a limit."""
    fail(record, 0, 1, 2)
    assert fail(record, 7) == [True]
    assert record.out_until == 7 + 10
    fail(record, 17)
    assert record.out_until == 17 + 12


def test_back_again(record):
    """When it answers again all is forgotten."""
    fail(record, 0, 1, 2)
    record.answered()
    assert not record.out_until
    assert fail(record, 8, 9, 10) == [False, False, True]
    assert record.out_until == 15


def test_failures_while_left_alone(record):
    """What was in progress when it was left alone, and fails then, does not prolong that."""
    fail(record, 0, 1, 2)
    assert fail(record, 3, 4, 5, 6) == [False] * 4
    assert record.out_until == 7


def test_never():
    """It may be asked always, whatever happens."""
    record = Record(FailurePolicy(failures=0))
    assert fail(record, *range(100)) == [False] * 100


@pytest.mark.parametrize(
    "fields", [{"failures": -1}, {"window": 0}, {"pause": 0}, {"pause": 9, "longest_pause": 8}]
)
def test_policy_that_is_none(fields):
    """Values that mean nothing are refused."""
    with pytest.raises(ValueError, match="left alone"):
        FailurePolicy(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"path": "health"}, {"path": "/a b"}, {"path": "/\r\n"}, {"path": "/ä"}, {"interval": 0},
     {"timeout": 0}, {"failures": 0}, {"host": "a b"}, {"host": "a\r\nB: c"}, {"host": "ä"},
     {"host": ""}],
)  # fmt: skip
def test_check_that_is_none(fields):
    """And so are they in a check."""
    with pytest.raises(ValueError, match="check"):
        HealthCheck(**fields)
