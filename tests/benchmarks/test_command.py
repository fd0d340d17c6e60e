from __future__ import annotations

import os
import re
import resource
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.comparing.command import allow_open_files, parser
from benchmarks.comparing.errors import UsageError
from benchmarks.comparing.loads import COMPILER
from tests.child import PACKAGE, run_python

ROOT = Path(__file__).parents[2]
COMMAND = str(ROOT / "benchmarks" / "compare.py")


@pytest.fixture
def path(tmp_path):
    """A PYTHONPATH with mynet, as twistd finds it where that is installed."""
    plugins = tmp_path / "path" / "twisted" / "plugins"
    if not (PACKAGE.parent / "twisted" / "plugins" / "mynet_plugin.py").exists():
        plugins.mkdir(parents=True)
        shutil.copy(ROOT / "twisted_plugins" / "mynet_plugin.py", plugins)
    return os.pathsep.join([str(PACKAGE.parent), str(tmp_path / "path")])


def compare(options: str, output: Path, **environment: Any):
    return run_python(COMMAND, *options.split(), "--output", str(output), **environment)


needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason="the load generator needs a C compiler"
)


@needs_compiler
def test_whole_command(tmp_path, path):
    """It measures what is always installed, and writes a page and a chart of it."""
    scenarios = "hello route connect ws-echo ws-large ws-fanout start"
    choice = f"--servers mynet-epoll twisted-epoll --scenarios {scenarios}"
    run = compare(f"{choice} --rounds 1 --seconds 0.05", tmp_path, PYTHONPATH=path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "Hello, World! 1/1 twisted-epoll: " in run.stderr

    page = (tmp_path / "performance.md").read_text()
    assert page.count("\n## ") == 8
    assert page.count("\n| mynet, epoll reactor | ") == 7
    assert page.count("\n| twisted.web, epoll reactor | ") == 3
    assert re.search(r"\| \d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\) \|", page)
    assert "failed:" not in page
    assert str(tmp_path) not in page
    ElementTree.parse(tmp_path / "performance.svg")


@needs_compiler
def test_hosts(tmp_path, path):
    """What mynet hosts is measured, too, where peers need not be installed."""
    servers = "mynet-asgi mynet-wsgi mynet-static twisted-static"
    scenarios = "asgi-ws post stream wsgi static"
    choice = f"--servers {servers} --scenarios {scenarios}"
    run = compare(f"{choice} --rounds 1 --seconds 0.3", tmp_path, PYTHONPATH=path)
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "performance.md").read_text()
    assert page.count("\n| mynet, ") == 5
    assert page.count("\n| twisted.web, ") == 1


@needs_compiler
@pytest.mark.skipif(shutil.which("nginx") is None, reason="proxies are measured before nginx")
def test_proxies(tmp_path, path):
    """Proxies are measured before a server that is started with them."""
    choice = "--servers mynet-proxy nginx-proxy twisted-proxy --scenarios proxy-1m"
    run = compare(f"{choice} --rounds 1 --seconds 0.3", tmp_path, PYTHONPATH=path)
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "performance.md").read_text()
    assert page.count("\n| nginx, proxy_pass | ") == 1
    assert re.search(r"nginx \d+\.\d", page)


@needs_compiler
def test_failure(tmp_path):
    """A server that cannot be measured fails the command, which still tells why."""
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('no luck')")
    (tmp_path / "uvloop.py").touch()
    (tmp_path / "httptools.py").touch()
    options = "--servers uvicorn --scenarios hello --rounds 2"
    run = compare(options, tmp_path, PYTHONPATH=str(tmp_path))
    assert run.returncode == 1, run.stderr
    assert run.stderr.count("uvicorn failed: it ended: no luck\n") == 1
    assert "plain ASGI failed: it ended: no luck.\n" in (tmp_path / "performance.md").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--rounds 0", "0 is not a whole number from 1 to 100"),
        ("--rounds 1.5", "1.5 is not a whole number from 1 to 100"),
        ("--seconds 0", "0 is not a number between 0 and 3600"),
        ("--seconds nan", "nan is not a number between 0 and 3600"),
        ("--seconds a", "a is not a number between 0 and 3600"),
        ("--servers apache", "invalid choice: 'apache'"),
        ("--scenarios goodbye", "invalid choice: 'goodbye'"),
        ("--servers twisted-epoll --scenarios route", "there is nothing to measure"),
        ("more", "unrecognized arguments: more"),
    ],
)
def test_mistake(options, complaint, tmp_path):
    """A mistake is told in one line, and nothing is measured."""
    run = compare(options, tmp_path)
    assert run.returncode == 2
    assert re.fullmatch(rf"compare\.py: .*{re.escape(complaint)}.*\n", run.stderr)
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path):
    """Whoever names a folder that is not there is told so, and not only in the end."""
    run = compare("", tmp_path / "gone")
    assert (run.returncode, run.stderr) == (2, f"compare.py: {tmp_path}/gone is not a folder\n")


def test_help(tmp_path):
    """What can be measured is told without measuring it."""
    run = compare("--help", tmp_path)
    assert run.returncode == 0
    assert "mynet-uv" in run.stdout
    assert "connect" in run.stdout


def test_missing_server(tmp_path):
    """A server that is not installed is left out, with one line."""
    run = compare("--servers nginx", tmp_path, PATH=str(tmp_path))
    assert run.stderr.startswith("nginx is left out: nginx is not installed\ncompare.py: ")


def test_defaults():
    """Without options all is measured, and the docs are written."""
    options = parser().parse_args([])
    assert options.output == ROOT / "docs"
    assert (options.rounds, options.seconds) == (5, 3)
    assert "idle" in options.scenarios
    assert "mynet-uv" in options.servers


@pytest.fixture
def limits(monkeypatch):
    """Limits of open files, and what they are set to."""
    was_set = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: was_set.append(limits))
    return was_set


@pytest.mark.parametrize(("count", "expected"), [(1000, []), (4096, [(4096, 4096)])])
def test_open_files(count, expected, limits):
    """The limit of open files is raised as far as it must be."""
    allow_open_files(count)
    assert limits == expected


def test_too_few_open_files(limits):
    """Where the limit cannot be raised so far, that is told before anything is measured."""
    with pytest.raises(UsageError, match="5000 open files are needed"):
        allow_open_files(5000)
