"""Whether a session has ended: revoked, of an epoch that is over, or banned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from models.sessions import Session
from models.users import User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session as SqlSession

SessionEnded = Literal["", "revoked", "banned"]


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
