"""Done marks: which message a task has already turned into its effect.

The mark is inserted in the effect's own transaction, so a repeated or doubled
message meets the primary key and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Index, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now_ms

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Inbox(Base):
    """``task`` has had its effect for ``message_id``."""

    __tablename__ = "inbox"
    __table_args__ = (Index(None, "done_at"), TABLE_OPTIONS)

    task: Mapped[str] = mapped_column(String(120), primary_key=True)
    message_id: Mapped[Id] = mapped_column(primary_key=True)
    done_at: Mapped[EpochMs]


def mark_done(session: Session, task: str, message_id: str) -> bool:
    """Insert the mark; False when it is already there. Call before the effect."""
    if session.get(Inbox, (task, message_id)) is not None:
        return False
    session.add(Inbox(task=task, message_id=message_id, done_at=database_now_ms()))
    # A rival copy that inserted meanwhile makes this flush raise and roll back.
    session.flush()
    return True


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` marks older than ``before`` (epoch ms)."""
    keys = session.execute(
        select(Inbox.task, Inbox.message_id).where(Inbox.done_at < before).limit(limit)
    ).all()
    for task, message_id in keys:
        session.execute(
            delete(Inbox).where(Inbox.task == task, Inbox.message_id == message_id)
        )
    return len(keys)
