from __future__ import annotations

import pytest

from benchmarks.comparing.figures import advantage, column, spread


def samples(*values):
    return [{"speed": value, "other": 0.0} for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3, 3, 3)), ([5.0, 1.0, 2.0], (2, 1, 5)), ([4.0, 2.0], (3, 2, 4))],
)
def test_spread(values, expected):
    """Values are told by their median, least and most."""
    assert spread(values) == expected


def test_column():
    """A column is summed up by itself."""
    assert column(samples(1, 9, 2), "speed") == (2, 1, 9)


def test_advantage_of_more():
    """Twice the figure is twice as good, and a round is compared with itself only."""
    ours, theirs = samples(20, 200, 2000), samples(10, 100, 500)
    assert advantage(ours, theirs, "speed", less_is_better=False) == (2, 2, 4)


def test_advantage_of_less():
    """Half the time is twice as good."""
    assert advantage(samples(5), samples(10), "speed", less_is_better=True) == (2, 2, 2)


def test_rounds_must_match():
    """A server that lacks a round cannot be compared."""
    with pytest.raises(ValueError, match="shorter"):
        advantage(samples(1, 2), samples(1), "speed", less_is_better=False)
