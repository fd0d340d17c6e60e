"""What ASGI allows an application to send, and what it is told if it sends something else.

Sans I/O. Each `ContractError` names the rule, since it is what an application's author reads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mynet.http.exchange import RawHeaders
from mynet.http.reading import decode_fields
from mynet.http.writing import (
    ResponseFields,
    field_lines,
    last_chunk,
    response_fields,
)


class ContractError(RuntimeError):
    """An application has sent what ASGI does not allow, or not now."""


class ClientDisconnected(OSError):  # noqa: N818  (it is an event, too)
    """The client has gone, or will not get what is sent for another reason (ASGI 2.4).

    An application may catch it, or let it pass: it is no error of its own.
    """


def is_disconnect(error: BaseException | None) -> bool:
    """Whether an exception is a `ClientDisconnected`, or has come of nothing else."""
    return _is_disconnect(error, set())


def _is_disconnect(error: BaseException | None, seen: set[int]) -> bool:
    """`seen` were looked at: one that is raised out of its group has that group behind it."""
    while error is not None and not isinstance(error, ClientDisconnected):
        if id(error) in seen:
            return False
        seen.add(id(error))
        if isinstance(error, BaseExceptionGroup):
            return all(_is_disconnect(each, seen.copy()) for each in error.exceptions)
        error = error.__cause__ or error.__context__
    return error is not None


def event_type(event: dict[str, Any]) -> str:
    """The type of an event.

    Raises:
        ContractError: It has none, or is none.
    """
    try:
        kind: object = event["type"]
    except (TypeError, KeyError, IndexError):
        kind = None
    if not isinstance(kind, str):
        raise ContractError(f"an event is a dict with a type, which is a str, not {event!r:.200}")
    return kind


Head = tuple[int, RawHeaders, str | None, int | None, ResponseFields | None]
"""The head of a response: its status and fields; its Content-Type, unless it has more fields than
that and its Content-Length; the latter; and what `response_fields` says, where it has more."""


def response_head(event: dict[str, Any]) -> Head:
    """The head that an event has for a response, checked.

    Raises:
        ContractError: It is not that of a response.
    """
    status, fields = event.get("status"), event.get("headers")
    if type(status) is not int or type(fields) is not list or not 200 <= status <= 599:
        return _head(*response_start(event))
    try:
        head = _head(status, fields)
        if head[4] is not None:
            b"".join([value for _, value in fields])  # raises if any that is left out is no bytes
        return head
    except (TypeError, ValueError, AttributeError, IndexError):
        return _head(*response_start(event))  # which tells what is wrong, if anything is


def _head(status: int, fields: list[tuple[bytes, bytes]]) -> Head:
    """That of fields which may not be valid; then it raises any Exception."""
    content_type = length = None
    for name, value in fields:  # most have nothing but these
        if name == b"content-type" and content_type is None:
            content_type = _content_type(value)
        elif name == b"content-length" and length is None and value.isdigit():
            length = int(value)
        else:
            checked = response_fields(fields)
            return status, fields, None, checked.length, checked
    return status, fields, content_type, length, None


def response_start(event: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and fields of an event that begins a response.

    Transfer-Encoding is left out, as ASGI asks for.

    Raises:
        ContractError: They are not those of a response.
    """
    kind, status = event["type"], event.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ContractError(f"the status of {kind} is an int from 200 to 599, not {status!r}")
    fields = header_pairs(kind, event.get("headers", ()))
    fields = [field for field in fields if field[0].lower() != b"transfer-encoding"]
    try:
        response_fields(fields)
    except ValueError as error:
        raise ContractError(f"the headers of {kind}: {error}") from None
    return int(status), fields


def header_pairs(kind: str, headers: object) -> list[tuple[bytes, bytes]]:
    """Headers, of which only the types have been checked.

    Args:
        kind: The type of the event that they are from.
        headers: What should be an iterable of pairs of bytes.

    Raises:
        ContractError: It is not.
    """
    try:
        pairs = [(name, value) for name, value in headers]  # type: ignore[attr-defined]  # if so
    except (TypeError, ValueError):
        raise ContractError(
            f"the headers of {kind} are pairs of bytes, not {headers!r:.200}"
        ) from None
    for pair in pairs:
        if not (isinstance(pair[0], bytes) and isinstance(pair[1], bytes)):
            raise ContractError(f"the headers of {kind} are pairs of bytes, not {pair!r:.200}")
    return pairs


def trailer_fields(event: dict[str, Any]) -> tuple[list[tuple[str, str]], bool]:
    """The fields of an event of trailers, and whether more of them follow.

    Raises:
        ContractError: They are none, or may not stand there.
    """
    kind = event["type"]
    pairs = header_pairs(kind, event.get("headers", ()))
    fields = decode_fields(pairs)
    try:
        last_chunk(fields)
    except ValueError as error:
        raise ContractError(f"the headers of {kind}: {error}") from None
    return fields, bool(event.get("more_trailers", False))


def response_body(event: dict[str, Any]) -> tuple[bytes, bool]:
    """The bytes of an event with some of a response's body, and whether more follows.

    Raises:
        ContractError: They are no bytes.
    """
    body = event.get("body", b"")
    if type(body) is not bytes:
        if not isinstance(body, bytes | bytearray | memoryview):
            kind = type(body).__name__
            raise ContractError(f"the body of {event['type']} is bytes, not {kind}")
        body = bytes(body)
    return body, bool(event.get("more_body", False))


def hint_links(event: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """The fields of an early hint.

    Raises:
        ContractError: Its links are no values of fields.
    """
    links = event.get("links", ())
    try:
        fields = [(b"link", link) for link in links]
        field_lines(fields)
    except (TypeError, ValueError):
        wrong = f"the links of {event['type']} are values of Link fields, in bytes"
        raise ContractError(f"{wrong}, not {links!r:.200}") from None
    return fields


@lru_cache(256)
def _content_type(value: bytes) -> str:
    """It as a str.

    Raises:
        ValueError, TypeError: It is not the value of a field.
    """
    field_lines([(b"content-type", value)])
    return value.decode("latin-1")
