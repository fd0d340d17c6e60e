"""What is sent to a client of an upstream's response: its fields, its body, its trailers."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from mynet.handlers.proxy.fields import (
    CACHED,
    CACHED_SIZE,
    HOP_BY_HOP,
    appended,
    end_to_end,
    via_element,
)
from mynet.http import HTTPError, Response
from mynet.http.client_errors import ClientError
from mynet.http.client_response import ClientResponse, ResponseBody
from mynet.http.exchange import RawHeaders
from mynet.http.reading import decode_fields
from mynet.http.writing import RepeatedFields, may_trail

_FRAMED = HOP_BY_HOP | {b"content-length"}
"""What stays behind where the response is framed by its own body."""

_ELSEWHERE = re.compile(r"/[/\\\t]")
"""How a path begins that browsers take for the name of a host."""


class ResponseFields:
    """Makes the fields, and remembers them."""

    def __init__(self, via: str | None = None) -> None:
        """See `ReverseProxy`."""
        self._via = via_element(via)
        self._cache: dict[bytes, RawHeaders] = {}

    def of(self, response: ClientResponse) -> RawHeaders:
        """Those of a response that is framed by its own body."""
        section = response.head.section
        found = self._cache.get(section)
        if found is None:
            found = self.make(response.raw_headers, _FRAMED)
            if len(section) <= CACHED_SIZE:
                if len(self._cache) >= CACHED:
                    self._cache.clear()
                self._cache[section] = found
        return found

    def of_bodiless(self, response: ClientResponse) -> RawHeaders:
        """Those of an answer to HEAD, or a 304: with the Content-Length of what it is about."""
        return self.make(response.raw_headers, HOP_BY_HOP)

    def make(self, fields: RawHeaders, dropped: frozenset[bytes] = _FRAMED) -> RawHeaders:
        """Those of anything."""
        kept = end_to_end(fields, dropped)
        return RepeatedFields(kept if self._via is None else appended(kept, b"via", self._via))


def bodiless(answer: ClientResponse, fields: ResponseFields) -> Response:
    """The answer to HEAD, or a 304. It has no length but what it declares."""
    return Response.raw((), answer.status, fields.of_bodiless(answer))


def with_body(
    answer: ClientResponse,
    fields: ResponseFields,
    done: Callable[[], object],
    blame: Callable[[ClientError], HTTPError],
) -> Response:
    """Any other: framed anew by its body, which goes on as it comes.

    Args:
        answer: What the upstream answers.
        fields: Makes the fields.
        done: Called when a body that streams has come to its end.
        blame: Makes the error of one that does not.
    """
    body = answer.body
    response = Response.raw(body, answer.status, fields.of(answer))
    if not isinstance(body, bytes):
        response.body = _Body(answer, body, response, done, blame)
    elif answer.trailers:
        _add_trailers(response, answer)
    return response


def move(response: Response, upstream: bytes, here: str) -> None:
    """Have Location say of this server what it says of the upstream.

    Args:
        response: With any Location, or none.
        upstream: The URL that the upstream's paths are behind, without a slash at its end.
        here: The path that they are behind here.
    """
    if any(name == b"location" for name, _ in response.raw_headers):
        location = response.headers["location"]
        origin = upstream.decode("ascii")
        if location.startswith(f"{origin}/"):
            path = here + location[len(origin) :]
            response.headers["location"] = f"/.{path}" if _ELSEWHERE.match(path) else path


def _add_trailers(response: Response, answer: ClientResponse) -> None:
    """What the upstream sent behind the body, as far as that may stand there."""
    trailers = end_to_end(answer.raw_headers, HOP_BY_HOP, answer.trailers)
    response.trailers.extend(decode_fields(each for each in trailers if may_trail(each[0])))


@implementer(IBodyProducer)
class _Body:
    """A body that streams. When it has ended its response has the trailers."""

    def __init__(
        self,
        answer: ClientResponse,
        body: ResponseBody,
        response: Response,
        done: Callable[[], object],
        blame: Callable[[ClientError], HTTPError],
    ) -> None:
        self.length = body.length
        self._answer = answer
        self._body = body
        self._response = response
        self._done = done
        self._blame = blame
        if answer.length is None:
            response.trailers.clear()  # to have been asked for is what keeps a place for them

    def close(self) -> None:
        """It is not wanted any more."""
        self._body.close()

    # IBodyProducer

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        return self._body.startProducing(consumer).addCallbacks(self._ended, self._failed)

    def _ended(self, _: None) -> None:
        self._done()
        if self._answer.length is None:
            _add_trailers(self._response, self._answer)

    def _failed(self, failure: Failure) -> Failure:
        error = failure.value
        if not isinstance(error, ClientError):  # it has been cancelled, or is the request's own
            return failure
        return Failure(self._blame(error))

    def pauseProducing(self) -> None:
        self._body.pauseProducing()

    def resumeProducing(self) -> None:
        self._body.resumeProducing()

    def stopProducing(self) -> None:
        self._body.stopProducing()
