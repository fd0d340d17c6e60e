"""Proxies in front of servers on real sockets, and servers that other people wrote."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

from mynet.handlers.proxy import Upstream
from tests.integration.conftest import program
from tests.integration.serving import TIMEOUT, TLS, UNIX, Service

APPS = Path(__file__).parent / "apps"

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/socket;
        root {folder}/files;
        gzip on;
        location = /fields {{
            return 200 "$http_host $http_x_forwarded_for $http_forwarded $http_via";
        }}
    }}
}}
"""


def upstream_of(service: Service) -> Upstream:
    """A service of ours, as the upstream of a proxy."""
    transport = service.transport
    if isinstance(transport, UNIX):
        return Upstream(f"unix:{transport.path}")
    authority = transport.certificates.authority if isinstance(transport, TLS) else None
    return Upstream(service.url(""), authority=authority)


@contextmanager
def process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A server, until the end of the `with`, and no longer than tests last."""
    child = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
    )
    deadline = Timer(4 * TIMEOUT, child.kill)
    deadline.start()
    try:
        yield child
    finally:
        deadline.cancel()
        child.kill()
        child.communicate()


@contextmanager
def nginx(files: dict[str, bytes]) -> Iterator[str]:
    """nginx, with these files; where it is."""
    command = program("nginx")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "files").mkdir()
        for name, content in files.items():
            (folder / "files" / name).write_bytes(content)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        arguments = [command, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        child = stack.enter_context(process([*arguments, "-e", "stderr"]))
        while not is_listening(folder / "socket"):
            assert child.poll() is None, child.stderr and child.stderr.read()
        yield f"unix:{folder}/socket"


def is_listening(path: Path) -> bool:
    """Whether somebody listens at a UNIX socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def uvicorn(app: str) -> Iterator[str]:
    """uvicorn, with an application of `apps/`; where it is."""
    arguments = [sys.executable, "-m", "uvicorn", "--port=0", "--no-access-log", app]
    with process(arguments, cwd=APPS, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if found := re.search(r"running on (http://[\d.:]+)", line):
                yield found[1]
                return
    raise AssertionError("uvicorn has not begun")


def resident() -> int:
    """How much memory this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
