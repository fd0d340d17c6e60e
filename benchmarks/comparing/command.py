"""The command line: what to measure, and where to write what came of it."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from benchmarks.comparing import chart, page
from benchmarks.comparing.errors import UsageError
from benchmarks.comparing.files import write_files
from benchmarks.comparing.loads import build
from benchmarks.comparing.measuring import Bench, choose_cpus, measure_rounds, pin_to
from benchmarks.comparing.report import Report, Section, describe_machine
from benchmarks.comparing.scenarios import SCENARIOS, Scenario
from benchmarks.comparing.servers import SERVERS

DOCS = Path(__file__).parent.parent.parent / "docs"

LONGEST = 3600
"""Seconds of a measurement: none goes on for ever."""

MOST_ROUNDS = 100


class Parser(argparse.ArgumentParser):
    """A mistake is told in one line."""

    # ArgumentParser

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def seconds(text: str) -> float:
    """A number of seconds."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < LONGEST:
            return value
    raise argparse.ArgumentTypeError(f"{text} is not a number between 0 and {LONGEST}")


def rounds(text: str) -> int:
    """A number of rounds."""
    if text.isdecimal() and 1 <= int(text) <= MOST_ROUNDS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to {MOST_ROUNDS}")


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="compare.py", description="Measure mynet beside its peers.")
    add = made.add_argument
    add("--rounds", type=rounds, default=5, metavar="N", help="5 by default")
    add("--seconds", type=seconds, default=3.0, metavar="S", help="of each measurement; 3")
    add(
        "--servers",
        nargs="+",
        choices=SERVERS,
        default=list(SERVERS),
        metavar="NAME",
        help=f"of {', '.join(SERVERS)}; all that are installed by default",
    )
    add(
        "--scenarios",
        nargs="+",
        choices=SCENARIOS,
        default=list(SCENARIOS),
        metavar="NAME",
        help=f"of {', '.join(SCENARIOS)}; all by default",
    )
    add(
        "--output",
        type=Path,
        default=DOCS,
        metavar="FOLDER",
        help="where performance.md and performance.svg are written; docs by default",
    )
    return made


def say(line: str) -> None:
    """Tell how it goes."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def run(arguments: Sequence[str]) -> int:
    """Measure, and write.

    Returns:
        The exit status: 1 where a server failed, 2 for a mistake, 130 when it was interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what was started, too
    try:
        return compare(parser().parse_args(arguments))
    except KeyboardInterrupt:
        return 130
    except UsageError as mistake:
        say(f"compare.py: {mistake}")
        return 2


def compare(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    check_output(options.output)
    missing = {name: lacks for name in options.servers if (lacks := SERVERS[name].missing())}
    for name, lacks in missing.items():
        say(f"{name} is left out: {lacks} is not installed")
    chosen = [name for name in options.servers if name not in missing]
    server_cpu, load_cpu = choose_cpus(os.sched_getaffinity(0))
    pin_to(load_cpu)
    report = Report(
        sections=measure_all(options, chosen, server_cpu),
        machine=describe_machine(),
        versions=versions_of(chosen),
        missing={SERVERS[name].label: lacks for name, lacks in missing.items()},
        rounds=options.rounds,
        seconds=options.seconds,
        pinned=server_cpu is not None,
    )
    write(options.output / "performance.md", page.render(report))
    write(options.output / "performance.svg", chart.render(report))
    return 1 if any(section.results.failures for section in report.sections) else 0


def measure_all(
    options: argparse.Namespace, chosen: Sequence[str], server_cpu: int | None
) -> list[Section]:
    """Measure the scenarios that have any of the servers chosen."""
    scenarios = [SCENARIOS[name] for name in options.scenarios]
    scenarios = [each for each in scenarios if not set(chosen).isdisjoint(each.servers)]
    if not scenarios:
        raise UsageError("there is nothing to measure: no such server in these scenarios")
    allow_open_files(max(scenario.open_files for scenario in scenarios))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(folder)
        write_files(folder)
        bench = Bench(program, folder, options.seconds, server_cpu)
        return [measure_scenario(each, chosen, options.rounds, bench) for each in scenarios]


def measure_scenario(
    scenario: Scenario, chosen: Sequence[str], rounds: int, bench: Bench
) -> Section:
    """Measure those of a scenario's servers that are chosen."""
    names = [name for name in scenario.servers if name in chosen]
    return Section(scenario, measure_rounds(scenario, names, rounds, bench, say))


def versions_of(names: Sequence[str]) -> Mapping[str, str]:
    """The versions of servers, and of what they are made of."""
    found: dict[str, str] = {}
    for name in names:
        found |= SERVERS[name].versions()
    return found


def write(path: Path, text: str) -> None:
    """Write a file, and tell it."""
    path.write_text(text, encoding="utf-8")
    say(f"{path} is written")


def check_output(output: Path) -> None:
    """Find out at once what would be found out at the end."""
    if not output.is_dir():
        raise UsageError(f"{output} is not a folder")


def allow_open_files(count: int) -> None:
    """Let the servers and the load generators have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count <= soft:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UsageError(f"{count} open files are needed, and `ulimit -Hn` says {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
