"""What the connections of one endpoint share: a policy, and counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from mynet.websocket.masking import masking_keys
from mynet.websocket.policy import Policy, PolicyFields
from mynet.websocket.stats import Stats


class Shared:
    """One for each endpoint: a route, a factory, or what connects as a client."""

    def __init__(self, policy: Policy | None = None, **fields: Unpack[PolicyFields]) -> None:
        """An own one for each policy.

        Args:
            policy: `Policy()` unless given.
            fields: What is different in that policy.

        Raises:
            TypeError: A policy has no such field.
            ValueError: A value is out of its range.
        """
        self.policy = replace(policy or Policy(), **fields)
        self.stats = Stats()
        self.keys = masking_keys()
        """With which a client masks what it sends."""
