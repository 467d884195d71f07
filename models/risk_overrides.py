"""What a person decided against the rules: kept as the evidence of a mark.

`models/risk_marks.py` stores it, `models/risk_policy.py` lets it win.
"""

from __future__ import annotations

import msgspec

from models.standings import Action

# The rule of such a mark.
OVERRIDE = "override"


class Override(msgspec.Struct):
    """What an administrator decided, and why."""

    action: Action
    reason: str


def read_override(evidence: str) -> Override:
    """Return the choice that a mark holds."""
    return msgspec.json.decode(evidence, type=Override)
