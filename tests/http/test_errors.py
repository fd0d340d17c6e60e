"""Errors that know what to answer."""

from __future__ import annotations

import pickle
from http import HTTPStatus

import pytest

from mynet.http.errors import REASONS, ClientGone, HTTPError


@pytest.mark.parametrize("status", [400, 404, 451, 499, 500, 503, 599])
def test_error_statuses(status):
    """Any status of an error may be answered, also one that has no name."""
    assert HTTPError(status).status == status


@pytest.mark.parametrize("status", [-404, 0, 100, 200, 304, 399, 600, 1000])
def test_other_statuses(status):
    """What is no error is not raised as one; the mistake shows where it is made."""
    with pytest.raises(ValueError, match=f"not {status}"):
        HTTPError(status)


def test_what_it_carries():
    """An error has what its response needs."""
    error = HTTPError(405, "Only GET.", {"Allow": "GET"}, close=True)
    assert (error.status, error.detail) == (405, "Only GET.")
    assert error.headers == {"Allow": "GET"}
    assert error.close


def test_what_it_carries_by_default():
    """An error is a status; the connection goes on after it."""
    error = HTTPError(404)
    assert (error.detail, error.headers, error.close) == ("", {}, False)


def test_header_fields_are_its_own():
    """Errors made from one mapping do not share what is added to them."""
    common = {"Retry-After": "60"}
    first, second = HTTPError(503, headers=common), HTTPError(503, headers=common)
    first.headers["Allow"] = "GET"
    assert (second.headers, common) == ({"Retry-After": "60"}, {"Retry-After": "60"})


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (HTTPError(404), "404 Not Found"),
        (HTTPError(413, "Too much."), "413 Content Too Large: Too much."),
        (HTTPError(599, "Odd."), "599 Error: Odd."),
    ],
)
def test_text(error, text):
    """A log tells the status, its name and the detail."""
    assert str(error) == text


def test_names_are_those_of_rfc_9110():
    """Statuses are called the same on every version of Python."""
    assert REASONS[413] == "Content Too Large"
    assert REASONS[416] == "Range Not Satisfiable"
    assert REASONS[422] == "Unprocessable Content"
    assert REASONS.keys() == {status.value for status in HTTPStatus}


def test_errors_are_copied_between_processes():
    """An error that a worker process raised is the same in its parent."""
    original = HTTPError(405, "Only GET.", {"Allow": "GET"}, close=True)
    assert vars(pickle.loads(pickle.dumps(original))) == vars(original)


def test_client_gone_is_no_error_to_answer():
    """That a client has gone is nothing that could be answered."""
    assert not issubclass(ClientGone, HTTPError)
