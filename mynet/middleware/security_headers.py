"""Header fields that have browsers be careful with what they get.

Each is there unless the handler has set it itself, or it is turned off with None.
"""

from __future__ import annotations

from multidict import CIMultiDict

from mynet.http.message import Handler, Middleware, Request
from mynet.http.writing import encode_fields, field_lines
from mynet.middleware.around import change_fields

_FRAME_OPTIONS = {"'none'": "DENY", "'self'": "SAMEORIGIN"}


def security_headers(
    *,
    csp: str | None = None,
    frame_ancestors: str | None = "'self'",
    referrer_policy: str | None = "strict-origin-when-cross-origin",
    opener_policy: str | None = "same-origin",
    permissions_policy: str | None = None,
    hsts: str | None = "max-age=31536000",
) -> Middleware:
    """Middleware that sets the fields, and `X-Content-Type-Options: nosniff` in any case.

    Args:
        csp: The Content-Security-Policy.
        frame_ancestors: Who may show pages in a frame, as a directive of that policy, which it is
            added to unless that has one; and as X-Frame-Options, where that can tell.
        referrer_policy: The Referrer-Policy.
        opener_policy: The Cross-Origin-Opener-Policy.
        permissions_policy: The Permissions-Policy: `camera=(), geolocation=()`.
        hsts: The Strict-Transport-Security, which is sent over TLS only. Browsers keep to it for
            as long as it says: nothing but https will do for that host.

    Raises:
        ValueError: What is given is no value of a header field.
    """
    fields = {
        "Content-Security-Policy": _policy(csp, frame_ancestors),
        "X-Frame-Options": _FRAME_OPTIONS.get(frame_ancestors or ""),
        "Referrer-Policy": referrer_policy,
        "Cross-Origin-Opener-Policy": opener_policy,
        "Permissions-Policy": permissions_policy,
    }
    plain = {"X-Content-Type-Options": "nosniff"}
    plain.update((name, value) for name, value in fields.items() if value is not None)
    secure = plain if hsts is None else {**plain, "Strict-Transport-Security": hsts}
    field_lines(encode_fields(secure.items()))

    def change(request: Request, fields: CIMultiDict[str]) -> None:
        for name, value in (secure if request.scheme == "https" else plain).items():
            fields.setdefault(name, value)

    def middleware(handler: Handler) -> Handler:
        return change_fields(handler, change)

    return middleware


def _policy(csp: str | None, frame_ancestors: str | None) -> str | None:
    directives = [each.strip() for each in (csp or "").split(";") if each.strip()]
    told = any(each.split()[0].lower() == "frame-ancestors" for each in directives)
    if frame_ancestors is not None and not told:
        directives.append(f"frame-ancestors {frame_ancestors}")
    return "; ".join(directives) or None
