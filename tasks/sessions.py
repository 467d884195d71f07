"""Repairs of the fast copies of sessions; the truth is in `models/sessions.py`."""

from __future__ import annotations

from models.sessions import find_owner
from tasks.app import app
from tasks.base import OutboxTask, Work

MS_PER_S = 1000


@app.task(base=OutboxTask)
def mark_revoked(work: Work) -> None:
    """Mark a session revoked in Redis that could not be marked at its logout."""
    house = work.resources
    with house.database.read() as session:
        user_id = find_owner(session, work.subject_id)
    if user_id is not None:
        life_ms = house.settings.tokens.refresh_s * MS_PER_S
        house.stores.sessions.revoke(user_id, [work.subject_id], life_ms=life_ms)
