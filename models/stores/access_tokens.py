"""WeChat's access tokens, shared by all processes and sealed at rest.

Redis away: `RedisUnavailable`; `wechat/access_token.py` lives on its last good one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.clock import now_ms
from models.sealing import Unsealable
from models.stores.keys import FORCED_COUNT_S
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from models.sealing import Sealer
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys
    from models.stores.locks import LockStore

SAVE_TOKEN = load_script("save_token")


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token with the end of its life (epoch ms) and the fence of its refresher."""

    token: str = field(repr=False)
    expires_at_ms: int
    fence: int


class AccessTokenStore:
    """One token an app; a refresher with an old fence cannot overwrite a newer one."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, sealer: Sealer, locks: LockStore
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._locks = locks
        self._sealer = sealer

    def load(self, app_id: str) -> StoredToken | None:
        """Return the stored token, or None."""
        fence, sealed, expires = self._redis.execute(
            "HMGET", self._keys.access_token(app_id), "fence", "token", "expires"
        )
        if sealed is None:
            return None
        try:
            token = self._sealer.unseal(sealed, app_id).decode()
        except Unsealable:
            return None
        return StoredToken(token, int(expires), int(fence))

    def save(self, app_id: str, token: str, expires_at_ms: int, fence: int) -> bool:
        """Store; False when a refresher with a newer fence already stored."""
        life_ms = max(1, expires_at_ms - now_ms())
        stored = self._redis.run(
            SAVE_TOKEN,
            [self._keys.access_token(app_id)],
            [fence, self._sealer.seal(token.encode(), app_id), expires_at_ms, life_ms],
        )
        return bool(stored)

    def lease(self, app_id: str, ttl_s: float) -> int | None:
        """Become the only refresher: a fence number, or None when another one is."""
        return self._locks.acquire(_lock(app_id), ttl_s)

    def release(self, app_id: str, fence: int) -> None:
        """Give the lease back, if it is still ours."""
        self._locks.release(_lock(app_id), fence)

    def count_forced(self, app_id: str, day: str) -> int:
        """Count one forced refresh and return how many this day has had."""
        name = self._keys.forced_refreshes(app_id, day)
        count, _ = self._redis.execute_many(
            [("INCR", name), ("EXPIRE", name, FORCED_COUNT_S)]
        )
        return int(count)


def _lock(app_id: str) -> str:
    return f"wxtoken-{app_id}"
