"""mynet beside its peers: `python benchmarks/compare.py`, which writes docs/performance.md.

It is to be run by the Python of a virtual environment where mynet is installed, and the peers
of benchmarks/requirements.txt; those that are not there are left out. `--help` tells the rest.
How it measures is told in benchmarks/comparing/measuring.py, and on the page that it writes.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Do it, with the modules that stand beside this file.

    Returns:
        The exit status.
    """
    if not Path("/proc/self/stat").exists():
        sys.stderr.write("compare.py: it measures by /proc, and so needs Linux\n")
        return 2
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from benchmarks.comparing.command import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
