"""Named locks with a life: a dead owner lets go by itself.

Redis away: `acquire` raises `RedisUnavailable`; nobody gets the lock.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from models.stores.scripts import load_script

if TYPE_CHECKING:
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

RELEASE = load_script("release")


class LockStore:
    """Mutual exclusion between processes, for work that is idempotent anyway."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def acquire(self, name: str, ttl_s: float) -> str | None:
        """Return the owner mark, None when somebody else holds the lock."""
        owner = secrets.token_hex(8)
        life_ms = int(ttl_s * 1000)
        taken = self._redis.execute(
            "SET", self._keys.lock(name), owner, "NX", "PX", life_ms
        )
        return None if taken is None else owner

    def release(self, name: str, owner: str) -> bool:
        """Let go; False when the lock had already passed to somebody else."""
        return bool(self._redis.run(RELEASE, [self._keys.lock(name)], [owner]))
