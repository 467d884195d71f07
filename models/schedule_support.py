"""The clock for people and for retention: what each job did and does next.

`models/schedule.py` is the table and the rule of what is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, tuple_

from config.clock import DAY_MS
from config.schedule import SCHEDULE, Job
from models.base import database_now
from models.schedule import ScheduleSlot, unrecorded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class JobView:
    """A job for people; ``last`` is its newest slot that ran, None before the first.

    ``next_due`` is in the past while a slot waits to be taken; ``overdue`` are all
    that do, ``late_ms`` is for how long the first of them has.
    """

    job: Job
    next_due: int
    last: ScheduleSlot | None
    overdue: int
    late_ms: int
    missed_24h: int
    failed_24h: int


def list_jobs(session: Session, jobs: Iterable[Job] = SCHEDULE) -> list[JobView]:
    """Return each job with its next slot, its last run and what went wrong in a day."""
    now = database_now(session)
    return [_view(session, job, now) for job in jobs]


def ages_of_done(session: Session, jobs: Iterable[Job] = SCHEDULE) -> dict[str, int]:
    """Return how long ago the newest slot was due that is done, in ms, by job.

    A job without one is left out. One look into the primary key for each job.
    """
    now = database_now(session)
    ages = {}
    for job in jobs:
        newest = session.scalar(
            select(ScheduleSlot.due)
            .where(ScheduleSlot.job == job.name, ScheduleSlot.state == "done")
            .order_by(ScheduleSlot.due.desc())
            .limit(1)
        )
        if newest is not None:
            ages[job.name] = max(0, now - newest)
    return ages


def lateness(session: Session, jobs: Iterable[Job] = SCHEDULE) -> dict[str, int]:
    """Return for how long the oldest due slot waits to be taken, in ms, by job.

    0 when none does. One look into the primary key for each job.
    """
    now = database_now(session)
    late = {}
    for job in jobs:
        waiting = unrecorded(session, job, now)
        late[job.name] = now - waiting[0] if waiting else 0
    return late


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` slots older than ``before`` (epoch ms)."""
    key = tuple_(ScheduleSlot.job, ScheduleSlot.due)
    old = select(ScheduleSlot.job, ScheduleSlot.due).where(ScheduleSlot.due < before)
    keys = [tuple(row) for row in session.execute(old.limit(limit))]
    if keys:
        session.execute(delete(ScheduleSlot).where(key.in_(keys)))
    return len(keys)


def _view(session: Session, job: Job, now: int) -> JobView:
    mine = ScheduleSlot.job == job.name
    since = (mine, ScheduleSlot.due > now - DAY_MS)
    states = select(ScheduleSlot.state, func.count()).where(*since)
    counts: dict[str, int] = dict(
        session.execute(states.group_by(ScheduleSlot.state)).all()
    )
    ran = select(ScheduleSlot).where(mine, ScheduleSlot.state != "missed")
    waiting = unrecorded(session, job, now)
    step = job.every_s * 1000
    next_due = waiting[0] if waiting else now - now % step + step
    return JobView(
        job=job,
        next_due=next_due,
        last=session.scalar(ran.order_by(ScheduleSlot.due.desc()).limit(1)),
        overdue=len(waiting),
        late_ms=max(0, now - next_due),
        missed_24h=counts.get("missed", 0),
        failed_24h=counts.get("failed", 0),
    )
