"""Read-through cache of user profiles: one loader at a time, jittered, negative too.

Redis away: every read loads from SQL (joined per process); deletions are lost, which
is why lives are short.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from config.metrics.stores import CACHE
from models.errors import RedisUnavailable
from models.stores.shared_flight import Place, SharedFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

# Stands for "SQL has no such user": the first login is not enriched yet.
NEGATIVE = b"-"
# Lives differ by up to a tenth, so that a burst does not expire as one.
JITTER = 10


class UserCache:
    """Profiles as encoded JSON, by user id."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, *, life_s: float, negative_s: float
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._positive_ms = int(life_s * 1000)
        self._negative_ms = int(negative_s * 1000)
        self._flights = SharedFlight(redis, self._life_ms)

    def load(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        """Return the cached profile or ``load()`` it once for everybody who asks.

        None means there is no such user in SQL, also when that was remembered.
        """
        place = self._place(user_id)
        try:
            found = self._redis.execute("GET", place.value)
        except RedisUnavailable:
            CACHE.labels("user", "error").inc()
            return _known(self._flights.run_here(place, lambda: load() or NEGATIVE))
        if found is None:
            CACHE.labels("user", "miss").inc()
            return _known(self._flights.run(place, lambda: load() or NEGATIVE))
        CACHE.labels("user", "negative" if found == NEGATIVE else "hit").inc()
        return _known(found)

    def warm(self, profiles: Mapping[str, bytes]) -> None:
        """Store fresh profiles and take the lease of whoever loads an older one."""
        if not profiles:
            return
        places = {user_id: self._place(user_id) for user_id in profiles}
        for place in places.values():
            self._flights.part(place)
        leases = [place.lease for place in places.values()]
        commands: list[tuple[str | int | bytes, ...]] = [("DEL", *leases)]
        for user_id, value in profiles.items():
            life = self._life_ms(value)
            commands.append(("SET", places[user_id].value, value, "PX", life))
        self._redis.execute_many(commands)

    def reload(self, user_id: str, load: Callable[[], bytes | None]) -> None:
        """Replace the profile by ``load()``, and by nothing a change has overtaken.

        Loaded as a reader does, under a lease: a write that comes meanwhile takes the
        lease away. Raises `RedisUnavailable`.
        """
        self.delete(user_id)
        self.load(user_id, load)

    def delete(self, user_id: str) -> None:
        """Forget the profile, and refuse the value of whoever is loading it now."""
        place = self._place(user_id)
        self._flights.part(place)
        self._redis.execute("DEL", *place)

    def _place(self, user_id: str) -> Place:
        return Place(self._keys.user(user_id), self._keys.user_load(user_id))

    def _life_ms(self, value: bytes) -> int:
        if value == NEGATIVE:
            return self._negative_ms
        return self._positive_ms - secrets.randbelow(self._positive_ms // JITTER + 1)


def _known(value: bytes) -> bytes | None:
    return None if value == NEGATIVE else bytes(value)
