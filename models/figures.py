"""What `/metrics` reads from SQL: small ranges of indexes, never the finished rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from config.clock import DAY_MS
from models.base import database_now
from models.notifications import Notification
from models.operations import Operation
from models.outbox_support import Backlog, backlog
from models.paid_budgets import most_spent
from models.schedule_support import ages_of_done, lateness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

OPERATIONS = ("accepted", "running", "dead")
NOTIFICATIONS = ("created", "scheduled", "sending", "unknown")


@dataclass(frozen=True, slots=True)
class Figures:
    """The outbox by lane, counts by state, and how the clock's jobs are.

    ``fresh_unknown`` are the messages whose end became unknown within a day,
    ``paid_fen`` is what the app that spent most has spent this month.
    """

    backlog: Backlog
    operations: dict[str, int]
    notifications: dict[str, int]
    fresh_unknown: int
    paid_fen: int
    slot_ages_ms: dict[str, int]
    slot_late_ms: dict[str, int]


def read_figures(session: Session) -> Figures:
    """Return what is going on; its cost does not grow with what is over."""
    return Figures(
        backlog(session),
        _count(session, Operation, OPERATIONS),
        _count(session, Notification, NOTIFICATIONS),
        _count_fresh_unknown(session),
        most_spent(session),
        ages_of_done(session),
        lateness(session),
    )


def _count_fresh_unknown(session: Session) -> int:
    query = select(func.count()).where(
        Notification.state == "unknown",
        Notification.updated_at > database_now(session) - DAY_MS,
    )
    return session.scalar(query) or 0


def _count(
    session: Session,
    table: type[Operation | Notification],
    states: Sequence[str],
) -> dict[str, int]:
    query = select(table.state, func.count()).where(table.state.in_(states))
    found = session.execute(query.group_by(table.state)).all()
    return dict.fromkeys(states, 0) | dict(found)
