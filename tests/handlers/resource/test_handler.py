"""Requests as resources of twisted.web see them: their path, their body, their Site."""

from __future__ import annotations

import gzip
from typing import Any, cast

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.task import Clock
from twisted.python.urlpath import URLPath
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.rewrite import RewriterResource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request, Site
from twisted.web.template import Element, TagLoader, renderElement, tags
from twisted.web.util import Redirect, redirectTo
from zope.interface import implementer

from mynet.app import App
from mynet.handlers.resource import ResourceHandler
from mynet.handlers.resource.handler import BODY_LIMIT
from mynet.http.factory import HTTPFactory
from mynet.http.limits import KIB
from mynet.http.message import Handler
from mynet.testing import Wire
from tests.conversation import GET, chunked, head, post, replies, reply
from tests.handlers.resource.resources import (
    Calling,
    File,
    Waiting,
    answer,
    served,
    vhost,
)


def get(target: str, *fields: bytes, method: str = "GET") -> bytes:
    return head(*fields, line=f"{method} {target} HTTP/1.1".encode())


class Tree(Resource):
    """Its own child, of any name; tells where it was found."""

    def getChild(self, name: bytes, request: Any) -> Resource:
        return self

    def render_GET(self, request: Any) -> bytes:
        return repr((request.prepath, request.postpath, request.uri, request.path)).encode()


# Where it is


@pytest.mark.parametrize("wrong", [None, Resource, lambda request: b"", b"hello"])
def test_not_a_resource(wrong):
    """What is no resource is refused at once."""
    with pytest.raises(TypeError, match="neither a resource nor a Site"):
        ResourceHandler(wrong)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/", ([b""], [], b"/", b"/")),
        ("/a/b%2Fc/?x=1&y", ([b"a", b"b/c", b""], [], b"/a/b%2Fc/?x=1&y", b"/a/b%2Fc/")),
        ("/a?", ([b"a"], [], b"/a?", b"/a")),
        ("http://example.test/a?b", ([b"a"], [], b"/a?b", b"/a")),
    ],
)
def test_path(target, told):
    """A request has the path that was asked for, decoded part by part."""
    wire = served(Tree())
    wire.send(get(target))
    assert reply(wire).text == repr(told)


def test_leaf():
    """A leaf has the rest of the path to itself."""
    root = Resource()
    root.putChild(b"leaf", Calling(lambda request: repr(request.postpath).encode()))
    wire = served(root)
    wire.send(get("/leaf/a/b") + get("/none"))
    found, missing = replies(wire, "GET", "GET")
    assert found.text == "[b'a', b'b']"
    assert missing.status == 404


def test_methods():
    """A method that a resource lacks is answered 405 or 501; HEAD is made of GET."""
    wire = served(Tree())
    wire.send(get("/", method="HEAD") + get("/", method="POST") + get("/", method="DELETE"))
    heading, posting, deleting = replies(wire, "HEAD", "POST", "DELETE")
    assert (heading.status, heading.body) == (200, b"")
    assert int(heading.headers["Content-Length"]) > 0
    assert posting.status == 405
    assert sorted(posting.headers["Allow"].split(", ")) == ["GET", "HEAD"]
    assert deleting.status == 501


def test_star():
    """`OPTIONS *` asks the server, and is answered as by twisted.web."""
    wire = served(Tree())
    wire.send(get("*", method="OPTIONS"))
    assert reply(wire, "OPTIONS").status == 200


def test_query_and_cookies():
    """Arguments and cookies are there, decoded as by twisted.web."""

    def render(request: Any) -> bytes:
        return repr((request.args, request.getCookie(b"a"), request.getHeader("x-b"))).encode()

    got = answer(render, get("/?a=1&a=2&b=%20", b"Cookie: a=x; b=y", b"X-B: c"))
    assert got.text == repr(({b"a": [b"1", b"2"], b"b": [b" "]}, b"x", "c"))


def test_user():
    """So are the name and password of basic authentication."""

    def render(request: Any) -> bytes:
        return repr((request.getUser(), request.getPassword())).encode()

    got = answer(render, get("/", b"Authorization: Basic YTpi"))
    assert got.text == repr((b"a", b"b"))


