"""Repairs of the fast copies of sessions; the truth is in `models/sessions.py`."""

from __future__ import annotations

from config.clock import MS_PER_S
from models.login_entry import LoginEntry
from models.sessions import find_owner, find_session_facts
from tasks.app import app
from tasks.base import OutboxTask
from tasks.work import Work


@app.task(base=OutboxTask)
def mark_revoked(work: Work) -> None:
    """Mark a session revoked in Redis that could not be marked at its logout."""
    house = work.resources
    with house.database.read() as session:
        user_id = find_owner(session, work.subject_id)
    if user_id is not None:
        life_ms = house.settings.tokens.refresh_s * MS_PER_S
        house.stores.sessions.revoke(user_id, [work.subject_id], life_ms=life_ms)


@app.task(base=OutboxTask)
def mark_rotated(work: Work) -> None:
    """Bring a session's copy up to a rotation that SQL decided without Redis."""
    house = work.resources
    with house.database.read() as session:
        row = find_session_facts(session, work.subject_id)
    if row is None or not row.live:
        return
    entry = LoginEntry(
        id=work.subject_id,
        kind="refresh",
        user_id=row.user_id,
        app_id=row.app_id,
        session_id=work.subject_id,
        at=row.rotated_at,
        expires_at=row.expires_at,
        generation=row.generation,
        epoch=row.epoch,
        opened_at=row.created_at,
        refresh_hash=row.refresh_hash,
    )
    house.stores.sessions.restore(entry, row.trail)
