"""What operators ask of the database: its version, charset, clock and schema.

Used by readiness and `flask doctor`; Alembic itself stays out of web processes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from models.base import database_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
_REVISION: Final = re.compile(r"""^revision\b[^=]*=\s*["'](\w+)""", re.MULTILINE)
_PARENT: Final = re.compile(r"""^down_revision\b[^=]*=\s*["'](\w+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """``charset`` is empty where the database has none (SQLite is always UTF-8)."""

    dialect: str
    version: str
    charset: str
    now_ms: int


def read_facts(session: Session) -> DatabaseFacts:
    """Return what the database says of itself."""
    name = session.get_bind().dialect.name
    if name == "sqlite":
        version = session.scalar(text("SELECT sqlite_version()"))
        return DatabaseFacts(name, str(version), "", database_now(session))
    version, charset = session.execute(
        text("SELECT VERSION(), @@character_set_database")
    ).one()
    return DatabaseFacts(name, str(version), str(charset), database_now(session))


def current_revision(session: Session) -> str | None:
    """Return the revision the schema is at, None when it was never migrated."""
    if not inspect(session.connection()).has_table("alembic_version"):
        return None
    found = session.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def head_revision() -> str:
    """Return the revision of the newest migration in this source tree."""
    sources = [path.read_text(encoding="utf-8") for path in VERSIONS.glob("*.py")]
    revisions = {found.group(1) for s in sources if (found := _REVISION.search(s))}
    parents = {found.group(1) for s in sources if (found := _PARENT.search(s))}
    (head,) = revisions - parents
    return head
