"""Refuses new work while a lane already has more than it can do in useful time.

What is accepted must happen; so a flood is turned away at the door, with a wait,
instead of filling tables and queues. Joining work that runs already is always free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic
from config.metrics.limits import BACKLOG_REFUSED
from models.errors import Unavailable
from models.outbox_lease import count_open

if TYPE_CHECKING:
    from config.operation_settings import OperationSettings
    from config.queues import Queue
    from models.database import Database


class BacklogGuard:
    """Watches one lane for one process; the count may be `BACKLOG_FRESH_S` old.

    Processes count apart and requests between two counts are not added, so the lane
    may pass its limit by what arrives in that time.
    """

    def __init__(
        self, database: Database, lane: Queue, most: int, settings: OperationSettings
    ) -> None:
        self._database = database
        self._lane = lane
        self._most = most
        self._fresh_s = settings.backlog_fresh_s
        self._wait_ms = int(settings.backlog_wait_s * 1000)
        self._counted_at = 0.0
        # Nobody knows before the first count: until then each request counts.
        self._full: bool | None = None

    def check(self) -> None:
        """Raise `Unavailable` (``overloaded``) while the lane is full.

        Raises `DatabaseUnavailable` when the rows cannot be counted: then the work
        could not be written either.
        """
        if self._is_full():
            BACKLOG_REFUSED.labels(self._lane.value).inc()
            raise Unavailable(
                f"lane {self._lane.value} is full",
                reason="overloaded",
                retry_after_ms=self._wait_ms,
            )

    def _is_full(self) -> bool:
        now = monotonic()
        if self._full is None or now - self._counted_at >= self._fresh_s:
            earlier, self._counted_at = self._counted_at, now
            try:
                with self._database.read() as session:
                    self._full = count_open(session, self._lane.value) >= self._most
            except Exception:
                # Nothing was counted: the next request must ask again.
                self._counted_at = earlier
                raise
        return self._full
