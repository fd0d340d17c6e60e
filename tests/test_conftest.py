"""The rules of tests/conftest.py, on test suites of a few lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.child import PACKAGE, run_python

SKIPPED = "import pytest\n@pytest.mark.skip(reason='no fortune')\ndef test_it(): pass\n"
SKIPPED_FILE = "import pytest\npytest.skip('no fortune', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"


REACTOR = """
def test_it():
    from twisted.internet import reactor
    assert type(reactor).__name__ == {!r}
"""


def run_suite(folder: Path, test: str, ci: str, *options: str) -> CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_it.py").write_text(test)
    own = ["-p", "no:cacheprovider", "--rootdir=."]
    return run_python("-m", "pytest", *own, *options, cwd=folder, CI=ci)


@pytest.mark.parametrize("test", [SKIPPED, SKIPPED_FILE])
def test_skip_in_ci(tmp_path, test):
    """In CI nothing is skipped unseen: the run fails, and says for which reason."""
    run = run_suite(tmp_path, test, "true")
    assert run.returncode != 0
    assert "no fortune (where CI is set" in run.stdout


def test_skip_elsewhere(tmp_path):
    """On a machine that lacks a program, the tests that need it are skipped."""
    run = run_suite(tmp_path, SKIPPED, "")
    assert run.returncode == 0
    assert "1 skipped" in run.stdout


def test_expected_failure_in_ci(tmp_path):
    """A failure that is expected is none, in CI too."""
    run = run_suite(tmp_path, EXPECTED_FAILURE, "true")
    assert run.returncode == 0
    assert "1 xfailed" in run.stdout


def test_header(tmp_path):
    """The run tells which mynet it tests."""
    assert f"mynet: {PACKAGE}\n" in run_suite(tmp_path, EXPECTED_FAILURE, "").stdout


def test_reactor(tmp_path):
    """The tests run in Twisted's own reactor or in mynet's, as is asked for, and say in which."""
    run = run_suite(tmp_path, REACTOR.format("UVReactor"), "", "--uv")
    assert (run.returncode, "reactor: UVReactor\n" in run.stdout) == (0, True)
    run = run_suite(tmp_path, REACTOR.format("UVReactor"), "")
    assert (run.returncode, "reactor: UVReactor\n" in run.stdout) == (1, False)
