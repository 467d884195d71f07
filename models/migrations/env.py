"""Alembic's entry: migrates the database of the settings, or the one it is given."""

from __future__ import annotations

from alembic import context

from config.settings import load_settings
from config.store_settings import DatabaseSettings
from models.engine import create_database_engine
from models.tables import METADATA

# A change of a large table takes as long as it takes; nobody waits for an answer.
LONGEST_S = 6 * 3600
PATIENT = {"statement_timeout_s": LONGEST_S, "read_timeout_s": LONGEST_S}


def run() -> None:
    """Run migrations over a connection of ours, SQLite in batch mode."""
    url = context.config.get_main_option("sqlalchemy.url")
    settings = (
        DatabaseSettings.model_validate({"DATABASE_URL": url})
        if url
        else load_settings().database
    )
    engine = create_database_engine(settings.model_copy(update=PATIENT))
    writer = engine.execution_options(write=True)
    with writer.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
