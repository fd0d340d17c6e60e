from __future__ import annotations

import re

import pytest

from benchmarks.comparing import files
from benchmarks.comparing.files import write_files
from benchmarks.comparing.loads import FILLING


@pytest.fixture
def waited(monkeypatch):
    """How long it was waited, which it is not."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


def test_files(waited, tmp_path):
    """There are files of several sizes, which are text that no server can take for another."""
    write_files(tmp_path)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "static").iterdir()}
    assert sizes == {"1k": 1024, "100k": 102_400, "1m": 1_048_576}
    whole = re.fullmatch(f"({re.escape(FILLING)})+", (tmp_path / "static" / "100k").read_text())
    assert whole


def test_files_are_not_new(waited, tmp_path):
    """Servers meet files that have been as they are for a while."""
    write_files(tmp_path)
    assert waited == [files.SETTLING]
    assert files.SETTLING > 2
