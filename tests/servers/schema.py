"""Tables for the tests, made by the migrations: there is no other source of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[2] / "models" / "migrations"
KEEP = {"alembic_version"}


def alembic_config(url: str) -> Config:
    """Return the project's migration settings pointed at ``url``."""
    config = Config(str(MIGRATIONS / "alembic.ini"))
    # ConfigParser reads a bare % as interpolation.
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def migrate(url: str) -> None:
    """Bring the database at ``url`` to the newest revision."""
    command.upgrade(alembic_config(url), "head")


def empty_tables(url: str) -> None:
    """Delete every row and keep the tables, so one database serves a whole module."""
    engine = sa.create_engine(url)
    mysql = engine.dialect.name in {"mysql", "mariadb"}
    with engine.begin() as link:
        if mysql:
            link.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 0")
        for name in sa.inspect(link).get_table_names():
            if name not in KEEP:
                link.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - our names
    engine.dispose()


def rows(url: str, query: str, **values: object) -> list[dict[str, Any]]:
    """Run a look-up for an assertion on a connection of its own."""
    engine = sa.create_engine(url)
    with engine.connect() as link:
        found = link.execute(sa.text(query), values).mappings().all()
    engine.dispose()
    return [dict(row) for row in found]
