"""Looking at the outbox and acting on its rows, for people on the internal listener.

Each act is one commit, with its choice of rows and the answer that is kept under an
Idempotency-Key: the same request again chooses nothing anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        self,
        query: OutboxQuery,
        limit: int,
        per_second: float,
        once: Once | None = None,
    ) -> Replayed:
        """Replay up to ``limit`` dead rows, oldest first, ``per_second`` of them due.

        The rate is in their due times: no process has to stay to keep it.
        """
        wanted = self._filter(query)

        def act(work: UnitOfWork) -> Replayed:
            begin = database_now(work.session)
            due = {
                row_id: begin + int(number * MS_PER_S / per_second)
                for number, row_id in enumerate(
                    list_ids(work.session, wanted, limit=limit)
                )
            }
            revived = replay(work.session, due, "by filter")
            work.wakes_relay = True
            last = max((due[row_id] for row_id in revived), default=None)
            left = count(work.session, wanted)
            return Replayed(len(revived), left, last, revived)

        # A person who asks for many waits for all of them.
        with unhurried():
            return self._database.transact(act, once)

    def discard_many(
        self, query: OutboxQuery, limit: int, reason: str, once: Once | None = None
    ) -> Discarded:
        """Give up to ``limit`` of the dead, ready or stuck rows meant, oldest first."""
        wanted = self._filter(query)

        def act(work: UnitOfWork) -> Discarded:
            ids = list_ids(work.session, wanted, limit=limit)
            gone = discard(work.session, ids, reason, self._stuck_after_ms)
            return Discarded(len(gone), count(work.session, wanted), gone)

        with unhurried():
            return self._database.transact(act, once)

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
