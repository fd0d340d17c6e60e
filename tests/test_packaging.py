"""What is promised about an installation."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import mynet

ROOT = Path(__file__).parent.parent


def test_version():
    """A program can ask which mynet it runs on."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", mynet.__version__)


def test_lowest_versions_are_tested():
    """The lowest versions that mynet says it works with are those that CI tests it with."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    requirements = setup["options"]["install_requires"].split("\n")[1:]
    promised = [re.match(r"([\w.]+)\S* >= ([\d.]+)", each) for each in requirements]
    tested = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    assert {each and f"{each[1]}=={each[2]}" for each in promised} <= set(tested)
