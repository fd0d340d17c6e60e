"""From a file and what a client wishes of it to a response (RFC 9110 sections 13 to 15)."""

from __future__ import annotations

from typing import BinaryIO

from mynet.handlers.static.byteranges import ByteRanges
from mynet.handlers.static.representation import Representation
from mynet.handlers.static.wishes import Wishes
from mynet.http.conditional import evaluate, range_applies
from mynet.http.errors import HTTPError
from mynet.http.file import FileBody
from mynet.http.message import Body, Response
from mynet.http.ranges import content_range, parse_ranges


def precondition_reply(found: Representation, wishes: Wishes, method: str) -> Response | None:
    """A 304, where the client has it already; None where it is to get it.

    Raises:
        HTTPError: 412.
    """
    if wishes.conditions is None:
        return None
    status = evaluate(wishes.conditions, method, found.validators)
    if status == 304:
        return Response.raw(b"", 304, found.not_modified_fields)
    if status == 412:
        raise HTTPError(412, "The file is in another state.")
    return None


def asked_ranges(found: Representation, wishes: Wishes, method: str) -> list[range] | None:
    """The parts that the client gets; None for the whole.

    Raises:
        HTTPError: 416.
    """
    if wishes.range is None or method != "GET":
        return None
    if_range = None if wishes.conditions is None else wishes.conditions.if_range
    if not range_applies(if_range, found.validators):
        return None
    parts = parse_ranges(wishes.range, found.size)
    if parts == []:
        told = content_range(None, found.size).decode("ascii")
        raise HTTPError(416, f"The file has {found.size} bytes.", {"Content-Range": told})
    return parts


def partial(file: BinaryIO, found: Representation, parts: list[range]) -> Response:
    """A 206 with one part or several."""
    if len(parts) == 1:
        (part,) = parts
        told = (b"Content-Range", content_range(part, found.size))
        body: Body = FileBody(file, part.start, len(part))
        return Response.raw(body, 206, [*found.fields, told])
    several = ByteRanges(file, found.size, parts, found.content_type)
    return Response.raw(several, 206, found.part_fields(several.content_type))
