"""Migrations have one head, go up and down, and equal the models on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from models.base import Base
from tests.servers.schema import MIGRATIONS, alembic_config

if TYPE_CHECKING:
    from tests.servers.mariadb_server import MariaDbServer

NAMED_IN_CONTRACT = set(
    """users identities sessions devices login_events outbox inbox user_events
    schedule_slots""".split()
)


def scripts() -> ScriptDirectory:
    """Return the revisions on disk."""
    return ScriptDirectory.from_config(alembic_config("sqlite://"))


def test_there_is_one_head_and_no_fork() -> None:
    directory = scripts()

    assert len(directory.get_heads()) == 1
    assert len(directory.get_bases()) == 1
    for revision in directory.walk_revisions():
        assert len(revision.nextrev) <= 1


def test_every_revision_stands_in_one_file() -> None:
    known = {revision.path for revision in scripts().walk_revisions()}
    files = {str(p) for p in (MIGRATIONS / "versions").glob("*.py")}

    assert {path for path in files if not path.endswith("__init__.py")} == known


def test_migrations_equal_the_models(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.connect() as link:
        context = MigrationContext.configure(link, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert differences == []


def test_tables_have_the_names_of_the_contract(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    present = set(sa.inspect(engine).get_table_names())
    engine.dispose()

    assert present >= NAMED_IN_CONTRACT


def test_tables_can_hold_any_text(mariadb_url: str) -> None:
    engine = sa.create_engine(mariadb_url)
    query = sa.text(
        "SELECT table_name, table_collation, engine FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
    )
    with engine.connect() as link:
        odd = [
            row
            for row in link.execute(query)
            if not row[1].startswith("utf8mb4") or row[2] != "InnoDB"
        ]
    engine.dispose()

    assert odd == []


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_the_way_down_leads_back_up(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('down') / 'down.db'}"
    else:
        server: MariaDbServer = request.getfixturevalue("mariadb_server")
        url = server.create("down_and_up")
    config = alembic_config(url)

    command.upgrade(config, "head")
    command.downgrade(config, "base")
    left = set(sa.inspect(sa.create_engine(url)).get_table_names())
    command.upgrade(config, "head")

    assert left <= {"alembic_version"}
