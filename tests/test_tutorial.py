"""The tutorial, followed from its first step to its last: what it shows is what is seen.

Its console blocks are played against the application that the reader has by then. In what they
print, `...` stands for what is different each time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.child import PACKAGE
from tests.test_docs import ROOT, Block, blocks_of, write_files

TUTORIAL = ROOT / "docs" / "tutorial.md"
TEXT_FILE = re.compile(r"^`(\w+\.txt)`:\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = re.compile(r"Serving .* on (http://127\.0\.0\.1:\d+)/")
TIMEOUT = 60


@contextmanager
def served(app: str, folder: Path) -> Iterator[str]:
    """Serve an application of a folder; the URL where."""
    options = ["--app", app, "--listen", "tcp:0:interface=127.0.0.1"]
    server = subprocess.Popen(
        [sys.executable, "-m", "mynet", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    log = ""
    try:
        for line in server.stderr:
            log += line
            if found := SERVED.search(line):
                yield found[1]
                break
        else:
            pytest.fail(log)
    finally:
        server.terminate()
        log += server.communicate(timeout=TIMEOUT)[1]
    assert server.returncode == 0, log
    assert "Traceback" not in log, log


def transcript(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    for part in block.code.removeprefix("$ ").split("\n$ "):
        command, _, output = part.partition("\n")
        yield command, output.rstrip("\n")


def run_shell(command: str, folder: Path) -> str:
    """What a command prints on stdout, with the line ends of this system."""
    run = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    return run.stdout.rstrip("\n")


def matches(output: str, shown: str) -> bool:
    pattern = ".*".join(map(re.escape, shown.split("...")))
    return re.fullmatch(pattern, output) is not None


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_tutorial(tmp_path):
    """Who follows the tutorial sees what it shows, at each of its steps."""
    for name, content in TEXT_FILE.findall(TUTORIAL.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(content)
    app = ""
    played = 0
    for block in blocks_of(TUTORIAL):
        if found := re.search(r"--app (\S+)", block.code):
            app = found[1]
        if block.kind == "console":
            write_files(block, tmp_path)
            with served(app, tmp_path) as url:
                for command, shown in transcript(block):
                    output = run_shell(command.replace("http://127.0.0.1:8080", url), tmp_path)
                    output = output.replace(url, "http://127.0.0.1:8080")
                    assert matches(output, shown), f"{command}\n{output}"
                    played += 1
    assert played > 10


@pytest.mark.parametrize(
    ("output", "shown", "same"),
    [
        ("a\nb", "a\nb", True),
        ("a: 12\nb", "a: ...\nb", True),
        ("a: 12\nc\nb", "a: ...\nb", False),
        ("a", "b", False),
        ("a", "", False),
    ],
)
def test_matches(output, shown, same):
    """What is not what the tutorial shows is found out, within a line that has `...` too."""
    assert matches(output, shown) is same
