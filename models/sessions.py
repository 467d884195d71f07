"""Sessions in SQL: the truth about rotation and revocation.

`models/stores/sessions.py` keeps the fast copy; this table answers when Redis is
away or was wiped. `models/rotation.py` is the rule by which a refresh token is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import BigInteger, Index, String, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    TABLE_OPTIONS,
    AppId,
    Base,
    DeviceId,
    EpochMs,
    Id,
    database_now,
    database_now_ms,
    upsert,
)
from models.rotation_trail import TRAIL_TEXT
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session as SqlSession

    from models.login_entry import LoginEntry

# MySQL wants a limit where there is an offset; the next login ends the others.
REPLACED_AT_ONCE = 1000


class Session(Base):
    """One login on one device; ``generation`` counts refresh rotations."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "user_id"),
        Index(None, "expires_at"),
        # Whoever fills Redis in again asks for what has ended lately.
        Index(None, "revoked_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id]
    app_id: Mapped[AppId]
    device_id: Mapped[DeviceId | None]
    ip: Mapped[str | None] = mapped_column(String(45))
    generation: Mapped[int] = mapped_column(BigInteger)
    rotated_at: Mapped[EpochMs]
    created_at: Mapped[EpochMs]
    last_seen_at: Mapped[EpochMs]
    expires_at: Mapped[EpochMs]
    revoked_at: Mapped[EpochMs | None]
    # Why it ended: logout, reused, replaced, banned, admin.
    ended_by: Mapped[str | None] = mapped_column(String(12))
    # The user's epoch at its opening: below the present one, the session is void.
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # Of what only its refresh tokens hold; None where their MAC alone can tell.
    refresh_hash: Mapped[str | None] = mapped_column(String(64))
    # What was rotated before the present one: see `models/rotation_trail.py`.
    trail: Mapped[str | None] = mapped_column(String(TRAIL_TEXT))


EndReason = Literal["logout", "reused", "replaced", "banned", "admin"]


class SessionFacts(NamedTuple):
    """A session as SQL knows it; Redis may know a later rotation."""

    live: bool
    user_id: str
    app_id: str
    generation: int
    rotated_at: int
    epoch: int
    refresh_hash: str | None
    created_at: int
    expires_at: int
    trail: str

    @property
    def owner(self) -> tuple[str, str, int]:
        """Whose it is: user, app, and the user's epoch at its opening."""
        return self.user_id, self.app_id, self.epoch


def find_session_facts(session: SqlSession, session_id: str) -> SessionFacts | None:
    """Return what SQL knows of the session, None when there is no row."""
    row = session.get(Session, session_id)
    if row is None:
        return None
    live = row.revoked_at is None and row.expires_at > database_now(session)
    return SessionFacts(
        live,
        row.user_id,
        row.app_id,
        row.generation,
        row.rotated_at,
        row.epoch,
        row.refresh_hash,
        row.created_at,
        row.expires_at,
        row.trail or "",
    )


def find_owner(session: SqlSession, session_id: str) -> str | None:
    """Return the id of the session's user, None when there is no row."""
    row = session.get(Session, session_id)
    return None if row is None else row.user_id


def lock(session: SqlSession, session_id: str) -> Session | None:
    """Return the row locked until the transaction ends, None when there is none."""
    return session.get(Session, session_id, with_for_update=True)


def list_live_ids(session: SqlSession, user_id: str) -> list[str]:
    """Return the ids of the user's sessions that are neither revoked nor expired."""
    found = select(Session.id).where(
        Session.user_id == user_id,
        Session.revoked_at.is_(None),
        Session.expires_at > database_now_ms(),
    )
    return list(session.scalars(found))


def list_beyond(session: SqlSession, user_id: str, keep: int) -> list[str]:
    """Return the ids of the user's live sessions but for the ``keep`` newest."""
    epoch = select(User.epoch).where(User.id == user_id).scalar_subquery()
    found = (
        select(Session.id)
        .where(
            Session.user_id == user_id,
            Session.revoked_at.is_(None),
            Session.expires_at > database_now_ms(),
            Session.epoch >= func.coalesce(epoch, 0),
        )
        .order_by(Session.created_at.desc(), Session.id.desc())
        .offset(keep)
        .limit(REPLACED_AT_ONCE)
    )
    return list(session.scalars(found))


def revoke(
    session: SqlSession, session_ids: Sequence[str], reason: EndReason
) -> list[str]:
    """Revoke the live ones of ``session_ids`` and return those, in order."""
    now = database_now(session)
    live = (
        select(Session.id)
        .where(
            Session.id.in_(session_ids),
            Session.revoked_at.is_(None),
            Session.expires_at > now,
        )
        .order_by(Session.id)
        .with_for_update()
    )
    ended = list(session.scalars(live))
    session.execute(
        update(Session)
        .where(Session.id.in_(ended))
        .values(revoked_at=now, ended_by=reason)
    )
    return ended


def ensure_sessions(session: SqlSession, entries: Sequence[LoginEntry]) -> None:
    """Insert the rows that enrichment may not have written yet.

    A row that exists, also one that a rival writes at this moment, stays; only its
    generation rises to the entry's, and a hash it lacks is filled in.
    """
    rows = [_row_of(entry) for entry in sorted(entries, key=lambda e: e.session_id)]
    change = {"generation": "max", "refresh_hash": "keep"}
    upsert(session, Session.__table__, rows, change)


def write_sessions(session: SqlSession, entries: Sequence[LoginEntry]) -> None:
    """Insert the sessions of journal ``entries``, or raise theirs to the newest."""
    rows: dict[str, dict[str, object]] = {}
    for entry in sorted(entries, key=lambda entry: entry.generation):
        row, before = _row_of(entry), rows.get(entry.session_id)
        if before is not None:
            row["created_at"] = before["created_at"]
            for name in ("device_id", "ip"):
                # Where it was opened: a refresh knows no device.
                row[name] = before[name] or row[name]
            row["refresh_hash"] = row["refresh_hash"] or before["refresh_hash"]
        rows[entry.session_id] = row
    newest = ("generation", "rotated_at", "last_seen_at", "expires_at")
    in_order = [rows[key] for key in sorted(rows)]
    kept = dict.fromkeys(("refresh_hash", "device_id"), "keep")
    change = dict.fromkeys(newest, "max") | kept
    upsert(session, Session.__table__, in_order, change)


def _row_of(entry: LoginEntry) -> dict[str, object]:
    return {
        "id": entry.session_id,
        "user_id": entry.user_id,
        "app_id": entry.app_id,
        "device_id": entry.device.id if entry.device else None,
        "ip": entry.ip,
        "generation": entry.generation,
        "rotated_at": entry.at,
        "created_at": entry.began_at,
        "last_seen_at": entry.at,
        "expires_at": entry.expires_at,
        "revoked_at": None,
        "epoch": entry.epoch,
        "refresh_hash": entry.refresh_hash,
    }


def prune(session: SqlSession, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` sessions that expired before ``before`` (epoch ms)."""
    ids = session.scalars(
        select(Session.id).where(Session.expires_at < before).limit(limit)
    ).all()
    session.execute(delete(Session).where(Session.id.in_(ids)))
    return len(ids)
