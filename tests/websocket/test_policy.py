"""The policy of an endpoint: its values are checked when they are set."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from math import inf, nan
from typing import Any, get_args, get_type_hints

import pytest

from mynet.http.limits import KIB, MIB
from mynet.websocket.deflate import Deflate
from mynet.websocket.policy import Policy, PolicyFields, SlowConsumer

SIZES = ["max_message_size", "receive_limit", "send_limit"]
TIMES = [
    "send_timeout", "ping_interval", "ping_timeout", "handshake_timeout", "close_timeout",
    "leave_timeout",
]  # fmt: skip
NUMBERS = [*SIZES, "max_frames", *TIMES]
FROM_ONE = {"max_frames", "ping_interval", "ping_timeout"}
OPTIONAL = {"max_message_size", "ping_interval"}


def policy(**values: Any) -> Policy:
    """A policy with values that a configuration may hold, of any type."""
    return Policy(**values)


def test_defaults():
    """Who says nothing has limits of everything, is asked for signs of life, and compresses."""
    default = Policy()
    values = {field.name: getattr(default, field.name) for field in fields(Policy)}
    assert values == {
        "max_message_size": MIB, "max_frames": 4096, "receive_limit": 64 * KIB,
        "send_limit": 256 * KIB, "slow_consumer": "wait", "send_timeout": 60.0,
        "ping_interval": 20.0, "ping_timeout": 20.0, "handshake_timeout": 10.0,
        "close_timeout": 10.0, "leave_timeout": 10.0, "subprotocols": (), "origins": None,
        "deflate": Deflate(),
    }  # fmt: skip


def test_keyword_arguments():
    """What a policy has can be named wherever one is made, with the same types."""
    assert get_type_hints(PolicyFields) == get_type_hints(Policy)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, -0.5, nan, -inf])
def test_number_out_of_range(name, value):
    """A number that cannot be kept to is an error that names it, when it is set."""
    with pytest.raises(ValueError, match=rf"^{name} must be a number from [01] on, not {value}$"):
        policy(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, 0.5])
def test_numbers_from_one_on(name, value):
    """No frames at all, and pings many times a second, are mistakes; other numbers may be 0."""
    if name in FROM_ONE:
        with pytest.raises(ValueError, match=rf"^{name} must be a number from 1 on, not {value}$"):
            policy(**{name: value})
    else:
        assert getattr(policy(**{name: value}), name) == value


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [1, 1e6, inf])
def test_number_in_range(name, value):
    """A large number, and no end, are values like any other."""
    assert getattr(policy(**{name: value}), name) == value


@pytest.mark.parametrize("name", NUMBERS)
def test_number_may_be_left_open(name):
    """None is no limit where there may be none; elsewhere it is an error."""
    if name in OPTIONAL:
        assert getattr(policy(**{name: None}), name) is None
    else:
        with pytest.raises(ValueError, match=f"^{name} must be a number from"):
            policy(**{name: None})


@pytest.mark.parametrize("value", get_args(SlowConsumer))
def test_slow_consumers(value):
    """Each policy for slow consumers can be chosen."""
    assert policy(slow_consumer=value).slow_consumer == value


@pytest.mark.parametrize("value", ["drop", "", None])
def test_unknown_slow_consumer(value):
    """Another one is an error that says which there are."""
    kinds = "wait, drop-oldest, latest, close"
    with pytest.raises(ValueError, match=f"^slow_consumer must be one of {kinds}, not {value!r}$"):
        policy(slow_consumer=value)


@pytest.mark.parametrize("name", ["subprotocols", "origins"])
def test_list_that_is_a_string(name):
    """A string where a list is meant would be a list of its letters; it is an error."""
    with pytest.raises(ValueError, match=rf"^{name} must be a list, such as \['https://a.test'\]"):
        policy(**{name: "https://a.test"})


def test_origins():
    """An origin that no browser would send is an error when it is set."""
    assert policy(origins=["https://a.test", "*"]).origins == ["https://a.test", "*"]
    assert policy(origins=[]).origins == []
    with pytest.raises(ValueError, match=r"https://a\.test/path"):
        policy(origins=["https://a.test/path"])


def test_policies_do_not_change():
    """What was checked stays as it is; a changed policy is another."""
    original = Policy(max_message_size=10)
    with pytest.raises(FrozenInstanceError):
        original.max_message_size = -1  # type: ignore[misc]  # this is what is tested
    changed = replace(original, ping_interval=None)
    assert (changed.max_message_size, changed.ping_interval) == (10, None)
    with pytest.raises(ValueError, match="max_frames"):
        replace(original, max_frames=0)


def test_fields_are_named():
    """Fields cannot be mixed up by their order."""
    with pytest.raises(TypeError):
        Policy(10)  # type: ignore[call-arg]  # this is what is tested
