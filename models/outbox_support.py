"""The outbox for people and the clock: figures, dead rows, retention.

Nothing here runs on a request's way or in a task; see `models/outbox_lease.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from models.base import database_now, delete_by_id
from models.outbox import NewWork, Outbox, add_work
from models.outbox_lease import bury

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows by state, and the age of the oldest row that should have been sent."""

    by_state: dict[str, int]
    oldest_ready_age_ms: int


def add_dead(session: Session, work: NewWork, cause: str) -> str:
    """Insert a row that is dead from the start: poison set aside with its cause."""
    row_id = add_work(session, work)
    bury(session, row_id, cause)
    return row_id


def backlog(session: Session) -> Backlog:
    """Return counts by state and the age of the oldest overdue row, in milliseconds."""
    by_state = select(Outbox.state, func.count()).group_by(Outbox.state)
    now = database_now(session)
    oldest = session.scalar(
        select(func.min(Outbox.visible_at)).where(Outbox.state == "ready")
    )
    return Backlog(
        by_state=dict(session.execute(by_state).all()),
        oldest_ready_age_ms=0 if oldest is None else max(0, now - oldest),
    )


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` closed rows last touched before ``before``; dead stay."""
    closed = Outbox.state.in_(("done", "discarded", "cancelled"))
    ids = session.scalars(
        select(Outbox.id).where(closed, Outbox.updated_at < before).limit(limit)
    ).all()
    return delete_by_id(session, Outbox.id, ids)
