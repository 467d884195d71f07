"""The only source of time: wall clock for records, monotonic clock for waiting.

Every other module asks here, so that tests can move time in one place and a lint
rule can forbid the raw calls elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

MS_PER_S: Final = 1000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000


def now_ms() -> int:
    """Return the wall clock in epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Return seconds of a clock that never goes back; only differences count."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait for ``seconds``; under gevent this yields to other requests."""
    time.sleep(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock that every call below a request inherits."""

    at: float

    @classmethod
    def after_ms(cls, milliseconds: float) -> Deadline:
        """Return the deadline ``milliseconds`` from now."""
        return cls(monotonic() + milliseconds / 1000)

    def remaining_s(self) -> float:
        """Return the seconds left; zero or less once the deadline has passed."""
        return self.at - monotonic()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining_s() <= 0

    def with_reserve(self, seconds: float, share: float) -> Deadline:
        """Return an earlier deadline that leaves time for what comes after.

        ``seconds`` of it, or ``share`` of what is left where that is less.
        """
        return Deadline(self.at - min(seconds, self.remaining_s() * share))

    def earlier(self, other: Deadline | None) -> Deadline:
        """Return the earlier one; None means no deadline."""
        return self if other is None or self.at <= other.at else other

    def capped(self, seconds: float) -> float:
        """Return the shorter of ``seconds`` and what is left, never below zero."""
        return max(0.0, min(seconds, self.remaining_s()))
