"""What is counted of limits: requests refused by rate, by lock-out, by backlog."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

RATE_LIMITED: Final = Counter(
    "kuaida_rate_limited", "Requests refused by a limit.", ("limit",)
)
RATE_LIMIT_WOULD_REFUSE: Final = Counter(
    "kuaida_rate_limit_would_refuse",
    "Requests that a limit would have refused, in a dry run.",
    ("limit",),
)
LIMITED_LOCALLY: Final = Counter(
    "kuaida_limited_locally",
    "Requests counted by their process alone, because Redis was away.",
    ("outcome",),
)
LOCK_OUTS: Final = Counter(
    "kuaida_lock_outs", "Devices behind an address locked after failed logins."
)
BACKLOG_REFUSED: Final = Counter(
    "kuaida_backlog_refused", "Work refused because its lane is full.", ("lane",)
)
