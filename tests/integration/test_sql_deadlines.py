"""SQL ends with its caller's time, on both databases: rolled back, and reusable."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from config.clock import Deadline, monotonic
from config.patience import bind_deadline, under, unhurried
from models.base import upsert
from models.database import Database, open_database
from models.errors import DatabaseUnavailable, DeadlinePassed
from models.single_flight import SingleFlight
from models.users import User, ensure_user, new_user, update_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import UnitOfWork

IMPATIENT_S = 0.3
# Nobody is late within this, however busy the machine; still less than our own limits.
PATIENT_MS = 300_000
# All of our own limits are beyond what a test may last.
ENDLESS = {
    "DATABASE_POOL_SIZE": "1",
    "DATABASE_POOL_WAIT_S": "600",
    "DATABASE_LOCK_WAIT_S": "600",
    "DATABASE_READ_TIMEOUT_S": "600",
    "DATABASE_STATEMENT_TIMEOUT_S": "600",
}
HANGS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
    "WHERE i < 10000000000) SELECT COUNT(*) FROM n",
    "mysql": "SELECT SLEEP(600)",
}
IDENTITY = {"sqlite": "PRAGMA data_version", "mysql": "SELECT CONNECTION_ID()"}


@pytest.fixture
def endless(
    database_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Database]:
    """Open a database of one connection that waits for ever by itself; one user."""
    database = open_database(make_settings(DATABASE_URL=database_url, **ENDLESS))
    with database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "wx1", 0)
    yield database
    database.dispose()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the user's row (SQLite: the file) from a side session."""
    side = sa.create_engine(url)
    with side.connect() as link:
        if side.dialect.name == "sqlite":
            link.exec_driver_sql("BEGIN IMMEDIATE")
        link.execute(sa.text("UPDATE users SET login_count = 7 WHERE id = 'u_1'"))
        yield
        link.rollback()
    side.dispose()


def cut(stage: str) -> float:
    labels = {"stage": stage}
    return REGISTRY.get_sample_value("kuaida_database_cut_total", labels) or 0


class Impatient(Deadline):
    """A deadline that begins when first asked for: nobody comes too late to wait."""

    def remaining_s(self) -> float:
        if self.at == float("inf"):
            object.__setattr__(self, "at", monotonic() + IMPATIENT_S)
        return super().remaining_s()


def soon() -> Deadline:
    return Impatient(float("inf"))


def in_time() -> Deadline:
    return Deadline.after_ms(PATIENT_MS)


def over() -> Deadline:
    return Deadline.after_ms(0)


def hang(database: Database) -> str:
    return HANGS[database.engine.dialect.name]


def nickname(database: Database) -> str | None:
    with database.read() as session:
        return session.get_one(User, "u_1").nickname


def identity(database: Database) -> Any:
    with database.read() as session:
        return session.scalar(sa.text(IDENTITY[database.engine.dialect.name]))


def test_a_statement_ends_with_its_callers_time_and_nothing_stays(
    endless: Database,
) -> None:
    before, line = cut("statement"), identity(endless)

    def act(work: UnitOfWork) -> None:
        update_profile(work.session, "u_1", {"nickname": "half"})
        work.session.flush()
        bind_deadline(soon())
        work.session.execute(sa.text(hang(endless)))

    with pytest.raises(DeadlinePassed) as told, under(in_time()):
        endless.transact(act)

    assert (told.value.reason, told.value.retry_after_ms) == ("unavailable", 1000)
    assert cut("statement") == before + 1
    # The very connection goes on, without the limit that it had for a moment.
    assert identity(endless) == line
    assert nickname(endless) is None
    endless.transact(lambda w: update_profile(w.session, "u_1", {"nickname": "whole"}))
    assert nickname(endless) == "whole"


def test_a_held_lock_is_waited_for_no_longer_than_the_caller_has(
    endless: Database, database_url: str
) -> None:
    def rename(work: UnitOfWork) -> None:
        update_profile(work.session, "u_1", {"nickname": "new"})

    with (
        locked(database_url),
        under(soon()),
        pytest.raises(DeadlinePassed),
    ):
        endless.transact(rename)

    assert nickname(endless) is None
    endless.transact(rename)
    assert nickname(endless) == "new"


