"""Each user's own sequence of events, written in the commit of the effect itself."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Index,
    String,
    Text,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from models.events import Event


class UserEvent(Base):
    """Event number ``seq`` of a user; numbers have no gaps and never repeat."""

    __tablename__ = "user_events"
    __table_args__ = (Index(None, "at"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(40))
    at: Mapped[EpochMs]
    data: Mapped[str] = mapped_column(Text)


class NumberedEvent(NamedTuple):
    """An event with its number in its user's sequence; ``data`` is JSON text."""

    user_id: str
    seq: int
    type: str
    at: int
    data: str


# Where a transaction remembers what it must announce after its commit.
ANNOUNCED = "announced_events"


def append_user_events(session: Session, events: Sequence[Event]) -> None:
    """Append ``events`` in order; locks each user's row, so numbers have no gaps."""
    counts = Counter(event.user_id for event in events)
    for user_id in sorted(counts):
        session.execute(
            update(User)
            .where(User.id == user_id)
            .values(event_seq=User.event_seq + counts[user_id])
        )
    found = session.execute(
        select(User.id, User.event_seq).where(User.id.in_(list(counts)))
    )
    write_numbered(session, events, dict(found.all()))


def write_numbered(
    session: Session, events: Sequence[Event], last: Mapping[str, int]
) -> None:
    """Insert ``events`` so that each user's newest one gets the number in ``last``.

    The caller has already raised ``users.event_seq`` in this transaction.
    """
    at = database_now(session)
    left = Counter(event.user_id for event in events)
    numbered = []
    for event in events:
        left[event.user_id] -= 1
        number = last[event.user_id] - left[event.user_id]
        data = json.dumps(dict(event.data), ensure_ascii=False)
        numbered.append(NumberedEvent(event.user_id, number, event.type, at, data))
    rows = [event._asdict() for event in numbered]
    session.connection().execute(insert(UserEvent), rows)
    session.info.setdefault(ANNOUNCED, []).extend(numbered)


def take_announced(session: Session) -> list[NumberedEvent]:
    """Return the events of this transaction, for listeners; empty the second time."""
    return list(session.info.pop(ANNOUNCED, ()))


class EventSlice(NamedTuple):
    """Events that follow a cursor without a gap, and the user's last number.

    ``lost`` says why the cursor cannot be followed: ``too_old`` (the next event is
    pruned) or ``ahead`` (of every event there is); the client must start anew.
    """

    events: list[NumberedEvent]
    head: int
    lost: Literal["", "too_old", "ahead"] = ""


def read_after(session: Session, user_id: str, cursor: int, limit: int) -> EventSlice:
    """Return up to ``limit`` events after number ``cursor``: one index range.

    A user without a row has no events yet: their head is 0.
    """
    seq = UserEvent.seq
    found = session.execute(
        select(User.event_seq, seq, UserEvent.type, UserEvent.at, UserEvent.data)
        .outerjoin(UserEvent, (UserEvent.user_id == User.id) & (seq > cursor))
        .where(User.id == user_id)
        .order_by(seq)
        .limit(limit)
    ).all()
    head = found[0][0] if found else 0
    if cursor > head:
        return EventSlice([], head, "ahead")
    events: list[NumberedEvent] = []
    for _, number, kind, at, data in found:
        if number != cursor + len(events) + 1:
            break
        events.append(NumberedEvent(user_id, number, kind, at, data))
    return EventSlice(events, head, "" if events or cursor == head else "too_old")


def read_heads(session: Session, user_ids: Sequence[str]) -> dict[str, int]:
    """Return the last number of each of ``user_ids`` that has a row."""
    chosen = select(User.id, User.event_seq).where(User.id.in_(user_ids))
    return dict(session.execute(chosen).all())


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` events older than ``before`` (epoch ms)."""
    keys = session.execute(
        select(UserEvent.user_id, UserEvent.seq)
        .where(UserEvent.at < before)
        .limit(limit)
    ).all()
    if keys:
        key = tuple_(UserEvent.user_id, UserEvent.seq)
        session.execute(delete(UserEvent).where(key.in_([tuple(row) for row in keys])))
    return len(keys)
