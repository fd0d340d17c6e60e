"""What every test of files is held to: none is left open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

from mynet.handlers.static import files


@pytest.fixture(autouse=True)
def closed(tmp_path: Path) -> Iterator[None]:
    """What is opened is closed."""
    yield
    assert [path for path in _open_paths() if path.startswith(str(tmp_path))] == []


def _open_paths() -> Iterator[str]:
    """Of all that is open, as far as the system tells."""
    for each in Path("/dev/fd").iterdir():
        try:
            yield os.readlink(each)
        except OSError:  # it was that folder itself
            continue


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a test has written are not new."""
    monkeypatch.setattr(files, "time", lambda: time() + 60)
