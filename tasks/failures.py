"""What a task's failure means: try again later, or set the work aside with its cause.

The table that `tasks/base.py` decides by; nothing else knows about retries.
"""

from __future__ import annotations

import random

from celery.exceptions import SoftTimeLimitExceeded

from config.work_settings import JournalSettings
from models.errors import Limited, Unavailable
from models.rivals import RIVAL_WROTE
from wechat.errors import Retry, WeChatError

# A rival's success is found done at the next attempt.
TRANSIENT: tuple[type[BaseException], ...] = (
    Unavailable,
    Limited,
    TimeoutError,
    ConnectionError,
    SoftTimeLimitExceeded,
    *RIVAL_WROTE,
)
PASSING = frozenset({Retry.TRANSIENT, Retry.TOKEN, Retry.RATE_MINUTE})


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing anything."""
    if isinstance(error, WeChatError):
        return error.retry in PASSING
    return isinstance(error, TRANSIENT)


def is_rival(error: BaseException) -> bool:
    """Whether a key was there already: a rival's success, or a clash in the data."""
    return isinstance(error, RIVAL_WROTE)


def cause_of(error: BaseException) -> str:
    """Return class and reason, never the error's text: that may quote a person."""
    detail = getattr(error, "reason", None) or getattr(error, "errcode", None)
    inner = error.__cause__
    words = [type(error).__name__, detail, type(inner).__name__ if inner else None]
    return " ".join(str(word) for word in words if word)


def wait_ms(attempts: int, settings: JournalSettings) -> int:
    """Return the wait before the next attempt: doubling, capped, half of it random."""
    doubled = settings.retry_first_s * 2 ** min(max(attempts - 1, 0), 30)
    longest = min(doubled, settings.retry_most_s)
    return int(longest * 1000 * random.uniform(0.5, 1.0))  # noqa: S311 (spreads load)
