"""What is counted of messages to people."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

# The promise is 95 % within 10 s.
_NOTIFICATION_BUCKETS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0)
NOTIFICATIONS: Final = Counter(
    "kuaida_notifications",
    "Messages by what became of a try, and why: sent, put_off, failed, unknown, "
    "cancelled.",
    ("outcome", "cause"),
)
NOTIFICATION_SECONDS: Final = Histogram(
    "kuaida_notification_seconds",
    "Time from a message's due moment until WeChat took it.",
    buckets=_NOTIFICATION_BUCKETS,
)

# Present from the start: see the package.
NOTIFICATIONS.labels("unknown", "timeout")
