"""Finds what belongs together: from one id to the rows it names, and on from those.

An edge is an indexed column. Nobody's whole life is walked: a user's id is looked up
when it is asked for, and never followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from models.audit import AuditEntry
from models.idempotency import IdempotencyKey
from models.logins import LoginEvent
from models.notifications import Notification, NotificationAttempt
from models.operations import Operation
from models.outbox import Outbox
from models.risk_marks import RiskMark
from models.schedule import ScheduleSlot
from models.security_events import SecurityEvent
from models.sessions import Session as LoginSession
from models.support_codes import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy.orm import InstrumentedAttribute, Session

# Ids that are looked up, and rows of one edge: a busy id must not cost minutes.
MOST_IDS = 200
MOST_ROWS = 200
ROUNDS = 6
# Users lead everywhere: nothing is looked up by them.
USER = PREFIXES
SLOT = re.compile(r"(\w{1,64})@(\d{1,18})\Z")

EDGES: tuple[InstrumentedAttribute[Any], ...] = (
    Outbox.id,
    Outbox.request_id,
    Outbox.operation_id,
    Outbox.parent_id,
    Outbox.subject_id,
    Operation.id,
    Operation.request_id,
    Operation.parent_id,
    Notification.id,
    Notification.request_id,
    Notification.wechat_msgid,
    NotificationAttempt.id,
    NotificationAttempt.notification_id,
    IdempotencyKey.request_id,
    LoginEvent.id,
    LoginEvent.request_id,
    LoginSession.id,
    ScheduleSlot.outbox_id,
    SecurityEvent.id,
    SecurityEvent.request_id,
    RiskMark.id,
    RiskMark.subject_id,
    AuditEntry.id,
    AuditEntry.subject_id,
    AuditEntry.request_id,
)
# What leads on from a row.
LINKS = (
    "id",
    "request_id",
    "operation_id",
    "parent_id",
    "subject_id",
    "notification_id",
    "outbox_id",
    "session_id",
)


@dataclass(slots=True)
class Found:
    """The rows that belong together, each once, and whether there were too many."""

    rows: dict[tuple[object, ...], Any] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    truncated: bool = False

    @property
    def users(self) -> set[str]:
        """Whose rows these are."""
        owners = {getattr(row, "user_id", None) for row in self.rows.values()}
        subjects = {getattr(row, "subject_id", None) for row in self.rows.values()}
        named = {name for name in subjects if name and name.startswith(USER)}
        return {owner for owner in owners if owner} | named


def walk(session: Session, names: Iterable[str]) -> Found:
    """Return everything that hangs together with ``names``."""
    found = Found()
    wanted = set(names)
    for _ in range(ROUNDS):
        wanted -= found.ids
        if not wanted:
            break
        room = MOST_IDS - len(found.ids)
        found.truncated |= len(wanted) > room
        wanted = set(sorted(wanted)[:room])
        found.ids |= wanted
        wanted = _look_up(session, wanted, found)
    else:
        found.truncated |= bool(wanted - found.ids)
    return found


def _look_up(session: Session, names: set[str], found: Found) -> set[str]:
    linked: set[str] = set()
    if not names:
        return linked
    for column in EDGES:
        table = column.class_
        query = select(table).where(column.in_(sorted(names))).limit(MOST_ROWS + 1)
        rows = session.scalars(query).all()
        found.truncated |= len(rows) > MOST_ROWS
        for row in rows[:MOST_ROWS]:
            linked |= _keep(session, row, found)
    for row in _slots(session, names):
        linked |= _keep(session, row, found)
    return linked


def _keep(session: Session, row: Any, found: Found) -> set[str]:  # noqa: ANN401
    """Add a row of any table; return the ids it names."""
    found.rows[(type(row), *_key(row))] = row
    linked = _links(row)
    if isinstance(row, LoginSession):
        linked |= _logins_of(session, row)
    return linked


def _slots(session: Session, names: set[str]) -> Iterator[ScheduleSlot]:
    """Return the slots among ``names`` (``<job>@<due>``); a missed one has no work."""
    for slot in filter(None, map(SLOT.match, sorted(names))):
        row = session.get(ScheduleSlot, (slot.group(1), int(slot.group(2))))
        if row is not None:
            yield row


def _logins_of(session: Session, row: LoginSession) -> set[str]:
    # A session begins at the moment of its login, and that is an index.
    query = select(LoginEvent.id).where(
        LoginEvent.user_id == row.user_id, LoginEvent.at == row.created_at
    )
    return set(session.scalars(query.where(LoginEvent.session_id == row.id)))


def _key(row: Any) -> tuple[object, ...]:  # noqa: ANN401 (a row of any table)
    return tuple(getattr(row, column.key) for column in row.__mapper__.primary_key)


def _links(row: Any) -> set[str]:  # noqa: ANN401 (a row of any table)
    names = {getattr(row, link, None) for link in LINKS}
    return {name for name in names if name and not name.startswith(USER)}
