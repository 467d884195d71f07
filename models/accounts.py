"""What is known of one user, for support: standing, devices, sessions, what happened.

Ids and plain facts; of WeChat's names only that we know them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import Select, or_, select

from models.account_facts import DeviceSeen, IdentitySeen, SessionSeen, StandingSeen
from models.account_history import LinkSeen, LoginSeen, RiskSeen, SecuritySeen
from models.account_links import AccountLink, UserAlias
from models.devices import Device
from models.identities import Identity
from models.logins import LoginEvent
from models.risk_marks import RiskMark
from models.security_events import SecurityEvent
from models.sessions import Session
from models.users import Profile, User, profile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session as SqlSession

    from models.base import Base

ViewT = TypeVar("ViewT", bound=msgspec.Struct)
# Of each kind the newest; support looks at the present.
SHOWN: Final = 50


class Account(msgspec.Struct, frozen=True):
    """Everything support may see of a user, the newest of each kind first."""

    user: Profile
    app_id: str
    standing: StandingSeen
    aliases: list[str]
    identities: list[IdentitySeen]
    devices: list[DeviceSeen]
    sessions: list[SessionSeen]
    security_events: list[SecuritySeen]
    links: list[LinkSeen]
    logins: list[LoginSeen]
    risk_marks: list[RiskSeen]


def read_account(session: SqlSession, user_id: str) -> Account | None:
    """Return what SQL knows of a user, None when that is nothing."""
    user = session.get(User, user_id)
    if user is None:
        return None

    def newest(
        view: type[ViewT], model: type[Base], order: str, *where: ColumnElement[bool]
    ) -> list[ViewT]:
        return _views(session, view, _newest(view, model, order, where))

    return Account(
        user=profile_of(user),
        app_id=user.app_id,
        standing=StandingSeen(
            user.epoch, user.banned_at, user.action, user.action_until
        ),
        aliases=_aliases(session, user_id),
        identities=_identities(session, user_id),
        devices=newest(DeviceSeen, Device, "last_seen_at", Device.user_id == user_id),
        sessions=newest(SessionSeen, Session, "created_at", Session.user_id == user_id),
        security_events=newest(
            SecuritySeen, SecurityEvent, "at", SecurityEvent.user_id == user_id
        ),
        links=newest(LinkSeen, AccountLink, "found_at", _is_linked(user_id)),
        logins=newest(LoginSeen, LoginEvent, "at", LoginEvent.user_id == user_id),
        risk_marks=newest(
            RiskSeen,
            RiskMark,
            "at",
            RiskMark.subject_kind == "user",
            RiskMark.subject_id == user_id,
        ),
    )


def _newest(
    view: type[msgspec.Struct],
    model: type[Base],
    order: str,
    where: Sequence[ColumnElement[bool]],
) -> Select[Any]:
    columns = model.metadata.tables[model.__tablename__].c
    shown = [columns[name] for name in view.__struct_fields__]
    return select(*shown).where(*where).order_by(columns[order].desc()).limit(SHOWN)


def _views(session: SqlSession, view: type[ViewT], query: Select[Any]) -> list[ViewT]:
    return [view(*row) for row in session.execute(query)]


def _is_linked(user_id: str) -> ColumnElement[bool]:
    return or_(AccountLink.user_id == user_id, AccountLink.other_user_id == user_id)


def _aliases(session: SqlSession, user_id: str) -> list[str]:
    query = select(UserAlias.alias_id).where(UserAlias.user_id == user_id)
    return list(session.scalars(query.order_by(UserAlias.alias_id).limit(SHOWN)))


def _identities(session: SqlSession, user_id: str) -> list[IdentitySeen]:
    found = session.execute(
        select(Identity.app_id, Identity.unionid_hash, Identity.created_at)
        .where(Identity.user_id == user_id)
        .order_by(Identity.app_id)
        .limit(SHOWN)
    )
    return [IdentitySeen(app, union is not None, at) for app, union, at in found]
