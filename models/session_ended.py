"""Which sessions have ended: revoked, of an epoch that is over, or banned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import func, or_, select

from models.sessions import Session
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session as SqlSession

SessionEnded = Literal["", "revoked", "banned"]


class EndedSession(NamedTuple):
    """A session that was revoked, and when (epoch ms)."""

    id: str
    user_id: str
    reason: str
    at: int


def find_end(session: SqlSession, session_id: str, epoch: int) -> SessionEnded:
    """Return how a session opened under ``epoch`` has ended, '' while it counts.

    One that SQL does not know yet counts.
    """
    found = session.execute(
        select(Session.revoked_at, User.epoch, User.banned_at)
        .outerjoin(User, User.id == Session.user_id)
        .where(Session.id == session_id)
    ).first()
    if found is None:
        return ""
    revoked_at, present, banned_at = found
    if banned_at is not None:
        return "banned"
    return "revoked" if revoked_at is not None or (present or 0) > epoch else ""


def find_ended(
    session: SqlSession, session_ids: Collection[str]
) -> dict[str, int | None]:
    """Return those of ``session_ids`` that have ended, and when they were revoked.

    None for one whose user's epoch went on: nobody wrote down when.
    """
    rows = session.execute(
        select(Session.id, Session.revoked_at)
        .outerjoin(User, User.id == Session.user_id)
        .where(
            Session.id.in_(session_ids),
            or_(
                Session.revoked_at.is_not(None),
                Session.epoch < func.coalesce(User.epoch, 0),
            ),
        )
    )
    return {row.id: row.revoked_at for row in rows}


def list_ended(
    session: SqlSession, after: tuple[int, str], limit: int
) -> list[EndedSession]:
    """Return up to ``limit`` revoked sessions after that time and id, oldest first."""
    at, session_id = after
    rows = session.execute(
        select(Session.id, Session.user_id, Session.ended_by, Session.revoked_at)
        .where(
            # Said twice: the first alone is what an index is searched for.
            Session.revoked_at >= at,
            or_(Session.revoked_at > at, Session.id > session_id),
        )
        .order_by(Session.revoked_at, Session.id)
        .limit(limit)
    )
    return [
        EndedSession(row.id, row.user_id, row.ended_by or "logout", row.revoked_at or 0)
        for row in rows
    ]
