"""Python in a process of its own, with the mynet that is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
