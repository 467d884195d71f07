"""Users: who a person is in an app, and what they told us; see also `identities`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Index, Integer, String, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, database_now, upsert
from models.guest_ids import began_as_guest
from models.support_codes import support_code_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.orm import Session


class User(Base):
    """A person in one app; ``id`` is a keyed hash of app and openid."""

    __tablename__ = "users"
    # The loader of standings asks for all that were ever changed.
    __table_args__ = (
        Index(None, "standing_no", "id"),
        Index(None, "action_until"),
        # Retention asks for guests of long ago.
        Index(None, "is_guest", "updated_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    nickname: Mapped[str | None] = mapped_column(String(64))
    avatar_url: Mapped[str | None] = mapped_column(String(512))
    gender: Mapped[int | None] = mapped_column(Integer)
    city: Mapped[str | None] = mapped_column(String(64))
    is_guest: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    login_count: Mapped[int] = mapped_column(BigInteger)
    last_login_at: Mapped[EpochMs | None]
    event_seq: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[EpochMs]
    updated_at: Mapped[EpochMs]
    phone_masked: Mapped[str | None] = mapped_column(String(32))
    # The standing (`models/standings.py`); the number counts its changes.
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    banned_at: Mapped[EpochMs | None]
    action: Mapped[str] = mapped_column(String(8), server_default="allow")
    action_until: Mapped[EpochMs | None]
    standing_no: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Profile(msgspec.Struct, frozen=True, omit_defaults=False):
    """A user as clients see it; the cached form of `User`. Times are epoch ms."""

    id: str
    nickname: str | None = None
    avatar_url: str | None = None
    gender: int | None = None
    city: str | None = None
    phone_masked: str | None = None
    is_guest: bool = False
    profile_state: str = "pending"
    created_at: int = 0
    last_login_at: int | None = None
    login_count: int = 0
    support_code: str = ""


def profile_of(user: User | Row[Any]) -> Profile:
    """Return the public profile; ``basic`` until the user has given a nickname."""
    return Profile(
        id=user.id,
        nickname=user.nickname,
        avatar_url=user.avatar_url,
        gender=user.gender,
        city=user.city,
        phone_masked=user.phone_masked,
        is_guest=user.is_guest,
        profile_state="complete" if user.nickname else "basic",
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        login_count=user.login_count,
        support_code=support_code_of(user.id),
    )


def pending_user(user_id: str, at: int, *, is_guest: bool = False) -> Profile:
    """Return what a session alone tells of its user, who logged in at ``at``."""
    return Profile(
        id=user_id,
        is_guest=is_guest,
        created_at=at,
        last_login_at=at,
        login_count=1,
        support_code=support_code_of(user_id),
    )


def find_profile(session: Session, user_id: str) -> Profile | None:
    """Return the profile, None while the first login is not enriched yet."""
    user = session.get(User, user_id)
    return None if user is None else profile_of(user)


def read_users(session: Session, user_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return the rows of ``user_ids`` as they are in SQL now, not as objects."""
    # Batches of hundreds: plain rows cost half of what tracked objects do.
    table = User.__table__
    return session.execute(select(table).where(table.c.id.in_(user_ids))).all()


def find_app_id(session: Session, user_id: str) -> str | None:
    """Return the app of a user, None when SQL has no row yet."""
    return session.scalar(select(User.app_id).where(User.id == user_id))


def find_apps(session: Session, user_ids: Sequence[str]) -> dict[str, str]:
    """Return the app of each of ``user_ids`` that has a row."""
    rows = session.execute(select(User.id, User.app_id).where(User.id.in_(user_ids)))
    return {row[0]: row[1] for row in rows}


def ensure_user(session: Session, user_id: str, app_id: str, at: int) -> None:
    """Insert the row of a user known since ``at`` (epoch ms), unless it exists.

    A write may come before the enrichment of the first login.
    """
    upsert(session, User.__table__, [new_user(user_id, app_id, at)], {"app_id": "keep"})


def new_user(user_id: str, app_id: str, at: int) -> dict[str, object]:
    """Return the column values of a user nothing is known about yet."""
    return {
        "id": user_id,
        "app_id": app_id,
        # Of somebody without a row; a guest that logs in has one made then.
        "is_guest": began_as_guest(user_id),
        "login_count": 0,
        "last_login_at": None,
        "event_seq": 0,
        "created_at": at,
        "updated_at": at,
    }


def update_profile(
    session: Session, user_id: str, changes: Mapping[str, object]
) -> Profile:
    """Set the named columns and return the new profile; the row must exist."""
    user = session.get_one(User, user_id, with_for_update=True)
    for name, value in changes.items():
        setattr(user, name, value)
    user.updated_at = database_now(session)
    session.flush()
    return profile_of(user)
