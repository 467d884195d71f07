"""How each database is opened: pools, time limits, isolation; used by `database`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, make_url

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.exc import DBAPIError

    from config.store_settings import DatabaseSettings


def create_database_engine(settings: DatabaseSettings) -> Engine:
    """Return an engine for ``settings.url``: SQLite, MySQL 8 or MariaDB 10.6+."""
    if make_url(settings.url).get_backend_name() == "sqlite":
        return _sqlite_engine(settings)
    return _mysql_engine(settings)


def error_code(error: DBAPIError) -> int | None:
    """Return the driver's numeric error code, None when it has none."""
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _mysql_engine(settings: DatabaseSettings) -> Engine:
    engine = create_engine(
        settings.url,
        isolation_level="READ COMMITTED",
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        pool_recycle=settings.recycle_s,
        pool_pre_ping=True,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": settings.connect_timeout_s,
            "read_timeout": settings.read_timeout_s,
            "write_timeout": settings.read_timeout_s,
        },
    )

    @event.listens_for(engine, "connect")
    def _limits(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(
            "SET SESSION sql_mode='TRADITIONAL', innodb_lock_wait_timeout=%s",
            (int(settings.lock_wait_s),),
        )
        cursor.close()

    return engine


def _sqlite_engine(settings: DatabaseSettings) -> Engine:
    engine = create_engine(
        settings.url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        # The driver must not open transactions by itself: `_begin` below does.
        connect_args={"isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(settings.lock_wait_s * 1000)}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that starts as a reader fails at once when another writes.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
