from __future__ import annotations

from benchmarks.comparing.files import FILES
from benchmarks.comparing.loads import FILLING
from benchmarks.comparing.scenarios import MEMORY, PER_CPU, SCENARIOS, START


def test_columns():
    """What is compared is told, and memory where there are connections that only need that."""
    assert all(scenario.compared in scenario.columns for scenario in SCENARIOS.values())
    told = [name for name, each in SCENARIOS.items() if MEMORY in each.columns]
    assert told == ["idle", "ws-idle"]


def test_compared():
    """More requests are better, and less time."""
    hello, start = SCENARIOS["hello"], SCENARIOS["start"]
    assert (hello.compared, hello.less_is_better) == (PER_CPU, False)
    assert (start.compared, start.less_is_better) == (START, True)


def test_open_files():
    """Connections need files that are open, at both ends; where they are few no limit is raised."""
    assert SCENARIOS["idle"].open_files > 5064
    assert SCENARIOS["ws-fanout"].open_files > 1000
    assert SCENARIOS["start"].open_files < SCENARIOS["hello"].open_files < 1024


def test_messages():
    """What is sent on WebSockets is as large as it is told, and has the number that differs."""
    sockets = [each for name, each in SCENARIOS.items() if name.startswith("ws-")]
    loads = [each.load for each in sockets if each.load]
    assert [load.size for load in loads] == [32, 1024 * 1024, 128, 32]
    assert all(load.body.index("NUMBER") + 6 <= load.size for load in loads)
    assert {each.unit for each in sockets} == {"messages", "deliveries"}


def test_ours_come_first():
    """Ratios are to what is mynet's."""
    first = {scenario.servers[0] for scenario in SCENARIOS.values()}
    assert all(name.startswith("mynet-") or name == "twisted-uv" for name in first)


def test_files():
    """The files that are asked for are those that are written."""
    loads = [each.load for each in SCENARIOS.values() if each.load]
    asked = {load.path: load.size for load in loads if load.path.startswith("/static/")}
    assert asked == {f"/static/{name}": size for name, size in FILES.items()}


def test_upload():
    """What is uploaded is as long as the application is to answer."""
    load = SCENARIOS["post"].load
    assert load is not None
    assert load.body == str(len(load.uploaded())) == str(1024 * 1024)


def test_stream():
    """A stream is as long as all events of the application, with no piece that is cut off."""
    load = SCENARIOS["stream"].load
    assert load is not None
    assert load.size == 100 * 16 * 1024
    assert 16 * 1024 % len(FILLING) == 0