@pytest.mark.parametrize("fields", [[], [b"X-A: 1", b"x-a: 2", b"X-B: 3"]])
def test_headers(fields):
    """All fields are there, those with one name in their order."""

    def render(request: Any) -> bytes:
        return repr(request.requestHeaders.getRawHeaders(b"x-a")).encode()

    assert answer(render, get("/", *fields)).text == repr([b"1", b"2"] if fields else None)


def test_conditions():
    """A resource that sets its ETag learns that the client has it already."""

    def render(request: Any) -> bytes:
        return b"" if request.setETag(b'"tag"') else b"hello"

    wire = served(Calling(render))
    wire.send(get("/") + get("/", b'If-None-Match: "tag"'))
    fresh, cached = replies(wire, "GET", "GET")
    assert (fresh.status, fresh.body) == (200, b"hello")
    assert (cached.status, cached.body) == (304, b"")


# Its body


def read(request: Any) -> bytes:
    return cast(bytes, request.content.read())


def bodies(body: bytes) -> list[bytes]:
    half = len(body) // 2
    return [
        post(b"Content-Length: %d" % len(body), body=body),
        post(b"Transfer-Encoding: chunked", body=chunked(body[:half], body[half:])),
    ]


@pytest.mark.parametrize("framing", [0, 1], ids=["length", "chunked"])
def test_body(framing, way):
    """A resource is rendered when all of the body is there, and has it in a file."""
    behind, size = way
    wire = served(Calling(read))
    wire.send(bodies(b"hello, there")[framing] + behind, size)
    first, *_ = replies(wire, *["GET"] * (2 if behind else 1))
    assert first.text == "hello, there"


@pytest.mark.parametrize("size", [99_999, 100_000])
def test_large_body(size):
    """A large body does not stay in memory, but the file is the same."""
    files = []

    def render(request: Any) -> bytes:
        files.append(type(request.content).__name__)
        return read(request)

    wire = served(Calling(render))
    wire.send(bodies(b"x" * size)[0], 10_000)
    assert reply(wire).body == b"x" * size
    assert (files[0] == "BytesIO") == (size < 100_000)


@pytest.mark.parametrize("framing", [0, 1], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [10, 11])
def test_limit(framing, size):
    """A body beyond the limit is refused, and the resource not rendered."""
    waiting = Waiting()
    wire = served(waiting, body_limit=10)
    wire.send(bodies(b"x" * size)[framing])
    if size == 11:
        assert reply(wire).status == 413
    assert len(waiting.requests) == (size == 10)
    wire.hang_up()


def test_limit_by_default():
    """Unless told otherwise a body may have 16 MiB; a client that waits for leave sends nothing."""
    wire = served(Calling(read))
    expecting = b"Expect: 100-continue"
    wire.send(post(b"Content-Length: %d" % (BODY_LIMIT + 1), expecting))
    got = reply(wire)
    assert (got.status, got.interim) == (413, [])
    assert BODY_LIMIT == 16 * 1024 * KIB


def test_expected_body():
    """A client that waits for leave gets it."""
    wire = served(Calling(read))
    wire.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
    assert wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"hello")
    assert reply(wire).body == b"hello"


def test_urlencoded():
    """A form's fields are among the arguments."""
    wire = served(Calling(lambda request: repr(request.args).encode()))
    body = b"a=1&b=two+words"
    kind = b"Content-Type: application/x-www-form-urlencoded"
    wire.send(head(kind, b"Content-Length: 15", line=b"POST /?a=0 HTTP/1.1") + body)
    assert reply(wire).text == repr({b"a": [b"1"], b"b": [b"two words"]})


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nfile\r\n--x--\r\n'


def test_multipart():
    """So are those of a form with files."""
    wire = served(Calling(lambda request: repr(request.args).encode()))
    kind = b"Content-Type: multipart/form-data; boundary=x"
    wire.send(post(kind, b"Content-Length: %d" % len(MULTIPART), body=MULTIPART))
    assert reply(wire).text == repr({b"a": [b"file"]})


def test_bad_multipart():
    """A form that is none is refused, and the resource not rendered."""
    waiting = Waiting()
    wire = served(waiting)
    kind = b"Content-Type: multipart/form-data"
    wire.send(post(kind, b"Content-Length: %d" % len(MULTIPART), body=MULTIPART))
    assert reply(wire).status == 400
    assert waiting.requests == []


