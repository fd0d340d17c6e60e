from __future__ import annotations

from benchmarks.comparing.scenarios import MEMORY, PER_CPU, SCENARIOS, START


def test_columns():
    """What is compared is told, and memory where there are connections that only need that."""
    assert all(scenario.compared in scenario.columns for scenario in SCENARIOS.values())
    assert [name for name, each in SCENARIOS.items() if MEMORY in each.columns] == ["idle"]


def test_compared():
    """More requests are better, and less time."""
    hello, start = SCENARIOS["hello"], SCENARIOS["start"]
    assert (hello.compared, hello.less_is_better) == (PER_CPU, False)
    assert (start.compared, start.less_is_better) == (START, True)


def test_open_files():
    """Idle connections need files that are open, at both ends."""
    assert SCENARIOS["idle"].open_files > 5064
    assert SCENARIOS["start"].open_files == SCENARIOS["hello"].open_files


def test_ours_come_first():
    """Ratios are to what is mynet's."""
    first = {scenario.servers[0] for scenario in SCENARIOS.values()}
    assert first == {"mynet-uv", "twisted-uv"}
