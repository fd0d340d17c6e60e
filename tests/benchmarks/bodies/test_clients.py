"""A client whose server does something else than its row of the table says does not go on."""

from __future__ import annotations

import os

import pytest

from benchmarks.bodies import clients
from benchmarks.bodies.clients import download, never_read, upload, upload_until_it_stops
from benchmarks.bodies.hosts import PIECE
from benchmarks.bodies.serving import Server
from tests.benchmarks.serving import HELLO, answering

SIZE = 4 * len(PIECE)

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Tests wait no longer than they must; this process is the server, and not idle."""
    monkeypatch.setattr(clients, "QUIET", 0.02)
    monkeypatch.setattr(clients, "IDLE", 10.0)


def talk(client, answer, **options):
    with answering(answer, **options) as port:
        client(Server(os.getpid(), port), "/path", SIZE)


def test_upload():
    """All of it is sent, and the length is answered."""
    asked = []

    def answer(request):
        asked.append(request)
        return b"HTTP/1.1 200 OK\r\n\r\n%d" % SIZE

    talk(upload, answer, closes=True)
    assert asked[0].startswith(b"POST /path HTTP/1.1\r\n")
    assert asked[0].endswith(b"\r\nConnection: close\r\n" + bytes(SIZE))


@pytest.mark.parametrize("answer", [HELLO, HELLO.replace(b"200 OK", b"500 No"), b""])
def test_wrong_answer_to_an_upload(answer):
    """Another answer is none."""
    with pytest.raises(AssertionError):
        talk(upload, answer, closes=True)


def test_upload_that_does_not_stop():
    """A server that takes all of it does not keep its client waiting."""
    with pytest.raises(AssertionError, match="has taken all of it"):
        talk(upload_until_it_stops, HELLO)


def test_download():
    """All of it is read."""
    talk(download, LENGTH + bytes(SIZE), closes=True)


def test_download_that_is_cut_off():
    """A part is not enough."""
    with pytest.raises(AssertionError):
        talk(download, LENGTH + bytes(SIZE - len(LENGTH) - 1), closes=True)


def test_never_read():
    """What has come when nothing moves any more is the beginning of an answer."""
    talk(never_read, LENGTH + bytes(SIZE))


@pytest.mark.parametrize("answer", [HELLO, LENGTH.replace(b"200", b"500") + bytes(SIZE)])
def test_never_read_nothing_to_read(answer):
    """It is no short answer, and no error."""
    with pytest.raises(AssertionError):
        talk(never_read, answer)
