"""Signals between processes: one side waits for a name, the other sends it.

A signal is a hint with a memory of one: sent before anybody waits it is not lost, sent
often it wakes once, and one waiter takes it. What it is about stands in SQL, where the
waiter looks after each wait, however it ended.

Redis away: `send` says nothing, and `wait` raises `RedisUnavailable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from models.errors import RedisUnavailable
from models.per_process import PerProcess
from models.stores.connection import blocking_client
from models.stores.keys import SIGNAL_LIFE_S

if TYPE_CHECKING:
    from redis import Redis

    from config.store_settings import RedisSettings
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys


class SignalStore:
    """Named signals; waiting takes a connection of its own."""

    def __init__(
        self,
        redis: SharedPipeline,
        keys: Keys,
        settings: RedisSettings,
        longest_wait_s: float,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._longest_wait_s = longest_wait_s
        self._waiter: PerProcess[Redis] = PerProcess(
            lambda: blocking_client(settings, longest_wait_s)
        )

    def send(self, name: str) -> None:
        """Wake one who waits for ``name``, now or within `SIGNAL_LIFE_S`."""
        key = self._keys.signal(name)
        try:
            self._redis.execute_many(
                [
                    ("LPUSH", key, "1"),
                    ("LTRIM", key, 0, 0),
                    ("EXPIRE", key, SIGNAL_LIFE_S),
                ]
            )
        except RedisUnavailable:
            return

    def wait(self, name: str, seconds: float) -> bool:
        """Wait for ``name``, at most ``seconds`` or the longest wait; True if it came.

        A frozen Redis costs one timeout more.
        """
        patience_s = min(seconds, self._longest_wait_s)
        try:
            found = self._waiter().blpop([self._keys.signal(name)], timeout=patience_s)
        except RedisError as error:
            raise RedisUnavailable(str(error)) from error
        return found is not None

    def close(self) -> None:
        """Close the connection; the next wait opens another."""
        self._waiter().close()