def test_broken_body():
    """A body that breaks HTTP's rules is refused, and the resource not rendered."""
    waiting = Waiting()
    wire = served(waiting)
    wire.send(post(b"Transfer-Encoding: chunked", body=b"no chunk\r\n"))
    assert reply(wire).status == 400
    assert waiting.requests == []


# Its Site


class Noting(Request):
    """Notes the course of its body."""

    ended_at = 4

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.seen: list[Any] = [length]

    def handleContentChunk(self, data: bytes) -> None:
        super().handleContentChunk(data)
        self.seen.append(data)
        if len(self.seen) == self.ended_at:
            self.setResponseCode(429)
            self.finish()


def test_own_requests():
    """A Site's own kind of request sees its body arrive."""
    wire = served(Site(Calling(lambda request: repr(request.seen).encode()), Noting))
    wire.send(post(b"Content-Length: 2"))
    wire.send(b"ab", 1)
    assert reply(wire).text == repr([2, b"a", b"b"])


def test_finished_early():
    """It may even answer before all of that is there."""
    waiting = Waiting()
    wire = served(Site(waiting, Noting))
    wire.send(post(b"Content-Length: 9") + b"abc", 1)
    assert reply(wire).status == 429
    assert waiting.requests == []


def test_cut_off_early():
    """Or cut its client off."""

    class Cutting(Request):
        def handleContentChunk(self, data: bytes) -> None:
            channel: Any = self.channel
            channel.transport.abortConnection()

    waiting = Waiting()
    wire = served(Site(waiting, Cutting))
    wire.send(post(b"Content-Length: 9", body=b"abc"))
    wire.advance(1)
    assert wire.transport.aborted
    assert (wire.received, waiting.requests) == (b"", [])


def test_requests_that_fail(logged):
    """A request that cannot even begin is answered with 500."""

    class Failing(Request):
        def requestReceived(self, *args: Any) -> None:
            raise ZeroDivisionError

    wire = served(Site(Resource(), Failing))
    wire.send(GET)
    assert reply(wire).status == 500
    logged.take(ZeroDivisionError)


def test_factory_of_requests():
    """What makes requests may be any function of a channel, as for twisted.web."""

    def make(channel: Any, queued: bool) -> Request:
        assert not queued
        return Noting(channel)

    wire = served(Site(Calling(lambda request: repr(request.seen).encode()), make))
    wire.send(GET)
    assert reply(wire).text == repr([0])


def test_file_for_the_body():
    """A Site may say where bodies are kept."""
    files = []

    class Keeping(Site):
        def getContentFile(self, length: int) -> Any:
            import io

            files.append((length, io.BytesIO()))
            return files[-1][1]

    wire = served(Keeping(Calling(read)))
    wire.send(post(b"Content-Length: 5", body=b"hello"))
    assert reply(wire).body == b"hello"
    assert [length for length, _ in files] == [5]


def count_visits(request: Any) -> bytes:
    session = request.getSession()
    session.visits = getattr(session, "visits", 0) + 1
    return b"%d" % session.visits


@pytest.mark.parametrize("of_site", [True, False])
def test_sessions(of_site):
    """Sessions last from request to request, until nobody has come for a quarter of an hour."""
    clock = Clock()
    resource = Calling(count_visits)
    site = Site(resource, reactor=clock) if of_site else resource
    wire = Wire(ResourceHandler(site), clock=clock)
    wire.send(GET)
    cookie = b"Cookie: " + reply(wire).headers["Set-Cookie"].split(";")[0].encode()
    for visit in ("2", "3"):
        wire.advance(60)
        wire.send(get("/", cookie))
        assert reply(wire).text == visit
    clock.advance(901)
    again = Wire(wire.factory, clock=clock)
    again.send(get("/", cookie))
    assert reply(again).text == "1"


class Started(Site):
    """Notes when it is started and stopped, and what it is to log."""

    def __init__(self, resource: Any) -> None:
        super().__init__(resource, reactor=Clock())
        self.noted: list[str] = []

    def startFactory(self) -> None:
        self.noted.append("start")

    def stopFactory(self) -> None:
        self.noted.append("stop")

    def log(self, request: Any) -> None:
        self.noted.append(request.uri.decode())


