"""The breaker before Redis: a process that was refused often stops asking for a while.

`models/stores/connection.py` asks it before each call and tells it the outcome.
"""

from __future__ import annotations

from config.clock import monotonic
from config.metrics.stores import REDIS_BREAKER_OPEN
from models.errors import RedisUnavailable


class Breaker:
    """Answers at once while Redis is away, and lets one call in a while look."""

    def __init__(self, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failures = 0
        self._open_until = 0.0

    def check(self) -> None:
        """Raise `RedisUnavailable` with the wait while the breaker is open."""
        if self._failures < self._limit:
            return
        now = monotonic()
        if now < self._open_until:
            wait_ms = int((self._open_until - now) * 1000) + 1
            raise RedisUnavailable("breaker open", retry_after_ms=wait_ms)
        # This caller tries; the others wait for another period.
        self._open_until = now + self._open_s

    def failed(self) -> None:
        """Count a call that Redis did not serve."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = monotonic() + self._open_s
            REDIS_BREAKER_OPEN.set(1)

    def succeeded(self) -> None:
        """Close the breaker: Redis has answered."""
        if self._failures:
            self._failures = 0
            REDIS_BREAKER_OPEN.set(0)
