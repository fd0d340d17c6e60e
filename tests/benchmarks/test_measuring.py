from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.comparing import measuring
from benchmarks.comparing.errors import MeasurementError
from benchmarks.comparing.loads import Load
from benchmarks.comparing.measuring import (
    Bench,
    choose_cpus,
    measure_rounds,
    pin_to,
    serving_upstream,
)
from benchmarks.comparing.processes import check_answer
from benchmarks.comparing.scenarios import SCENARIOS, START
from benchmarks.comparing.servers import SERVERS, Server

BENCH = Bench(Path("load"), Path("files"), 1, None)


@pytest.mark.parametrize(
    ("available", "chosen"),
    [({0}, (None, None)), ({1, 0}, (0, 1)), ({6, 2, 4}, (2, 6))],
)
def test_cpus(available, chosen):
    """Server and load are as far apart as the machine allows, or it is known that they are not."""
    assert choose_cpus(available) == chosen


def test_pin():
    """The load runs on the CPU that is meant for it, wherever it may run if there is none."""
    before = os.sched_getaffinity(0)
    try:
        pin_to(None)
        assert os.sched_getaffinity(0) == before
        pin_to(max(before))
        assert os.sched_getaffinity(0) == {max(before)}
    finally:
        os.sched_setaffinity(0, before)


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"Hello, World!")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_upstream(monkeypatch, tmp_path):
    """The server behind a proxy answers before the proxy is started, and ends with it."""
    behind = Server("behind", (sys.executable, "-c", SERVER, "{port}"))
    monkeypatch.setitem(SERVERS, "behind", behind)
    with serving_upstream(Server("proxy", (), upstream="behind"), tmp_path) as port:
        check_answer(port, Load())
    with pytest.raises(ConnectionRefusedError):
        check_answer(port, Load())


def test_no_upstream(tmp_path):
    """Behind what is no proxy there is nothing."""
    with serving_upstream(Server("no proxy", ()), tmp_path) as port:
        assert port == 0


@pytest.fixture
def measured(monkeypatch):
    """Instead of a measurement: the names of those that were to be measured."""
    names = {id(server): name for name, server in SERVERS.items()}
    done = []

    def measure(server, scenario, bench):
        name = names[id(server)]
        done.append(name)
        if name == "node" and done.count(name) == 2:
            raise MeasurementError("wrong body")
        return {START: float(len(done))}

    monkeypatch.setattr(measuring, "measure", measure)
    return done


def test_rounds_are_interleaved(measured):
    """All servers are measured in a round before the next one begins."""
    said: list[str] = []
    results = measure_rounds(SCENARIOS["start"], ["nginx", "daphne"], 2, BENCH, said.append)
    assert measured == ["nginx", "daphne", "nginx", "daphne"]
    assert results.samples == {
        "nginx": [{START: 1}, {START: 3}],
        "daphne": [{START: 2}, {START: 4}],
    }
    assert results.failures == {}
    assert said[0] == "Start 1/2 nginx: 1 milliseconds"
    assert len(said) == 4


def test_failure(measured):
    """A server that failed once is not measured any more, nor told of as if it had not."""
    said: list[str] = []
    results = measure_rounds(SCENARIOS["start"], ["nginx", "node"], 3, BENCH, said.append)
    assert measured == ["nginx", "node", "nginx", "node", "nginx"]
    assert list(results.samples) == ["nginx"]
    assert results.failures == {"node": "wrong body"}
    assert "Start 2/3 node failed: wrong body" in said
