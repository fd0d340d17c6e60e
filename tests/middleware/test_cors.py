"""What browsers are told about other origins, and what they then let pages do."""

from __future__ import annotations

import pytest

from mynet import App, HTTPError, Request, Response
from mynet.middleware.cors import cors
from mynet.testing import Client, result_of

SHOP = "https://shop.example"
EVIL = "https://evil.example"

ALLOW = "Access-Control-Allow-"


def ask(middleware, origin: str | None = SHOP, method="GET", handler=None, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if origin is not None:
        fields["Origin"] = origin
    handler = middleware(handler or (lambda request: Response(b"hello", 200, {"Own": "1"})))
    return result_of(Client(handler).request(method, "/", headers=fields))


def preflight(middleware, origin=SHOP, method="PUT", **headers):
    return ask(middleware, origin, "OPTIONS", Access_Control_Request_Method=method, **headers)


def told(answer) -> dict[str, str]:
    """What an answer says about origins, shortly."""
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in answer.headers.items()
        if name.startswith("Access-Control-")
    }


# Answers


def test_allowed_origin():
    """A page of an origin that may reads the answer; caches keep it for that origin."""
    answer = ask(cors([SHOP]))
    assert told(answer) == {"Allow-Origin": SHOP}
    assert (answer.headers["Vary"], answer.headers["Own"], answer.text) == ("Origin", "1", "hello")


@pytest.mark.parametrize(
    "origin", [EVIL, None, "null", "http://shop.example", SHOP + ".evil.example", SHOP + ":8443"]
)
def test_other_origins(origin):
    """Any other gets the answer, as it always could, and nothing that lets a page read it."""
    answer = ask(cors([SHOP], credentials=True, expose=["Own"]), origin)
    assert told(answer) == {}
    assert (answer.status, answer.headers["Vary"]) == (200, "Origin")


@pytest.mark.parametrize("origin", [EVIL, None])
@pytest.mark.parametrize("origins", ["*", ["*"], (SHOP, "*")])
def test_all_origins(origins, origin):
    """Where all may, caches need not keep origins apart."""
    answer = ask(cors(origins), origin)
    assert told(answer) == {"Allow-Origin": "*"}
    assert "Vary" not in answer.headers


def test_one_origin():
    """One origin need not be in a list; `null`, that of sandboxed pages, has to be named."""
    assert told(ask(cors(SHOP))) == {"Allow-Origin": SHOP}
    assert told(ask(cors([SHOP, "null"]), "null")) == {"Allow-Origin": "null"}


def test_who_decides():
    """Which origins may can be found out when they ask."""
    middleware = cors(lambda origin: origin.endswith(".example"), credentials=True)
    assert told(ask(middleware)) == {"Allow-Origin": SHOP, "Allow-Credentials": "true"}
    assert told(ask(middleware, "https://example.org")) == {}


def test_credentials_and_exposed_fields():
    """Cookies, and fields that pages may read, are for those who may."""
    answer = ask(cors([SHOP], credentials=True, expose=["Own", "X-Total"]))
    assert told(answer) == {
        "Allow-Origin": SHOP,
        "Allow-Credentials": "true",
        "Expose-Headers": "Own, X-Total",
    }


def test_handlers_own_fields():
    """What the handler says of origins is not what counts."""
    fields = {ALLOW + "Origin": "*", "Vary": "Cookie"}
    answer = ask(cors([SHOP]), EVIL, handler=lambda request: Response(b"", 200, fields))
    assert (told(answer), answer.headers["Vary"]) == ({}, "Cookie, Origin")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"origins": "*", "credentials": True}, "with credentials no origins"),
        ({"origins": SHOP, "expose": "*", "credentials": True}, "nor expose"),
        ({"origins": [SHOP, "*"], "credentials": True}, "with credentials no origins"),
        ({"origins": SHOP, "expose": ["Own", "*"], "credentials": True}, "nor expose"),
        ({"origins": SHOP + "/"}, "not an origin, such as https://app.example: "),
        ({"origins": ["shop.example"]}, "not an origin"),
        ({"origins": ["https://SHOP.example"]}, "not an origin"),
        ({"origins": SHOP, "expose": "a\nb"}, "not a valid header field"),
    ],
)
def test_mistakes(options, match):
    """What could not work, or would be open to all, is told at once."""
    with pytest.raises(ValueError, match=match):
        cors(**options)


# Errors


def test_errors():
    """Pages read errors, too: those of an App, and those that pass as exceptions."""
    app = App()
    app.use(cors([SHOP]))
    assert (ask(lambda _: app).status, told(ask(lambda _: app))) == (404, {"Allow-Origin": SHOP})

    def refuse(request: Request) -> Response:
        raise HTTPError(403, "No.", {"Own": "1"})

    async def refuse_later(request: Request) -> Response:
        raise HTTPError(403, "No.", {"Own": "1"})

    for handler in (refuse, refuse_later):
        answer = ask(cors([SHOP]), handler=handler)
        assert (answer.status, answer.headers["Own"]) == (403, "1")
        assert told(answer) == {"Allow-Origin": SHOP}


def test_error_that_is_raised_twice():
    """An error that is raised for each who asks does not tell one what it told the other."""
    error = HTTPError(403)

    def refuse(request: Request) -> Response:
        raise error

    assert told(ask(cors([SHOP]), handler=refuse)) == {"Allow-Origin": SHOP}
    assert told(ask(cors([SHOP]), EVIL, handler=refuse)) == {}


# Preflights


def test_preflight():
    """A preflight is answered, and the handler does not see it."""
    answer = preflight(cors([SHOP], headers=["X-Token"]), Access_Control_Request_Headers="x-token")
    assert told(answer) == {
        "Allow-Origin": SHOP,
        "Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Allow-Headers": "X-Token",
        "Max-Age": "600",
    }
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Vary"] == (
        "Access-Control-Request-Method, Access-Control-Request-Headers, Origin"
    )


def test_preflight_of_another_origin():
    """An origin that may not is not told what others may."""
    answer = preflight(cors([SHOP], credentials=True), EVIL)
    assert (answer.status, told(answer)) == (204, {})


def test_preflight_where_all_is_allowed():
    """Any method and field is allowed by naming what is asked for: `*` would not mean all."""
    middleware = cors([SHOP], methods="*", headers="*", credentials=True, max_age=5)
    asked = "x-a, authorization"
    assert told(preflight(middleware, Access_Control_Request_Headers=asked)) == {
        "Allow-Origin": SHOP,
        "Allow-Credentials": "true",
        "Allow-Methods": "PUT",
        "Allow-Headers": asked,
        "Max-Age": "5",
    }
    assert "Allow-Headers" not in told(preflight(middleware))


def test_options_that_is_no_preflight():
    """OPTIONS that asks for no more is the handler's."""
    assert ask(cors([SHOP]), method="OPTIONS").text == "hello"
    assert ask(cors([SHOP]), None, "OPTIONS", Access_Control_Request_Method="PUT").text == "hello"
    assert ask(cors([SHOP]), method="GET", Access_Control_Request_Method="PUT").text == "hello"
