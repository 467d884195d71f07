"""Read-through cache of user profiles: one loader at a time, jittered, negative too.

Redis away: every read loads from SQL (joined per process); deletions are lost, which
is why lives are short.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from config.metrics import CACHE
from models.errors import RedisUnavailable
from models.stores.keys import CACHE_LEASE_MS
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

FILL_CACHE = load_script("fill_cache")
# Stands for "SQL has no such user": the first login is not enriched yet.
NEGATIVE = b"-"
# Lives differ by up to a tenth, so that a burst does not expire as one.
JITTER = 10
# A follower looks this often for the leader's value, this long, then loads itself.
POLL_S = 0.01
PATIENCE_S = 0.3


class _Join:
    """Callers of one process that want the same value at the same time."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: bytes | None = None
        self.error: BaseException | None = None


class UserCache:
    """Profiles as encoded JSON, by user id."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, *, life_s: float, negative_s: float
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._life_ms = int(life_s * 1000)
        self._negative_ms = int(negative_s * 1000)
        self._mutex = threading.Lock()
        self._loading: dict[str, _Join] = {}

    def load(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        """Return the cached profile or ``load()`` it once for everybody who asks.

        None means there is no such user in SQL, also when that was remembered.
        """
        try:
            found = self._redis.execute("GET", self._keys.user(user_id))
        except RedisUnavailable:
            CACHE.labels("user", "error").inc()
            return self._joined(user_id, load)
        if found is None:
            CACHE.labels("user", "miss").inc()
            return self._joined(user_id, lambda: self._lead(user_id, load))
        if found == NEGATIVE:
            CACHE.labels("user", "negative").inc()
            return None
        CACHE.labels("user", "hit").inc()
        return bytes(found)

    def warm(self, profiles: Mapping[str, bytes]) -> None:
        """Store fresh profiles and take the lease of whoever loads an older one."""
        if not profiles:
            return
        self._part(profiles)
        leases = [self._keys.user_load(user_id) for user_id in profiles]
        commands: list[tuple[str | int | bytes, ...]] = [("DEL", *leases)]
        for user_id, value in profiles.items():
            name = self._keys.user(user_id)
            commands.append(("SET", name, value, "PX", self._jittered()))
        self._redis.execute_many(commands)

    def delete(self, user_id: str) -> None:
        """Forget the profile, and refuse the value of whoever is loading it now."""
        self._part([user_id])
        self._redis.execute(
            "DEL", self._keys.user(user_id), self._keys.user_load(user_id)
        )

    def _part(self, user_ids: Iterable[str]) -> None:
        """Let later readers of this process not join a load begun before now."""
        with self._mutex:
            for user_id in user_ids:
                self._loading.pop(user_id, None)

    def _joined(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        with self._mutex:
            join = self._loading.get(user_id)
            leads = join is None
            if join is None:
                join = self._loading[user_id] = _Join()
        if not leads:
            join.done.wait()
            if join.error is not None:
                raise join.error
            return join.value
        try:
            join.value = load()
        except BaseException as error:
            join.error = error
            raise
        finally:
            with self._mutex:
                if self._loading.get(user_id) is join:
                    del self._loading[user_id]
            join.done.set()
        return join.value

    def _lead(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        lease, mark = self._keys.user_load(user_id), secrets.token_hex(8)
        try:
            ours = self._redis.execute("SET", lease, mark, "NX", "PX", CACHE_LEASE_MS)
            if ours is None:
                return self._follow(user_id, load)
        except RedisUnavailable:
            return load()
        value = load()
        self._fill(user_id, mark, value)
        return value

    def _follow(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        until = monotonic() + PATIENCE_S
        while monotonic() < until:
            found = self._redis.execute("GET", self._keys.user(user_id))
            if found is not None:
                return None if found == NEGATIVE else bytes(found)
            sleep(POLL_S)
        return load()

    def _fill(self, user_id: str, mark: str, value: bytes | None) -> None:
        life = self._negative_ms if value is None else self._jittered()
        try:
            self._redis.run(
                FILL_CACHE,
                [self._keys.user(user_id), self._keys.user_load(user_id)],
                [mark, NEGATIVE if value is None else value, life],
            )
        except RedisUnavailable:
            CACHE.labels("user", "error").inc()

    def _jittered(self) -> int:
        return self._life_ms - secrets.randbelow(self._life_ms // JITTER + 1)
