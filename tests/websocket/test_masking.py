"""Masking: what a client sends can be read by its server, and foreseen by nobody."""

from __future__ import annotations

import os
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynet.websocket.masking import BATCH, apply_mask, masking_keys
from tests.websocket.arriving import xor


def test_example():
    """The RFC's own example (section 5.7)."""
    key = bytes.fromhex("37fa213d")
    assert apply_mask(b"Hello", key) == bytes.fromhex("7f9f4d5158")
    assert apply_mask(bytes.fromhex("7f9f4d5158"), key) == b"Hello"


@pytest.mark.parametrize("length", [*range(70), 125, 126, 127, 1023, 1024, 65535, 65536])
@pytest.mark.parametrize("key", [b"\x00\x00\x00\x00", b"\x01\x02\x03\xff"])
def test_lengths(length, key):
    """However long a payload is, each of its bytes is masked by its byte of the key."""
    data = os.urandom(length)
    masked = apply_mask(data, key)
    assert type(masked) is bytes
    assert masked == xor(data, key)
    assert apply_mask(memoryview(masked)[:], key) == data


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4), st.integers(0, 9))
def test_views(data, key, start):
    """What begins anywhere in memory is masked the same."""
    assert apply_mask(memoryview(data)[start:], key) == xor(data[start:], key)


def test_keys(monkeypatch):
    """Each key is used once: of what the system gives as random, no byte is used twice."""
    given_out: list[bytes] = []
    urandom = os.urandom

    def giving(size: int) -> bytes:
        given_out.append(urandom(size))
        return given_out[-1]

    monkeypatch.setattr(os, "urandom", giving)
    keys = list(islice(masking_keys(), BATCH * 3))
    assert b"".join(keys) == b"".join(given_out)
    assert {len(key) for key in keys} == {4}
    assert len(set(keys)) > len(keys) - 3
