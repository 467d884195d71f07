"""Reading what is held about one person, a section and a page at a time.

`models/personal_sections.py` says which sections there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Row, Table
    from sqlalchemy.orm import Session as SqlSession

    from models.base import Base

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Section:
    """Rows of one table that belong to a person; columns are named in one text.

    ``key`` orders them: the columns of an index behind the owner, so that a page
    begins where the last one ended without reading what came before. ``json_column``
    holds JSON text, of ``held_column`` it is only told whether it is there.
    """

    name: str
    model: type[Base]
    owner: str
    key: str
    shown: str
    json_column: str | None = None
    held_column: str | None = None

    @property
    def table(self) -> Table:
        """The table itself: plain rows cost half of what tracked objects do."""
        return self.model.metadata.tables[self.model.__tablename__]

    def show(self, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
        """Return what the person is told of ``rows``."""
        shown = self.shown.split()
        told: list[dict[str, Any]] = []
        for row in rows:
            facts = {name: getattr(row, name) for name in shown}
            if self.json_column is not None:
                facts[self.json_column] = json.loads(getattr(row, self.json_column))
            if self.held_column is not None:
                name = "has_" + self.held_column.removesuffix("_hash")
                facts[name] = getattr(row, self.held_column) is not None
            told.append(facts)
        return told


def count_rows(session: SqlSession, section: Section, user_id: str) -> int:
    """Return how many rows of the section are the person's."""
    table = section.table
    mine = table.c[section.owner] == user_id
    found = session.scalar(select(func.count()).select_from(table).where(mine))
    return int(found or 0)


def read_page(
    session: SqlSession,
    section: Section,
    user_id: str,
    after: Key | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Return the next rows behind the key ``after``, in the order of their keys."""
    table = section.table
    keys = [table.c[name] for name in section.key.split()]
    page = select(table).where(table.c[section.owner] == user_id)
    if after is not None:
        page = page.where(_behind(keys, after))
    return session.execute(page.order_by(*keys).limit(limit)).all()


def key_of(section: Section, row: Row[Any]) -> Key:
    """Return where the next page begins."""
    return tuple(getattr(row, name) for name in section.key.split())


def _behind(keys: Sequence[ColumnElement[Any]], after: Key) -> ColumnElement[bool]:
    """Return the condition of larger keys; the first bound lets an index serve it."""
    first = keys[0]
    if len(keys) == 1:
        return and_(first > after[0])
    return and_(first >= after[0], or_(first > after[0], keys[1] > after[1]))
