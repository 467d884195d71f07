"""What is counted of WeChat: calls, their breakers, tokens, what it encrypted."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_UPSTREAM_BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WECHAT_CALLS: Final = Counter(
    "kuaida_wechat_calls", "Calls to WeChat by outcome.", ("path", "errcode")
)
WECHAT_SECONDS: Final = Histogram(
    "kuaida_wechat_seconds", "Time of a WeChat call.", ("path",),
    buckets=_UPSTREAM_BUCKETS,
)  # fmt: skip
WECHAT_REFUSED_FULL: Final = Counter(
    "kuaida_wechat_refused_full",
    "Calls refused because too many of their path were in flight.",
    ("path",),
)
WECHAT_TOKEN_REFRESHES: Final = Counter(
    "kuaida_wechat_token_refreshes", "Access token fetches by outcome.", ("outcome",)
)
BREAKER_OPEN: Final = Gauge(
    "kuaida_wechat_breaker_open",
    "1 while calls to this path are refused locally.",
    ("path",),
    multiprocess_mode="livemax",
)
BREAKER_OPENED: Final = Counter(
    "kuaida_wechat_breaker_opened",
    "Paths shut off: found broken here, heard of from another process, probe failed.",
    ("path", "cause"),
)
OPEN_DATA: Final = Counter(
    "kuaida_open_data",
    "Encrypted data by outcome: opened, or the reason.",
    ("outcome",),
)
SESSION_KEY_CHECKS: Final = Counter(
    "kuaida_session_key_checks",
    "What WeChat said of a session_key: alive, swapped, stale, gone.",
    ("verdict",),
)

# Present from the start: see the package.
WECHAT_TOKEN_REFRESHES.labels("failed")
