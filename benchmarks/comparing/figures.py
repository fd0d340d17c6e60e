"""What several rounds come to: the median and the extremes, of figures and of ratios.

Rounds follow one another, and in each all servers are measured: what disturbs the machine for
a while disturbs neighbours alike. So ratios are taken within a round, and only then summed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

Sample = Mapping[str, float]
"""What was measured of one server in one round, by the names of columns."""


class Spread(NamedTuple):
    """Some values."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Sum up values, of which there is one at least."""
    ordered = sorted(values)
    return Spread(median(ordered), ordered[0], ordered[-1])


def column(samples: Iterable[Sample], name: str) -> Spread:
    """Sum up a column."""
    return spread(sample[name] for sample in samples)


def advantage(
    base: Sequence[Sample], other: Sequence[Sample], name: str, *, less_is_better: bool
) -> Spread:
    """How many times as good the base is as another server, round by round.

    Args:
        base: Its rounds.
        other: The same rounds of the other.
        name: The column that is compared.
        less_is_better: Whether the smaller figure is the better one.
    """
    pairs = zip(base, other, strict=True)
    quotients = (ours[name] / theirs[name] for ours, theirs in pairs)
    return spread(1 / each if less_is_better else each for each in quotients)
