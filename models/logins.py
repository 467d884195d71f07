"""Login history, and the one place that writes a batch of logins into SQL.

Logins arrive through the Redis stream (`models/stores/login_stream.py`) or, while
Redis is away, through outbox rows; either way `record_logins` applies each of them
exactly once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import Index, String, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    TABLE_OPTIONS,
    AppId,
    Base,
    DeviceId,
    EpochMs,
    Id,
    delete_by_id,
    upsert,
)
from models.devices import write_devices
from models.events import Event, EventType
from models.identities import IdentityRow, write_identities
from models.identity_links import keep_aliases, link_by_unionid, link_strays
from models.outbox import add_event
from models.security_events import Whereabouts, record_security_event
from models.session_ends import end_by_journal, pass_over_ended
from models.sessions import write_sessions
from models.user_events import append_user_events, write_numbered
from models.users import (
    Profile,
    User,
    new_user,
    profile_of,
    read_users,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session as SqlSession

    from models.login_entry import LoginEntry


class LoginEvent(Base):
    """One login; its id is made at login, so a repeated message meets the key."""

    __tablename__ = "login_events"
    __table_args__ = (
        Index(None, "user_id", "at"),
        Index(None, "at"),
        Index(None, "request_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id]
    app_id: Mapped[AppId]
    session_id: Mapped[Id]
    device_id: Mapped[DeviceId | None]
    ip: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[EpochMs]


def record_logins(
    session: SqlSession,
    entries: Sequence[LoginEntry],
    open_identities: Callable[[Sequence[tuple[str, str]]], list[IdentityRow]],
) -> list[Profile]:
    """Write users, identities, devices, sessions and history of ``entries``.

    Multi-row statements in key order. ``open_identities`` is asked for the
    (app_id, user_id) pairs that have no identity row yet. Returns the profiles
    of the users touched. A login already in the history changes nothing; a rival
    that writes the same login meanwhile makes this raise IntegrityError: roll back
    and run the batch again.
    """
    fresh = _not_recorded(session, entries)
    added: list[LoginEntry] = []
    if fresh:
        _write_history(session, fresh)
        _write_users(session, fresh)
        written = write_identities(session, fresh, open_identities)
        keep_aliases(session, written)
        asked = {entry.user_id: entry.request_id for entry in reversed(fresh)}
        link_by_unionid(session, written, asked)
        link_strays(session, written)
        added = write_devices(session, fresh)
    _write_lost_users(session, entries)
    write_sessions(session, pass_over_ended(session, entries))
    users = read_users(session, list({entry.user_id for entry in entries}))
    if fresh:
        _publish(session, fresh, {user.id: user.event_seq for user in users})
    # Last: these number their events after those of the logins.
    _tell_devices(session, added)
    end_by_journal(session, entries)
    return [profile_of(user) for user in users]


def _not_recorded(
    session: SqlSession, entries: Iterable[LoginEntry]
) -> list[LoginEntry]:
    logins = {entry.id: entry for entry in entries if entry.kind == "login"}
    known = session.scalars(
        select(LoginEvent.id).where(LoginEvent.id.in_(list(logins)))
    )
    for login_id in known:
        del logins[login_id]
    return sorted(logins.values(), key=lambda entry: entry.id)


def _write_history(session: SqlSession, fresh: Sequence[LoginEntry]) -> None:
    rows = [
        {
            "id": entry.id,
            "user_id": entry.user_id,
            "app_id": entry.app_id,
            "session_id": entry.session_id,
            "device_id": entry.device.id if entry.device else None,
            "ip": entry.ip,
            "request_id": entry.request_id,
            "at": entry.at,
        }
        for entry in fresh
    ]
    session.connection().execute(insert(LoginEvent), rows)


def _write_users(session: SqlSession, fresh: Sequence[LoginEntry]) -> None:
    by_user = defaultdict(list)
    for entry in fresh:
        by_user[entry.user_id].append(entry)
    rows = []
    for user_id, logins in sorted(by_user.items()):
        row = new_user(user_id, logins[0].app_id, min(login.at for login in logins))
        row["login_count"] = row["event_seq"] = len(logins)
        row["last_login_at"] = row["updated_at"] = max(login.at for login in logins)
        rows.append(row)
    upsert(
        session,
        User.__table__,
        rows,
        {
            "login_count": "add",
            "event_seq": "add",
            "last_login_at": "max",
            "updated_at": "max",
        },
    )


def _write_lost_users(session: SqlSession, entries: Sequence[LoginEntry]) -> None:
    """Insert users whose first login went with a wiped Redis; a refresh proves them."""
    lost = {entry.user_id: entry for entry in entries if entry.kind != "login"}
    known = session.scalars(select(User.id).where(User.id.in_(list(lost))))
    for user_id in known:
        del lost[user_id]
    rows = [
        new_user(user_id, entry.app_id, entry.began_at) | {"updated_at": entry.at}
        for user_id, entry in sorted(lost.items())
    ]
    upsert(session, User.__table__, rows, {"updated_at": "max"})


def _publish(
    session: SqlSession, fresh: Sequence[LoginEntry], numbers: Mapping[str, int]
) -> None:
    events = [
        Event(
            EventType.LOGIN_ENRICHED,
            entry.user_id,
            {"login_id": entry.id, "session_id": entry.session_id},
        )
        for entry in fresh
    ]
    write_numbered(session, events, numbers)
    # One outbox row tells the subscribers about the whole batch.
    add_event(session, EventType.LOGIN_ENRICHED, fresh[0].id)


def _tell_devices(session: SqlSession, added: Sequence[LoginEntry]) -> None:
    """Tell users' pages and histories of devices they had never used before."""
    for entry in added:
        if entry.device is None:
            continue
        told = {"device_id": entry.device.id, "model": entry.device.model}
        event = Event(EventType.DEVICE_ADDED, entry.user_id, told)
        append_user_events(session, [event])
        add_event(session, EventType.DEVICE_ADDED, entry.user_id)
        record_security_event(
            session,
            "new_device",
            (entry.user_id, entry.app_id),
            Whereabouts(entry.session_id, entry.device.id, entry.ip, entry.request_id),
            detail=entry.device.model or "",
        )


def prune(session: SqlSession, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` logins of the history older than ``before`` (epoch ms)."""
    ids = session.scalars(
        select(LoginEvent.id).where(LoginEvent.at < before).limit(limit)
    ).all()
    return delete_by_id(session, LoginEvent.id, ids)
