"""One behaviour rule as a setting spells it, and the table of actions as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RiskRule:
    """One rule: the figure that is odd, and what a finding weighs; 0 is off."""

    limit: float
    score: int

    def __str__(self) -> str:
        """Return the text that `parse_risk_rule` reads."""
        return f"{self.limit:.15g}/{self.score}"


def parse_risk_rule(value: object) -> object:
    """Read ``"<limit>/<score>"``; raises ValueError with the rule."""
    if not isinstance(value, str):
        return value
    limit, slash, score = value.partition("/")
    try:
        rule = RiskRule(float(limit), int(score))
    except ValueError:
        rule = RiskRule(0, -1)
    # Written so that nan is refused too.
    if not (slash and 0 < rule.limit < float("inf") and rule.score >= 0):
        message = 'must be "<limit>/<score>", the limit above 0; score 0 is off'
        raise ValueError(message)
    return rule


def parse_actions(value: object) -> object:
    """Read the JSON of RISK_ACTIONS; other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        message = 'must be JSON like {"slow": 40, "verify": 80}'
        raise ValueError(message) from None
