"""Subscribe messages to users: one row a message, one a try; at most one call each.

`tasks/notifications.py` sends; ``sending`` is written before the call to WeChat and
nothing leaves it by itself but the outcome of that call.
"""

from __future__ import annotations

from sqlalchemy import Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id


class Notification(Base):
    """One message to one user; ``data_sealed`` holds the template's fields."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("app_id", "dedupe_key"),
        Index(None, "user_id", "created_at"),
        Index(None, "state", "updated_at"),
        Index(None, "request_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    user_id: Mapped[Id]
    template_key: Mapped[str] = mapped_column(String(64))
    data_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    page: Mapped[str | None] = mapped_column(String(1024))
    dedupe_key: Mapped[str | None] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(12))
    send_at: Mapped[EpochMs]
    sent_at: Mapped[EpochMs | None]
    wechat_msgid: Mapped[str | None] = mapped_column(String(64))
    errcode: Mapped[int | None] = mapped_column(Integer)
    busy_answers: Mapped[int] = mapped_column(Integer)
    request_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[EpochMs]
    updated_at: Mapped[EpochMs]


class NotificationAttempt(Base):
    """One try; ``outcome`` is ``sending`` until the answer is known."""

    __tablename__ = "notification_attempts"
    __table_args__ = (Index(None, "notification_id"), TABLE_OPTIONS)

    id: Mapped[Id] = mapped_column(primary_key=True)
    notification_id: Mapped[Id]
    outbox_id: Mapped[Id]
    at: Mapped[EpochMs]
    outcome: Mapped[str] = mapped_column(String(16))
    errcode: Mapped[int | None] = mapped_column(Integer)
