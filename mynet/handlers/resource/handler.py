"""The resources of twisted.web, served unmodified.

Requests are twisted.web's own, of the `Site`'s requestFactory, so that whatever they do is what
they do there; a `Channel` makes responses of what they write. The body is read before a resource
is rendered, as there, and since it is kept until then (on disk from 100,000 bytes on) it has a
limit. This module feeds a request; what comes of it is the channel's.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import HTTPFactory
from twisted.web.resource import IResource
from twisted.web.server import Site

from mynet.handlers.resource.channel import Channel, SecureChannel
from mynet.http.body import RequestBody, too_large
from mynet.http.limits import MIB
from mynet.http.message import Request, Response

BODY_LIMIT = 16 * MIB
"""How large a request's body may be unless told otherwise; that of forms elsewhere in mynet."""


class ResourceHandler:
    """A handler that serves a resource of twisted.web and what is below it, or a whole `Site`.

    In an App it may be mounted: then `prepath` begins with the prefix, and links are right.
    """

    def __init__(self, resource: IResource | Site, *, body_limit: int = BODY_LIMIT) -> None:
        """Nothing is opened yet.

        Args:
            resource: What is served. Of a Site count its requestFactory, sessions and
                displayTracebacks; its log, if it has a path, or a `log` of its own; and, with
                `start` and `stop`, its startFactory and stopFactory. Its timeout does not.
            body_limit: How many bytes a request's body may have; 413 beyond.

        Raises:
            TypeError: It is neither.
        """
        if not isinstance(resource, Site) and not IResource.providedBy(resource):
            raise TypeError(f"neither a resource nor a Site of twisted.web: {resource!r}")
        self._resource = resource
        self._site = resource if isinstance(resource, Site) else None
        self._log = self._site if self._site is not None and _logs(self._site) else None
        self._body_limit = body_limit

    def start(self) -> None:
        """A Site that was given is started, as by a port that it would listen on."""
        if self._site is self._resource:
            self._site.doStart()

    def stop(self) -> None:
        """And it is stopped."""
        if self._site is self._resource:
            self._site.doStop()

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        channel = self._open(request)
        if request.body is not None:
            return self._receive(request.body, channel)
        channel.receive_head(0)
        return channel.render()

    def _open(self, request: Request) -> Channel:
        site: Any = self._site or self._make_site(request.exchange.sweep.clock)
        if request.root_path:
            site = _Mounted(site, request.root_path.count("/"))
        kind = SecureChannel if request.scheme == "https" else Channel
        return kind(request, site, self._log)

    def _make_site(self, clock: IReactorTime) -> Site:
        """For a resource; only now is it known which reactor this runs on."""
        self._site = Site(self._resource, reactor=clock)
        return self._site

    async def _receive(self, body: RequestBody, channel: Channel) -> Response:
        if body.declared is not None and body.declared > self._body_limit:
            raise too_large(self._body_limit)
        try:
            channel.receive_head(body.declared)
            await self._spool(body, channel)
        except BaseException:
            channel.lose()
            raise
        return await channel.render()

    async def _spool(self, body: RequestBody, channel: Channel) -> None:
        size = 0
        async for data in body:
            size += len(data)
            if size > self._body_limit:
                raise too_large(self._body_limit)
            channel.receive(data)
            if channel.over:
                break


def _logs(site: Site) -> bool:
    """Whether a Site is to log requests itself; by default it would only repeat mynet's log."""
    return site.logPath is not None or type(site).log is not HTTPFactory.log


class _Mounted:
    """A Site below a prefix."""

    def __init__(self, site: Site, depth: int) -> None:
        self._site = site
        self._depth = depth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def getResourceFor(self, request: Any) -> Any:
        """What is found below the prefix, as if that were the path of resources before it."""
        request.prepath += request.postpath[: self._depth]
        del request.postpath[: self._depth]
        return self._site.getResourceFor(request)
