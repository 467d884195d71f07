"""Slots of the clock: the row ``(job, due)`` lets any number of beats do one run.

A slot that runs is a row of the outbox, written in the same commit: retries,
quarantine and timeline come from there. `config/schedule.py` is the table of jobs,
`models/schedule_support.py` is for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Index, String, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from config.schedule import CatchUp, Job
from models.base import (
    TABLE_OPTIONS,
    Base,
    EpochMs,
    Id,
    database_now,
    database_now_ms,
)
from models.outbox import OPEN_STATES, Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from models.database import UnitOfWork

# After an outage of days the slots before these leave no rows: they say nothing.
MOST_RECORDED = 100
# Runs of an `each` job that are caught up at once; older ones are missed.
MOST_CAUGHT_UP = 24


class ScheduleSlot(Base):
    """The slot of ``job`` that was due at ``due`` (epoch ms), and what became of it.

    States: taken -> done or failed; missed. ``outbox_id`` is the work of a slot that
    runs.
    """

    __tablename__ = "schedule_slots"
    __table_args__ = (
        Index(None, "outbox_id"),
        Index(None, "state", "job"),
        TABLE_OPTIONS,
    )

    job: Mapped[str] = mapped_column(String(64), primary_key=True)
    due: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    taken_at: Mapped[EpochMs]
    state: Mapped[str] = mapped_column(String(12))
    outbox_id: Mapped[Id | None]
    finished_at: Mapped[EpochMs | None]


@dataclass(frozen=True, slots=True)
class Taken:
    """Due times of the slots that one question recorded, oldest first."""

    runs: Sequence[int] = ()
    missed: Sequence[int] = ()


def slot_subject(job: str, due: int) -> str:
    """Return what the outbox row of a slot is about; fits its column."""
    return f"{job}@{due}"


def take_due(uow: UnitOfWork, job: Job) -> Taken:
    """Record what is due of ``job`` by the database's clock and enqueue what runs.

    Nothing is taken while a run of the job is open, so a job never overlaps itself
    and a house without workers collects one row a job. A rival who takes the same
    slots makes the commit fail on their key.
    """
    session = uow.session
    if _count_taken(session, job.name):
        return Taken()
    now = database_now(session)
    slots = unrecorded(session, job, now)[-MOST_RECORDED:]
    runs = slots[len(slots) - _count_runs(job, slots, now) :]
    for due in slots:
        outbox_id = None
        if due in runs:
            outbox_id = uow.enqueue(job.task, slot_subject(job.name, due))
        session.add(
            ScheduleSlot(
                job=job.name,
                due=due,
                taken_at=now,
                state="missed" if outbox_id is None else "taken",
                outbox_id=outbox_id,
            )
        )
    session.flush()
    return Taken(runs, slots[: len(slots) - len(runs)])


def settle(session: Session, job: str) -> int:
    """Close the slots of ``job`` whose work is over without having closed them.

    Set aside, cancelled or discarded work has failed its slot. Returns how many
    failed.
    """
    over = (
        select(ScheduleSlot.due, Outbox.state)
        .outerjoin(Outbox, Outbox.id == ScheduleSlot.outbox_id)
        .where(
            ScheduleSlot.state == "taken",
            ScheduleSlot.job == job,
            Outbox.id.is_(None) | Outbox.state.not_in(OPEN_STATES),
        )
    )
    failed = 0
    for due, work in session.execute(over).all():
        state = "done" if work == "done" else "failed"
        closed = session.execute(
            update(ScheduleSlot)
            .where(
                ScheduleSlot.job == job,
                ScheduleSlot.due == due,
                ScheduleSlot.state == "taken",
            )
            .values(state=state, finished_at=database_now_ms())
        )
        failed += (state == "failed") * closed.rowcount  # type: ignore[attr-defined]
    return failed


def finish_slot(session: Session, outbox_id: str) -> None:
    """Mark the slot of this work done, in the commit of its effect."""
    session.execute(
        update(ScheduleSlot)
        .where(ScheduleSlot.outbox_id == outbox_id)
        .values(state="done", finished_at=database_now_ms())
    )


def hand_on_slot(session: Session, outbox_id: str, next_id: str) -> None:
    """Let other work go on with the slot of this work."""
    session.execute(
        update(ScheduleSlot)
        .where(ScheduleSlot.outbox_id == outbox_id)
        .values(outbox_id=next_id)
    )


def _count_taken(session: Session, job: str) -> int:
    taken = (
        select(func.count())
        .select_from(ScheduleSlot)
        .where(ScheduleSlot.state == "taken", ScheduleSlot.job == job)
    )
    return session.scalar(taken) or 0


def unrecorded(session: Session, job: Job, now: int) -> range:
    """Return the due slots without a row; of a job that never ran only the newest.

    And that one only if it runs: a house that is new has missed nothing. Slots of the
    future, left by a database clock that was stepped back, do not count.
    """
    step = job.every_s * 1000
    newest = now - now % step
    last = session.scalar(
        select(func.max(ScheduleSlot.due)).where(
            ScheduleSlot.job == job.name, ScheduleSlot.due <= newest
        )
    )
    if last is not None:
        return range(last - last % step + step, newest + 1, step)
    first = range(newest, newest + 1, step)
    return first if _count_runs(job, first, now) else first[:0]


def _count_runs(job: Job, slots: range, now: int) -> int:
    """Return how many of the newest slots run."""
    if job.catch_up is CatchUp.EACH:
        return min(len(slots), MOST_CAUGHT_UP)
    if job.catch_up is CatchUp.SKIP and slots:
        return int(now - slots[-1] <= job.late_s * 1000)
    return min(len(slots), 1)
