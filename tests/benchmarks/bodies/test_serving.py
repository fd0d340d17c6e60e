from __future__ import annotations

import os

import pytest

from benchmarks.bodies.serving import Server, server

MIB = 1024 * 1024


def test_memory():
    """What a process holds is seen: now, and at most."""
    this = Server(os.getpid(), 0)
    before = this.memory("VmRSS")
    held = b"." * (64 * MIB)
    during = this.memory("VmRSS")
    assert during - before > 60 * MIB
    assert this.memory("VmHWM") >= during
    del held


def test_cpu():
    """So is the processor time that it has used."""
    this = Server(os.getpid(), 0)
    assert this.cpu_seconds() == pytest.approx(sum(os.times()[:2]), abs=0.05)


@pytest.mark.parametrize("host", ["native", "asgi", "wsgi"])
def test_server(host):
    """A server is there, and answers; afterwards it is gone."""
    with server("asyncio", host, MIB) as one:
        one.say_hello()
        assert one.memory("VmRSS") > MIB
    with pytest.raises(ConnectionRefusedError):
        one.say_hello()
