"""Users prove who they are by name and password (RFC 7617): an example of what middleware may do.

Passwords are sent with each request, readable for all on the way: for TLS only.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from secrets import token_hex

from mynet.http.errors import HTTPError
from mynet.http.message import Handler, Middleware, Request, Response
from mynet.middleware.around import with_life_of

Check = Callable[[str, str], bool | Awaitable[bool]]
"""Called with a name and a password: whether they are right."""


def basic_auth(check: Check, realm: str = "mynet") -> Middleware:
    """Middleware that lets in whom `check` knows; `request.state["user"]` has the name then.

    All others are answered 401. To hash a password takes time: do that in a thread, and have
    `check` return its Deferred.

    Args:
        check: See `Check`; it may be a coroutine function.
        realm: What browsers tell users that the password is for.

    Raises:
        ValueError: The realm is not printable ASCII, or has quotes or backslashes.
    """
    if not (realm.isascii() and realm.isprintable()) or set(realm) & set('"\\'):
        raise ValueError(f"not a realm: {realm!r}")
    challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    def middleware(handler: Handler) -> Handler:
        def answer(request: Request) -> Response | Awaitable[Response]:
            user, password = _credentials(request) or _refuse(challenge)
            known = check(user, password)
            if isinstance(known, Awaitable):
                return answer_later(request, user, known)
            return let_in(request, user, known)

        async def answer_later(request: Request, user: str, known: Awaitable[bool]) -> Response:
            return await let_in(request, user, await known)

        def let_in(request: Request, user: str, known: bool) -> Response | Awaitable[Response]:
            if not known:
                _refuse(challenge)
            request.state["user"] = user
            return handler(request)

        return with_life_of(handler, answer)

    return middleware


def users(passwords: Mapping[str, str]) -> Check:
    """A check against the passwords of these names, which does not tell by its time what is wrong.

    For a few machines: passwords of people are kept hashed.
    """
    known = {name: password.encode() for name, password in passwords.items()}
    nobodys = token_hex().encode()

    def check(name: str, password: str) -> bool:
        return compare_digest(password.encode(), known.get(name, nobodys))

    return check


def _refuse(challenge: Mapping[str, str]) -> tuple[str, str]:
    raise HTTPError(401, headers=challenge)


def _credentials(request: Request) -> tuple[str, str] | None:
    """The name and the password; None where there are none, or they are malformed."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon and not _has_controls(text) else None


def _has_controls(text: str) -> bool:
    return any(ord(char) < 32 or ord(char) == 127 for char in text)
