"""Slots of the clock: the row ``(job, due)`` lets any number of beats do one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, String, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class ScheduleSlot(Base):
    """The run of ``job`` that was due at ``due`` (epoch ms) has been taken."""

    __tablename__ = "schedule_slots"
    __table_args__ = (TABLE_OPTIONS,)

    job: Mapped[str] = mapped_column(String(64), primary_key=True)
    due: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    taken_at: Mapped[EpochMs]
    state: Mapped[str] = mapped_column(String(12))
    outbox_id: Mapped[Id | None]
    finished_at: Mapped[EpochMs | None]


def take_slot(session: Session, job: str, every_s: int) -> int | None:
    """Take the slot that is due now by the database's clock; None when it is taken.

    Returns the slot's due time. The clock of the beat that asked plays no part.
    """
    now = database_now(session)
    due = now - now % (every_s * 1000)
    if session.get(ScheduleSlot, (job, due)) is not None:
        return None
    try:
        with session.begin_nested():
            session.add(ScheduleSlot(job=job, due=due, taken_at=now, state="taken"))
    except IntegrityError:
        return None
    return due


def prune(session: Session, *, before: int) -> None:
    """Delete slots older than ``before`` (epoch ms)."""
    session.execute(delete(ScheduleSlot).where(ScheduleSlot.due < before))
