"""What a body gets in its hand: one outbox row, its transactions and its deadline.

`tasks/base.py` makes it of a row it has begun, and ends the row if the body did not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from config.clock import MS_PER_S, Deadline, monotonic
from models.base import database_now
from models.database import UnitOfWork
from models.inbox import mark_done
from models.operations import set_progress, succeed
from models.outbox import Outbox, WorkContext, WorkExpired
from models.outbox_lease import finish, give_back, renew
from tasks.app import Resources
from tasks.stopping import stopping


class Overtaken(Exception):
    """This attempt owns its row no more: done, cancelled, or begun by another."""


class Work:
    """One outbox row in the hands of its task; the attempt that began it owns it.

    ``deadline`` bounds the body: its SQL ends by it, and so should its calls. It is
    the soft limit of tasks, or the moment when nobody can use the result any more.
    """

    def __init__(self, task: str, row: Outbox, house: Resources) -> None:
        self.outbox_id = row.id
        self.subject_id = row.subject_id
        self.payload = row.payload
        self.app_id = row.app_id
        self.operation_id = row.operation_id
        self.attempts = row.attempts
        self.due_at = row.due_at
        self.fence = row.fence
        self.resources = house
        self.finished = False
        self.outcome = "done"
        self.context = WorkContext(
            row.id, row.app_id, row.operation_id, row.expires_at, row.request_id
        )
        self.task = task
        self._useful_until = _useful_until(row)
        soft = Deadline.after_ms(house.settings.celery.soft_limit_s * MS_PER_S)
        self.deadline = soft.earlier(self._useful_until)
        self._looked_at = monotonic()
        self._percent = 0

    @contextmanager
    def effect(self) -> Iterator[UnitOfWork]:
        """Open the one transaction of effect, done mark and finished row.

        Ends the task quietly, with nothing written, when the effect is already there,
        when the work was cancelled, or when another attempt has begun it anew.
        """
        with self.resources.database.unit_of_work(self.context) as uow:
            if not mark_done(uow.session, self.task, self.outbox_id):
                raise Overtaken
            if not finish(uow.session, self.outbox_id, self.fence):
                raise Overtaken
            yield uow
        self.finished = True

    @contextmanager
    def step(self) -> Iterator[UnitOfWork]:
        """Open a transaction of this attempt that does not finish the row yet.

        What it enqueues becomes a child of this work. Raises `Overtaken` like `effect`.
        """
        with self.resources.database.unit_of_work(self.context) as uow:
            if not renew(uow.session, self.outbox_id, self.fence, self._lease_ms):
                raise Overtaken
            yield uow

    def give_back(self, uow: UnitOfWork, delay_ms: int, cause: str) -> None:
        """Look at this row again after ``delay_ms``, in the commit of a `step`.

        The attempt does not count: nothing could be tried. The body ends after it.
        """
        give_back(uow.session, self.outbox_id, delay_ms, cause, self.fence)
        self.finished, self.outcome = True, "postponed"

    def checkpoint(self, done: int = 0, total: int = 0) -> None:
        """Stop here if the work is over, else say how far it is and keep the lease.

        Cheap to call often: it looks into SQL at most once in `CHECKPOINT_S`. Raises
        `Overtaken` after a cancel, and `WorkExpired` after the deadline.
        """
        stopping.check()
        now = monotonic()
        if now - self._looked_at < self.resources.settings.journal.checkpoint_s:
            return
        self._looked_at = now
        percent = 100 * done // total if total else 0
        with self.step() as uow:
            expires_at = self.context.expires_at
            if expires_at is not None and expires_at <= database_now(uow.session):
                raise WorkExpired
            if self.operation_id is not None and percent > self._percent:
                self._percent = percent
                set_progress(uow.session, self.operation_id, percent)

    def succeed(self, uow: UnitOfWork, result: Mapping[str, Any] | None = None) -> None:
        """Close this work's operation with its result, in the effect's commit."""
        if self.operation_id is not None:
            succeed(uow.session, self.operation_id, result)

    def finish(self) -> None:
        """Close the row of a body that found nothing to write."""
        with self.effect() as uow:
            # A child may find nothing to do long before its operation is done.
            if self.operation_id == self.subject_id:
                self.succeed(uow)

    @property
    def is_vain(self) -> bool:
        """Whether the deadline has passed because nobody can use the result."""
        return self._useful_until is not None and self._useful_until.expired

    @property
    def _lease_ms(self) -> int:
        return self.resources.settings.journal.lease_s * 1000


def _useful_until(row: Outbox) -> Deadline | None:
    if row.expires_at is None:
        return None
    # Its begin was written just now, by the same clock as its end.
    return Deadline.after_ms(row.expires_at - row.updated_at)
