"""Starting operations together with the outbox rows that do them.

`models/operations.py` is the table, `models/operation_ends.py` cancels and prunes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from config.logging import bound_id
from models.base import database_now, new_id
from models.errors import Unavailable
from models.operation_ends import cancel_operation
from models.operations import (
    Operation,
    OperationError,
    OperationView,
    change,
    lock_operation,
    may_go_on,
    view_of,
)
from models.outbox import (
    OPEN_STATES,
    NewWork,
    Outbox,
    WorkCancelled,
    WorkContext,
    add_work,
)
from models.rivals import RIVAL_WROTE
from models.users import ensure_user

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Mode = Literal["join", "supersede", "debounce"]
SUPERSEDED = OperationError("superseded", "a newer request took its place")
# How often a start looks again when a rival's equal one came in between.
TRIES = 5
# So many quiet times after the first request debounced work starts all the same.
QUIET_TIMES = 10


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

    Two callers that insert at the same moment meet at the unique key; the later one
    finds the other's. ``context`` is the running work that starts a child: its
    operation becomes the parent. Raises `WorkCancelled` or `WorkExpired` when that
    parent is over.
    """
    now = database_now(session)
    parent = None if context is None else context.operation_id
    if parent is not None and not may_go_on(session, parent):
        raise WorkCancelled
    wanted = _inherit(wanted, context)
    for _ in range(TRIES):
        if (kept := _keep(session, wanted, now)) is not None:
            return view_of(kept, now)
        row = _new_row(wanted, parent, now)
        if _insert(session, row):
            _tell(session, row, wanted, now)
            _add_work(session, row, wanted, context, now)
            return view_of(row, now)
    raise Unavailable("equal operations come and go too fast")


def find_active(session: Session, kind: str, equal_key: str) -> OperationView | None:
    """Return what an equal request would join, None when there is nothing."""
    key = _key(kind, equal_key)
    row = session.scalar(select(Operation).where(Operation.active_key == key))
    return None if row is None else view_of(row, database_now(session))


def _inherit(wanted: NewOperation, context: WorkContext | None) -> NewOperation:
    """Return ``wanted`` with the app and the earlier deadline of the work above."""
    if context is None:
        return wanted
    deadlines = [at for at in (wanted.expires_at, context.expires_at) if at is not None]
    app_id = wanted.app_id or context.app_id
    return replace(wanted, app_id=app_id, expires_at=min(deadlines, default=None))


def _keep(session: Session, wanted: NewOperation, now: int) -> Operation | None:
    """Return the equal operation if it stands for the new request too."""
    if wanted.equal_key is None:
        return None
    key = _key(wanted.kind, wanted.equal_key)
    equal = session.scalar(
        select(Operation)
        .where(Operation.active_key == key)
        .execution_options(populate_existing=True)
    )
    if equal is None or wanted.mode == "join":
        return equal
    if wanted.mode == "debounce":
        return _put_off(session, equal.id, wanted, now)
    cancel_operation(session, equal.id, SUPERSEDED)
    return None


def _put_off(
    session: Session, operation_id: str, wanted: NewOperation, now: int
) -> Operation | None:
    """Give work that has not begun the newest payload, deadline and start.

    Else free its key and return None: what it read may be older than this request.
    """
    rows = session.scalars(
        select(Outbox)
        .where(Outbox.operation_id == operation_id, Outbox.state.in_(OPEN_STATES))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    operation = lock_operation(session, operation_id)
    if operation is None or operation.active_key is None:
        return None
    if operation.state != "accepted":
        operation.active_key = None
        session.flush()
        return None
    # A steady stream of requests must not put it off for ever.
    latest = operation.created_at + wanted.quiet_ms * QUIET_TIMES
    for row in rows:
        # A message that is out already comes too early and is not taken.
        row.state = "ready"
        row.due_at = row.visible_at = min(now + wanted.quiet_ms, latest)
        row.payload = wanted.payload
        row.expires_at = wanted.expires_at
    change(session, operation, expires_at=wanted.expires_at)
    return operation


def _new_row(wanted: NewOperation, parent: str | None, now: int) -> Operation:
    key = wanted.equal_key
    return Operation(
        id=new_id("op"),
        kind=wanted.kind,
        user_id=wanted.user_id,
        app_id=wanted.app_id,
        parent_id=parent,
        request_id=bound_id("request_id"),
        active_key=None if key is None else _key(wanted.kind, key),
        state="accepted",
        percent=0,
        expires_at=wanted.expires_at,
        created_at=now,
        updated_at=now,
    )


def _insert(session: Session, row: Operation) -> bool:
    """Insert the row; False when a rival holds its key since a moment ago."""
    try:
        with session.begin_nested():
            session.add(row)
    except RIVAL_WROTE:
        return False
    return True


def _tell(session: Session, row: Operation, wanted: NewOperation, now: int) -> None:
    if wanted.user_id is not None:
        # The first login may not be enriched yet, and events are numbered there.
        ensure_user(session, wanted.user_id, wanted.app_id or "", now)
    change(session, row)


def _add_work(
    session: Session,
    row: Operation,
    wanted: NewOperation,
    context: WorkContext | None,
    now: int,
) -> None:
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


def _key(kind: str, equal_key: str) -> str:
    return f"{kind}:{equal_key}"
