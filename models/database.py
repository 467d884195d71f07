"""The SQL engine and the unit of work: the only place that commits.

Neighbours: `models/outbox.py` and `models/user_events.py` are written through the
unit of work, so that an effect and its consequences share one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.metrics.stores import DATABASE_CUT
from models.engine import create_database_engine, error_code
from models.errors import DatabaseUnavailable, DeadlinePassed
from models.idempotency import Later, Once, act_once
from models.mysql_connection import was_silent
from models.operation_work import NewOperation, start_operation
from models.outbox import NewWork, WorkContext, add_event, add_work
from models.sql_limits import CUT_CODES, is_over
from models.user_events import NumberedEvent, append_user_events, take_announced

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from config.settings import Settings
    from models.events import Event
    from models.operations import OperationView

T = TypeVar("T")

# Deadlock, lock wait timeout: the whole transaction may simply run again.
LOCK_TIMEOUT = 1205
RETRIABLE = frozenset({LOCK_TIMEOUT, 1213})
# The driver files every code it does not know under "operational". These are about
# a value (checks, signals, bad text): waiting does not help.
ROW_REFUSED = frozenset({1292, 1300, 1366, 1644, 3140, 3819, 3988, 4025})
TRANSACTION_ATTEMPTS = 5


class UnitOfWork:
    """One transaction: rows, outbox rows and events that commit or vanish together.

    ``context`` is the running work this transaction belongs to, None in a request:
    what is enqueued here becomes its child.
    """

    def __init__(self, session: Session, context: WorkContext | None = None) -> None:
        self.session = session
        self.context = context
        self.wakes_relay = False

    def enqueue(  # noqa: PLR0913 (two say what, the others are keywords with defaults)
        self,
        task: str,
        subject_id: str,
        *,
        due_at: int | None = None,
        payload: str | None = None,
        app_id: str | None = None,
        useful_for_s: float | None = None,
    ) -> str:
        """Write an outbox row that makes ``task`` run once for ``subject_id``.

        ``task`` is the import path of the task, ``due_at`` epoch milliseconds
        (now when absent), ``payload`` sealed text for what no table holds yet,
        ``app_id`` whose budget pays for its retries. ``useful_for_s`` is only for work
        whose result nobody can use so long after its due time: it is then given up,
        and its SQL and `Work.deadline` end with it. Never for what must happen.
        Returns the row's id, which is the task's only argument. Raises
        `WorkCancelled` or `WorkExpired` when the work that asks is over.
        """
        self.wakes_relay = True
        useful_for_ms = None if useful_for_s is None else round(useful_for_s * 1000)
        work = NewWork(
            task,
            subject_id,
            due_at,
            payload,
            app_id=app_id,
            useful_for_ms=useful_for_ms,
        )
        return add_work(self.session, work, self.context)

    def start(self, wanted: NewOperation) -> OperationView:
        """Start an operation, or return the equal one that is active."""
        self.wakes_relay = True
        return start_operation(self.session, wanted, self.context)

    def publish(self, event: Event) -> None:
        """Append ``event`` to its user's sequence and hand it to the subscribers."""
        self.wakes_relay = True
        append_user_events(self.session, [event])
        add_event(self.session, event.type, event.user_id, self.context)


class Listener(Protocol):
    """Who is told after a commit; a lost word costs time, never work."""

    def wake_relay(self) -> None:
        """Hear that the outbox has new work."""

    def announce(self, events: Sequence[NumberedEvent]) -> None:
        """Hear that these events can be read now."""


class Nobody:
    """A listener that does not care."""

    def wake_relay(self) -> None:
        """Do nothing."""

    def announce(self, events: Sequence[NumberedEvent]) -> None:
        """Do nothing."""


