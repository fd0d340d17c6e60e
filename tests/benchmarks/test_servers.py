from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.comparing.scenarios import SCENARIOS
from benchmarks.comparing.servers import APPS, FILES, SERVERS, UPSTREAM, Place, Server, is_installed

ROOT = Path(__file__).parents[2]


def test_each_is_measured():
    """There is no server that no scenario has, and none that there is not."""
    named = {name for scenario in SCENARIOS.values() for name in scenario.servers}
    assert named == set(SERVERS)


def test_labels():
    """A reader can tell the servers from one another."""
    labels = [server.label for server in SERVERS.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", SERVERS)
def test_apps(name):
    """What a server is told to serve is there."""
    words = [word.partition(":")[0] for word in SERVERS[name].command]
    apps = {f"{word}.py" for word in words if re.fullmatch(r"\w+_app", word)}
    apps |= {word for word in words if word.startswith(str(APPS))}
    elsewhere = any(FILES in word or UPSTREAM in word for word in SERVERS[name].command)
    assert apps or SERVERS[name].template or elsewhere
    for app in (*apps, SERVERS[name].template):
        assert (APPS / app).exists()


def test_requirements():
    """Each peer that pip installs has one version that it is measured in."""
    modules = {module for server in SERVERS.values() for module in server.modules}
    lines = (ROOT / "benchmarks" / "requirements.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    ours = {"mynet", "mynet.uvreactor", "twisted", "twisted.web.websocket"}
    assert modules - ours == pinned


def test_installed():
    """A module is there or not, whatever becomes of the package that it would be in."""
    assert is_installed("twisted.web")
    assert not is_installed("twisted.no_such_module")
    assert not is_installed("no_such_package.module")


def test_missing():
    """The first thing that a server lacks is told."""
    assert Server("all", (), ("json", "twisted")).missing() == ""
    assert Server("none", (), ("json", "no_such_module", "nor_this")).missing() == "no_such_module"
    assert Server("program", (), program="no-such-program").missing() == "no-such-program"


def test_missing_upstream(monkeypatch, tmp_path):
    """A proxy cannot be measured without the server behind it, whose version is told with its."""
    proxy = Server("proxy", (), ("twisted",), upstream="nginx")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert proxy.missing() == "nginx"
    (tmp_path / "nginx").write_text("#!/bin/sh\necho 'nginx version: nginx/1.22.1'\n")
    (tmp_path / "nginx").chmod(0o755)
    assert proxy.missing() == ""
    assert proxy.versions().keys() == {"twisted", "nginx"}
    assert proxy.versions()["nginx"] == "1.22.1"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
def test_missing_package(monkeypatch, tmp_path):
    """A package of Node's is there if its apps find it, and told with its version."""
    server = Server("ws", (), program="node", version_option="--version", package="there-is-none")
    assert server.missing() == "there-is-none for node"
    folder = tmp_path / "there-is-none"
    folder.mkdir()
    (folder / "package.json").write_text('{"version": "8.1.2"}')
    monkeypatch.setenv("NODE_PATH", str(tmp_path))
    assert server.missing() == ""
    assert server.versions()["there-is-none"] == "8.1.2"


def test_versions_of_modules():
    """The versions are those of what is installed; a part of it has none of its own."""
    found = Server("twisted", (), ("twisted", "twisted.web")).versions()
    assert re.match(r"\d+\.\d+", found["twisted"])
    assert list(found) == ["twisted"]


def test_version_of_program():
    """A program tells its version itself."""
    server = Server("Python", (), program=sys.executable, version_option="--version")
    assert server.versions() == {sys.executable: sys.version.split()[0]}


@pytest.mark.parametrize(
    ("said", "version"),
    [("v20.1.0", "20.1.0"), ("nginx version: nginx/1.22.1", "1.22.1"), ("", None)],
)
def test_version_as_it_is_said(said, version, tmp_path):
    """Whatever way a program tells its version, on whatever stream, that is found."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    program.chmod(0o755)
    found = Server("a", (), program=str(program), version_option="-v").versions()
    assert found == ({str(program): version} if version else {})


def test_command(tmp_path):
    """The port and the folder are filled in."""
    server = Server("a", ("serve", "--at=tcp:{port}", "{folder}/x", "{files}/y", "to:{upstream}"))
    command = server.start_command(Place(80, tmp_path, Path("/srv"), 81))
    assert command == ["serve", "--at=tcp:80", f"{tmp_path}/x", "/srv/y", "to:81"]


def test_configuration(tmp_path):
    """A server that has no option for its port gets a file that tells it."""
    command = SERVERS["nginx"].start_command(Place(8123, tmp_path, Path("/srv")))
    assert command[-1] == str(tmp_path / "config")
    assert "listen 127.0.0.1:8123 " in (tmp_path / "config").read_text()
    assert "root /srv;" in (tmp_path / "config").read_text()


def test_configuration_of_a_proxy(tmp_path):
    """So it is told where the server behind it is."""
    SERVERS["nginx-proxy"].start_command(Place(8123, tmp_path, Path("/srv"), 8124))
    assert "listen 127.0.0.1:8123 " in (tmp_path / "config").read_text()
    assert "server 127.0.0.1:8124;" in (tmp_path / "config").read_text()
