"""The outbox for people and the clock: figures, replay and discard, retention.

Nothing here runs on a request's way or in a task; see `models/outbox_lease.py`. Each
change names the state it starts from, so that who comes second changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, update

from config.queues import LANES
from models.audit import record_act
from models.base import database_now, database_now_ms, delete_by_id
from models.operations import OperationError, give_up, revive
from models.outbox import NewWork, Outbox, add_work
from models.outbox_lease import bury
from models.outbox_list import is_stuck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

COUNTED = ("ready", "sent", "dead")


@dataclass(slots=True)
class LaneBacklog:
    """One lane's rows that are not over, and how overdue its oldest ready one is."""

    ready: int = 0
    sent: int = 0
    dead: int = 0
    oldest_ready_age_ms: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, by lane; finished rows are not counted, there are too many."""

    lanes: dict[str, LaneBacklog]

    @property
    def by_state(self) -> dict[str, int]:
        """Rows of all lanes by state; states without rows are left out."""
        lanes = self.lanes.values()
        sums = {state: sum(getattr(lane, state) for lane in lanes) for state in COUNTED}
        return {state: rows for state, rows in sums.items() if rows}

    @property
    def oldest_ready_age_ms(self) -> int:
        """How overdue the oldest row is that should have been sent."""
        return max(lane.oldest_ready_age_ms for lane in self.lanes.values())


def add_dead(session: Session, work: NewWork, cause: str) -> str:
    """Insert a row that is dead from the start: poison set aside with its cause."""
    row_id = add_work(session, work)
    bury(session, row_id, cause)
    return row_id


def backlog(session: Session) -> Backlog:
    """Return what waits, by lane.

    Naming every lane and state makes it a few ranges of one index; its cost grows
    with the rows that wait, not with those that are done.
    """
    lanes = {str(lane): LaneBacklog() for lane in LANES}
    now = database_now(session)
    waiting = (
        select(Outbox.lane, Outbox.state, func.count(), func.min(Outbox.visible_at))
        .where(Outbox.lane.in_(list(lanes)), Outbox.state.in_(COUNTED))
        .group_by(Outbox.lane, Outbox.state)
    )
    for lane, state, rows, oldest in session.execute(waiting):
        setattr(lanes[lane], state, rows)
        if state == "ready":
            lanes[lane].oldest_ready_age_ms = max(0, now - oldest)
    return Backlog(lanes)


def replay(session: Session, due: Mapping[str, int], detail: str = "") -> list[str]:
    """Make dead rows ready again at their time in ``due``; returns which were dead.

    Attempts and deaths begin anew, and so does a dead operation. Written down in the
    audit log. Rows before operations, as tasks lock them.
    """
    revived = []
    for row_id, at in due.items():
        fresh = {"attempts": 0, "deaths": 0, "holder_fence": None}
        fresh |= {"due_at": at, "visible_at": at}
        if _move(session, row_id, Outbox.state == "dead", "ready", fresh):
            revived.append(row_id)
    for operation_id in _operations_of(session, revived):
        revive(session, operation_id)
    for row_id in revived:
        record_act(session, "outbox.replay", row_id, detail=detail)
    return revived


def discard(
    session: Session, row_ids: Sequence[str], reason: str, stuck_after_ms: int
) -> list[str]:
    """Give up dead, ready and stuck rows, and their operations, for ``reason``.

    Returns which could be given up. An attempt that runs at this moment loses its
    row and can have no effect any more.
    """
    may = or_(Outbox.state.in_(("dead", "ready")), is_stuck(stuck_after_ms))
    gone = [row_id for row_id in row_ids if _move(session, row_id, may, "discarded")]
    error = OperationError("work_discarded", reason)
    for operation_id in _operations_of(session, gone):
        give_up(session, operation_id, error)
    for row_id in gone:
        record_act(session, "outbox.discard", row_id, detail=reason)
    return gone


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` closed rows last touched before ``before``; dead stay."""
    closed = Outbox.state.in_(("done", "discarded", "cancelled"))
    ids = session.scalars(
        select(Outbox.id).where(closed, Outbox.updated_at < before).limit(limit)
    ).all()
    return delete_by_id(session, Outbox.id, ids)


def _move(
    session: Session,
    row_id: str,
    may: ColumnElement[bool],
    state: str,
    values: Mapping[str, object] | None = None,
) -> bool:
    result = session.execute(
        update(Outbox)
        .where(Outbox.id == row_id, may)
        .values(state=state, updated_at=database_now_ms(), **(values or {}))
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _operations_of(session: Session, row_ids: Sequence[str]) -> list[str]:
    found = select(Outbox.operation_id).where(
        Outbox.id.in_(row_ids), Outbox.operation_id.is_not(None)
    )
    return sorted({name for name in session.scalars(found) if name is not None})
