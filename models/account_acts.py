"""What support does to a user: ban, unban, logout, each in one commit.

`web/services/accounts.py` finds the user and writes the copies in Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from models.audit import record_act
from models.base import database_now
from models.security_events import Kind, record_security_event
from models.session_ends import end_sessions
from models.sessions import EndReason, ensure_sessions, list_live_ids
from models.standings import (
    UserStanding,
    ban,
    end_epoch,
    find_user_standing,
    publish_standing,
    unban,
)
from models.users import ensure_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.database import UnitOfWork
    from models.login_entry import LoginEntry
    from models.session_ends import Owner


class Acted(msgspec.Struct, frozen=True):
    """How we stand to the user now, and how many live sessions the act ended."""

    user_id: str
    banned: bool
    epoch: int
    revoked: int


class Act(NamedTuple):
    """One act: its name in the audit log, what it changes, what becomes of sessions."""

    name: str
    kind: Kind
    change: Callable[[Session, str], UserStanding]
    ends: EndReason | None = None
    # Of a ban and its end: a repetition is audited, and nothing happened to the user.
    bans: bool | None = None


BAN: Final = Act("user.ban", "banned", ban, "banned", bans=True)
UNBAN: Final = Act("user.unban", "unbanned", unban, bans=False)
LOGOUT: Final = Act("user.logout", "logged_out", end_epoch, "admin")


def act_on_account(
    work: UnitOfWork, owner: Owner, act: Act, late: Sequence[LoginEntry], reason: str
) -> Acted:
    """Do ``act`` to a user, who need not have a row yet.

    ``late`` are sessions that only Redis knows. Standing, ends, events, audit and the
    history of the account are one commit.
    """
    session = work.session
    ensure_user(session, *owner, database_now(session))
    before = find_user_standing(session, owner.user_id)
    revoked: list[str] = []
    if act.ends:
        ensure_sessions(session, late)
        live = list_live_ids(session, owner.user_id)
        revoked = end_sessions(session, owner, live, act.ends)
    after = act.change(session, owner.user_id)
    publish_standing(work, owner.user_id)
    record_act(session, act.name, owner.user_id, detail=reason)
    if act.bans is None or before.banned != act.bans:
        record_security_event(session, act.kind, owner, detail=reason)
    return Acted(owner.user_id, after.banned, after.epoch, len(revoked))
