"""Fixtures of the tests with real sockets and real clients."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from mynet.http import Handler, Limits
from tests.integration.certificates import Certificates
from tests.integration.serving import (
    TCP,
    TLS,
    UNIX,
    Serve,
    Service,
    Transport,
    async_yield_fixture,
)

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Twisted's TLS, with some versions of pyOpenSSL, warns of itself."""
    quiet = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(quiet)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that are trusted by those who trust their authority."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tcp() -> Transport:
    return TCP()


@pytest.fixture
def unix() -> Iterator[Transport]:
    # Not in tmp_path: a UNIX socket's path may have a hundred characters or so.
    with tempfile.TemporaryDirectory() as folder:
        yield UNIX(Path(folder) / "socket")


@pytest.fixture
def tls(certificates: Certificates) -> Transport:
    return TLS(certificates)


@pytest.fixture(params=["tcp", "unix", "tls"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each transport in turn; a test that is for some of them parametrizes this."""
    found: Transport = request.getfixturevalue(request.param)
    return found


@async_yield_fixture
async def serve(transport: Transport) -> AsyncIterator[Serve]:
    """Call this with a handler, and with limits if need be, to have it served."""
    services = []

    async def serve(handler: Handler, limits: Limits | None = None) -> Service:
        service = Service(transport, handler, limits)
        await service.start()
        services.append(service)
        return service

    yield serve
    for service in services:
        await service.stop()


@implementer(ILogObserver)
class Logged(list[Failure]):
    """The failures that are logged, by Twisted's new way or its old one."""

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self.append(failure)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Failure]]:
    """The failures that are logged. A test that expects some takes them away."""
    failures = Logged()
    globalLogPublisher.addObserver(failures)
    yield failures
    globalLogPublisher.removeObserver(failures)
    assert [failure.getTraceback() for failure in failures] == []


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    return program("curl")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    return program("chromium")


def program(name: str) -> str:
    """The path of a program; without it, its tests are skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
