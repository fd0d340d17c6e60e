"""The files that servers send, written once, before anything is measured.

A file that has changed within the last seconds may change again unseen, and so a careful server
keeps nothing of it. These are as old as most that are served.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.comparing.loads import FILLING, repeat

FILES = {"1k": 1024, "100k": 100 * 1024, "1m": 1024 * 1024}
"""Their sizes, by their names in the folder `static`."""

SETTLING = 2.5
"""Seconds after which they are not new any more."""


def write_files(folder: Path) -> None:
    """Write them below a folder, and let them grow old."""
    (folder / "static").mkdir(parents=True)
    for name, size in FILES.items():
        (folder / "static" / name).write_bytes(repeat(FILLING, size))
    time.sleep(SETTLING)
