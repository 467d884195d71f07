"""The outbox: every accepted piece of work as a row; the Celery message is a hint.

States: ready -> sent -> done, or dead with its cause; discarded and cancelled are
set by people. `models/outbox_lease.py` moves rows through them, `workers/relay.py`
and `tasks/base.py` call it; `models/outbox_support.py` is for people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from config.logging import bound_id
from config.queues import EVENTS, queue_of
from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, database_now, new_id
from models.operations import may_go_on

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Kind = Literal["task", "event"]
OPEN_STATES = ("ready", "sent")
ERROR_LENGTH = 500


class Outbox(Base):
    """One piece of accepted work; ``visible_at`` is when the relay looks at it next.

    ``fence`` is raised by each begin and never goes back: only the attempt that holds
    the newest number may finish. ``holder_fence`` is that number while an attempt
    runs, so that a begin that still finds one knows its process died (``deaths``).
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index(None, "lane", "state", "visible_at"),
        Index(None, "state", "updated_at"),
        Index(None, "operation_id"),
        Index(None, "parent_id"),
        Index(None, "subject_id"),
        Index(None, "request_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(120))
    lane: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[Id]
    payload: Mapped[str | None] = mapped_column(Text)
    app_id: Mapped[AppId | None]
    operation_id: Mapped[Id | None]
    parent_id: Mapped[Id | None]
    request_id: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(Integer)
    sends: Mapped[int] = mapped_column(Integer)
    deaths: Mapped[int] = mapped_column(Integer)
    fence: Mapped[int] = mapped_column(BigInteger)
    holder_fence: Mapped[int | None] = mapped_column(BigInteger)
    due_at: Mapped[EpochMs]
    visible_at: Mapped[EpochMs]
    expires_at: Mapped[EpochMs | None]
    last_error: Mapped[str | None] = mapped_column(String(ERROR_LENGTH))
    created_at: Mapped[EpochMs]
    updated_at: Mapped[EpochMs]

    # Set by `claim`, no column: this row had been handed to Celery before.
    was_sent = False

    @property
    def message_id(self) -> str:
        """The id of the newest message; Flower lists it under the row it speaks of."""
        return f"{self.id}.{self.sends}"


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What running work hands down to everything it starts."""

    outbox_id: str
    app_id: str | None = None
    operation_id: str | None = None
    expires_at: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewWork:
    """What `UnitOfWork.enqueue` was asked for; ``due_at`` None means now.

    ``request_id`` is the request that wanted it; by default the one being served.
    ``expires_at`` is the moment after which the work is not begun any more;
    ``useful_for_ms`` says the same from its due time on.
    """

    name: str
    subject_id: str
    due_at: int | None = None
    payload: str | None = None
    kind: Kind = "task"
    request_id: str | None = None
    app_id: str | None = None
    operation_id: str | None = None
    parent_id: str | None = None
    expires_at: int | None = None
    useful_for_ms: int | None = None


class WorkCancelled(Exception):
    """The operation of the work that asked is over: it starts nothing any more."""


class WorkExpired(Exception):
    """The deadline of the work that asked has passed: nobody can use the result."""


def add_work(
    session: Session, work: NewWork, context: WorkContext | None = None
) -> str:
    """Insert a ready row and return its id.

    ``context`` is the running work that starts this one: its operation, deadline and
    app come along. Raises `WorkCancelled` or `WorkExpired` when that work is over.
    """
    now = database_now(session)
    due_at = now if work.due_at is None else work.due_at
    if work.useful_for_ms is not None:
        work = until(work, max(now, due_at) + work.useful_for_ms)
    if context is not None:
        work = inherit(work, context)
    if work.expires_at is not None and work.expires_at <= now:
        raise WorkExpired
    if work.operation_id is not None and not may_go_on(session, work.operation_id):
        raise WorkCancelled
    row = Outbox(
        id=new_id("ob"),
        kind=work.kind,
        name=work.name,
        lane=EVENTS if work.kind == "event" else queue_of(work.name).value,
        subject_id=work.subject_id,
        payload=work.payload,
        app_id=work.app_id,
        operation_id=work.operation_id,
        parent_id=work.parent_id,
        request_id=work.request_id or bound_id("request_id"),
        state="ready",
        attempts=0,
        sends=0,
        deaths=0,
        fence=0,
        due_at=due_at,
        visible_at=due_at,
        expires_at=work.expires_at,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def until(work: NewWork, expires_at: int | None) -> NewWork:
    """Return ``work`` with the earlier of its own deadline and ``expires_at``."""
    deadlines = [at for at in (work.expires_at, expires_at) if at is not None]
    return replace(work, expires_at=min(deadlines, default=None))


def inherit(work: NewWork, context: WorkContext) -> NewWork:
    """Return ``work`` as a child of ``context``; the earlier deadline counts."""
    return replace(
        until(work, context.expires_at),
        parent_id=context.outbox_id,
        app_id=work.app_id or context.app_id,
        operation_id=work.operation_id or context.operation_id,
        request_id=work.request_id or context.request_id,
    )


def add_event(
    session: Session,
    event_type: str,
    subject_id: str,
    context: WorkContext | None = None,
) -> str:
    """Insert an event row; the relay turns it into one task row per subscriber.

    What has happened is told even when the work that did it is cancelled later, so
    only the parent's id is handed down.
    """
    parent_id = None if context is None else context.outbox_id
    work = NewWork(event_type, subject_id, kind="event", parent_id=parent_id)
    return add_work(session, work)
