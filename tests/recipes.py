"""Runs the recipes of the how-tos, for the tests that drive them."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

from tests.test_docs import blocks_of


def run_recipe(page: Path, name: str) -> SimpleNamespace:
    """Run a file of a page in the current folder; its names are the result's attributes."""
    (block,) = (block for block in blocks_of(page) if block.file == name)
    Path(name).write_text(block.code, encoding="utf-8")
    return SimpleNamespace(**runpy.run_path(name))