def test_lifetime():
    """A Site is started and stopped, and logs what it has a log for."""
    site = Started(Tree())
    handler = ResourceHandler(site)
    handler.start()
    Wire(handler).send(GET)
    handler.stop()
    assert site.noted == ["start", "/", "stop"]


def test_lifetime_of_a_resource():
    """A resource has no life of its own."""
    handler = ResourceHandler(Tree())
    handler.start()
    Wire(handler).send(GET)
    handler.stop()


def test_log(tmp_path):
    """A Site with the path of a log writes that; one without does not repeat mynet's."""
    clock = Clock()
    for path in (None, str(tmp_path / "log")):
        handler = ResourceHandler(Site(Tree(), logPath=path, reactor=clock))
        handler.start()
        Wire(handler).send(get("/a"))
        handler.stop()
    assert '"GET /a HTTP/1.1" 200' in (tmp_path / "log").read_text()


# In an App


def mounted(resource: Resource | Site, prefix: str = "/in/side") -> Handler:
    app = App()
    app.mount(prefix, ResourceHandler(resource))
    return app


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/in/side/", ([b"in", b"side", b""], [], b"/in/side/", b"/in/side/")),
        ("/in/side/a?b", ([b"in", b"side", b"a"], [], b"/in/side/a?b", b"/in/side/a")),
    ],
)
def test_mounted(target, told):
    """Below a prefix a resource sees the whole path, the prefix as resources before it."""
    wire = Wire(mounted(Tree()))
    wire.send(get(target))
    assert reply(wire).text == repr(told)


def test_links():
    """So the links that it makes are right."""
    seen: list[Any] = []

    def render(request: Any) -> bytes:
        request.rememberRootURL()
        seen[:] = [request.getRootURL(), request.prePathURL(), request.childLink(b"b")]
        seen.append(str(request.URLPath().child(b"c")))
        return b""

    root = Resource()
    root.putChild(b"a", Calling(render))
    Wire(mounted(root)).send(get("/in/side/a"))
    url = b"http://example.test/in/side"
    assert seen == [url, url + b"/a", b"a/b", f"{url.decode()}/a/c"]
    assert isinstance(URLPath.fromBytes(seen[1]), URLPath)


def test_sessions_of_two():
    """Two that are mounted have sessions of their own."""
    app = App()
    for prefix in ("/a", "/b"):
        app.mount(prefix, ResourceHandler(Calling(count_visits)))
    wire = Wire(app)
    wire.send(get("/a/") + get("/b/"))
    first, second = replies(wire, "GET", "GET")
    assert first.headers["Set-Cookie"].startswith("TWISTED_SESSION_a=")
    assert second.headers["Set-Cookie"].startswith("TWISTED_SESSION_b=")


