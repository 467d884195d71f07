"""Ending sessions in SQL: Redis, pages and the account's history hear of it.

All of it in the commit of the end itself. Used by `web/services/session_end.py` for
what people ask for, and by `models/logins.py` for what the journal tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from config.metrics.accounts import SESSIONS_REVIVED
from models.events import Event, EventType
from models.outbox import NewWork, add_event, add_work
from models.security_events import Kind, Whereabouts, record_security_event
from models.session_ended import find_ended
from models.sessions import EndReason, list_beyond, revoke
from models.user_events import append_user_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from models.login_entry import LoginEntry

# Repairs Redis copies that could not be marked, or that Redis had forgotten.
MARK_REVOKED = "tasks.sessions.mark_revoked"
# Clocks of Redis and SQL differ by less, and so does the time an end takes to Redis.
SURELY_LATER_MS: Final = 30_000
# What an account's history tells of ends that nobody asked for.
TOLD: dict[EndReason, Kind] = {
    "reused": "refresh_reused",
    "replaced": "session_replaced",
}


class Owner(NamedTuple):
    """Whose sessions end; the user's row exists."""

    user_id: str
    app_id: str


def end_sessions(
    session: Session, owner: Owner, session_ids: Sequence[str], reason: EndReason
) -> list[str]:
    """End the live ones of ``session_ids``, of one user, and return those."""
    # Before the rows: outbox rows are always locked first.
    for session_id in session_ids:
        add_work(session, NewWork(MARK_REVOKED, session_id))
    ended = revoke(session, session_ids, reason)
    tell_ended(session, owner, ended, reason)
    return ended


def tell_ended(
    session: Session, owner: Owner, ended: Sequence[str], reason: EndReason
) -> None:
    """Tell the user's pages, and the account's history if nobody asked for it."""
    if not ended:
        return
    events = [
        Event(
            EventType.SESSION_REVOKED,
            owner.user_id,
            {"session_id": session_id, "reason": reason},
        )
        for session_id in ended
    ]
    append_user_events(session, events)
    for session_id in ended:
        add_event(session, EventType.SESSION_REVOKED, owner.user_id)
        if reason in TOLD:
            where = Whereabouts(session_id=session_id)
            record_security_event(session, TOLD[reason], owner, where)


def pass_over_ended(
    session: Session, entries: Sequence[LoginEntry]
) -> list[LoginEntry]:
    """Return the entries whose sessions have not ended; see to the copies of others.

    A rotation on its way when its session ended is nobody's fault. One that is surely
    later was made by a Redis that did not know of the end, for whoever had the token:
    the account's history tells of it.
    """
    ended = find_ended(session, {entry.session_id for entry in entries})
    late = [e for e in entries if e.session_id in ended and e.kind == "refresh"]
    newest = {entry.session_id: entry for entry in sorted(late, key=lambda e: e.at)}
    for session_id, entry in sorted(newest.items()):
        add_work(session, NewWork(MARK_REVOKED, session_id))
        ended_at = ended[session_id]
        if ended_at is not None and entry.at - ended_at > SURELY_LATER_MS:
            SESSIONS_REVIVED.labels("rotated").inc()
            where = Whereabouts(session_id, None, entry.ip, entry.request_id)
            owner = Owner(entry.user_id, entry.app_id)
            record_security_event(session, "ended_session_used", owner, where)
    return [entry for entry in entries if entry.session_id not in ended]


def end_by_journal(session: Session, entries: Sequence[LoginEntry]) -> None:
    """End what ``entries`` say: reused ones, and the oldest beyond an app's number.

    The rows of their users and sessions exist. A session whose entry comes late is
    judged when it comes: the time of opening decides, not that of writing.
    """
    for entry in entries:
        if entry.kind == "reused":
            owner = Owner(entry.user_id, entry.app_id)
            end_sessions(session, owner, [entry.session_id], "reused")
    limited = {entry.user_id: entry for entry in entries if entry.max_sessions}
    for user_id in sorted(limited):
        entry = limited[user_id]
        beyond = list_beyond(session, user_id, entry.max_sessions)
        if beyond:
            end_sessions(session, Owner(user_id, entry.app_id), beyond, "replaced")
