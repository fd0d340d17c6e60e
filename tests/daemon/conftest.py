"""What tests of the daemon share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.child import PACKAGE, python_running
from tests.daemon.running import ANYWHERE, DEADLINE, FOREGROUND, Running


@implementer(ILogObserver)
class Events(list[tuple[str, str]]):
    """What is logged: pairs of a level and a text."""

    def __call__(self, event: LogEvent) -> None:
        self.append((event["log_level"].name, formatEvent(event)))


@pytest.fixture
def events() -> Iterator[Events]:
    """What is logged in a test."""
    events = Events()
    globalLogPublisher.addObserver(events)
    yield events
    globalLogPublisher.removeObserver(events)


# Processes; `folder` is the current directory of theirs


@pytest.fixture(scope="session")
def plugins(tmp_path_factory):
    """A folder for sys.path where twistd finds mynet, as it does where that is installed."""
    folder = tmp_path_factory.mktemp("path")
    if not (PACKAGE.parent / "twisted" / "plugins" / "mynet_plugin.py").exists():
        source = Path(__file__).parents[2] / "twisted_plugins" / "mynet_plugin.py"
        (folder / "twisted" / "plugins").mkdir(parents=True)
        (folder / "twisted" / "plugins" / source.name).write_text(source.read_text())
    return folder


@pytest.fixture
def environment(plugins):
    path = os.pathsep.join([str(PACKAGE.parent), str(plugins)])
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def launch(folder, environment):
    """Start a server in the foreground; it is there when it listens."""

    @contextmanager
    def launched(*arguments: str, how: str = "module", stderr: int = subprocess.STDOUT):
        with python_running(
            *FOREGROUND[how],
            *arguments,
            cwd=folder,
            deadline=DEADLINE,
            environment=environment,
            stderr=stderr,
        ) as process:
            yield Running(process)

    return launched


@pytest.fixture
def serve(launch):
    """Start a server in the foreground; it is there when it listens on a port."""

    @contextmanager
    def serving(*arguments: str, how: str = "module") -> Iterator[Running]:
        with launch(ANYWHERE, *arguments, how=how) as running:
            running.port = int(running.read_until(r"Serving .* on http://127.0.0.1:(\d+)/")[1])
            yield running

    return serving


@pytest.fixture
def run(folder, environment):
    """Run a server that ends by itself."""

    def ran(*arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            pass_fds=pass_fds,
        )

    return ran
