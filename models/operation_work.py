"""Starting and cancelling operations together with the outbox rows that do them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import select

from config.logging import bound_id
from models.base import database_now, new_id
from models.operations import (
    Operation,
    OperationError,
    OperationView,
    change,
    close,
    lock_operation,
    may_go_on,
    view_of,
)
from models.outbox import NewWork, Outbox, WorkCancelled, WorkContext, add_work
from models.outbox_lease import cancel_rows
from models.users import ensure_user

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Mode = Literal["join", "supersede", "debounce"]
CANCELLED = OperationError("cancelled", "cancelled on request")
SUPERSEDED = OperationError("superseded", "a newer request took its place")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """What `start_operation` is asked for.

    ``task`` gets the operation's id as its subject. ``equal_key`` names what makes
    two requests equal: while one is active, ``join`` returns it, ``supersede``
    cancels it for the new one, and ``debounce`` moves its start ``quiet_ms`` away as
    long as it has not begun. Without a key each request is an operation of its own.
    """

    kind: str
    task: str
    user_id: str | None = None
    app_id: str | None = None
    equal_key: str | None = None
    mode: Mode = "join"
    quiet_ms: int = 0
    payload: str | None = None
    expires_at: int | None = None


def start_operation(
    session: Session, wanted: NewOperation, context: WorkContext | None = None
) -> OperationView:
    """Insert the operation and its work, or return the equal one that is active.

    Two callers that insert at the same moment meet at the unique key: one of them
    gets IntegrityError, and finds the other's at its next try. ``context`` is the
    running work that starts a child: its operation becomes the parent. Raises
    `WorkCancelled` or `WorkExpired` when that parent is over.
    """
    now = database_now(session)
    parent = None if context is None else context.operation_id
    if parent is not None and not may_go_on(session, parent):
        raise WorkCancelled
    if wanted.equal_key is not None:
        equal = _active(session, wanted)
        if equal is not None and (kept := _keep(session, wanted, equal, now)):
            return kept
    row = _insert(session, wanted, context, now)
    work = NewWork(
        wanted.task,
        row.id,
        due_at=now + wanted.quiet_ms,
        payload=wanted.payload,
        app_id=wanted.app_id,
        operation_id=row.id,
        expires_at=wanted.expires_at,
    )
    add_work(session, work, context)
    return view_of(row, now)


def cancel_operation(
    session: Session, operation_id: str, error: OperationError = CANCELLED
) -> OperationView | None:
    """Cancel an active operation and everything below it; None when there is none.

    An operation that is over stays as it is: look at the state of the answer. What
    runs at this moment is stopped at its next checkpoint and can have no effect.
    """
    family = _family(session, operation_id)
    # Rows before operations, as tasks take them, so that the two do not block.
    cancel_rows(session, family)
    for name in family:
        row = lock_operation(session, name)
        if row is not None and row.state in ("accepted", "running"):
            close(session, row, "cancelled", error=_text(error))
    # What a running parent started before we had its lock.
    late = _family(session, operation_id)
    if late != family:
        return cancel_operation(session, operation_id, error)
    cancel_rows(session, family)
    row = session.get(Operation, operation_id)
    return None if row is None else view_of(row, database_now(session))


def _active(session: Session, wanted: NewOperation) -> Operation | None:
    found = session.scalar(
        select(Operation.id).where(Operation.active_key == _key(wanted))
    )
    row = None if found is None else lock_operation(session, found)
    return row if row is not None and row.active_key is not None else None


def _keep(
    session: Session, wanted: NewOperation, equal: Operation, now: int
) -> OperationView | None:
    """Return the equal operation if it stands for the new request too."""
    if wanted.mode == "join":
        return view_of(equal, now)
    if wanted.mode == "debounce" and equal.state == "accepted":
        _put_off(session, equal, now + wanted.quiet_ms, wanted.payload)
        return view_of(equal, now)
    if wanted.mode == "supersede":
        cancel_operation(session, equal.id, SUPERSEDED)
    else:
        # It has begun: what it read may be older than this request.
        equal.active_key = None
        session.flush()
    return None


def _put_off(
    session: Session, operation: Operation, due_at: int, payload: str | None
) -> None:
    rows = session.scalars(
        select(Outbox).where(
            Outbox.operation_id == operation.id, Outbox.state == "ready"
        )
    )
    for row in rows:
        row.due_at = row.visible_at = due_at
        row.payload = payload
    change(session, operation)


def _insert(
    session: Session, wanted: NewOperation, context: WorkContext | None, now: int
) -> Operation:
    if wanted.user_id is not None:
        # The first login may not be enriched yet, and events are numbered there.
        ensure_user(session, wanted.user_id, wanted.app_id or "", now)
    parent = None if context is None else context.operation_id
    deadlines = [wanted.expires_at, None if context is None else context.expires_at]
    expires_at = min((at for at in deadlines if at is not None), default=None)
    row = Operation(
        id=new_id("op"),
        kind=wanted.kind,
        user_id=wanted.user_id,
        app_id=wanted.app_id,
        parent_id=parent,
        request_id=bound_id("request_id"),
        active_key=None if wanted.equal_key is None else _key(wanted),
        state="accepted",
        percent=0,
        expires_at=expires_at,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    change(session, row)
    return row


def _key(wanted: NewOperation) -> str:
    return f"{wanted.kind}:{wanted.equal_key}"


def _family(session: Session, operation_id: str) -> list[str]:
    """Return the operation and all below it, parents first."""
    family = [operation_id]
    generation = family
    while generation:
        generation = list(
            session.scalars(
                select(Operation.id)
                .where(Operation.parent_id.in_(generation))
                .order_by(Operation.id)
            )
        )
        family += generation
    return family


def _text(error: OperationError) -> str:
    return msgspec.json.encode(error).decode()
