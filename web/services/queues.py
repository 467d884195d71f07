"""How much waits where: rows in SQL, messages in the broker, and who serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S, now_ms
from config.queues import LANES, Queue, reader_of
from models.errors import Unavailable
from models.outbox_support import LaneBacklog, backlog
from web.services.pages import page_of_names
from web.services.shared_gauges import read_gauge

if TYPE_CHECKING:
    from models.database import Database
    from models.stores.container import Stores


class Lane(msgspec.Struct, kw_only=True):
    """One lane; what its part could not tell is null.

    ``oldest_due_age_ms`` is how overdue the oldest row is that should have been
    sent, ``messages`` wait in the broker, and ``process`` serves them; its main loop
    turned ``silent_ms`` ago.
    """

    lane: str
    ready: int | None
    sent: int | None
    dead: int | None
    oldest_due_age_ms: int | None
    messages: int | None
    process: str
    silent_ms: int | None


class Queues(msgspec.Struct):
    """Lanes, urgent ones first, and the parts that did not answer."""

    items: list[Lane]
    next_cursor: str | None
    has_more: bool
    away: list[str]


class QueueService:
    """Looks at both stores; one that is away is named in the answer."""

    def __init__(self, database: Database, stores: Stores, prefix: str) -> None:
        """``prefix`` stands before the name of each of the broker's lists."""
        self._database, self._stores = database, stores
        self._names = {f"{prefix}{queue}": str(queue) for queue in Queue}

    def read(self, cursor: str | None, limit: int) -> Queues:
        """Return up to ``limit`` lanes after ``cursor``, as far as can be known."""
        away: list[str] = []
        rows: dict[str, LaneBacklog] = {}
        messages: dict[str, int] = {}
        try:
            with self._database.read() as session:
                rows = backlog(session).lanes
        except Unavailable:
            away.append("database")
        try:
            messages = self._stores.queue_lengths(list(self._names))
        except Unavailable:
            away.append("redis")
        waiting = {self._names[name]: count for name, count in messages.items()}
        seen = read_gauge("kuaida_last_sign_of_life_seconds", "process")
        now = now_ms()
        names, after = page_of_names(LANES, cursor, limit)
        items = [
            _lane(str(lane), rows.get(str(lane)), waiting.get(str(lane)), seen, now)
            for lane in names
        ]
        return Queues(items, after, after is not None, away)


def _lane(
    lane: str,
    rows: LaneBacklog | None,
    messages: int | None,
    seen: dict[str, float],
    now: int,
) -> Lane:
    process = reader_of(lane)
    at = seen.get(process)
    return Lane(
        lane=lane,
        ready=None if rows is None else rows.ready,
        sent=None if rows is None else rows.sent,
        dead=None if rows is None else rows.dead,
        oldest_due_age_ms=None if rows is None else rows.oldest_ready_age_ms,
        messages=messages,
        process=process,
        silent_ms=None if at is None else max(0, now - int(at * MS_PER_S)),
    )
