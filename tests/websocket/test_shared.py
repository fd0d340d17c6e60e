"""What the connections of an endpoint share."""

from __future__ import annotations

import pytest

from mynet.websocket.policy import Policy
from mynet.websocket.shared import Shared


def test_policy():
    """A policy is the default one, or a given one, but for the fields that are named."""
    assert Shared().policy == Policy()
    given = Policy(max_frames=5, ping_interval=None)
    assert Shared(given).policy == given
    assert Shared(given, max_frames=6).policy == Policy(max_frames=6, ping_interval=None)
    assert given.max_frames == 5


def test_wrong_policy():
    """What is no field, or out of its range, is told by name."""
    with pytest.raises(TypeError, match="max_size"):
        Shared(max_size=5)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="max_frames must be a number from 1 on, not 0"):
        Shared(max_frames=0)


def test_stats():
    """Each has its own counts, which begin with nothing."""
    one, other = Shared(), Shared()
    one.stats.accepted += 1
    assert (other.stats.accepted, other.stats.closed) == (0, {})


def test_keys():
    """Keys for masking differ from each other."""
    keys = Shared().keys
    some = {next(keys) for _ in range(1000)}
    assert len(some) > 990
    assert {len(key) for key in some} == {4}
