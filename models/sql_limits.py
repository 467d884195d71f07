"""How long SQL may take: the settings' limit, or less when the caller has less time.

`models/engine.py` installs this in every engine. The deadline comes from
`config/patience.py`; a statement it cuts raises an operational error, which
`models/database.py` translates after the rollback.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from config.clock import monotonic
from config.metrics.stores import DATABASE_CUT
from config.patience import bound_deadline
from models.errors import DeadlinePassed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPICursor
    from sqlalchemy.pool import ConnectionPoolEntry

# Others (savepoints, rollbacks, settings) take no time, and some must always run.
LIMITED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH ", "(SELECT")
# MariaDB's and MySQL's "statement execution time exceeded".
CUT_CODES = frozenset({1969, 3024})
# How often SQLite asks, in steps of its machine: some ten microseconds of work each.
SQLITE_STEPS = 1000
UNTIL = "until"
# A statement that was cut comes back up to this long before its deadline: clocks of two
# processes, and limits in whole milliseconds.
SLACK_S = 0.05


class PatientPool(QueuePool):
    """A pool whose callers wait no longer than their deadline.

    Who has no time left is refused before a connection is taken and asked whether it
    lives: callers in a row, each late, would otherwise each wait for a silent server.
    """

    _wait_s = 0.0

    def _do_get(self) -> ConnectionPoolEntry:
        time_left(self._wait_s)
        return super()._do_get()

    @property
    def _timeout(self) -> float:
        deadline = bound_deadline()
        return self._wait_s if deadline is None else deadline.capped(self._wait_s)

    @_timeout.setter
    def _timeout(self, seconds: float) -> None:
        self._wait_s = seconds


def time_left(most_s: float) -> float:
    """Return the seconds a statement may take, ``most_s`` at most.

    Raises `DeadlinePassed` when the caller has none left.
    """
    deadline = bound_deadline()
    if deadline is None:
        return most_s
    left = deadline.remaining_s()
    if left <= 0:
        DATABASE_CUT.labels("late").inc()
        raise DeadlinePassed("no time left to ask SQL")
    return min(left, most_s)


def is_over() -> bool:
    """Whether the caller's time is up, so that it is what a statement was cut by."""
    deadline = bound_deadline()
    return deadline is not None and deadline.remaining_s() <= SLACK_S


def limit_on_server(engine: Engine, most_s: float) -> None:
    """Have MySQL or MariaDB end statements, without a round trip of its own.

    Each session ends at ``most_s``; whoever has less time says so in the statement.
    MySQL does that for SELECT only: its writes end at the lock wait and at the
    driver's read timeout.
    """
    _limit_sessions(engine, most_s)
    _limit_statements(engine, most_s)
    _limit_joined_rows(engine, most_s)


def _limit_sessions(engine: Engine, most_s: float) -> None:
    @event.listens_for(engine, "connect")
    def _limit_session(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401
        maria = "MariaDB" in connection.get_server_info()
        cursor = connection.cursor()
        if maria:
            cursor.execute("SET SESSION max_statement_time=%s", (most_s,))
        else:
            cursor.execute("SET SESSION max_execution_time=%s", (int(most_s * 1000),))
        cursor.close()


def _limit_statements(engine: Engine, most_s: float) -> None:
    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _limit_statement(
        connection: Connection,
        _cursor: DBAPICursor,
        statement: str,
        parameters: Any,  # noqa: ANN401
        _context: object,
        executemany: bool,  # noqa: FBT001
    ) -> tuple[str, Any]:
        if is_limited(statement):
            seconds = time_left(most_s)
            if seconds < most_s and not executemany:
                dialect: Any = connection.dialect
                maria = dialect.is_mariadb
                statement = with_limit(statement, seconds, maria=maria)
        return statement, parameters


def _limit_joined_rows(engine: Engine, most_s: float) -> None:
    @event.listens_for(engine, "do_executemany")
    def _limit_rows(
        cursor: Any,  # noqa: ANN401
        statement: str,
        parameters: Any,  # noqa: ANN401
        context: Any,  # noqa: ANN401
    ) -> bool:
        # The driver joins the rows of a plain INSERT only, so this limit goes apart.
        seconds = time_left(most_s)
        if seconds >= most_s or not context.dialect.is_mariadb:
            return False
        cursor.execute(f"SET SESSION max_statement_time={max(seconds, 0.001):.3f}")
        try:
            cursor.executemany(statement, parameters)
        finally:
            # A connection that broke meanwhile is given up anyway.
            with suppress(context.dialect.loaded_dbapi.Error):
                cursor.execute(f"SET SESSION max_statement_time={most_s}")
        return True


def limit_in_process(engine: Engine, most_s: float) -> None:
    """Have SQLite, which runs in this process, end statements."""

    @event.listens_for(engine, "connect")
    def _watch(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ANN401
        facts = entry.info
        facts[UNTIL] = float("inf")
        connection.set_progress_handler(
            lambda: monotonic() > facts[UNTIL], SQLITE_STEPS
        )

    @event.listens_for(engine, "before_cursor_execute")
    def _set_limit(
        connection: Connection,
        _cursor: DBAPICursor,
        statement: str,
        _parameters: object,
        _context: object,
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        seconds = time_left(most_s) if is_limited(statement) else most_s
        connection.info[UNTIL] = monotonic() + seconds


def is_limited(statement: str) -> bool:
    """Whether ``statement`` may take long, and may be left undone."""
    return statement.startswith(LIMITED)


def with_limit(statement: str, seconds: float, *, maria: bool) -> str:
    """Return ``statement`` with its own limit in front; on MySQL only a SELECT."""
    if maria:
        # Zero would mean no limit at all.
        limit = max(seconds, 0.001)
        return f"SET STATEMENT max_statement_time={limit:.3f} FOR {statement}"
    if statement.startswith("SELECT"):
        ms = max(1, int(seconds * 1000))
        return f"SELECT /*+ MAX_EXECUTION_TIME({ms}) */{statement[6:]}"
    return statement
