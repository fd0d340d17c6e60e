"""A site of twisted.web as people write them: sessions, files, forms, templates, errors."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory
from twisted.web.template import Element, TagLoader, renderElement, renderer, slot, tags
from twisted.web.util import redirectTo
from zope.interface import implementer

with warnings.catch_warnings():  # Twisted warns of itself
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.proxy import ReverseProxyResource
    from twisted.web.static import Data, File

__all__ = ["File", "Leaf", "ReverseProxyResource", "site"]


class Leaf(Resource):
    """What has no children."""

    isLeaf = True


class Session(Leaf):
    """Counts how often a browser has come."""

    def render_GET(self, request: Any) -> bytes:
        session = request.getSession()
        session.visits = getattr(session, "visits", 0) + 1
        return b"visit %d" % session.visits

    def render_POST(self, request: Any) -> bytes:
        request.getSession().expire()
        return redirectTo(b"/session", request)


class Form(Leaf):
    """Tells what was sent in a form."""

    def render_GET(self, request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return repr(sorted(request.args.items())).encode()

    render_POST = render_GET


class Digest(Leaf):
    """Tells the SHA-256 of a body, or of a file in a form."""

    def render_POST(self, request: Any) -> bytes:
        files = request.args.get(b"file")
        data = files[0] if files else request.content.read()
        return hashlib.sha256(data).hexdigest().encode()

    render_PUT = render_POST


class Cookies(Leaf):
    """Tells cookies, and sets some."""

    def render_GET(self, request: Any) -> bytes:
        request.addCookie("theme", "dark", max_age="60", path="/", httpOnly=True)
        request.addCookie("other", "1", sameSite="lax")
        return repr(sorted(request.received_cookies.items())).encode()


class Tagged(Leaf):
    """Has an ETag, and a time of its last change."""

    def render_GET(self, request: Any) -> bytes:
        if request.setETag(b'"one"') or request.setLastModified(1_000_000_000):
            return b""
        return b"something that is cached"


class Later(Leaf):
    """Answers after a while, in pieces."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self.clock = clock

    def render_GET(self, request: Any) -> int:
        def write(number: int) -> None:
            request.write(b"piece %d\n" % number)
            if number == 3:
                request.finish()
            else:
                deferLater(self.clock, 0.01, write, number + 1)

        write(1)
        return NOT_DONE_YET


class Page(Element):
    """A page with a list."""

    loader = TagLoader(tags.ul(render="each")(tags.li(slot("name"))))

    @renderer
    def each(self, request: Any, tag: Any) -> Any:
        return (tag.clone().fillSlots(name=name) for name in ("<a>", "b & c"))


class Template(Leaf):
    """Renders a template."""

    def render_GET(self, request: Any) -> object:
        return renderElement(request, Page())


class Broken(Leaf):
    """Fails."""

    def render_GET(self, request: Any) -> bytes:
        raise ZeroDivisionError


class Where(Resource):
    """Tells where it is, whatever the path below it."""

    def getChild(self, name: bytes, request: Any) -> Resource:
        return self

    def render_GET(self, request: Any) -> bytes:
        told = request.prepath, request.postpath, request.uri, request.childLink(b"x")
        return repr((*told, str(request.URLPath().sibling(b"y")), request.clientproto)).encode()


class Status(Leaf):
    """Answers with the status that is asked for."""

    def render_GET(self, request: Any) -> bytes:
        request.setResponseCode(int(request.args[b"code"][0]))
        return b""


@implementer(IRealm)
class Realm:
    """Has one secret for all."""

    def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> Any:
        secret = Leaf()
        secret.render_GET = lambda request: b"the secret"  # type: ignore[attr-defined]
        return IResource, secret, lambda: None


def site(folder: Path, clock: IReactorTime) -> Resource:
    """All of it; the folder's files are below /files."""
    root = Resource()
    root.putChild(b"", Data(b"<p>Hello</p>", "text/html; charset=utf-8"))
    root.putChild(b"files", File(str(folder)))
    root.putChild(b"later", Later(clock))
    for kind in (Session, Form, Digest, Cookies, Tagged, Template, Broken, Where, Status):
        root.putChild(kind.__name__.lower().encode(), kind())
    compressed = Data(b"hello " * 1000, "text/plain")
    root.putChild(b"gzip", EncodingResourceWrapper(compressed, [GzipEncoderFactory()]))
    checker = InMemoryUsernamePasswordDatabaseDontUse(me=b"pass")
    guard = HTTPAuthSessionWrapper(Portal(Realm(), [checker]), [BasicCredentialFactory(b"here")])
    root.putChild(b"secret", guard)
    return root
