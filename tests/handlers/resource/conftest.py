"""What every test of resources is held to: nothing fails unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.conftest import logged, way

__all__ = ["logged", "way"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Twisted warns of its own error pages."""
    quiet = pytest.mark.filterwarnings("ignore:.*_Unsafe:DeprecationWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(quiet)
