"""The retry budget of each app, shared by all workers, so that a fault is not stormed.

Redis away: every retry is granted; the wait that doubles with each attempt still
spreads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import RedisUnavailable
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from config.limit_settings import Rule
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

TAKE_RETRY = load_script("take_retry")


class RetryBudget:
    """One token bucket an app."""

    def __init__(self, redis: SharedPipeline, keys: Keys, rule: Rule) -> None:
        self._redis = redis
        self._keys = keys
        self._rule = rule

    def take(self, app_id: str) -> bool:
        """Take one retry; False when the app has none left at this moment."""
        rule = self._rule
        try:
            wait_ms = self._redis.run(
                TAKE_RETRY,
                [self._keys.bucket("retry.app", app_id)],
                [rule.burst, rule.refill_per_s],
            )
        except RedisUnavailable:
            return True
        return not wait_ms
