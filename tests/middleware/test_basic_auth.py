"""Who may come in with a name and a password."""

from __future__ import annotations

from base64 import b64encode

import pytest
from twisted.internet.defer import Deferred, succeed

from mynet import App, Request, Response
from mynet.middleware.basic_auth import basic_auth, users
from mynet.testing import Client, make_request, result_of
from tests.asking import start

KNOWN = users({"Aladdin": "open sesame", "Zoë": "pässword:1"})


def hello(request: Request) -> Response:
    return Response.text(f"Hello, {request.state['user']}")


def credentials(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def ask(authorization: str | None, check=KNOWN, handler=hello, **options):
    headers = {} if authorization is None else {"Authorization": authorization}
    return result_of(Client(basic_auth(check, **options)(handler)).get("/", headers=headers))


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"),  # RFC 7617 section 2
        ("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"),
        (credentials("Zoë", "pässword:1"), "Zoë"),
    ],
)
def test_let_in(authorization, name):
    """Who knows the password comes in, and the handler learns who it is."""
    assert ask(authorization).text == f"Hello, {name}"


REFUSED = [
    None, "", "Basic", "Basic ", "Basic !!!!", "Basic QWxhZGRpbg==", "Basic /////w==",
    "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== more",
    credentials("Aladdin", "open"), credentials("Aladdin", ""), credentials("", ""),
    credentials("aladdin", "open sesame"), credentials("Nobody", "open sesame"),
    credentials("Aladdin", "open sesame\n"), credentials("Aladdin\0", "open sesame"),
]  # fmt: skip


@pytest.mark.parametrize("authorization", REFUSED)
def test_refused(authorization):
    """All others are asked for a password, and the handler does not see them."""
    answer = ask(authorization, realm="the cave")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="the cave", charset="UTF-8"'


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic QWxhZGRpbg==",
        credentials("A\n", "x"),
        credentials("A", "\0"),
        credentials("A", "\x7f"),
    ],
)
def test_malformed(authorization):
    """What is no name with a password is not even looked up."""
    assert ask(authorization, lambda name, password: True).status == 401


async def check_later(name: str, password: str) -> bool:
    return password == "right"


@pytest.mark.parametrize(
    "check", [check_later, lambda name, password: succeed(password == "right")]
)
def test_check_that_takes_its_time(check):
    """Who is known may be found out elsewhere."""
    assert ask(credentials("Ann", "right"), check).text == "Hello, Ann"
    assert ask(credentials("Ann", "wrong"), check).status == 401

    async def slow(request: Request) -> Response:
        return hello(request)

    assert ask(credentials("Ann", "right"), check, slow).text == "Hello, Ann"


def test_waits():
    """Nobody comes in while that is not known yet."""
    known: Deferred[bool] = Deferred()
    request = make_request("GET", "/", {"Authorization": credentials("Ann", "?")})
    answering = start(basic_auth(lambda name, password: known)(hello)(request))
    assert not answering.called
    known.callback(True)
    assert result_of(answering).status == 200


def test_in_an_app():
    """An App's handler of errors 401 makes the page, and browsers are still asked."""
    app = App()
    app.use(basic_auth(KNOWN))
    app.add_route("/", hello)

    @app.error_handler(401)
    def refused(request: Request, error: Exception) -> str:
        return "Say the word."

    answer = result_of(Client(app).get("/"))
    assert (answer.status, answer.text) == (401, "Say the word.")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("realm", ['a "realm"', "back\\slash", "line\n", "Zoë"])
def test_realm(realm):
    """A realm that cannot be told is a mistake, told at once."""
    with pytest.raises(ValueError, match="not a realm"):
        basic_auth(KNOWN, realm)
