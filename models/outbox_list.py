"""Looking through the outbox page by page, for people; nothing here changes a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import and_, func, or_, select

from models.base import database_now_ms
from models.outbox import OPEN_STATES, Outbox
from models.outbox_item import OutboxItem, item_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

BY_CHANGE = "FORCE INDEX (ix_outbox_state_updated_at)"
# ``stuck`` is no state of a row: unfinished for longer than a re-send takes.
Shown = Literal["ready", "sent", "done", "dead", "discarded", "cancelled", "stuck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows are meant; None means any. ``stuck_after_ms`` defines ``stuck``."""

    stuck_after_ms: int
    state: Shown | None = None
    name: str | None = None
    lane: str | None = None
    last_error_contains: str | None = None
    created_before: int | None = None


def list_items(
    session: Session, wanted: Filter, *, cursor: str | None, limit: int
) -> tuple[list[OutboxItem], str | None]:
    """Return up to ``limit`` items, latest change first, and the next page's cursor.

    Without a state the newest row comes first. Either order is an index, so that a
    page costs the same however many finished rows there are. A row that changes
    between two pages moves to the front of the first one.
    """
    query = select(Outbox).where(*conditions(wanted))
    if wanted.state is None:
        query = _newest_first(query, cursor)
    else:
        query = _latest_change_first(query, cursor)
    rows = list(session.scalars(query.limit(limit + 1)))
    page = rows[:limit]
    more = len(rows) > limit
    return [item_of(row) for row in page], _cursor_of(page[-1]) if more else None


def list_ids(session: Session, wanted: Filter, *, limit: int) -> Sequence[str]:
    """Return the ids of the first rows meant, oldest first."""
    query = select(Outbox.id).where(*conditions(wanted)).order_by(Outbox.id)
    return session.scalars(query.limit(limit)).all()


def count(session: Session, wanted: Filter) -> int:
    """Return how many rows are meant; ask for unfinished or dead ones only."""
    query = select(func.count()).select_from(Outbox).where(*conditions(wanted))
    return int(session.scalar(query) or 0)


def is_stuck(stuck_after_ms: int) -> ColumnElement[bool]:
    """Return the condition of rows that should have been finished by now."""
    return and_(
        Outbox.state.in_(OPEN_STATES),
        Outbox.due_at <= database_now_ms() - stuck_after_ms,
    )


def conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    """Return what rows must fulfil to be meant."""
    found: list[ColumnElement[bool]] = []
    if wanted.state == "stuck":
        found.append(is_stuck(wanted.stuck_after_ms))
    elif wanted.state is not None:
        found.append(Outbox.state == wanted.state)
    if wanted.name is not None:
        found.append(Outbox.name == wanted.name)
    if wanted.lane is not None:
        found.append(Outbox.lane == wanted.lane)
    if wanted.last_error_contains is not None:
        # Unlike LIKE it minds the case on every database and knows no wildcards.
        found.append(func.instr(Outbox.last_error, wanted.last_error_contains) > 0)
    if wanted.created_before is not None:
        found.append(Outbox.created_at < wanted.created_before)
    return found


def _newest_first(query: Select[Outbox], cursor: str | None) -> Select[Outbox]:
    if cursor is not None:
        query = query.where(Outbox.id < _place(cursor)[1])
    return query.order_by(Outbox.id.desc())


def _latest_change_first(query: Select[Outbox], cursor: str | None) -> Select[Outbox]:
    if cursor is not None:
        at, row_id = _place(cursor)
        # The first condition is the index's range, the second splits one moment.
        query = query.where(
            Outbox.updated_at <= at, or_(Outbox.updated_at < at, Outbox.id < row_id)
        )
    for dialect in ("mysql", "mariadb"):
        # Left to itself MariaDB walks from the newest row down to the cursor.
        query = query.with_hint(Outbox, BY_CHANGE, dialect)
    return query.order_by(Outbox.updated_at.desc(), Outbox.id.desc())


def _cursor_of(row: Outbox) -> str:
    return f"{row.updated_at}.{row.id}"


def _place(cursor: str) -> tuple[int, str]:
    at, _, row_id = cursor.partition(".")
    return int(at), row_id
