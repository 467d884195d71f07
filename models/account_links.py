"""Which accounts belong together: names that became another's, and likely pairs.

An alias is followed at login (`models/standings.py`); a link is a finding that a
person or a later merge acts upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import Index, String, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, database_now, upsert

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LinkReason = Literal["guest", "unionid", "phone"]


class UserAlias(Base):
    """A user id that stands for another: a guest kept its id when it logged in."""

    __tablename__ = "user_aliases"
    __table_args__ = (Index(None, "user_id"), TABLE_OPTIONS)

    alias_id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id]
    app_id: Mapped[AppId]
    created_at: Mapped[EpochMs]


class AccountLink(Base):
    """Two accounts of one person, and why we think so; ``state`` found or merged.

    ``plan`` is for the merge, which must be able to go back: what came from where.
    """

    __tablename__ = "account_links"
    __table_args__ = (Index(None, "other_user_id"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    other_user_id: Mapped[Id] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(String(12), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))
    plan: Mapped[str | None] = mapped_column(String(2000))
    found_at: Mapped[EpochMs]
    changed_at: Mapped[EpochMs]


def find_alias(session: Session, alias_id: str) -> str | None:
    """Return the user that ``alias_id`` stands for, None when it is no alias."""
    return session.scalar(
        select(UserAlias.user_id).where(UserAlias.alias_id == alias_id)
    )


def add_alias(session: Session, alias_id: str, user_id: str, app_id: str) -> str:
    """Let ``alias_id`` stand for ``user_id``, unless it stands for another already.

    Waits for a rival's commit; returns the user that it stands for now.
    """
    row = {
        "alias_id": alias_id,
        "user_id": user_id,
        "app_id": app_id,
        "created_at": database_now(session),
    }
    upsert(session, UserAlias.__table__, [row], {"app_id": "keep"})
    return find_alias(session, alias_id) or user_id


def link_accounts(
    session: Session, user_id: str, other_user_id: str, reason: LinkReason
) -> bool:
    """Write down that both accounts are one person's; False when that is known.

    The caller holds a lock on both, or on what made them one.
    """
    first, second = sorted((user_id, other_user_id))
    if session.get(AccountLink, (first, second, reason)) is not None:
        return False
    now = database_now(session)
    session.add(
        AccountLink(
            user_id=first,
            other_user_id=second,
            reason=reason,
            state="found",
            found_at=now,
            changed_at=now,
        )
    )
    session.flush()
    return True
