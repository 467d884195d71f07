"""The login journal: a Redis stream whose entries go when their rows are committed.

`sessions.open` adds entries, `workers/login_relay.py` reads them as a consumer group,
the task loads and acknowledges. Redis away: `RedisUnavailable`, and logins use SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError, ResponseError

from config.clock import now_ms
from models.errors import RedisUnavailable
from models.stores.connection import blocking_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.store_settings import RedisSettings
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

GROUP = "relay"
FIELD = b"e"
# The connection's patience is made for this; zero would mean for ever.
LONGEST_BLOCK_MS = 1000


@dataclass(frozen=True, slots=True)
class StreamBacklog:
    """Entries not yet in SQL, those handed to a task, and the oldest one's age."""

    length: int
    pending: int
    oldest_age_ms: int


class LoginStream:
    """The stream of logins that are not in SQL yet."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, settings: RedisSettings
    ) -> None:
        self._redis = redis
        self._name = keys.logins
        self._settings = settings
        self._reader: Any = None

    def make_group(self) -> None:
        """Create stream and consumer group; a wiped Redis needs it again."""
        try:
            self._redis.execute("XGROUP", "CREATE", self._name, GROUP, "0", "MKSTREAM")
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def read(self, consumer: str, *, count: int, block_ms: int) -> list[str]:
        """Wait up to ``block_ms`` (1 to 1000) for new entries and return their ids."""
        if self._reader is None:
            self._reader = blocking_client(self._settings, LONGEST_BLOCK_MS / 1000)
        block_ms = min(max(block_ms, 1), LONGEST_BLOCK_MS)
        try:
            streams = self._reader.xreadgroup(
                GROUP, consumer, {self._name: ">"}, count=count, block=block_ms
            )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self.make_group()
            return []
        except RedisError as error:
            raise RedisUnavailable(str(error)) from error
        return [entry_id.decode() for _, entries in streams for entry_id, _ in entries]

    def claim_stale(self, consumer: str, *, idle_ms: int, count: int) -> list[str]:
        """Take over entries that no task acknowledged within ``idle_ms``."""
        reply = self._redis.execute(
            "XAUTOCLAIM", self._name, GROUP, consumer, idle_ms, "0", "COUNT", count,
            "JUSTID",
        )  # fmt: skip
        return [entry_id.decode() for entry_id in reply[1]]

    def load(self, entry_ids: Sequence[str]) -> list[bytes | None]:
        """Return the entries' bytes, None for those already acknowledged."""
        if not entry_ids:
            return []
        wanted = [entry_id.encode() for entry_id in entry_ids]
        # A batch is read in one piece, so its entries are nearly always neighbours.
        neighbours = self._redis.execute(
            "XRANGE", self._name, min(entry_ids, key=_order),
            max(entry_ids, key=_order), "COUNT", 2 * len(wanted),
        )  # fmt: skip
        found = {entry_id: _body(fields) for entry_id, fields in neighbours}
        for entry_id in wanted:
            if entry_id not in found:
                one = self._redis.execute("XRANGE", self._name, entry_id, entry_id)
                found.update((key, _body(fields)) for key, fields in one)
        return [found.get(entry_id) for entry_id in wanted]

    def acknowledge(self, entry_ids: Sequence[str]) -> None:
        """Drop entries whose rows are committed."""
        if entry_ids:
            self._redis.execute_many(
                [
                    ("XACK", self._name, GROUP, *entry_ids),
                    ("XDEL", self._name, *entry_ids),
                ]
            )

    def backlog(self) -> StreamBacklog:
        """Return how much is not in SQL yet; ages by our clock, in milliseconds."""
        length, pending, oldest = self._redis.execute_many(
            [
                ("XLEN", self._name),
                ("XPENDING", self._name, GROUP),
                ("XRANGE", self._name, "-", "+", "COUNT", 1),
            ]
        )
        age = now_ms() - int(oldest[0][0].split(b"-")[0]) if oldest else 0
        return StreamBacklog(int(length), int(pending[0]), max(0, age))

    def drop_idle_consumers(self, *, idle_ms: int) -> int:
        """Forget relays that are gone and hold nothing; returns how many."""
        gone = 0
        for consumer in self._redis.execute("XINFO", "CONSUMERS", self._name, GROUP):
            facts = dict(zip(consumer[::2], consumer[1::2], strict=True))
            if facts[b"pending"] == 0 and facts[b"idle"] > idle_ms:
                name = facts[b"name"]
                self._redis.execute("XGROUP", "DELCONSUMER", self._name, GROUP, name)
                gone += 1
        return gone

    def close(self) -> None:
        """Close the blocking connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _body(fields: list[bytes]) -> bytes:
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b"")
