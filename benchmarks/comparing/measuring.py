"""One server measured once, and rounds of that.

In each round every server is started on a CPU of its own, its answer is checked, it is warmed
up, measured, and ended, one after another; the generator has another CPU. What is compared is
requests per second of the server's processor time: that is what it answers in a second while
it has the whole CPU, and remains right where the generator was too slow to keep it busy.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.figures import Sample
from benchmarks.comparing.loads import Load, generator
from benchmarks.comparing.processes import TICK, Process, check_answer, free_port, on_cpu
from benchmarks.comparing.scenarios import (
    LOAD_CPU,
    MEMORY,
    PER_CPU,
    RATE,
    SERVER_CPU,
    START,
    Scenario,
)
from benchmarks.comparing.servers import APPS, SERVERS, Place, Server
from benchmarks.comparing.sockets import check_echo

WARM_UP = 1.0
"""Seconds of load, at most, before a server is measured."""

STARTS = 3
"""How often a server is started where that is measured."""


@dataclass(frozen=True)
class Bench:
    """Where and how long to measure."""

    program: Path
    """The load generator."""
    files: Path
    """What `write_files` has written is below it."""
    seconds: float
    server_cpu: int | None
    """None where there are not two CPUs to choose from."""


@dataclass
class Results:
    """What came of a scenario."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """The rounds of each server that has gone through all of them."""
    failures: dict[str, str] = field(default_factory=dict)


def choose_cpus(available: Iterable[int]) -> tuple[int | None, int | None]:
    """The CPUs of the server and of the load, or twice None if there is one CPU only.

    Those two are as far apart as can be: neighbours may be one core.
    """
    ordered = sorted(available)
    return (ordered[0], ordered[-1]) if len(ordered) > 1 else (None, None)


@contextmanager
def serving(server: Server, cpu: int | None, files: Path) -> Iterator[Process]:
    """A server that has been started, and is ended."""
    with tempfile.TemporaryDirectory() as name, serving_upstream(server, files) as upstream:
        place = Place(free_port(), Path(name), files, upstream)
        command = server.start_command(place)
        with on_cpu(cpu):
            process = Process(command, APPS, place.port, place.folder / "log")
        try:
            yield process
        finally:
            process.end()


@contextmanager
def serving_upstream(server: Server, files: Path) -> Iterator[int]:
    """The port of the server behind a proxy, which has the CPU of the load; 0 behind no proxy."""
    if not server.upstream:
        yield 0
        return
    with serving(SERVERS[server.upstream], None, files) as process:
        process.wait_until_it_answers(Load())
        yield process.port


def measure(server: Server, scenario: Scenario, bench: Bench) -> Sample:
    """Start a server, and measure it.

    Raises:
        MeasurementError: It did not do what it should.
    """
    if scenario.load is None:
        return {START: median(time_of_start(server, bench) for _ in range(STARTS)) * 1000}
    with serving(server, bench.server_cpu, bench.files) as process:
        return measure_load(process, scenario.load, bench)


def time_of_start(server: Server, bench: Bench) -> float:
    """The seconds from the start of a server to its first answer."""
    with serving(server, bench.server_cpu, bench.files) as process:
        return process.wait_until_it_answers(Load())


def measure_load(process: Process, load: Load, bench: Bench) -> Sample:
    """Put a load on a server: first to warm up, then to measure it."""
    process.wait_until_it_answers(load, check_echo if load.on_websockets else check_answer)
    memory = process.memory()
    with generator(bench.program, load, process.port) as started:
        memory = process.memory() - memory
        started.run(min(WARM_UP, bench.seconds))
        begun, used = time.monotonic(), process.cpu_seconds()
        outcome = started.run(bench.seconds)
        taken, used = time.monotonic() - begun, process.cpu_seconds() - used
    return {
        RATE: outcome.answers / outcome.seconds,
        PER_CPU: outcome.answers / max(used, TICK),
        SERVER_CPU: used / taken,
        LOAD_CPU: outcome.cpu / outcome.seconds,
        **({MEMORY: memory / load.idle / 1024} if load.idle else {}),
    }


def measure_rounds(
    scenario: Scenario, names: Sequence[str], rounds: int, bench: Bench, say: Callable[[str], None]
) -> Results:
    """Measure servers in turn, again and again. One that fails is left out from then on."""
    results = Results({name: [] for name in names})
    for number in range(1, rounds + 1):
        for name in [name for name in names if name not in results.failures]:
            try:
                sample = measure(SERVERS[name], scenario, bench)
            except MeasurementError as failure:
                results.failures[name] = str(failure)
                del results.samples[name]
                say(f"{scenario.title} {number}/{rounds} {name} failed: {failure}")
            else:
                results.samples[name].append(sample)
                figure = f"{sample[scenario.compared]:,.0f} {scenario.compared}"
                say(f"{scenario.title} {number}/{rounds} {name}: {figure}")
    return results


def pin_to(cpu: int | None) -> None:
    """Let this process, and the load generators that it starts, run on one CPU."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
