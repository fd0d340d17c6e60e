"""The same application here and in the standard library's server: their clients get the same."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.handlers import SimpleHandler

import h11
from hypothesis import given
from hypothesis import strategies as st

from mynet.handlers.wsgi.environ import make_environ
from mynet.testing import make_request
from tests.conversation import head, replies
from tests.handlers.wsgi.hosting import Served

PARTS = st.lists(st.binary(max_size=5), max_size=5)
STATUSES = st.sampled_from(["200 OK", "201 Created", "404 Not Found", "500 Oh", "304 Not Modified"])
HEADERS = st.lists(
    st.tuples(st.sampled_from(["X-A", "X-B", "Set-Cookie"]), st.sampled_from(["", "a", "b=c"])),
    max_size=3,
)


class Script:
    """An application that writes some, and returns some, as it is told."""

    def __init__(self, **parts: Any) -> None:
        self.status: str = parts["status"]
        self.headers = list(parts["headers"])
        self.written: list[bytes] = parts["written"]
        self.returned: list[bytes] = parts["returned"]
        self.streams: bool = parts["streams"]
        if parts["declares"]:
            size = sum(map(len, self.written + self.returned))
            self.headers.append(("Content-Length", str(size)))

    def __repr__(self) -> str:
        return f"Script({vars(self)})"

    def __call__(self, environ: Any, start_response: Any) -> Any:
        write = start_response(self.status, list(self.headers))
        for part in self.written:
            write(part)
        return iter(self.returned) if self.streams else self.returned


SCRIPTS = st.builds(
    Script,
    status=STATUSES,
    headers=HEADERS,
    written=PARTS,
    returned=PARTS,
    streams=st.booleans(),
    declares=st.booleans(),
)


def of_standard_library(script: Script) -> tuple[int, list[tuple[str, str]], bytes]:
    """What its server sends: the status, the headers that are the application's, the body."""
    sent = io.BytesIO()
    environ = make_environ(make_request(), {})
    handler = SimpleHandler(io.BytesIO(), sent, io.StringIO(), environ)
    handler.http_version = "1.0"
    handler.origin_server = True
    handler.run(script)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "test")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent.getvalue())
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    fields = [(name.decode(), value.decode()) for name, value in response.headers]
    return response.status_code, own(fields), body


def own(fields: Any) -> list[tuple[str, str]]:
    """The headers that are neither server's."""
    known = {"x-a", "x-b", "set-cookie"}
    return sorted((name.lower(), value) for name, value in fields if name.lower() in known)


@given(SCRIPTS)
def test_same(script):
    """Whatever an application writes, returns and declares, its client gets it."""
    (answer,) = replies(Served(script).ask())
    assert answer.complete
    status, fields, body = of_standard_library(script)
    if status == 304:
        body = b""  # which the standard library's would send
    assert (answer.status, own(answer.headers.items()), answer.body) == (status, fields, body)


@given(SCRIPTS)
def test_head(script):
    """HEAD is answered with the same status and headers, and a length only if GET has that."""
    got = replies(Served(script).ask())[0]
    (answer,) = replies(Served(script).ask(head(line=b"HEAD / HTTP/1.1")), "HEAD")
    assert (answer.status, own(answer.headers.items())) == (got.status, own(got.headers.items()))
    assert answer.body == b""
    length = answer.headers.get("Content-Length")
    assert length in (None, got.headers.get("Content-Length"))
