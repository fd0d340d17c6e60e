"""Python in a process of its own, with the mynet that is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import mynet

PACKAGE = Path(mynet.__path__[0])


def run_python(
    *arguments: str, cwd: Path | None = None, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments, to its end; what it prints is in the result.

    Args:
        cwd: Where to run it.
        timeout: Seconds after which it is killed and `subprocess.TimeoutExpired` raised.
        environment: Variables it has besides those of this process.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def python_running(
    *arguments: str,
    cwd: Path,
    deadline: float,
    environment: Mapping[str, str],
    stderr: int = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[str]]:
    """Run this Python with arguments until the end of the `with`; what it prints is in a pipe.

    Args:
        cwd: Where to run it.
        deadline: Seconds after which it is killed, and whoever reads what it prints goes on.
        environment: All of its variables.
        stderr: As for `subprocess.Popen`.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    timer = Timer(deadline, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.communicate()
