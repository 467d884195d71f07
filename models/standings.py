"""A user's standing: which sessions count, bans, what the rules allow; SQL's side.

The columns live on `models/users.py`; `models/stores/standings.py` keeps the copy
that admission reads. Every change here must be followed by `publish_standing` in
the same unit of work: then the copy follows, whatever happens to this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from sqlalchemy import select

from models.account_links import UserAlias
from models.base import database_now
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

PUBLISH = "tasks.standings.publish_standing"

Action = Literal["allow", "slow", "verify", "block"]


class UserStanding(NamedTuple):
    """How we stand to a user; ``number`` counts the changes, so later ones win.

    Sessions opened under a lower ``epoch`` are void. ``action`` holds until
    ``action_until`` (epoch ms), None for no end.
    """

    epoch: int = 0
    banned: bool = False
    action: Action = "allow"
    action_until: int | None = None
    number: int = 0

    def action_at(self, now: int) -> Action:
        """Return the action that holds at ``now`` (epoch ms)."""
        ended = self.action_until is not None and self.action_until <= now
        return "allow" if ended else self.action

    def barred_at(self, now: int) -> Literal["banned", "blocked"] | None:
        """Return what keeps the user from logging in and refreshing, if anything."""
        if self.banned:
            return "banned"
        return "blocked" if self.action_at(now) == "block" else None


NOBODY_SPECIAL = UserStanding()


class Enqueue(Protocol):
    """What of a unit of work is needed to have the copy follow."""

    def enqueue(self, task: str, subject_id: str, /) -> str:
        """Write the outbox row."""


def find_user_standing(session: Session, user_id: str) -> UserStanding:
    """Return the standing of a user, also of one SQL has no row of yet."""
    row = session.execute(_columns().where(User.id == user_id)).first()
    return NOBODY_SPECIAL if row is None else _standing_of(row)


def end_epoch(session: Session, user_id: str) -> UserStanding:
    """Void every session opened so far; the user's row must exist."""
    user = _lock(session, user_id)
    user.epoch += 1
    return _changed(session, user)


def ban(session: Session, user_id: str) -> UserStanding:
    """Shut the user out and void every session; the row must exist."""
    user = _lock(session, user_id)
    user.epoch += 1
    user.banned_at = user.banned_at or database_now(session)
    return _changed(session, user)


def unban(session: Session, user_id: str) -> UserStanding:
    """Let the user log in again; the sessions of before stay void."""
    user = _lock(session, user_id)
    user.banned_at = None
    return _changed(session, user)


def set_action(
    session: Session, user_id: str, action: Action, until: int | None = None
) -> UserStanding:
    """Set what the user may do until ``until`` (epoch ms); the row must exist."""
    user = _lock(session, user_id)
    user.action, user.action_until = action, until
    return _changed(session, user)


def list_special(
    session: Session, after: str, limit: int, *, since: int = 0
) -> list[tuple[str, UserStanding]]:
    """Return up to ``limit`` users after the id ``after`` that Redis must know of.

    Those whose standing has changed since then (epoch ms), and perhaps others.
    """
    rows = session.execute(
        _columns()
        .where(User.id > after, User.standing_no > 0, User.updated_at >= since)
        .order_by(User.id)
        .limit(limit)
    )
    return [(row.id, _standing_of(row)) for row in rows]


def list_aliases(session: Session, after: str, limit: int) -> Sequence[tuple[str, str]]:
    """Return up to ``limit`` pairs of alias and user after the alias ``after``."""
    rows = session.execute(
        select(UserAlias.alias_id, UserAlias.user_id)
        .where(UserAlias.alias_id > after)
        .order_by(UserAlias.alias_id)
        .limit(limit)
    )
    return [(row.alias_id, row.user_id) for row in rows]


def publish_standing(work: Enqueue, user_id: str) -> None:
    """Have the copy in Redis follow this commit, at the latest after the relay."""
    work.enqueue(PUBLISH, user_id)


def _columns() -> Any:  # noqa: ANN401 (a select of columns, which has no short type)
    return select(
        User.id,
        User.epoch,
        User.banned_at,
        User.action,
        User.action_until,
        User.standing_no,
    )


def _standing_of(row: Any) -> UserStanding:  # noqa: ANN401 (a row or the object)
    return UserStanding(
        row.epoch,
        row.banned_at is not None,
        row.action,
        row.action_until,
        row.standing_no,
    )


def _lock(session: Session, user_id: str) -> User:
    return session.get_one(User, user_id, with_for_update=True, populate_existing=True)


def _changed(session: Session, user: User) -> UserStanding:
    user.standing_no += 1
    user.updated_at = database_now(session)
    session.flush()
    return _standing_of(user)