def test_rows_that_are_joined_by_the_driver_are_limited_too(
    endless: Database, database_url: str
) -> None:
    rows = [dict(new_user(f"u_{n}", "wx1", 1)) for n in range(3)]

    def write() -> None:
        with endless.unit_of_work() as work:
            upsert(work.session, User.__table__, rows, {"login_count": "add"})

    with locked(database_url), under(soon()), pytest.raises(DeadlinePassed):
        write()

    if endless.engine.dialect.name == "mysql":
        with endless.read() as session:
            assert session.scalar(sa.text("SELECT @@max_statement_time")) == 600
    with under(in_time()):
        write()
    with endless.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(User)) == 3


def test_a_connection_is_waited_for_no_longer_than_the_caller_has(
    endless: Database,
) -> None:
    before = cut("pool")

    with endless.read() as session:
        session.execute(sa.text("SELECT 1"))
        with under(soon()), pytest.raises(DeadlinePassed, match="pooled"):
            endless.ping()

    assert cut("pool") == before + 1
    endless.ping()


def test_who_comes_too_late_asks_nothing(endless: Database) -> None:
    before = cut("late")

    with under(over()):
        with pytest.raises(DeadlinePassed):
            endless.ping()
        with unhurried():
            endless.ping()

    assert cut("late") == before + 1
    endless.ping()


def test_what_is_written_in_time_may_commit_after_it(endless: Database) -> None:
    with under(in_time()), endless.unit_of_work() as work:
        update_profile(work.session, "u_1", {"nickname": "in time"})
        work.session.flush()
        bind_deadline(over())

    assert nickname(endless) == "in time"


def test_a_savepoint_is_left_though_the_time_is_up(endless: Database) -> None:
    def act(work: UnitOfWork) -> None:
        update_profile(work.session, "u_1", {"nickname": "kept"})
        work.session.flush()
        bind_deadline(over())
        with pytest.raises(DeadlinePassed), work.session.begin_nested():
            work.session.execute(sa.text("SELECT 1"))

    with under(in_time()):
        endless.transact(act)

    assert nickname(endless) == "kept"


@pytest.mark.parametrize("patience_s", [None, 500])
def test_nobody_gets_more_than_the_limit_of_the_settings(
    database_url: str, make_settings: Callable[..., Settings], patience_s: int | None
) -> None:
    own = {**ENDLESS, "DATABASE_STATEMENT_TIMEOUT_S": "1"}
    database = open_database(make_settings(DATABASE_URL=database_url, **own))
    deadline = None if patience_s is None else Deadline.after_ms(patience_s * 1000)
    before = cut("limit")

    with (
        under(deadline),
        pytest.raises(DatabaseUnavailable) as told,
        database.read() as session,
    ):
        session.execute(sa.text(hang(database)))

    assert not isinstance(told.value, DeadlinePassed)
    assert cut("limit") == before + 1
    database.ping()
    database.dispose()


def test_those_who_joined_an_impatient_leader_go_on_without_it() -> None:
    flights: SingleFlight[str] = SingleFlight()
    begun, joined = threading.Event(), threading.Event()
    told: list[str] = []

    def give_up() -> str:
        begun.set()
        joined.wait(60)
        raise DeadlinePassed

    def follow() -> None:
        told.append(flights.run("k", lambda: "loaded")[0])

    def lead() -> None:
        with pytest.raises(DeadlinePassed):
            flights.run("k", give_up)

    leader = threading.Thread(target=lead)
    leader.start()
    assert begun.wait(60)
    follower = threading.Thread(target=follow)
    follower.start()
    while not flights._flights["k"]._condition._waiters:  # type: ignore[attr-defined]
        threading.Event().wait(0.01)
    joined.set()
    for thread in (leader, follower):
        thread.join(60)

    assert told == ["loaded"]
