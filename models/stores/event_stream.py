"""The fast tail of user events: one capped Redis stream for the installation.

`models/database.py` announces here what it has committed, `web/services/event_hub.py`
reads. Truth stays in `models/user_events.py`: what is lost here costs a poll of SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import RedisError

from config.metrics.events import EVENT_FAULTS
from models.errors import RedisUnavailable
from models.stores.connection import blocking_client
from models.stores.keys import EVENTS_LIFE_S
from models.user_events import NumberedEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.store_settings import RedisSettings
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

FIELD = b"e"
# A batch of logins announces hundreds: an entry stays small enough to skip.
EVENTS_PER_ENTRY = 100
ENTRIES_PER_READ = 50
# Also how soon a reader without news hears that its process is to leave.
BLOCK_MS = 500
START = b"0-0"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[NumberedEvent]).decode


class EventStream:
    """The tail: written by every process, read by one reader in each web process."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, settings: RedisSettings, *, length: int
    ) -> None:
        self._redis = redis
        self._name = keys.events
        self._settings = settings
        self._length = length
        self._reader: Any = None
        self._position = b""

    def announce(self, events: Sequence[NumberedEvent]) -> None:
        """Write committed events to the tail; Redis away: `RedisUnavailable`."""
        add = ("XADD", self._name, "MAXLEN", "~", self._length, "*", FIELD)
        pieces = [_encode(piece) for piece in _pieces(events)]
        self._redis.execute_many(
            [
                *((*add, piece) for piece in pieces),
                ("EXPIRE", self._name, EVENTS_LIFE_S),
            ]
        )

    def read(self) -> list[NumberedEvent]:
        """Wait up to half a second for events announced since the last call.

        The first call only finds the end of the tail. Redis away: `RedisUnavailable`
        within the wait and `REDIS_TIMEOUT_S`; the next call goes on where this ended.
        """
        if self._reader is None:
            self._reader = blocking_client(self._settings, BLOCK_MS / 1000)
        try:
            if not self._position:
                self._position = self._end()
                return []
            found = self._reader.xread(
                {self._name: self._position}, count=ENTRIES_PER_READ, block=BLOCK_MS
            )
            if not found:
                # A wiped Redis whose clock went back would number below us.
                self._position = min(self._position, self._end(), key=_order)
                return []
        except RedisError as error:
            raise RedisUnavailable(str(error)) from error
        ((_, entries),) = found
        self._position = entries[-1][0]
        return [event for _, fields in entries for event in _events_of(fields)]

    def _end(self) -> bytes:
        last = self._reader.xrevrange(self._name, count=1)
        return bytes(last[0][0]) if last else START

    def close(self) -> None:
        """Close the blocking connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _pieces(events: Sequence[NumberedEvent]) -> Iterator[Sequence[NumberedEvent]]:
    for start in range(0, len(events), EVENTS_PER_ENTRY):
        yield events[start : start + EVENTS_PER_ENTRY]


def _events_of(fields: dict[bytes, bytes]) -> list[NumberedEvent]:
    try:
        return _decode(fields.get(FIELD, b""))
    except msgspec.MsgspecError:
        # Of another release, say; the next look into SQL finds what it told.
        EVENT_FAULTS.labels("entry").inc()
        return []


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)
