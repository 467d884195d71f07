"""A user's action follows the marks: decided by policy, written into the standing.

The only place that sets actions: the rules' task, administrators and a bound phone all
come by here. The copy in Redis follows the commit (`models/standings.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select

from config.metrics.risk import RISK_ACTIONS
from models.base import database_now
from models.behaviour_figures import Subject
from models.risk_marks import clear_marks, list_live, weighed
from models.risk_policy import Decision, decide
from models.security_events import record_security_event
from models.standings import (
    find_user_standing,
    publish_standing,
    set_action,
)
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from config.risk_settings import RiskSettings
    from models.security_events import Kind

# An end that moves by less is not worth a change of the standing: a user who goes on
# is marked anew each half minute.
NOTEWORTHY_MS = 300_000


class Work(Protocol):
    """What is needed of a unit of work."""

    @property
    def session(self) -> Session:
        """The transaction."""

    def enqueue(self, task: str, subject_id: str, /) -> str:
        """Write an outbox row."""


def settle_user(work: Work, user_id: str, policy: RiskSettings) -> Decision | None:
    """Have the user's action follow the live marks; None for an unknown user."""
    session = work.session
    user = session.get(User, user_id)
    if user is None:
        return None
    now = database_now(session)
    marks = list_live(session, "user", [user_id], now).get(user_id, [])
    decision = decide([weighed(mark) for mark in marks], policy, now)
    before = find_user_standing(session, user_id)
    same = before.action_at(now) == before.action == decision.action
    moved = abs((decision.until or 0) - (before.action_until or 0))
    if same and (decision.action == "allow" or moved < NOTEWORTHY_MS):
        return decision
    set_action(session, user_id, decision.action, decision.until)
    publish_standing(work, user_id)
    if not same:
        RISK_ACTIONS.labels(decision.action).inc()
        kind: Kind = "risk_cleared" if decision.action == "allow" else "risk_marked"
        rules = ", ".join(sorted(mark.rule for mark in marks))
        words = f"{decision.action} at {decision.score:.0f}: {rules or 'no marks'}"
        record_security_event(session, kind, (user_id, user.app_id), detail=words)
    return decision


def clear_user(work: Work, user_id: str, by: str, policy: RiskSettings) -> int:
    """Void the user's marks, a person's choice too; the action ends with them.

    Returns how many there were. ``by`` is who did it: an administrator's name, or
    ``verified`` for the user's own phone.
    """
    now = database_now(work.session)
    cleared = clear_marks(work.session, Subject("user", user_id), by, now)
    settle_user(work, user_id, policy)
    return cleared


def clear_verified(work: Work, user_id: str, policy: RiskSettings) -> bool:
    """Let a user write again who was asked to verify and has bound a phone.

    For the unit of work that binds it; nothing for users with another action.
    """
    standing = find_user_standing(work.session, user_id)
    if standing.action != "verify":
        return False
    clear_user(work, user_id, "verified", policy)
    return True


def list_ending(session: Session, before: int, limit: int) -> Sequence[str]:
    """Return users whose action ends before ``before`` (epoch ms), the first first."""
    return session.scalars(
        select(User.id)
        .where(User.action_until <= before)
        .order_by(User.action_until)
        .limit(limit)
    ).all()
