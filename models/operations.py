"""Operations: long work that a client can follow, join and cancel.

States: accepted -> running -> succeeded, failed, cancelled, or dead when its work was
set aside. The work itself is outbox rows that carry the operation's id;
`models/operation_work.py` starts both together, `models/operation_ends.py` cancels.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Index, Integer, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    LONG_TEXT,
    TABLE_OPTIONS,
    AppId,
    Base,
    EpochMs,
    Id,
    database_now,
)
from models.events import Event, EventType
from models.operation_files import delete_files
from models.user_events import append_user_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

ACTIVE_STATES = ("accepted", "running")
# Work of these is not begun any more; what follows from a success still is.
STOPPED_STATES = ("failed", "cancelled", "dead")
FINISHED = 100


class Operation(Base):
    """One piece of long work; ``active_key`` is set while equal requests join it.

    ``expires_at`` is the moment after which nobody can use the result any more.
    """

    __tablename__ = "operations"
    __table_args__ = (
        UniqueConstraint("active_key"),
        Index(None, "user_id", "created_at"),
        Index(None, "parent_id"),
        Index(None, "request_id"),
        Index(None, "state", "updated_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[Id | None]
    app_id: Mapped[AppId | None]
    parent_id: Mapped[Id | None]
    request_id: Mapped[str | None] = mapped_column(String(64))
    active_key: Mapped[str | None] = mapped_column(String(160))
    state: Mapped[str] = mapped_column(String(12))
    percent: Mapped[int] = mapped_column(Integer)
    result: Mapped[str | None] = mapped_column(LONG_TEXT)
    error: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[EpochMs | None]
    started_at: Mapped[EpochMs | None]
    finished_at: Mapped[EpochMs | None]
    created_at: Mapped[EpochMs]
    updated_at: Mapped[EpochMs]


class OperationError(msgspec.Struct, frozen=True):
    """Why an operation did not succeed: a stable reason, and words for people."""

    reason: str
    msg: str


class OperationView(msgspec.Struct, frozen=True):
    """An operation as clients see it; times are epoch ms, ``eta_ms`` from now."""

    id: str
    kind: str
    state: str
    percent: int
    eta_ms: int | None
    result: Any
    error: OperationError | None
    created_at: int
    updated_at: int

    @property
    def active(self) -> bool:
        """Whether something may still happen."""
        return self.state in ACTIVE_STATES


def view_of(row: Operation, now: int) -> OperationView:
    """Return the public form of ``row``; the ETA supposes an even pace."""
    return OperationView(
        id=row.id,
        kind=row.kind,
        state=row.state,
        percent=row.percent,
        eta_ms=_eta_ms(row, now),
        result=None if row.result is None else json.loads(row.result),
        error=(
            None
            if row.error is None
            else msgspec.json.decode(row.error, type=OperationError)
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def find_view(session: Session, operation_id: str) -> OperationView | None:
    """Return the operation as clients see it, None when there is none."""
    row = session.get(Operation, operation_id)
    return None if row is None else view_of(row, database_now(session))


def find_user_view(
    session: Session, operation_id: str, user_id: str
) -> OperationView | None:
    """Return the operation if it is this user's, else None."""
    row = session.get(Operation, operation_id)
    if row is None or row.user_id != user_id:
        return None
    return view_of(row, database_now(session))


def find_user_id(session: Session, operation_id: str) -> str | None:
    """Return whose operation it is, None when it is nobody's or gone."""
    return session.scalar(select(Operation.user_id).where(Operation.id == operation_id))


def lock_operation(session: Session, operation_id: str) -> Operation | None:
    """Return the row locked until the transaction ends, None when there is none."""
    return session.get(
        Operation, operation_id, with_for_update=True, populate_existing=True
    )


def may_go_on(session: Session, operation_id: str) -> bool:
    """Whether work of the operation may start; it may until this transaction ends.

    The shared lock makes a cancel wait, so that it sees what is written now.
    """
    state = session.scalar(
        select(Operation.state)
        .where(Operation.id == operation_id)
        .with_for_update(read=True)
    )
    return state is not None and state not in STOPPED_STATES


def begin_operation(session: Session, operation_id: str) -> bool:
    """Mark an accepted operation running; False when its work must not begin."""
    row = lock_operation(session, operation_id)
    if row is None or row.state in STOPPED_STATES:
        return False
    if row.state == "accepted":
        row.started_at = database_now(session)
        change(session, row, state="running")
    return True


def set_progress(session: Session, operation_id: str, percent: int) -> bool:
    """Raise the percentage and tell the user; False when the operation is over."""
    row = lock_operation(session, operation_id)
    if row is None or row.state not in ACTIVE_STATES:
        return False
    if percent > row.percent:
        change(session, row, percent=min(percent, FINISHED - 1))
    return True


def succeed(
    session: Session, operation_id: str, result: Mapping[str, Any] | None
) -> bool:
    """Close the operation with its result; False when it is over already."""
    row = lock_operation(session, operation_id)
    if row is None or row.state not in ACTIVE_STATES:
        return False
    text = None if result is None else json.dumps(dict(result), ensure_ascii=False)
    close(session, row, "succeeded", result=text, percent=FINISHED)
    return True


def fail(
    session: Session, operation_id: str, error: OperationError, *, state: str = "failed"
) -> bool:
    """Close the operation as ``failed``, ``dead`` or ``cancelled`` with its reason."""
    row = lock_operation(session, operation_id)
    if row is None or row.state not in ACTIVE_STATES:
        return False
    close(session, row, state, error=msgspec.json.encode(error).decode())
    return True


def revive(session: Session, operation_id: str) -> None:
    """Make a dead operation active again: a person replays its work.

    The next attempt begins anew, and so does the percentage.
    """
    row = lock_operation(session, operation_id)
    if row is not None and row.state == "dead":
        row.finished_at = row.started_at = None
        change(session, row, state="accepted", error=None, percent=0)


def give_up(session: Session, operation_id: str, error: OperationError) -> None:
    """Close an active or dead operation as failed: a person discards its work."""
    row = lock_operation(session, operation_id)
    if row is not None and row.state in (*ACTIVE_STATES, "dead"):
        text = msgspec.json.encode(error).decode()
        close(session, row, "failed", error=text)


def close(session: Session, row: Operation, state: str, **values: object) -> None:
    """Write a final state, free the key and tell the user; ``row`` is locked.

    Only a success leaves a file. Its outbox rows are closed before, so that no
    attempt writes another piece after this.
    """
    if state != "succeeded":
        delete_files(session, [row.id])
    row.active_key = None
    row.finished_at = database_now(session)
    change(session, row, state=state, **values)


def change(session: Session, row: Operation, **values: object) -> None:
    """Set columns of a locked row and tell its user in the same commit."""
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = database_now(session)
    session.flush()
    if row.user_id is not None:
        data = {
            "operation_id": row.id,
            "kind": row.kind,
            "state": row.state,
            "percent": row.percent,
        }
        event = Event(EventType.OPERATION_UPDATED, row.user_id, data)
        append_user_events(session, [event])


def _eta_ms(row: Operation, now: int) -> int | None:
    if row.state != "running" or not row.started_at or not row.percent:
        return None
    spent = max(0, now - row.started_at)
    return spent * (FINISHED - row.percent) // row.percent
