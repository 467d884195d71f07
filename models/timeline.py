"""One ordered list of what happened around an id, whatever kind of id it is.

`timeline_walk` finds the rows, `timeline_entries` says what they tell; this module
adds the events their users saw.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from models.outbox import Outbox
from models.timeline_entries import Entry, entries_of
from models.timeline_walk import MOST_ROWS, walk
from models.user_events import UserEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.orm import Session

    from models.timeline_walk import Found

MOST_ENTRIES = 500
# An event is written in the commit of its cause, some of them a while after it.
BEFORE_MS, AFTER_MS = 1_000, 60_000
# Celery names a message after its row and the number of the sending.
TASK_ID = re.compile(r"(ob_\w+)\.\d+\Z")
EVENT_ID = re.compile(r"(\w+)\.(\d{1,18})\Z")
OWN_ID = re.compile(r'"([a-z]{1,3}_[0-9a-v]{26})"')


class Timeline(msgspec.Struct, frozen=True):
    """What happened, oldest first; ``truncated`` says that there was more.

    ``away`` names a store whose part is missing.
    """

    id: str
    entries: list[Entry]
    truncated: bool
    away: list[str] = []


def read_timeline(
    session: Session, name: str, others: Sequence[Entry] = ()
) -> Timeline | None:
    """Return what happened around ``name``, None when nothing knows it.

    ``others`` are entries that no row tells.

    ``name`` may be the id of a request, an operation, an outbox row, a Celery task,
    a notification, one try of it, WeChat's msgid, a login, a session, a user event
    (``<user id>.<number>``), a slot (``<job>@<due>``), an act of the audit log, or
    whatever work was about: an order, a push message.
    """
    event = _find_event(session, name)
    found = walk(session, _first_ids(name, event))
    entries = [entry for row in found.rows.values() for entry in entries_of(row)]
    entries += _user_events(session, found, entries)
    if event is not None:
        entries.append(_entry_of(event))
    entries += others
    if not entries:
        return None
    in_order = sorted({_identity(entry): entry for entry in entries}.values(), key=_at)
    truncated = found.truncated or len(in_order) > MOST_ENTRIES
    return Timeline(name, in_order[:MOST_ENTRIES], truncated)


def _first_ids(name: str, event: UserEvent | None) -> list[str]:
    if event is not None:
        return OWN_ID.findall(event.data)
    task = TASK_ID.match(name)
    return [name if task is None else task.group(1)]


def _find_event(session: Session, name: str) -> UserEvent | None:
    parts = EVENT_ID.match(name)
    if parts is None:
        return None
    return session.get(UserEvent, (parts.group(1), int(parts.group(2))))


def _user_events(
    session: Session, found: Found, entries: list[Entry]
) -> Iterator[Entry]:
    """Return what the users of these rows were told of them."""
    users = sorted(found.users)
    if not users or not entries:
        return
    times = [entry.at for entry in entries]
    query = (
        select(UserEvent)
        .where(
            UserEvent.user_id.in_(users),
            UserEvent.at >= min(times) - BEFORE_MS,
            UserEvent.at <= max(times) + AFTER_MS,
        )
        .order_by(UserEvent.user_id, UserEvent.seq)
        .limit(MOST_ROWS)
    )
    published = [row for row in found.rows.values() if isinstance(row, Outbox)]
    for event in session.scalars(query):
        mentioned = found.ids.intersection(OWN_ID.findall(event.data))
        if mentioned or any(_tells(event, row) for row in published):
            yield _entry_of(event)


def _tells(event: UserEvent, row: Outbox) -> bool:
    """Whether ``row`` is the outbox's copy of the event; both are of one commit."""
    same = (row.kind, row.name, row.subject_id) == ("event", event.type, event.user_id)
    return same and abs(row.created_at - event.at) <= BEFORE_MS


def _entry_of(event: UserEvent) -> Entry:
    name = f"{event.user_id}.{event.seq}"
    return Entry(event.at, "user_event", name, event.type, {})


def _identity(entry: Entry) -> tuple[int, str, str, str]:
    return entry.at, entry.kind, entry.id, entry.what


def _at(entry: Entry) -> int:
    return entry.at
