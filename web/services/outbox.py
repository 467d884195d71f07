"""Looking at the outbox and acting on its rows, for people on the internal listener.

Acts on many go in small transactions: what one of them did stays done when the next
one fails, and asking again goes on with what is left. Under an Idempotency-Key their
answer is kept after the last of them (`web/services/idempotency.py`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from config.clock import MS_PER_S
from config.patience import unhurried
from models.base import database_now
from models.errors import Conflict, NotFound
from models.operations import may_go_on
from models.outbox_item import OutboxItem, find_item
from models.outbox_list import Filter, count, list_ids, list_items
from models.outbox_support import discard, replay
from web.services.outbox_shapes import Discarded, OutboxPage, OutboxQuery, Replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.work_settings import JournalSettings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once

# Rows of one transaction: locks are held for moments, as in retention.
CHUNK: Final = 100


class ChunkAct(Protocol):
    """What is done with some rows in one transaction."""

    def __call__(self, work: UnitOfWork, chunk: Sequence[str]) -> list[str]:
        """Return the ids of the rows that changed."""


class OutboxService:
    """The outbox as people use it; raises `DatabaseUnavailable` when SQL is away."""

    def __init__(self, database: Database, settings: JournalSettings) -> None:
        self._database = database
        self._stuck_after_ms = settings.resend_after_s * MS_PER_S

    def page(self, query: OutboxQuery, cursor: str | None, limit: int) -> OutboxPage:
        """Return one page of the rows meant."""
        with self._database.read() as session:
            items, after = list_items(
                session, self._filter(query), cursor=cursor, limit=limit
            )
        return OutboxPage(items, after, after is not None)

    def replay(self, row_id: str, once: Once | None = None) -> OutboxItem:
        """Make a dead row ready again; `NotFound`, or `Conflict` for another state.

        Also refused when its operation is over for another reason: nobody waits.
        """

        def act(work: UnitOfWork) -> OutboxItem:
            now = database_now(work.session)
            changed = replay(work.session, {row_id: now})
            item = _acted(work, row_id, changed)
            if item.operation_id and not may_go_on(work.session, item.operation_id):
                raise Conflict("its operation is over", reason="state_forbids")
            work.wakes_relay = True
            return item

        return self._database.transact(act, once)

    def discard(self, row_id: str, reason: str, once: Once | None = None) -> OutboxItem:
        """Give up a dead, ready or stuck row; `NotFound`, or `Conflict` otherwise."""

        def act(work: UnitOfWork) -> OutboxItem:
            changed = discard(work.session, [row_id], reason, self._stuck_after_ms)
            return _acted(work, row_id, changed)

        return self._database.transact(act, once)

    def replay_many(
        self, query: OutboxQuery, limit: int, per_second: float
    ) -> Replayed:
        """Replay up to ``limit`` dead rows, oldest first, ``per_second`` of them due.

        The rate is in their due times: no process has to stay to keep it.
        """
        ids, begin = self._choose(query, limit)
        due = {
            row_id: begin + int(number * MS_PER_S / per_second)
            for number, row_id in enumerate(ids)
        }

        def act(work: UnitOfWork, chunk: Sequence[str]) -> list[str]:
            work.wakes_relay = True
            times = {row_id: due[row_id] for row_id in chunk}
            return replay(work.session, times, "by filter")

        revived = self._in_chunks(ids, act)
        last = max((due[row_id] for row_id in revived), default=None)
        return Replayed(len(revived), self._left(query), last, revived)

    def discard_many(self, query: OutboxQuery, limit: int, reason: str) -> Discarded:
        """Give up to ``limit`` of the dead, ready or stuck rows meant, oldest first."""
        ids, _ = self._choose(query, limit)

        def act(work: UnitOfWork, chunk: Sequence[str]) -> list[str]:
            return discard(work.session, chunk, reason, self._stuck_after_ms)

        gone = self._in_chunks(ids, act)
        return Discarded(len(gone), self._left(query), gone)

    def _choose(self, query: OutboxQuery, limit: int) -> tuple[Sequence[str], int]:
        with self._database.read() as session:
            ids = list_ids(session, self._filter(query), limit=limit)
            return ids, database_now(session)

    def _in_chunks(
        self,
        ids: Sequence[str],
        act: ChunkAct,
    ) -> list[str]:
        """Act on all of ``ids``: a person who asks for many waits for the last."""
        changed: list[str] = []
        with unhurried():
            for start in range(0, len(ids), CHUNK):
                act_on = partial(act, chunk=ids[start : start + CHUNK])
                changed += self._database.transact(act_on)
        return changed

    def _left(self, query: OutboxQuery) -> int:
        with unhurried(), self._database.read() as session:
            return count(session, self._filter(query))

    def _filter(self, query: OutboxQuery) -> Filter:
        return Filter(
            stuck_after_ms=self._stuck_after_ms,
            state=query.state,
            name=query.name,
            lane=query.lane,
            last_error_contains=query.last_error_contains,
            created_before=query.created_before,
        )


def _acted(work: UnitOfWork, row_id: str, changed: Sequence[str]) -> OutboxItem:
    item = find_item(work.session, row_id)
    if item is None:
        raise NotFound
    if not changed:
        raise Conflict(f"the row is {item.state}", reason="state_forbids")
    return item
