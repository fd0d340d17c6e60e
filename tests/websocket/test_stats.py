"""Counts: there to be read at any time, and nothing else."""

from __future__ import annotations

import pytest

from mynet.websocket.stats import Stats

PLAIN = {
    "accepted", "bytes_received", "bytes_sent", "dead", "dropped", "failures", "lingering",
    "messages_received", "messages_sent", "refused", "replaced", "slow",
}  # fmt: skip


def test_counts_begin_with_nothing():
    """An endpoint that has done nothing says so, by each of its names."""
    stats = Stats()
    assert {name: getattr(stats, name) for name in PLAIN} == dict.fromkeys(PLAIN, 0)
    assert stats.closed == {}
    assert stats.closed[1006] == 0
    assert set(Stats.__slots__) == PLAIN | {"closed"}


def test_each_endpoint_counts_for_itself():
    """What one endpoint counts is not in the counts of another."""
    one, other = Stats(), Stats()
    one.accepted += 1
    one.closed[1000] += 1
    assert (other.accepted, other.closed) == (0, {})


def test_no_other_counts():
    """A mistyped name is an error, not a count that nobody reads."""
    with pytest.raises(AttributeError):
        Stats().recieved = 1  # type: ignore[attr-defined]  # this is what is tested
