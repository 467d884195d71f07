"""What is counted of the calls that WeChat bills."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

PAID_CALLS: Final = Counter(
    "kuaida_paid_calls", "Billed calls by end: charged, free, unknown.", ("kind", "end")
)
PAID_FEN: Final = Counter(
    "kuaida_paid_fen", "Fen spent on billed calls, unknown ends included.", ("kind",)
)
PAID_CAP: Final = Gauge(
    "kuaida_paid_cap_fen",
    "Fen an app may spend on billed calls in a month.",
    multiprocess_mode="livemax",
)
PAID_REFUSED: Final = Counter(
    "kuaida_paid_refused", "Billed calls not made because of a cap.", ("kind",)
)

# Present from the start: see the package.
for _end in ("charged", "free", "unknown"):
    PAID_CALLS.labels("phone", _end)
PAID_REFUSED.labels("phone")