class Database:
    """The engine of one process; forked children must call `after_fork`."""

    def __init__(self, engine: Engine, listener: Listener) -> None:
        self.engine = engine
        self._writer = engine.execution_options(write=True)
        self._listener = listener

    @contextmanager
    def unit_of_work(self, context: WorkContext | None = None) -> Iterator[UnitOfWork]:
        """Open a transaction; commits at the end, rolls back on any exception.

        Raises `DatabaseUnavailable` when the database does not answer in time, and
        `DeadlinePassed` when the running request or task has less time than that:
        before the commit, so nothing is half done. A connection on which the server
        said nothing is given up, any other stays usable. Only a silence in the commit
        leaves unknown whether it was done.
        """
        with _translated(), Session(self._writer, expire_on_commit=False) as session:
            work = UnitOfWork(session, context)
            yield work
            _commit(session)
            announced = take_announced(session)
        if work.wakes_relay:
            self._listener.wake_relay()
        if announced:
            self._listener.announce(announced)

    def transact(
        self,
        act: Callable[[UnitOfWork], T],
        once: Once | None = None,
        later: Later[T] | None = None,
    ) -> T:
        """Run ``act`` in a unit of work, again after a deadlock or lock timeout.

        ``once`` is the request's Idempotency-Key: what ``act`` returns is kept under
        it in the same commit, or afterwards by the dispatcher if ``later`` says how
        to come by it. Raises `Replayed` and `KeyReused` then.
        """
        if once is None:
            return self._repeat(act)
        result, kept = self._repeat(
            lambda work: act_once(work.session, once, lambda: act(work), later)
        )
        once.kept = kept
        return result

    def _repeat(self, act: Callable[[UnitOfWork], T]) -> T:
        for attempt in range(1, TRANSACTION_ATTEMPTS + 1):
            try:
                with self.unit_of_work() as work:
                    return act(work)
            except DatabaseUnavailable as error:
                if not _may_repeat(error) or attempt == TRANSACTION_ATTEMPTS:
                    raise
        raise AssertionError

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that never commits; raises like `unit_of_work`."""
        with _translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    def ping(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers a trivial query."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def after_fork(self) -> None:
        """Forget the parent's connections without closing its sockets."""
        self.engine.dispose(close=False)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def open_database(settings: Settings, listener: Listener | None = None) -> Database:
    """Return the database of ``settings``; ``listener`` is told of its commits."""
    engine = create_database_engine(settings.database)
    return Database(engine, Nobody() if listener is None else listener)


def _commit(session: Session) -> None:
    session.flush()
    try:
        session.commit()
    except OperationalError as error:
        if was_silent(error.orig):
            # Not `DeadlinePassed`, which says that it was rolled back.
            raise DatabaseUnavailable("silence in the commit") from error
        raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise _too_late("pool", "no pooled connection came free") from error
    except OperationalError as error:
        if error_code(error) in ROW_REFUSED:
            raise
        raise _unavailable(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("database connection lost") from error
        raise


def _unavailable(error: OperationalError) -> DatabaseUnavailable:
    if _was_cut(error):
        return _too_late("statement", "a statement took too long")
    if _waited_for_lock(error):
        return _too_late("lock", "a lock was not free in time")
    if was_silent(error.orig):
        return _too_late("silent", "the server said nothing in time")
    return DatabaseUnavailable(f"database error {error_code(error)}")


def _was_cut(error: OperationalError) -> bool:
    return error_code(error) in CUT_CODES or str(error.orig) == "interrupted"


def _waited_for_lock(error: OperationalError) -> bool:
    return error_code(error) == LOCK_TIMEOUT or "is locked" in str(error.orig)


def _too_late(stage: str, words: str) -> DatabaseUnavailable:
    """Return the error of a wait that ended: the caller's time, or a limit of ours."""
    if is_over():
        if stage != "silent":  # Counted where it happens, pings and commits too.
            DATABASE_CUT.labels(stage).inc()
        return DeadlinePassed(words)
    if stage == "statement":
        DATABASE_CUT.labels("limit").inc()
    return DatabaseUnavailable(words)


def _may_repeat(error: DatabaseUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and error_code(cause) in RETRIABLE