def test_tracebacks_when_mounted(logged):
    """What its Site says holds for one that is mounted, too."""
    site = Site(Calling(lambda request: 1 // 0), reactor=Clock())
    site.displayTracebacks = True
    wire = Wire(mounted(site))
    wire.send(get("/in/side/"))
    assert b"ZeroDivisionError" in reply(wire).body
    logged.take(ZeroDivisionError)


# What twisted.web brings


def test_files(tmp_path):
    """twisted.web's File serves files, parts of them, and directories."""
    (tmp_path / "file.txt").write_bytes(b"0123456789" * 20_000)
    wire = served(File(str(tmp_path)))
    wire.send(get("/file.txt"))
    whole = reply(wire)
    assert (len(whole.body), whole.headers["Content-Type"]) == (200_000, "text/plain")
    wire.send(get("/file.txt", b"Range: bytes=5-9"))
    part = reply(wire)
    assert (part.status, part.body) == (206, b"56789")
    assert part.headers["Content-Range"] == "bytes 5-9/200000"
    wire.send(get("/file.txt", b"Range: bytes=0-1,5-6"))
    parts = reply(wire)
    assert parts.headers["Content-Type"].startswith("multipart/byteranges")
    wire.send(get("/file.txt", b"Range: bytes=200000-"))
    assert reply(wire).status == 416
    wire.send(get("/file.txt", b"If-Modified-Since: " + whole.headers["Last-Modified"].encode()))
    assert reply(wire).status == 304
    wire.send(get("/"))
    assert "file.txt" in reply(wire).text


def test_redirects():
    """Redirects of both kinds lead elsewhere."""
    root = Resource()
    root.putChild(b"a", Redirect(b"/there"))
    root.putChild(b"b", Calling(lambda request: redirectTo(b"/there", request)))
    wire = served(root)
    wire.send(get("/a") + get("/b"))
    for each in replies(wire, "GET", "GET"):
        assert (each.status, each.headers["Location"]) == (302, "/there")


def test_templates():
    """A template is flattened to the request, piece by piece."""

    class Page(Element):
        loader = TagLoader(tags.p("Hello, ", tags.b("you"), "!"))

    def render(request: Any) -> object:
        return renderElement(request, Page(), doctype=None)

    assert answer(render, GET).text == "<p>Hello, <b>you</b>!</p>"


@implementer(IRealm)
class Realm:
    """Has one resource for everybody."""

    def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> Any:
        return IResource, Calling(lambda request: b"secret"), lambda: None


def test_guard():
    """twisted.web.guard lets in whom it knows."""
    checker = InMemoryUsernamePasswordDatabaseDontUse(a=b"b")
    portal = Portal(Realm(), [checker])
    wire = served(HTTPAuthSessionWrapper(portal, [BasicCredentialFactory(b"here")]))
    wire.send(GET + get("/", b"Authorization: Basic YTpi"))
    out, inside = replies(wire, "GET", "GET")
    assert (out.status, out.headers["WWW-Authenticate"]) == (401, 'basic realm="here"')
    assert inside.text == "secret"


def test_hosts():
    """twisted.web.vhost tells hosts by their names."""
    hosts = vhost.NameVirtualHost()
    hosts.addHost(b"example.test", Calling(lambda request: b"found"))
    wire = served(hosts)
    wire.send(GET + head(host=b"other.test"))
    found, other = replies(wire, "GET", "GET")
    assert (found.text, other.status) == ("found", 404)


def test_host_of_the_target():
    """Where the target names a host, that is who was asked, whatever the Host field says."""
    wire = served(Calling(lambda request: b"%r" % request.requestHeaders.getRawHeaders(b"Host")))
    wire.send(b"GET http://one.test:81/a HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert reply(wire).text == "[b'one.test:81']"


def test_encoding():
    """What twisted.web compresses has a length; HEAD, whose would not be the same, has none."""
    resource = EncodingResourceWrapper(Calling(lambda request: b"x" * 2000), [GzipEncoderFactory()])
    wire = served(resource)
    fields = b" / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    wire.send(b"HEAD" + fields + b"GET" + fields)
    headed, got = replies(wire, "HEAD", "GET")
    assert gzip.decompress(got.body) == b"x" * 2000
    assert got.headers["Content-Length"] == str(len(got.body))
    assert headed.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in headed.headers


def test_proxied_hosts():
    """Its monster makes links for the name that a proxy in front has."""
    root = Resource()
    root.putChild(b"vhost", vhost.VHostMonsterResource())
    root.putChild(b"a", Calling(lambda request: request.prePathURL()))
    wire = served(root)
    wire.send(get("/vhost/https/example.org:443/a"))
    assert reply(wire).text == "https://example.org/a"


def test_rewriting():
    """twisted.web.rewrite changes the path before it is followed."""
    users = Resource()
    users.putChild(b"me", Calling(lambda request: b"mine"))
    root = Resource()
    root.putChild(b"users", users)

    def rewrite(request: Any) -> None:
        if request.postpath[0] == b"~me":
            request.postpath[:1] = [b"users", b"me"]

    wire = served(RewriterResource(root, rewrite))
    wire.send(get("/~me"))
    assert reply(wire).text == "mine"


def test_one_reactor():
    """A resource's sessions live by the time of the connections that it is served on."""
    clock = Clock()
    seen: list[Any] = []

    def render(request: Any) -> int:
        seen.append(request.site.reactor)
        request.finish()
        return NOT_DONE_YET

    Wire(HTTPFactory(ResourceHandler(Calling(render)), reactor=clock), clock=clock).send(GET)
    assert seen == [clock]
