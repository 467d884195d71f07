"""What the clock did and does next, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.schedule import JOBS
from models.schedule_support import list_jobs
from web.services.pages import page_of_names

if TYPE_CHECKING:
    from models.database import Database
    from models.schedule import ScheduleSlot
    from models.schedule_support import JobView


class Run(msgspec.Struct):
    """One slot that ran or runs; its outbox row leads to the timeline."""

    due: int
    state: str
    taken_at: int
    finished_at: int | None
    outbox_id: str | None


class JobLine(msgspec.Struct, kw_only=True):
    """One job; times are epoch milliseconds. ``next_due`` in the past waits.

    ``overdue`` slots are due and nobody has taken them yet, the first of them for
    ``late_ms``; some seconds of that are the clock's own pace.
    """

    job: str
    task: str
    every_s: int
    catch_up: str
    next_due: int
    last: Run | None
    overdue: int
    late_ms: int
    missed_24h: int
    failed_24h: int


class Schedule(msgspec.Struct):
    """Jobs of the clock, in the order of its table."""

    items: list[JobLine]
    next_cursor: str | None
    has_more: bool


class ScheduleService:
    """The clock for people; raises `DatabaseUnavailable` when SQL is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, cursor: str | None, limit: int) -> Schedule:
        """Return up to ``limit`` jobs after ``cursor``, with next and last runs."""
        names, after = page_of_names(tuple(JOBS), cursor, limit)
        with self._database.read() as session:
            views = list_jobs(session, [JOBS[name] for name in names])
            items = [_line(view) for view in views]
        return Schedule(items, after, after is not None)


def _line(view: JobView) -> JobLine:
    return JobLine(
        job=view.job.name,
        task=view.job.task,
        every_s=view.job.every_s,
        catch_up=view.job.catch_up.value,
        next_due=view.next_due,
        last=None if view.last is None else _run(view.last),
        overdue=view.overdue,
        late_ms=view.late_ms,
        missed_24h=view.missed_24h,
        failed_24h=view.failed_24h,
    )


def _run(slot: ScheduleSlot) -> Run:
    return Run(slot.due, slot.state, slot.taken_at, slot.finished_at, slot.outbox_id)
