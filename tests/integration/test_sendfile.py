"""Files over real sockets, sent by the kernel where the transport lets it, read where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mynet.http import Request, Response
from mynet.http.file import FileBody
from tests.integration.serving import (
    LARGE,
    PIECE,
    SIZE,
    Service,
    in_thread,
    integration,
    read_answer,
    until,
)

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    return path


def descriptors() -> int:
    """How many are open in this process."""
    return len(os.listdir("/dev/fd"))


@integration
async def test_files(serve, path):
    """Files, large and small, and parts of them arrive whole, between other responses."""

    async def handler(request: Request) -> Response:
        if request.path == "/text":
            return Response.text("text")
        first, last = map(int, request.path[1:].split("-"))
        return Response(FileBody(path.open("rb"), first, last - first))

    service = await serve(handler)
    ranges = [(0, SIZE), (5, 10), (0, 0), (SIZE - 7, SIZE), (PIECE - 1, SIZE // 2), (0, PIECE)]

    def client() -> None:
        with service.connect() as client, client.makefile("rb") as answers:
            for first, last in ranges:
                client.sendall(GET % b"/%d-%d" % (first, last) + GET % b"/text")
                assert read_answer(answers).body == LARGE[first:last]
                assert read_answer(answers).body == b"text"

    await in_thread(client)
    assert service.factory.stats.bytes_sent > sum(last - first for first, last in ranges)
    assert service.factory.stats.accepted == 1


@integration
async def test_client_goes(serve, path):
    """A client that goes in the middle of a file leaves nothing open."""
    service = await serve(lambda request: Response.file(path))
    await in_thread(_leave, service)
    await until(lambda: not service.factory.connections)
    before = descriptors()
    for _ in range(5):
        await in_thread(_leave, service)
        await until(lambda: not service.factory.connections)
    await until(lambda: descriptors() <= before)


def _leave(service: Service) -> None:
    with service.connect() as client:
        client.sendall(GET % b"/")
        assert client.recv(PIECE).startswith(b"HTTP/1.1 200 OK\r\n")


@integration
async def test_grown(serve, path):
    """Of a file that has become longer than was promised the rest is no other response."""

    def handler(request: Request) -> Response:
        return Response(FileBody(path.open("rb")), headers={"Content-Length": "1000"})

    service = await serve(handler)

    def client() -> None:
        with service.connect() as client, client.makefile("rb") as answers:
            client.sendall(GET % b"/" + GET % b"/")
            for _ in range(2):
                answer = read_answer(answers)
                assert answer.status == 200
                assert answer.body == LARGE[:1000]

    await in_thread(client)
    assert service.factory.stats.accepted == 1


@integration
async def test_shrunk(serve, path, logged):
    """A file that has become shorter does not look complete."""
    response = Response.file(path)
    os.truncate(path, 1000)
    service = await serve(lambda request: response)

    def client() -> bytes:
        received = b""
        with service.connect() as client:
            client.sendall(GET % b"/")
            try:
                while piece := client.recv(PIECE):
                    received += piece
            except OSError:
                pass
        return received

    received = await in_thread(client)
    assert len(received) < 2000
    assert [type(failure.value) for failure in logged] == [ValueError]
    logged.clear()
