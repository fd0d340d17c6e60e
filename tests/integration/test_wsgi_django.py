"""A site of Django's in threads, mounted below another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.children import APPS, Child, child, eventually, multipart, on_each_reactor
from tests.integration.serving import LARGE


@on_each_reactor
def site(request: pytest.FixtureRequest) -> Iterator[Child]:
    with child("django_wsgi_site:served", request.param) as site:
        yield site


def test_request(site):
    """A view has the path, the query, cookies, and where the request came from."""
    fields = {"Cookie": "name=value"}
    answer = site.request("GET", "/site/asked/42?tag=a&tag=%C3%A9", headers=fields)
    assert answer.json() == {
        "number": 42,
        "query": ["a", "\u00e9"],
        "cookie": "value",
        "uri": f"http://{site.authority}/site/asked/42?tag=a&tag=%C3%A9",
        "script": "/site",
        "client": "127.0.0.1",
        "secure": False,
    }


def test_upload(site):
    """A large body is read as it comes."""
    answer = site.request("POST", "/site/upload", LARGE)
    assert answer.json() == {"sha256": hashlib.sha256(LARGE).hexdigest()}


def test_form(site):
    """A form has its file."""
    body = multipart("frontier", photo=("cat.jpg", LARGE))
    fields = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = site.request("POST", "/site/form", body, fields)
    assert answer.json() == {"name": "cat.jpg", "size": len(LARGE)}


def test_stream(site):
    """A streamed response comes in order, and whole."""
    assert site.get("/site/stream").body == b"".join(b"%d\n" % number for number in range(1000))


def test_session(site):
    """A session goes from request to request."""
    first = site.get("/site/visits")
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    second = site.request("GET", "/site/visits", headers={"Cookie": cookie})
    assert (first.text, second.text) == ("1", "2")


def test_file(site):
    """A file comes whole, with its length; HEAD tells it, too."""
    source = Path(APPS, "django_wsgi_site.py").read_bytes()
    answer = site.get("/site/source")
    assert answer.body == source
    assert answer.headers["Content-Length"] == str(len(source))
    answer = site.request("HEAD", "/site/source")
    assert (answer.body, answer.headers["Content-Length"]) == (b"", str(len(source)))


def test_not_modified(site):
    """A page that has not changed is not sent again."""
    tag = site.get("/site/asked/1").headers["ETag"]
    answer = site.request("GET", "/site/asked/1", headers={"If-None-Match": tag})
    assert (answer.status, answer.body) == (304, b"")


def test_not_found(site):
    """What is not there is answered by Django, and what is beside it by the App around it."""
    assert site.get("/site/nothing").status == 404
    assert b"<h1>Not Found</h1>" in site.get("/site/nothing").body
    assert b"<h1>" not in site.get("/nothing").body


def test_error(site):
    """An error is answered 500 by Django, which logs it."""
    assert site.get("/site/error").status == 500


@pytest.mark.parametrize("target", ["asked/1", "stream", "source", "nothing", "error"])
def test_each_request_is_finished(site, target):
    """Django is told of the end of each request, however it was answered."""

    def ended() -> int:
        return int(site.get("/site/ended").text)

    before = ended()
    site.get(f"/site/{target}")
    eventually(lambda: ended() >= before + 2)


def test_end():
    """Told to end, it does so."""
    with child("django_wsgi_site:served") as site:
        assert site.get("/site/asked/1").status == 200
        site.terminate()
        assert site.end() == 0
