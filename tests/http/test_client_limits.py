"""The limits of a client."""

from __future__ import annotations

from dataclasses import fields
from math import nan

import pytest

from mynet.http.client_limits import ClientLimits


@pytest.mark.parametrize("name", [each.name for each in fields(ClientLimits)])
@pytest.mark.parametrize("value", [-1, nan])
def test_out_of_range(name, value):
    """A limit that can be none is refused, by its name."""
    with pytest.raises(ValueError, match=name):
        ClientLimits(**{name: value})


def test_no_connections():
    """A pool without connections would serve nobody."""
    with pytest.raises(ValueError, match="max_connections"):
        ClientLimits(max_connections=0)


def test_limits_of_chunks():
    """What decodes chunks is held to the client's limits, and not to those of a server."""
    limits = ClientLimits(trailers=17, header_count=3).chunks
    assert (limits.trailers, limits.header_count) == (17, 3)
