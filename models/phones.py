"""Phone numbers: sealed, found by keyed hash, one account of an app for each.

`web/services/phone.py` binds them; the profile shows `users.phone_masked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import LargeBinary, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from models.account_links import link_accounts
from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, database_now
from models.rivals import RIVAL_WROTE
from models.security_events import record_security_event
from models.users import User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from models.sealed_phones import SealedPhone

Outcome = Literal["bound", "changed", "same", "taken"]


class Phone(Base):
    """The number a user has bound; ``masked`` is what answers show."""

    __tablename__ = "phones"
    __table_args__ = (UniqueConstraint("app_id", "phone_hash"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    phone_hash: Mapped[str] = mapped_column(String(64))
    phone_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    country_code: Mapped[str] = mapped_column(String(8))
    masked: Mapped[str] = mapped_column(String(32))
    bound_at: Mapped[EpochMs]


def bind_phone(session: Session, phone: SealedPhone) -> Outcome:
    """Make ``phone`` the number of its user, whose row exists; tell what that was.

    ``taken``: another account of the app has the number. Nothing is bound then; that
    both are likely one person's is written down for support and a later merge.
    """
    row = session.get(
        Phone, phone.user_id, with_for_update=True, populate_existing=True
    )
    if row is not None and row.phone_hash == phone.phone_hash:
        return "same"
    if _owner(session, phone) is not None or not _write(session, phone, row):
        return _taken(session, phone)
    user = session.get_one(User, phone.user_id, with_for_update=True)
    user.phone_masked = phone.masked
    user.updated_at = database_now(session)
    changed = row is not None
    record_security_event(
        session,
        "phone_changed" if changed else "phone_bound",
        (phone.user_id, phone.app_id),
    )
    return "changed" if changed else "bound"


def find_masked_phone(session: Session, user_id: str) -> str | None:
    """Return the user's number as answers show it."""
    return session.scalar(select(Phone.masked).where(Phone.user_id == user_id))


def _owner(session: Session, phone: SealedPhone) -> str | None:
    return session.scalar(
        select(Phone.user_id).where(
            Phone.app_id == phone.app_id, Phone.phone_hash == phone.phone_hash
        )
    )


def _write(session: Session, phone: SealedPhone, row: Phone | None) -> bool:
    """Insert or change the row; False when a rival has the number since a moment."""
    try:
        with session.begin_nested():
            kept = row or Phone(user_id=phone.user_id)
            kept.app_id = phone.app_id
            kept.phone_hash = phone.phone_hash
            kept.phone_sealed = phone.phone_sealed
            kept.country_code = phone.country_code
            kept.masked = phone.masked
            kept.bound_at = database_now(session)
            session.add(kept)
    except RIVAL_WROTE:
        return False
    return True


def _taken(session: Session, phone: SealedPhone) -> Outcome:
    owner = _owner(session, phone)
    if owner is not None:
        link_accounts(session, phone.user_id, owner, "phone")
    record_security_event(session, "phone_conflict", (phone.user_id, phone.app_id))
    return "taken"
