"""What is counted of the behaviour rules: looks, findings, actions, WeChat's ranks."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

RISK_LOOKS: Final = Counter(
    "kuaida_risk_looks",
    "Users, devices and logins that the behaviour rules looked at, by where.",
    ("where",),
)
RISK_FINDINGS: Final = Counter(
    "kuaida_risk_findings", "Findings of the behaviour rules.", ("rule",)
)
RISK_ACTIONS: Final = Counter(
    "kuaida_risk_actions",
    "Changes of what a user may do, by the new action.",
    ("action",),
)
RISK_RANKS: Final = Counter(
    "kuaida_risk_ranks",
    "Questions to WeChat by its rank, or refused, failed, unknown_user.",
    ("outcome",),
)

# Present from the start: see the package.
for _outcome in ("refused", "failed"):
    RISK_RANKS.labels(_outcome)
for _action in ("slow", "verify", "block"):
    RISK_ACTIONS.labels(_action)
