"""How an outbox row moves: claimed by a relay, held by one task, finished once.

Each begin draws a fencing number; whoever comes to finish with an older one has been
overtaken and changes nothing. `models/outbox.py` is the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import func, select, update

from config.queues import EVENTS
from models.base import database_now, database_now_ms
from models.operations import OperationError, begin_operation, fail
from models.outbox import ERROR_LENGTH, OPEN_STATES, Outbox

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

LONGEST_RESEND_MS = 600_000
# Finished rows that are asked how far a queue has been read.
LATELY = 100
EXPIRED = OperationError("deadline_passed", "nobody waits for this any more")

Refusal = Literal["nothing", "early", "held", "cancelled", "expired", "quarantined"]


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a task may hold a row, and how many dead processes quarantine it."""

    lease_ms: int
    deaths: int


class Holding(NamedTuple):
    """A row in the hands of one attempt."""

    row_id: str
    fence: int


def list_due_lanes(session: Session) -> list[str]:
    """Return the lanes that have rows whose time has come."""
    due = select(Outbox.lane).where(
        Outbox.state.in_(OPEN_STATES), Outbox.visible_at <= database_now_ms()
    )
    return list(session.scalars(due.distinct()))


def claim(
    session: Session, lane: str, *, limit: int, resend_after_ms: int
) -> list[Outbox]:
    """Lock up to ``limit`` rows of a lane whose time has come and mark them sent.

    Ready rows that are due, and sent rows that no task finished within their
    lease. Several relays may call this at once: MySQL and MariaDB skip each
    other's locked rows, SQLite serialises writers. Sending is no attempt: a
    stopped worker or broker must not use up a row.
    """
    now = database_now(session)
    due = (
        select(Outbox)
        .where(
            Outbox.lane == lane,
            Outbox.state.in_(OPEN_STATES),
            Outbox.visible_at <= now,
        )
        .order_by(Outbox.visible_at, Outbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(due))
    read_until = _read_until(session, lane) if any(map(_is_unbegun, rows)) else 0
    for row in rows:
        row.was_sent = row.state == "sent"
        waited = 0
        if _is_unbegun(row) and row.updated_at >= read_until:
            # The longer nobody answers, the rarer the copies in a queue nobody reads.
            waited = min(now - row.due_at, LONGEST_RESEND_MS)
        if row.holder_fence is not None:
            row.deaths += 1
            row.holder_fence = None
        row.state = "sent"
        row.sends += 1
        row.visible_at = now + max(resend_after_ms, waited)
        row.updated_at = now
    session.flush()
    return rows


def begin(
    session: Session, row_id: str, lease: Lease, *, lost_message: str | None = None
) -> Outbox | Refusal:
    """Count an attempt, take the lease and return the row, or why it is not begun.

    ``early``: it was put off after the message had left, and another one will come.
    ``held``: another attempt runs. Its lease must run out first, unless its process
    died and Celery repeats its message, ``lost_message``: believed while that is the
    row's newest one, since behind a newer one another attempt may live.
    """
    row = session.get(Outbox, row_id, with_for_update=True, populate_existing=True)
    if row is None or row.state not in OPEN_STATES:
        return "nothing"
    now = database_now(session)
    holder_died = lost_message == row.message_id
    refusal = _unready(row, now, holder_died=holder_died)
    if refusal is None:
        refusal = _over(session, row, lease, now)
    if refusal is not None:
        return refusal
    # Counted before the work, so that work which kills its process ends too.
    row.attempts += 1
    row.fence += 1
    row.holder_fence = row.fence
    row.visible_at = now + lease.lease_ms
    row.updated_at = now
    session.flush()
    return row


def renew(session: Session, row_id: str, fence: int, lease_ms: int) -> bool:
    """Extend the lease of a running attempt; False when it has been overtaken.

    An attempt that was only slow, and taken for dead, holds its row again.
    """
    until = database_now_ms() + lease_ms
    return _change(session, row_id, fence, visible_at=until, holder_fence=fence)


def renew_held(
    session: Session, held: Collection[Holding], lease_ms: int
) -> set[Holding]:
    """Extend the leases of attempts that run; return those that hold their row no more.

    A row that is locked at the moment is passed by: meanwhile nobody can claim it.
    """
    seen = session.execute(
        select(Outbox.id, Outbox.holder_fence, Outbox.state)
        .where(Outbox.id.in_({one.row_id for one in held}))
        .order_by(Outbox.id)
        .with_for_update(skip_locked=True)
    ).all()
    open_rows = [row for row in seen if row.state in OPEN_STATES]
    # What was claimed since may be handed to another: it is not taken back here.
    holding = {Holding(row.id, row.holder_fence) for row in open_rows}
    now = database_now(session)
    session.execute(
        update(Outbox)
        .where(Outbox.id.in_({one.row_id for one in holding.intersection(held)}))
        .values(visible_at=now + lease_ms, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    looked_at = {row.id for row in seen}
    return {one for one in held if one.row_id in looked_at} - holding


def finish(session: Session, row_id: str, fence: int | None = None) -> bool:
    """Mark an open row done; False when it was closed or begun anew meanwhile."""
    return _change(session, row_id, fence, state="done", holder_fence=None)


def is_expired(row: Outbox, now: int) -> bool:
    """Whether nobody can use the row's result any more; ``now`` is database time."""
    return row.expires_at is not None and row.expires_at <= now


def expire(session: Session, row: Outbox) -> None:
    """Close a row whose deadline has passed, and fail its operation."""
    words = EXPIRED.msg
    _change(session, row.id, None, state="cancelled", last_error=words)
    if row.operation_id is not None:
        fail(session, row.operation_id, EXPIRED)


def bury(session: Session, row_id: str, cause: str, fence: int | None = None) -> bool:
    """Mark an open row dead with ``cause``, and its operation; a person decides."""
    cause = cause[:ERROR_LENGTH]
    if not _change(
        session, row_id, fence, state="dead", last_error=cause, holder_fence=None
    ):
        return False
    operation_id = session.scalar(
        select(Outbox.operation_id).where(Outbox.id == row_id)
    )
    if operation_id is not None:
        error = OperationError("work_set_aside", cause)
        fail(session, operation_id, error, state="dead")
    return True


def give_back(
    session: Session, row_id: str, delay_ms: int, cause: str, fence: int
) -> bool:
    """Postpone a row whose attempt found the door shut: it does not count.

    The caller has a bound of its own for how often or how long this may happen.
    """
    if not postpone(session, row_id, delay_ms, cause, fence):
        return False
    session.execute(
        update(Outbox)
        .where(Outbox.id == row_id)
        .values(attempts=Outbox.attempts - 1)
        .execution_options(synchronize_session="fetch")
    )
    return True


def cancel_row(session: Session, row_id: str) -> bool:
    """Close an open row that is not wanted any more; False when it is closed."""
    return _change(session, row_id, None, state="cancelled", holder_fence=None)


def postpone(
    session: Session, row_id: str, delay_ms: int, cause: str, fence: int | None = None
) -> bool:
    """Give an open row back for a later attempt, keeping the cause of the failure."""
    again_at = database_now_ms() + delay_ms
    return _change(
        session,
        row_id,
        fence,
        state="ready",
        visible_at=again_at,
        last_error=cause[:ERROR_LENGTH],
        holder_fence=None,
    )


def find_state(session: Session, row_id: str) -> str | None:
    """Return the row's state, None when it is gone."""
    return session.scalar(select(Outbox.state).where(Outbox.id == row_id))


def cancel_rows(session: Session, operation_ids: list[str]) -> int:
    """Close the open rows of ``operation_ids``; what runs ends at its checkpoint."""
    result = session.execute(
        update(Outbox)
        .where(
            Outbox.operation_id.in_(operation_ids),
            Outbox.state.in_(OPEN_STATES),
            Outbox.lane != EVENTS,
        )
        .values(state="cancelled", updated_at=database_now_ms())
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def count_open(session: Session, lane: str) -> int:
    """Return how many rows of a lane are neither finished nor set aside."""
    found = session.scalar(
        select(func.count())
        .select_from(Outbox)
        .where(Outbox.lane == lane, Outbox.state.in_(OPEN_STATES))
    )
    return int(found or 0)


def _is_unbegun(row: Outbox) -> bool:
    """Whether the message of ``row`` has left and nobody has begun its work."""
    return row.state == "sent" and row.holder_fence is None


def _read_until(session: Session, lane: str) -> int:
    """Return when the newest work was due that workers of ``lane`` finished lately.

    A queue is read in the order of sending: a message that left before that has had
    its turn, and was lost if its row waits still.
    """
    lately = (
        select(Outbox.due_at)
        .where(Outbox.lane == lane, Outbox.state == "done")
        .order_by(Outbox.visible_at.desc())
        .limit(LATELY)
        .subquery()
    )
    return session.scalar(select(func.max(lately.c.due_at))) or 0


def _unready(row: Outbox, now: int, *, holder_died: bool) -> Refusal | None:
    """Return why another message must bring this row, None when it may begin."""
    if row.due_at > now:
        return "early"
    if row.holder_fence is not None and row.visible_at > now and not holder_died:
        return "held"
    return None


def _over(session: Session, row: Outbox, lease: Lease, now: int) -> Refusal | None:
    """Close a row that must not run any more and return why, None when it may."""
    if row.holder_fence is not None:
        row.deaths += 1
    if row.deaths >= lease.deaths:
        bury(session, row.id, f"quarantined: {row.deaths} processes died of it")
        return "quarantined"
    if is_expired(row, now):
        expire(session, row)
        return "expired"
    if row.operation_id is not None and not begin_operation(session, row.operation_id):
        _change(session, row.id, None, state="cancelled")
        return "cancelled"
    return None


def _change(session: Session, row_id: str, fence: int | None, **values: object) -> bool:
    """Change a row that is open; with ``fence`` only while that attempt has it."""
    values["updated_at"] = database_now_ms()
    mine = [Outbox.id == row_id, Outbox.state.in_(OPEN_STATES)]
    if fence is not None:
        mine.append(Outbox.fence == fence)
    result = session.execute(
        update(Outbox)
        .where(*mine)
        .values(**values)
        .execution_options(synchronize_session="fetch")
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
