"""Guests in SQL: what became of one, and their removal when nothing is heard of them.

`models/guest_upgrades.py` makes a guest a user that WeChat knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import delete, exists, or_, select

from models.account_links import AccountLink
from models.base import database_now
from models.devices import Device
from models.idempotency import IdempotencyKey
from models.logins import LoginEvent
from models.notifications import Notification, NotificationAttempt
from models.operation_files import OperationFile
from models.operations import Operation
from models.phones import Phone
from models.risk_marks import RiskMark
from models.security_events import SecurityEvent
from models.sessions import Session
from models.user_events import UserEvent
from models.users import User

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute
    from sqlalchemy.orm import Session as SqlSession

    from models.login_entry import LoginEntry

GuestState = Literal["guest", "taken", "ended", "banned"]
# Every column that says whose a row is; what a guest cannot have is not here.
OWNERS: Final[tuple[InstrumentedAttribute[Any], ...]] = (
    Device.user_id,
    IdempotencyKey.user_id,
    LoginEvent.user_id,
    Notification.user_id,
    Operation.user_id,
    Phone.user_id,
    SecurityEvent.user_id,
    Session.user_id,
    UserEvent.user_id,
)


def find_guest_state(session: SqlSession, guest: LoginEntry) -> GuestState:
    """Return what has become of the guest whose session ``guest`` describes.

    ``taken`` is one that has logged in already, or was found to be a known user's.
    One that SQL does not know yet is a guest: its signed token says so.
    """
    user = session.get(User, guest.user_id, populate_existing=True)
    if user is not None and user.banned_at is not None:
        return "banned"
    row = session.get(Session, guest.session_id, populate_existing=True)
    taken = row is not None and row.ended_by == "replaced"
    if taken or (user is not None and not user.is_guest):
        return "taken"
    if user is not None and user.epoch > guest.epoch:
        return "ended"
    if row is None:
        return "guest"
    over = row.revoked_at is not None or row.expires_at <= database_now(session)
    return "ended" if over else "guest"


def prune(session: SqlSession, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` guests unheard of since ``before`` (epoch ms), wholly.

    Not those that were linked to a user: the merge will want what they had.
    """
    active = exists().where(Session.user_id == User.id, Session.last_seen_at >= before)
    linked = exists().where(
        or_(AccountLink.user_id == User.id, AccountLink.other_user_id == User.id)
    )
    ids = list(
        session.scalars(
            select(User.id)
            .where(User.is_guest, User.updated_at < before, ~active, ~linked)
            .order_by(User.updated_at)
            .limit(limit)
            # One that logs in at this moment is a guest no more when we have waited.
            .with_for_update()
        )
    )
    if ids:
        _delete_rows(session, ids)
    return len(ids)


def _delete_rows(session: SqlSession, ids: list[str]) -> None:
    messages = select(Notification.id).where(Notification.user_id.in_(ids))
    works = select(Operation.id).where(Operation.user_id.in_(ids))
    marked = RiskMark.subject_kind == "user", RiskMark.subject_id.in_(ids)
    for unwanted in (
        delete(NotificationAttempt).where(
            NotificationAttempt.notification_id.in_(messages)
        ),
        delete(OperationFile).where(OperationFile.operation_id.in_(works)),
        delete(RiskMark).where(*marked),
        *(delete(column.class_).where(column.in_(ids)) for column in OWNERS),
        delete(User).where(User.id.in_(ids)),
    ):
        session.execute(unwanted.execution_options(synchronize_session=False))
