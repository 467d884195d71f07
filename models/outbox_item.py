"""An outbox row as people see it; `models/outbox_list.py` finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from models.outbox import Outbox

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row as people see it: no payload, and the cause names classes only.

    ``attempts`` were begun, ``sends`` handed to Celery, ``deaths`` are processes that
    died of it; ``holder`` is the number of the attempt that runs now. Times are
    epoch milliseconds; ``next_at`` is when the relay looks at the row again.
    """

    id: str
    kind: str
    name: str
    lane: str
    state: str
    attempts: int
    sends: int
    deaths: int
    holder: int | None
    due_at: int
    next_at: int
    expires_at: int | None
    last_error: str | None
    subject_id: str
    operation_id: str | None
    parent_id: str | None
    request_id: str | None
    created_at: int
    updated_at: int


def find_item(session: Session, row_id: str) -> OutboxItem | None:
    """Return one row as people see it, None when there is none."""
    row = session.get(Outbox, row_id)
    return None if row is None else item_of(row)


def item_of(row: Outbox) -> OutboxItem:
    """Return what people may see of ``row``."""
    return OutboxItem(
        id=row.id,
        kind=row.kind,
        name=row.name,
        lane=row.lane,
        state=row.state,
        attempts=row.attempts,
        sends=row.sends,
        deaths=row.deaths,
        holder=row.holder_fence,
        due_at=row.due_at,
        next_at=row.visible_at,
        expires_at=row.expires_at,
        last_error=row.last_error,
        subject_id=row.subject_id,
        operation_id=row.operation_id,
        parent_id=row.parent_id,
        request_id=row.request_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
