"""The limits of a connection: their values are checked when they are set."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from math import inf, nan
from typing import Any

import pytest

from mynet.http.limits import GIB, KIB, MIB, Limits

NAMES = [field.name for field in fields(Limits)]
OPTIONAL = {"handler_timeout", "connections", "connections_per_address"}


def limits(**values: Any) -> Limits:
    """Limits with values that a configuration may hold, of any type."""
    return Limits(**values)


def test_units():
    """Sizes are counted in powers of 1,024."""
    assert (KIB, MIB, GIB) == (2**10, 2**20, 2**30)


def test_defaults_are_safe():
    """A server that sets no limit has them all, but for the time its own handlers take."""
    assert [name for name in NAMES if getattr(Limits(), name) is None] == ["handler_timeout"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, -0.5, nan])
def test_limit_out_of_range(name, value):
    """A limit that cannot be kept is an error that names it, when it is set."""
    with pytest.raises(ValueError, match=rf"limit {name} .* not {value}"):
        limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_limit_may_be_left_open(name):
    """None is no limit where there may be none; elsewhere it is an error."""
    if name in OPTIONAL:
        assert getattr(limits(**{name: None}), name) is None
    else:
        with pytest.raises(ValueError, match=f"limit {name} "):
            limits(**{name: None})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 1, inf])
def test_limit_in_range(name, value):
    """Zero and no end are values like any other."""
    assert getattr(limits(**{name: value}), name) == value


def test_limits_do_not_change():
    """What was checked stays as it is; changed limits are others."""
    original = Limits(body=10 * MIB)
    with pytest.raises(FrozenInstanceError):
        original.body = -1  # type: ignore[misc]  # this is what is tested
    changed = replace(original, idle_timeout=15)
    assert (changed.body, changed.idle_timeout) == (10 * MIB, 15)
    with pytest.raises(ValueError, match="limit body "):
        replace(original, body=-1)


def test_limits_are_named():
    """Limits cannot be mixed up by their order."""
    with pytest.raises(TypeError):
        Limits(10)  # type: ignore[call-arg]  # this is what is tested
