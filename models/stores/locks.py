"""Locks between processes that end by themselves, each with a fence.

A lock on a clock cannot keep a frozen owner from going on after its end. So whatever
the lock guards stores the fence with its effect, and refuses one that is lower than
what it has seen (`lua/save_token.lua` does).

Redis away: `acquire` and `release` raise `RedisUnavailable`; nobody gets the lock.
Redis wiped: a second owner may get it, with a higher fence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import MS_PER_S
from models.stores.keys import FENCE_LIFE_S
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

TAKE_LOCK = load_script("take_lock")
RELEASE = load_script("release")


class LockStore:
    """Mutual exclusion by name; one round trip each way."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def acquire(self, name: str, ttl_s: float) -> int | None:
        """Return the fence of the new owner, None while somebody else holds the lock.

        It rises with each owner of this name. A caller whose reply was lost does not
        hold the lock; it ends after ``ttl_s``.
        """
        # Lock and number at once: a number drawn before the lock could be the lower
        # one and have the newer effect refused.
        fence = self._redis.run(
            TAKE_LOCK,
            [self._keys.lock(name), self._keys.fence(name)],
            [max(1, int(ttl_s * MS_PER_S)), FENCE_LIFE_S * MS_PER_S],
        )
        return None if fence is None else int(fence)

    def release(self, name: str, fence: int) -> bool:
        """Let go; False when the lock had ended or passed to somebody else."""
        return bool(self._redis.run(RELEASE, [self._keys.lock(name)], [str(fence)]))
