"""Fields that have browsers be careful."""

from __future__ import annotations

import pytest

from mynet import HTTPError, Request, Response
from mynet.middleware.security_headers import security_headers
from mynet.testing import MemoryExchange, make_request

DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

HSTS = "Strict-Transport-Security"


def fields(middleware, own=(), scheme="http") -> dict[str, str]:
    exchange = MemoryExchange()
    exchange.scheme = scheme
    response = middleware(lambda request: Response(b"", 200, own))(make_request(exchange=exchange))
    assert isinstance(response, Response)
    return dict(response.headers)


def test_defaults():
    """Without a word it is careful, and breaks next to nothing."""
    assert fields(security_headers()) == DEFAULTS


def test_tls():
    """That nothing but TLS will do is told over TLS only."""
    assert fields(security_headers(), scheme="https") == {**DEFAULTS, HSTS: "max-age=31536000"}
    own = security_headers(hsts="max-age=60; includeSubDomains")
    assert fields(own, scheme="https")[HSTS] == "max-age=60; includeSubDomains"
    assert HSTS not in fields(security_headers(hsts=None), scheme="https")


def test_handlers_own():
    """What the handler set itself is kept."""
    own = {"content-security-policy": "default-src *", "x-frame-options": "DENY"}
    expected = {name: value for name, value in DEFAULTS.items() if name.lower() not in own}
    assert fields(security_headers(), own) == {**own, **expected}


def test_off():
    """Each can be turned off."""
    off = dict.fromkeys(["frame_ancestors", "referrer_policy", "opener_policy", "hsts"])
    assert fields(security_headers(**off), scheme="https") == {"X-Content-Type-Options": "nosniff"}


@pytest.mark.parametrize(
    ("options", "policy", "frame_options"),
    [
        ({"csp": "img-src 'self';"}, "img-src 'self'; frame-ancestors 'self'", "SAMEORIGIN"),
        ({"csp": "Frame-Ancestors *"}, "Frame-Ancestors *", "SAMEORIGIN"),
        ({"frame_ancestors": "'none'"}, "frame-ancestors 'none'", "DENY"),
        ({"frame_ancestors": "https://a.example"}, "frame-ancestors https://a.example", None),
        ({"csp": "default-src *", "frame_ancestors": None}, "default-src *", None),
    ],
)  # fmt: skip
def test_frames(options, policy, frame_options):
    """Who may show pages in a frame is told to browsers old and new."""
    found = fields(security_headers(**options))
    assert found["Content-Security-Policy"] == policy
    assert found.get("X-Frame-Options") == frame_options


def test_permissions():
    """What pages may use of the machine is told where that is given."""
    assert fields(security_headers(permissions_policy="camera=()"))["Permissions-Policy"] == (
        "camera=()"
    )


def test_errors():
    """Errors have them as well."""

    def refuse(request: Request) -> Response:
        raise HTTPError(403)

    with pytest.raises(HTTPError) as caught:
        security_headers()(refuse)(make_request())
    assert caught.value.headers == DEFAULTS


def test_mistakes():
    """What is no value of a field is told at once."""
    with pytest.raises(ValueError, match="not a valid header field"):
        security_headers(csp="default-src\n*")
