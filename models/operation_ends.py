"""How operations end without success: cancelled with all below them, pruned when old.

Unlike the acts of `models/operations.py` these reach into the outbox as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import and_, exists, or_, select

from models.base import delete_by_id
from models.operation_files import OperationFile, delete_files
from models.operations import (
    ACTIVE_STATES,
    Operation,
    OperationError,
    OperationView,
    close,
    find_view,
    lock_operation,
)
from models.outbox import Outbox
from models.outbox_lease import cancel_rows

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

CANCELLED = OperationError("cancelled", "cancelled on request")


def cancel_operation(
    session: Session, operation_id: str, error: OperationError = CANCELLED
) -> OperationView | None:
    """Cancel an active operation and everything below it; None when there is none.

    An operation that is over stays as it is: look at the state of the answer. What
    runs at this moment is stopped at its next checkpoint and can have no effect.
    """
    family = _family(session, operation_id)
    # Rows before operations before users, as tasks take them, so that none blocks
    # another.
    cancel_rows(session, family)
    locked = [lock_operation(session, name) for name in family]
    # What a running parent started before we had its lock.
    if _family(session, operation_id) != family:
        return cancel_operation(session, operation_id, error)
    cancel_rows(session, family)
    text = msgspec.json.encode(error).decode()
    for row in locked:
        if row is not None and row.state in ACTIVE_STATES:
            close(session, row, "cancelled", error=text)
    return find_view(session, operation_id)


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` operations that ended before ``before`` (epoch ms).

    Dead ones stay as long as their work waits for a person.
    """
    waits = exists().where(Outbox.operation_id == Operation.id, Outbox.state == "dead")
    ended = Operation.state.in_(("succeeded", "failed", "cancelled"))
    given_up = and_(Operation.state == "dead", ~waits)
    ids = session.scalars(
        select(Operation.id)
        .where(or_(ended, given_up), Operation.updated_at < before)
        .limit(limit)
    ).all()
    return delete_by_id(session, Operation.id, ids)


def delete_older_files(session: Session, operation_id: str) -> None:
    """Delete the files of earlier operations of the same kind and user."""
    newest = session.get_one(Operation, operation_id)
    older = session.scalars(
        select(Operation.id)
        .where(
            Operation.user_id == newest.user_id,
            Operation.kind == newest.kind,
            # Others still write theirs.
            Operation.state == "succeeded",
            Operation.id != operation_id,
        )
        .where(exists().where(OperationFile.operation_id == Operation.id))
    ).all()
    if older:
        delete_files(session, older)


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
