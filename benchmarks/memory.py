"""How much memory a body of 1 GiB costs the server: `python benchmarks/memory.py`.

For each row of the table a server is started in a process of its own, and one client talks to it
over loopback: it uploads, or downloads, or asks and never reads. What counts is how far the
server's resident memory ever rises (VmHWM) above what it was before (VmRSS); a rise that is too
far is an error. `--help` tells how to choose rows, the reactor and the size. The figures come from
/proc, so this is for Linux.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Do it, with the modules that stand beside this file.

    Returns:
        The exit status.
    """
    if not Path("/proc/self/status").exists():
        sys.stderr.write("memory.py: it measures by /proc, and so needs Linux\n")
        return 2
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from benchmarks.bodies.command import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
