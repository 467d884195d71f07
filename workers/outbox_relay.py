"""The relay's part for the outbox: due rows become messages, events become rows.

Claims with `models/outbox.py`, expands events by `workers/subscriptions.py`, sends
after the commit. What is not finished comes back after its lease.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from config.clock import MS_PER_S, sleep
from config.logging import get_logger
from config.metrics.journals import (
    OUTBOX_DEAD,
    OUTBOX_EXPIRED,
    OUTBOX_QUARANTINED,
    RELAY_RESENT,
    RELAY_SENT,
)
from config.queues import EVENTS, Queue
from config.work_settings import JournalSettings
from models.database import Database, UnitOfWork
from models.errors import RedisUnavailable
from models.outbox import NewWork, Outbox, add_work
from models.outbox_lease import (
    bury,
    claim,
    expire,
    finish,
    is_expired,
    list_due_lanes,
    postpone,
)
from models.stores.container import Stores
from workers.relay_loop import BrokerAway, Courier
from workers.subscriptions import SUBSCRIPTIONS, USEFUL_FOR_S

# Events first, since they only become rows; then the queues by urgency.
ORDER = [EVENTS, *Queue]

log = get_logger(__name__)


@dataclass(slots=True)
class Claimed:
    """What one transaction of the relay decided."""

    to_send: list[Outbox] = field(default_factory=list)
    expanded: int = 0
    dead: int = 0
    poison: int = 0
    expired: int = 0

    def __len__(self) -> int:
        """Count the rows that were looked at."""
        return len(self.to_send) + self.expanded + self.dead + self.expired


class OutboxRound:
    """Claims due rows and hands them to Celery."""

    journal = "outbox"

    def __init__(
        self,
        stores: tuple[Database, Stores],
        courier: Courier,
        settings: JournalSettings,
        *,
        tasks: Collection[str],
    ) -> None:
        """``tasks`` are the names that workers know."""
        self._database, self._stores = stores
        self._courier = courier
        self._settings = settings
        self._tasks = tasks

    def run(self) -> bool:
        """Move one batch of each lane that has due rows, urgent lanes first."""
        with self._database.read() as session:
            due = list_due_lanes(session)
        moved = 0
        for lane in sorted(due, key=ORDER.index):
            moved += self._move(lane)
        return moved > 0

    def _move(self, lane: str) -> int:
        limit = min(self._settings.batch, self._room(lane))
        if limit <= 0:
            return 0
        claimed = self._database.transact(lambda uow: self._claim(uow, lane, limit))
        OUTBOX_DEAD.inc(claimed.dead)
        OUTBOX_QUARANTINED.inc(claimed.poison)
        OUTBOX_EXPIRED.inc(claimed.expired)
        self._send(claimed.to_send)
        return len(claimed)

    def _room(self, lane: str) -> int:
        if lane == EVENTS:
            return self._settings.batch
        # More would only move the wait from SQL into Redis' memory.
        return self._settings.queue_depth - self._courier.count_waiting(lane)

    def rest(self) -> None:
        """Wait for a commit's signal, or until the next look is due."""
        seconds = self._settings.poll_s
        try:
            self._stores.wait_for_work(seconds)
        except RedisUnavailable:
            sleep(seconds)

    def _send(self, rows: list[Outbox]) -> None:
        for number, row in enumerate(rows):
            try:
                self._courier.send(row.name, row.id, row.message_id)
            except BrokerAway:
                self._give_back(rows[number:])
                raise
            sent = RELAY_RESENT if row.was_sent else RELAY_SENT
            sent.labels(self.journal).inc()

    def _give_back(self, rows: list[Outbox]) -> None:
        # Otherwise they would wait for their lease after the broker is back.
        with self._database.unit_of_work() as uow:
            for row in rows:
                postpone(uow.session, row.id, 0, "the broker was away")

    def _claim(self, uow: UnitOfWork, lane: str, limit: int) -> Claimed:
        claimed = Claimed()
        rows = claim(
            uow.session,
            lane,
            limit=limit,
            resend_after_ms=self._settings.resend_after_s * 1000,
        )
        for row in rows:
            if cause := self._fault(row):
                log.error(
                    "work set aside", outbox_id=row.id, name=row.name, cause=cause
                )
                bury(uow.session, row.id, cause)
                claimed.dead += 1
                claimed.poison += self._is_poison(row)
            elif is_expired(row, row.updated_at):
                expire(uow.session, row)
                claimed.expired += 1
            elif row.kind == "event":
                self._expand(uow, row)
                claimed.expanded += 1
            else:
                claimed.to_send.append(row)
        return claimed

    def _is_poison(self, row: Outbox) -> bool:
        return row.deaths >= self._settings.deaths

    def _fault(self, row: Outbox) -> str | None:
        """Return why ``row`` must not be sent, None when it may."""
        known = SUBSCRIPTIONS if row.kind == "event" else self._tasks
        if row.name not in known:
            return f"unknown {row.kind}"
        if self._is_poison(row):
            return f"quarantined: {row.deaths} processes died of it"
        if row.attempts >= self._settings.max_attempts:
            return row.last_error or "its process died at each attempt"
        return None

    def _expand(self, uow: UnitOfWork, event: Outbox) -> None:
        for task in SUBSCRIPTIONS[event.name]:
            useful_for = USEFUL_FOR_S.get(task)
            work = NewWork(
                task,
                event.subject_id,
                app_id=event.app_id,
                request_id=event.request_id,
                parent_id=event.id,
                useful_for_ms=useful_for and useful_for(self._settings) * MS_PER_S,
            )
            add_work(uow.session, work)
        finish(uow.session, event.id)
