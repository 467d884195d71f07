"""One client's place in a user's sequence: what the tail brings, what SQL must add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from config.clock import monotonic, now_ms
from config.metrics.events import EVENT_FAULTS, EVENT_RESYNCS, EVENTS_DELIVERED
from models.errors import DatabaseUnavailable, Forbidden, Unauthenticated
from models.session_ended import find_end
from models.user_events import read_after, read_heads
from web.services.listeners import QUIET_LINE, Line, Listener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.database import Database
    from models.user_events import EventSlice, NumberedEvent
    from web.services.caller import Claims

PAGE: Final = 100
RESYNC: Final = "resync"
# Between attempts to read from a database that is away.
SQL_PAUSE_S: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode


class EventView(msgspec.Struct, frozen=True):
    """An event as clients see it; ``id`` is also the cursor that follows it."""

    id: str
    type: str
    at: int
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to hear what: ``cursor`` None is from now on."""

    claims: Claims
    cursor: int | None = None
    limit: int = PAGE
    line: Line = QUIET_LINE


class Follower:
    """Gives each event once and in order, whichever way it came here."""

    __slots__ = (
        "_ask_sql_at",
        "_claims",
        "_database",
        "_found",
        "_from_now",
        "_limit",
        "listener",
    )

    def __init__(self, database: Database, wish: Wish) -> None:
        self.listener = Listener(wish.claims.user_id, wish.cursor or 0, wish.line)
        self._claims = wish.claims
        self._database = database
        self._limit = wish.limit
        self._from_now = wish.cursor is None
        self._found: EventSlice | None = None
        self._ask_sql_at = 0.0

    @property
    def cursor(self) -> str:
        """The number of the event last given, as clients send it back."""
        return str(self.listener.cursor)

    def start(self) -> None:
        """Read SQL once; raises `DatabaseUnavailable`.

        The hub must know the listener by now, or what happens in between is late.
        From now on, the news of an end since admission would be left out: then this
        raises `Unauthenticated` or `Forbidden`, or nobody would end the stream.
        """
        if self._from_now:
            user_id, claims = self.listener.user_id, self._claims
            with self._database.read() as session:
                head = read_heads(session, [user_id]).get(user_id, 0)
                # Behind the head: an end that is not seen here is an event to come.
                ended = find_end(session, claims.session_id, claims.epoch)
            if ended == "banned":
                raise Forbidden(reason="user_banned")
            if ended:
                raise Unauthenticated(reason="session_revoked")
            self.listener.start_at(head)
        else:
            self._found = self._read()

    def next(self) -> list[EventView]:
        """Return what follows now, a page at most; empty when nothing is known."""
        found, self._found = self._found, None
        if found is None:
            taken = self.listener.take(self._limit)
            if taken:
                EVENTS_DELIVERED.labels("tail").inc(len(taken))
                return _views(taken)
            found = self._catch_up()
        if found is None:
            return []
        self.listener.catch_up(found)
        return _told(found)

    def wait(self, seconds: float) -> None:
        """Wait until `next` may have more, at most ``seconds``."""
        if self.listener.behind:
            seconds = min(seconds, self._ask_sql_at - monotonic())
        self.listener.wait(seconds)

    def _catch_up(self) -> EventSlice | None:
        if not self.listener.behind or monotonic() < self._ask_sql_at:
            return None
        try:
            return self._read()
        except DatabaseUnavailable:
            EVENT_FAULTS.labels("sql").inc()
            self._ask_sql_at = monotonic() + SQL_PAUSE_S
            return None

    def _read(self) -> EventSlice:
        place = self.listener
        with self._database.read() as session:
            return read_after(session, place.user_id, place.cursor, self._limit)


def _told(found: EventSlice) -> list[EventView]:
    if found.lost:
        EVENT_RESYNCS.labels(found.lost).inc()
        data = msgspec.Raw(_encode({"reason": found.lost}))
        return [EventView(str(found.head), RESYNC, now_ms(), data)]
    EVENTS_DELIVERED.labels("sql").inc(len(found.events))
    return _views(found.events)


def _views(events: Sequence[NumberedEvent]) -> list[EventView]:
    return [
        EventView(str(event.seq), event.type, event.at, msgspec.Raw(event.data))
        for event in events
    ]
