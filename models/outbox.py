"""The outbox: every accepted piece of work as a row; the Celery message is a hint.

States: ready -> sent -> done, or dead with its cause; discarded and cancelled are
set by people. `workers/relay.py` claims rows, `tasks/base.py` finishes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Index, Integer, String, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from config.logging import bound_id
from models.base import (
    TABLE_OPTIONS,
    Base,
    EpochMs,
    Id,
    database_now,
    database_now_ms,
    new_id,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

Kind = Literal["task", "event"]
OPEN_STATES = ("ready", "sent")
ERROR_LENGTH = 500
LONGEST_RESEND_MS = 600_000


class Outbox(Base):
    """One piece of accepted work; ``visible_at`` is when the relay looks at it next."""

    __tablename__ = "outbox"
    __table_args__ = (Index(None, "state", "visible_at"), TABLE_OPTIONS)

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(120))
    subject_id: Mapped[Id]
    payload: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[EpochMs]
    visible_at: Mapped[EpochMs]
    last_error: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    created_at: Mapped[EpochMs]
    updated_at: Mapped[EpochMs]

    # Set by `claim`, no column: this row had been handed to Celery before.
    was_sent = False


@dataclass(frozen=True, slots=True)
class NewWork:
    """What `UnitOfWork.enqueue` was asked for; ``due_at`` None means now.

    ``request_id`` is the request that wanted it; by default the one being served.
    """

    name: str
    subject_id: str
    due_at: int | None = None
    payload: str | None = None
    kind: Kind = "task"
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows by state, and the age of the oldest row that should have been sent."""

    by_state: dict[str, int]
    oldest_ready_age_ms: int


def add_work(session: Session, work: NewWork) -> str:
    """Insert a ready row and return its id."""
    now = database_now(session)
    due_at = now if work.due_at is None else work.due_at
    row = Outbox(
        id=new_id("ob"),
        kind=work.kind,
        name=work.name,
        subject_id=work.subject_id,
        payload=work.payload,
        request_id=work.request_id or bound_id("request_id"),
        state="ready",
        attempts=0,
        due_at=due_at,
        visible_at=due_at,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def add_event(session: Session, event_type: str, subject_id: str) -> str:
    """Insert an event row; the relay turns it into one task row per subscriber."""
    return add_work(session, NewWork(event_type, subject_id, kind="event"))


def add_dead(session: Session, work: NewWork, cause: str) -> str:
    """Insert a row that is dead from the start: poison set aside with its cause."""
    row_id = add_work(session, work)
    bury(session, row_id, cause)
    return row_id


def claim(session: Session, *, limit: int, resend_after_ms: int) -> list[Outbox]:
    """Lock up to ``limit`` rows whose time has come and mark them sent.

    Ready rows that are due, and sent rows that no task finished within their
    lease. Several relays may call this at once: MySQL and MariaDB skip each
    other's locked rows, SQLite serialises writers. Sending is no attempt: a
    stopped worker or broker must not use up a row.
    """
    now = database_now(session)
    due = (
        select(Outbox)
        .where(Outbox.state.in_(OPEN_STATES), Outbox.visible_at <= now)
        .order_by(Outbox.visible_at, Outbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(due))
    for row in rows:
        row.was_sent = row.state == "sent"
        # The longer nobody answers, the rarer the copies in a queue nobody reads.
        waited = min(now - row.due_at, LONGEST_RESEND_MS) if row.was_sent else 0
        row.state = "sent"
        row.visible_at = now + max(resend_after_ms, waited)
        row.updated_at = now
    session.flush()
    return rows


def begin(session: Session, row_id: str, lease_ms: int) -> Outbox | None:
    """Count an attempt, extend the lease and return the row; None when it is closed.

    Gone, finished, buried, discarded and cancelled rows all mean the same to a
    task: end quietly.
    """
    row = session.get(Outbox, row_id, with_for_update=True)
    if row is None or row.state not in OPEN_STATES:
        return None
    now = database_now(session)
    # Counted before the work, so that work which kills its process ends too.
    row.attempts += 1
    row.visible_at = now + lease_ms
    row.updated_at = now
    session.flush()
    return row


def finish(session: Session, row_id: str) -> bool:
    """Mark an open row done; False when someone else closed it before."""
    return _close(session, row_id, state="done")


def bury(session: Session, row_id: str, cause: str) -> bool:
    """Mark an open row dead with ``cause``; it waits for a person."""
    return _close(session, row_id, state="dead", last_error=cause[:ERROR_LENGTH])


def postpone(session: Session, row_id: str, delay_ms: int, cause: str) -> bool:
    """Give an open row back for a later attempt, keeping the cause of the failure."""
    again_at = database_now(session) + delay_ms
    return _close(
        session,
        row_id,
        state="ready",
        visible_at=again_at,
        last_error=cause[:ERROR_LENGTH],
    )


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


def delete_by_id(
    session: Session, column: InstrumentedAttribute[str], ids: Sequence[str]
) -> int:
    """Delete the rows whose ``column`` is in ``ids``; returns how many."""
    if not ids:
        return 0
    session.execute(delete(column.class_).where(column.in_(ids)))
    return len(ids)


def _close(session: Session, row_id: str, **values: object) -> bool:
    values["updated_at"] = database_now_ms()
    result = session.execute(
        update(Outbox)
        .where(Outbox.id == row_id, Outbox.state.in_(OPEN_STATES))
        .values(**values)
        .execution_options(synchronize_session="fetch")
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
