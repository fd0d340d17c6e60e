"""Reports with figures that a test knows."""

from __future__ import annotations

from benchmarks.comparing.figures import Sample
from benchmarks.comparing.measuring import Results
from benchmarks.comparing.report import Report, Section
from benchmarks.comparing.scenarios import (
    LOAD_CPU,
    MEMORY,
    PER_CPU,
    RATE,
    SCENARIOS,
    SERVER_CPU,
    START,
)


def sample(per_cpu: float, server_cpu: float = 1.0) -> Sample:
    """What is measured of a server."""
    rate = per_cpu * server_cpu
    return {RATE: rate, PER_CPU: per_cpu, SERVER_CPU: server_cpu, LOAD_CPU: 0.5, MEMORY: 2.5}


def hello(**failures: str) -> Section:
    """Two servers in three rounds, and perhaps some that failed."""
    samples = {
        "mynet-epoll": [sample(60_000), sample(50_000), sample(61_000)],
        "nginx": [sample(120_000, 0.8), sample(125_000, 0.8), sample(122_000, 0.8)],
    }
    return Section(SCENARIOS["hello"], Results(samples, failures))


def fanout() -> Section:
    """A server whose deliveries to WebSockets are counted."""
    return Section(SCENARIOS["ws-fanout"], Results({"mynet-epoll": [sample(140_000)]}))


def start() -> Section:
    """Two servers that start, once."""
    samples: dict[str, list[Sample]] = {"mynet-epoll": [{START: 200.0}], "node": [{START: 50.0}]}
    return Section(SCENARIOS["start"], Results(samples))


def idle() -> Section:
    """A server beside idle connections."""
    return Section(SCENARIOS["idle"], Results({"mynet-epoll": [sample(50_000)]}))


def failed() -> Section:
    """A scenario of which nothing is left."""
    return Section(SCENARIOS["twisted"], Results({}, {"twisted-epoll": "it ended: boom"}))


def report(*sections: Section, pinned: bool = True, rounds: int = 3) -> Report:
    """Those sections, measured on a machine that there is not."""
    return Report(
        sections=sections,
        machine="Abacus, 2 CPUs; Linux 6.1; CPython 3.11",
        versions={"mynet": "1.2.3", "nginx": "1.22"},
        missing={"aiohttp": "uvloop"},
        rounds=rounds,
        seconds=2.5,
        pinned=pinned,
    )
