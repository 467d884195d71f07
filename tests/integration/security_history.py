"""What befell a user, as the security events of `models/security_events.py` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from models.security_events import SecurityEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.database import Database


def security_history(database: Database, user_id: str) -> Sequence[SecurityEvent]:
    """Return the user's events, oldest first."""
    events = (
        select(SecurityEvent)
        .where(SecurityEvent.user_id == user_id)
        .order_by(SecurityEvent.at, SecurityEvent.id)
    )
    with database.read() as session:
        return session.scalars(events).all()
