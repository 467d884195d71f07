"""What happened to an account's safety: reuse, new devices, bans; support reads it.

`models/audit.py` holds what our own people did; this is what befell a user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import Index, String, select
from sqlalchemy.orm import Mapped, mapped_column

from config.logging import bound_id
from config.metrics.accounts import SECURITY_EVENTS
from models.base import (
    TABLE_OPTIONS,
    AppId,
    Base,
    DeviceId,
    EpochMs,
    Id,
    database_now,
    delete_by_id,
    new_id,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

DETAIL_LENGTH = 500

Kind = Literal[
    "refresh_reused",
    "new_device",
    "session_replaced",
    "ended_session_used",
    "banned",
    "unbanned",
    "logged_out",
    "guest_upgraded",
    "unionid_linked",
    "phone_bound",
    "phone_changed",
    "phone_conflict",
    "session_key_reset",
    "risk_marked",
    "risk_cleared",
]


class SecurityEvent(Base):
    """One event; ids and plain words only, no openid, phone or token."""

    __tablename__ = "security_events"
    __table_args__ = (
        Index(None, "user_id", "at"),
        Index(None, "at"),
        Index(None, "request_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id]
    app_id: Mapped[AppId]
    kind: Mapped[str] = mapped_column(String(24))
    session_id: Mapped[Id | None]
    device_id: Mapped[DeviceId | None]
    ip: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[EpochMs]
    detail: Mapped[str | None] = mapped_column(String(DETAIL_LENGTH))


class Whereabouts(NamedTuple):
    """Where a security event came from, as far as known.

    ``request_id`` is for what is told by a task: the request that it goes back to.
    """

    session_id: str | None = None
    device_id: str | None = None
    ip: str | None = None
    request_id: str | None = None


NOWHERE = Whereabouts()


def record_security_event(
    session: Session,
    kind: Kind,
    user: tuple[str, str],
    whereabouts: Whereabouts = NOWHERE,
    detail: str = "",
) -> None:
    """Write ``kind`` down in the commit of what it tells about, and count it.

    ``user`` is user and app id.
    """
    SECURITY_EVENTS.labels(kind).inc()
    user_id, app_id = user
    session.add(
        SecurityEvent(
            id=new_id("sv"),
            user_id=user_id,
            app_id=app_id,
            kind=kind,
            session_id=whereabouts.session_id,
            device_id=whereabouts.device_id,
            ip=whereabouts.ip,
            request_id=whereabouts.request_id or bound_id("request_id"),
            at=database_now(session),
            detail=detail[:DETAIL_LENGTH] or None,
        )
    )


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` events older than ``before`` (epoch ms)."""
    ids = session.scalars(
        select(SecurityEvent.id).where(SecurityEvent.at < before).limit(limit)
    ).all()
    return delete_by_id(session, SecurityEvent.id, ids)
