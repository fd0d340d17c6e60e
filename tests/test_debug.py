"""What is shown of an error while an application is written, and what is not."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from mynet.debug import debug_page
from mynet.testing import make_request
from tests.asking import text_of

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def fail(depth=0):
    if depth:
        fail(depth - 1)
    password = "correct horse"  # noqa: F841
    pin_code = 8524  # noqa: F841
    answer = 42  # noqa: F841
    title = "<Local & Title>"  # noqa: F841
    raise ValueError("<b>wrong</b> & 'bad'")


def caught(function=fail, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error


class Text(HTMLParser):
    """The text of a page; all its elements are closed."""

    def __init__(self, page):
        super().__init__()
        self.text = ""
        self.elements = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(error, target="/", headers=None):
    response = debug_page(make_request("GET", target, HTML | (headers or {})), error)
    assert (response.status, response.content_type) == (500, "text/html; charset=utf-8")
    return text_of(response)


def test_page_tells_what_went_wrong():
    """The page has the error, the request, where it happened and the code there."""
    text = Text(page_of(caught(), "/a?b=<c>", {"X-More": "<more>"})).text
    assert "ValueError: <b>wrong</b> & 'bad'" in text
    assert "GET /a?b=<c> HTTP/1.1" in text
    assert "x-more<more>" in text
    assert re.search(r"fail in \S+test_debug\.py, line \d+", text)
    assert "    raise ValueError(\"<b>wrong</b> & 'bad'\")" in text
    assert "answerint: 42" in text
    assert "titlestr of length 15" in text


def test_everything_is_escaped():
    """Nothing that comes from outside becomes part of the page."""
    page = page_of(caught(), "/<script>", {"<script>": "<script>"})
    assert "<script" not in page
    assert "<b>" not in page
    assert "<c>" not in page
    assert {tag for tag, _ in Text(page).elements} == set(
        "html head meta title style body h1 h2 p code details summary pre mark table tr td "
        "footer".split()
    )


def test_secrets_are_not_shown():
    """What locals hold, and fields with credentials, stay out of a page that is sent on."""
    secrets = {
        "Cookie": "session=1234",
        "Authorization": "Basic 5678",
        "X-Api-Key": "9012",
        "Host": "example.test",
    }
    page = page_of(caught(), headers=secrets)
    text = Text(page).text
    table = text[text.index("Header fields of the request") :]
    for secret in ("1234", "5678", "9012"):
        assert secret not in table
    assert "example.test" in table
    local = re.findall(r"<tr><td>(\w+)</td><td>([^<]*)</td></tr>", page)
    assert ("password", "str of length 13") in local
    assert ("pin_code", "int") in local


def test_page_runs_nothing():
    """The page needs and may load nothing, is not kept, and its style is allowed."""
    response = debug_page(make_request(headers=HTML), caught())
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"(?:src|href|on\w+)=", text_of(response))


def test_style_is_the_one_allowed():
    """The hash in the policy is that of the style in the page."""
    response = debug_page(make_request(headers=HTML), caught())
    style = re.findall("<style>(.*)</style>", text_of(response), re.DOTALL)
    digest = b64encode(sha256(style[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_plain_text(accept):
    """A terminal gets the traceback as it is used to."""
    headers = {} if accept is None else {"Accept": accept}
    response = debug_page(make_request("GET", "/a?b", headers), caught())
    assert (response.status, response.content_type) == (500, "text/plain; charset=utf-8")
    text = text_of(response)
    assert text.startswith("GET /a?b HTTP/1.1\n\nTraceback (most recent call last):\n")
    assert text.endswith("ValueError: <b>wrong</b> & 'bad'\n")


def raise_from():
    try:
        fail()
    except ValueError as error:
        raise KeyError("cause") from error


def raise_while_handling():
    try:
        fail()
    except ValueError:
        raise KeyError("context")  # noqa: B904


def raise_from_none():
    try:
        fail()
    except ValueError:
        raise KeyError("alone") from None


@pytest.mark.parametrize("function", [raise_from, raise_while_handling])
def test_what_led_to_an_error(function):
    """Errors that led to this one are shown below it."""
    text = Text(page_of(caught(function))).text
    assert text.index("KeyError") < text.index("ValueError: <b>wrong")


def test_what_is_hidden_on_purpose():
    """`raise ... from None` hides what was before."""
    page = page_of(caught(raise_from_none))
    assert "<h2>KeyError" in page
    assert "<h2>ValueError" not in page


def test_errors_in_a_circle():
    """A chain of errors without an end has one on the page."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert Text(page_of(first)).text.count("The latest call first") == 2


def test_error_without_a_traceback():
    """An error that was never raised, only reported, has a page too."""
    assert "ValueError: x" in Text(page_of(ValueError("x"))).text


def test_endless_recursion():
    """Of very many calls the latest are shown."""
    page = page_of(caught(fail, 200))
    assert page.count("<details") == 50
    assert "raise ValueError" in page


class Hostile:
    def __repr__(self):
        raise AssertionError

    def __len__(self):
        raise AssertionError

    def __eq__(self, other):
        raise AssertionError

    def __hash__(self):
        raise AssertionError


def raise_hostile():
    hostile = Hostile()
    number = type("Number", (int,), {"__repr__": Hostile.__repr__})()
    text = type("Sized", (str,), {"__len__": Hostile.__len__})()
    raise ValueError(hostile, number, text)


def test_objects_that_cannot_be_shown():
    """No object can keep the page from being shown."""
    page = page_of(caught(raise_hostile))
    assert "<td>hostile</td><td>Hostile</td>" in page
    assert "<td>number</td><td>Number</td>" in page


def test_code_that_is_not_in_a_file():
    """Generated code has no source to show, but a place."""
    error = caught(lambda: exec("1 / 0", {}))
    assert "&lt;string&gt;, line 1" in page_of(error)


def test_lone_surrogates():
    """A message that is not proper text does not prevent the page."""
    for headers in (HTML, {}):
        response = debug_page(make_request(headers=headers), ValueError("\ud800"))
        assert "ValueError: " in text_of(response)
