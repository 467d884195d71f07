"""How each database is opened: pools, time limits, isolation; used by `database`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from config.clock import monotonic, sleep
from config.logging import get_logger
from config.metrics.stores import DATABASE_CONNECTIONS_LOST, DATABASE_CUT
from models.mysql_connection import PatientConnection, connect, was_silent
from models.sql_limits import (
    PatientPool,
    limit_in_process,
    limit_on_server,
    time_left,
)

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.exc import DBAPIError

    from config.store_settings import DatabaseSettings


# How long SQLite itself may wait for a lock, holding its process, and how often the
# write lock is tried again.
SQLITE_PATIENCE_MS = 2
SQLITE_RETRY_S = 0.025

log = get_logger(__name__)


class _OneLine(logging.Filter):
    """Makes one counted line of the trace that the pool logs for a broken connection.

    Whoever used it has got its own error; this is the clearing up.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what has no trace; replace what has one."""
        if not record.exc_info:
            return True
        error = record.exc_info[1]
        number = error.args[0] if error is not None and error.args else None
        code = f" {number}" if isinstance(number, int) else ""
        DATABASE_CONNECTIONS_LOST.inc()
        log.warning("connection given up", cause=f"{type(error).__name__}{code}")
        return False


# One object: the logging library adds it once, however many engines are made.
ONE_LINE = _OneLine()


def create_database_engine(settings: DatabaseSettings) -> Engine:
    """Return an engine for ``settings.url``: SQLite, MySQL 8 or MariaDB 10.6+."""
    pool_log = logging.getLogger(f"{PatientPool.__module__}.{PatientPool.__name__}")
    pool_log.addFilter(ONE_LINE)
    # Its name lies in our own packages; what it tells of each connection is noise.
    pool_log.setLevel(logging.WARNING)
    if make_url(settings.url).get_backend_name() == "sqlite":
        return _sqlite_engine(settings)
    return _mysql_engine(settings)


def _begin_writing(connection: Connection, lock_wait_s: float) -> None:
    """Wait for SQLite's one write lock between the tries, where others may run.

    The library's own wait holds the whole process under gevent. Raises
    `DeadlinePassed` for a caller without time.
    """
    until = monotonic() + time_left(lock_wait_s)
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:
            if monotonic() >= until:
                raise
            sleep(SQLITE_RETRY_S)
        else:
            return


def error_code(error: DBAPIError) -> int | None:
    """Return the driver's numeric error code, None when it has none."""
    args = getattr(error.orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def _mysql_engine(settings: DatabaseSettings) -> Engine:
    engine = create_engine(
        settings.url,
        isolation_level="READ COMMITTED",
        poolclass=PatientPool,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        pool_recycle=settings.recycle_s,
        pool_pre_ping=True,
        connect_args={
            "charset": "utf8mb4",
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

    limit_on_server(engine, settings.statement_timeout_s)
    _bear_silence(engine, settings)
    return engine


def _bear_silence(engine: Engine, settings: DatabaseSettings) -> None:
    """Let no caller wait for a server that says nothing longer than it has time."""

    @event.listens_for(engine, "do_connect")
    def _connect(
        _dialect: object, _entry: object, _: object, parameters: dict[str, Any]
    ) -> PatientConnection:
        patience = {"connect_timeout": time_left(settings.connect_timeout_s)}
        return connect(parameters | patience, settings.commit_least_s)

    @event.listens_for(engine, "handle_error")
    def _count(context: ExceptionContext) -> None:
        if was_silent(context.original_exception):
            DATABASE_CUT.labels("silent").inc()
            # The patience of one is no verdict on connections it did not use. A ping
            # that is not answered is: the pool then replaces them all.
            context.invalidate_pool_on_disconnect = False


def _sqlite_engine(settings: DatabaseSettings) -> Engine:
    engine = create_engine(
        settings.url,
        poolclass=PatientPool,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        # The driver must not open transactions by itself: `_begin` below does.
        connect_args={"isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_PATIENCE_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that starts as a reader fails at once when another writes.
        if connection.get_execution_options().get("write"):
            _begin_writing(connection, settings.lock_wait_s)
        else:
            connection.exec_driver_sql("BEGIN")

    limit_in_process(engine, settings.statement_timeout_s)
    return engine
