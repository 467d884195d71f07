"""Subscribe messages to users: one row a message, one a try; at most one call each.

`tasks/notifications.py` sends; ``sending`` is written before the call to WeChat and
nothing leaves it by itself but the outcome of that call. How a message moves from
state to state stands in `models/notification_states.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Index, Integer, LargeBinary, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, delete_by_id

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# What `data_sealed` is sealed for; the id of the message is the owner.
SEALING_PURPOSE = "notification"
# No call is under way and one will be: a person may still cancel.
WAITING = ("created", "scheduled")
FINAL = ("sent", "failed", "unknown", "cancelled")
SHOWN_ATTEMPTS = 100


class Notification(Base):
    """One message to one user; ``data_sealed`` holds the template's fields.

    ``outbox_id`` is the row that sends it now; ``content_hash`` is a keyed hash of
    what was asked, to tell a repeat from another message under the same key.
    ``reason`` says why it failed or is unknown; ``errcode`` is WeChat's.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("app_id", "dedupe_key"),
        Index(None, "user_id", "created_at"),
        Index(None, "state", "updated_at"),
        Index(None, "request_id"),
        Index(None, "wechat_msgid"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    user_id: Mapped[Id]
    template_key: Mapped[str] = mapped_column(String(64))
    data_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    page: Mapped[str | None] = mapped_column(String(1024))
    dedupe_key: Mapped[str | None] = mapped_column(String(128))
    content_hash: Mapped[str] = mapped_column(String(64))
    outbox_id: Mapped[Id | None]
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(40))
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


class AttemptView(msgspec.Struct, frozen=True):
    """One try: ``sending``, ``sent``, ``put_off``, ``failed`` or ``unknown``."""

    at: int
    outcome: str
    errcode: int | None


class NotificationView(msgspec.Struct, frozen=True):
    """A message as its sender sees it; times are epoch ms, attempts oldest first.

    ``reason`` is a word: why the message waits, failed or is unknown. ``errcode`` is
    what WeChat said to the last try.
    """

    id: str
    state: str
    app_id: str
    user_id: str
    template_key: str
    page: str | None
    dedupe_key: str | None
    created_at: int
    send_at: int
    sent_at: int | None
    wechat_msgid: str | None
    errcode: int | None
    reason: str | None
    request_id: str | None
    attempts: list[AttemptView]


def view_of(session: Session, row: Notification) -> NotificationView:
    """Return the public form of ``row`` with its newest attempts."""
    newest = session.execute(
        select(
            NotificationAttempt.at,
            NotificationAttempt.outcome,
            NotificationAttempt.errcode,
        )
        .where(NotificationAttempt.notification_id == row.id)
        .order_by(NotificationAttempt.id.desc())
        .limit(SHOWN_ATTEMPTS)
    ).all()
    attempts = [AttemptView(*attempt) for attempt in reversed(newest)]
    plain = NotificationView.__struct_fields__[:-1]
    fields = {name: getattr(row, name) for name in plain}
    return NotificationView(**fields, attempts=attempts)


def find_view(session: Session, notification_id: str) -> NotificationView | None:
    """Return the message with its attempts, None when there is none."""
    row = session.get(Notification, notification_id)
    return None if row is None else view_of(session, row)


def find_by_key(session: Session, app_id: str, dedupe_key: str) -> Notification | None:
    """Return the message an app has under ``dedupe_key``."""
    return session.scalar(
        select(Notification).where(
            Notification.app_id == app_id, Notification.dedupe_key == dedupe_key
        )
    )


def lock_notification(session: Session, notification_id: str) -> Notification | None:
    """Return the row locked until the transaction ends, None when there is none."""
    return session.get(
        Notification, notification_id, with_for_update=True, populate_existing=True
    )


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` messages that ended before ``before``, with their tries.

    With the row its dedupe key is forgotten.
    """
    ids = session.scalars(
        select(Notification.id)
        .where(Notification.state.in_(FINAL), Notification.updated_at < before)
        .limit(limit)
    ).all()
    delete_by_id(session, NotificationAttempt.notification_id, ids)
    return delete_by_id(session, Notification.id, ids)
