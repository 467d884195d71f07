"""How long failed work waits before it is tried again, by the class of its error.

`tasks/failures.py` says whether; this table says when. WeChat's own windows are kept,
stores come back soon, and an app's budget holds back a storm.
"""

from __future__ import annotations

import random

from config.clock import MINUTE_MS, now_ms
from config.metrics.tasks import RETRIES_HELD
from config.work_settings import JournalSettings
from models.china_time import until_midnight_ms
from models.errors import KuaidaError
from tasks.app import Resources
from wechat.errors import PathClosed, Retry, WeChatError


def retry_wait_ms(
    error: BaseException, attempts: int, app_id: str | None, house: Resources
) -> int:
    """Return the milliseconds until the next attempt.

    At least what the error itself asks for. Work of an app whose budget is spent
    waits the longest time.
    """
    journal = house.settings.journal
    wait = max(_own_wait_ms(error), backoff_ms(attempts, journal))
    if app_id is not None and not house.stores.retry_budget.take(app_id):
        RETRIES_HELD.inc()
        return max(wait, _jittered(journal.retry_most_s * 1000))
    return wait


def backoff_ms(attempts: int, settings: JournalSettings) -> int:
    """Return the wait after ``attempts``: doubling, capped, half of it random."""
    doubled = settings.retry_first_s * 2 ** min(max(attempts - 1, 0), 30)
    return _jittered(min(doubled, settings.retry_most_s) * 1000)


def _own_wait_ms(error: BaseException) -> int:
    """Return what the error says of the earliest moment that makes sense."""
    if isinstance(error, KuaidaError):
        return error.retry_after_ms or 0
    if isinstance(error, PathClosed):
        # Jittered, or all that waited would meet at the one probe.
        return error.retry_after_ms + _jittered(MINUTE_MS / 12)
    if isinstance(error, WeChatError) and error.retry is Retry.RATE_MINUTE:
        return MINUTE_MS - now_ms() % MINUTE_MS + _jittered(MINUTE_MS / 6)
    if isinstance(error, WeChatError) and error.retry is Retry.RATE_DAY:
        return until_midnight_ms(now_ms()) + _jittered(MINUTE_MS * 10)
    return 0


def _jittered(milliseconds: float) -> int:
    return int(milliseconds * random.uniform(0.5, 1.0))  # noqa: S311 (spreads load)
