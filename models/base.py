"""The declarative base, column types, ids and the portable upsert every table uses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Session,
    mapped_column,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.functions import Function, FunctionElement

from config.clock import now_ms

_MADE: Final = re.compile(r"[a-z]{1,3}_([0-9a-f]{12})[0-9a-f]{14}\Z")
# utf8mb4_bin: ids compare byte for byte, as they do on SQLite.
TABLE_OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

EpochMs = Annotated[int, mapped_column(BigInteger)]
Id = Annotated[str, mapped_column(String(40))]
AppId = Annotated[str, mapped_column(String(64))]
DeviceId = Annotated[str, mapped_column(String(64))]
# MySQL's TEXT ends at 64 kB; answers and results may be longer.
LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


class Base(DeclarativeBase):
    """Base of all tables; constraint names are fixed so migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def new_id(prefix: str, at: int | None = None) -> str:
    """Return ``prefix_`` and 26 hex digits that sort by time of creation.

    ``at`` (epoch ms) is that of what gets the id, where both must be equal.

    48 bits of milliseconds and 56 random bits: of a hundred ids made in one
    millisecond two are equal once in 10**13 times.
    """
    made_ms = now_ms() if at is None else at
    return f"{prefix}_{made_ms:012x}{os.urandom(7).hex()}"


def made_at(name: str) -> int | None:
    """Return when an id of `new_id` was made (epoch ms), None for any other id."""
    found = _MADE.match(name)
    return None if found is None else int(found.group(1), 16)


class database_now_ms(FunctionElement[int]):  # noqa: N801 - a SQL function's name
    """The database's own clock in epoch milliseconds; leases trust no other."""

    type = BigInteger()
    inherit_cache = True


@compiles(database_now_ms, "sqlite")
def _sqlite_now(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(database_now_ms, "mysql")
@compiles(database_now_ms, "mariadb")
def _mysql_now(*_: object, **__: object) -> str:
    return "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"


# Built once: every task asks several times, and building costs more than asking.
_NOW: Final = select(database_now_ms())


def database_now(session: Session) -> int:
    """Return the database's clock in epoch milliseconds."""
    return int(session.execute(_NOW).scalar_one())


def upsert(
    session: Session,
    table: FromClause,
    rows: Sequence[Mapping[str, object]],
    change: Mapping[str, str],
) -> None:
    """Insert ``rows``; where the key exists apply ``change`` instead.

    ``change`` maps a column to how it takes the new value: ``set``, ``add``
    (present + new), ``max`` (the larger) or ``keep`` (fill only when null).
    One multi-row statement on MySQL and MariaDB (PyMySQL joins the rows), one
    prepared statement on SQLite. Rows must be sorted by key by the caller, so
    that two transactions lock in the same order.
    """
    if not rows:
        return
    table = cast("Table", table)
    if session.get_bind().dialect.name == "sqlite":
        lite = sqlite.insert(table)
        excluded = lite.excluded
        keys = [column.name for column in table.primary_key]
        statement: Any = lite.on_conflict_do_update(
            index_elements=keys, set_=_changes(table, excluded, change, "max")
        )
    else:
        my = mysql.insert(table)
        statement = my.on_duplicate_key_update(
            _changes(table, my.inserted, change, "greatest")
        )
    session.connection().execute(statement, list(rows))


def delete_by_id(
    session: Session, column: InstrumentedAttribute[str], ids: Sequence[str]
) -> int:
    """Delete the rows whose ``column`` is in ``ids``; returns how many."""
    if not ids:
        return 0
    session.execute(delete(column.class_).where(column.in_(ids)))
    return len(ids)


def _changes(
    table: Table,
    new: ReadOnlyColumnCollection[str, Any],
    change: Mapping[str, str],
    larger: str,
) -> dict[str, ColumnElement[Any]]:
    changes: dict[str, ColumnElement[Any]] = {}
    for name, rule in change.items():
        old, fresh = table.c[name], new[name]
        if rule == "set":
            changes[name] = fresh
        elif rule == "add":
            changes[name] = old + fresh
        elif rule == "keep":
            changes[name] = func.coalesce(old, fresh)
        else:
            # Both databases call null the result of a comparison with null.
            both = func.coalesce(old, fresh), func.coalesce(fresh, old)
            changes[name] = Function(larger, *both)
    return changes
