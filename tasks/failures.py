"""What a task's failure means: try again later, or set the work aside with its cause.

The table that `tasks/base.py` decides by; `tasks/retries.py` says how long.
"""

from __future__ import annotations

from celery.exceptions import SoftTimeLimitExceeded

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
PASSING = frozenset({Retry.TRANSIENT, Retry.TOKEN, Retry.RATE_MINUTE, Retry.RATE_DAY})


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
