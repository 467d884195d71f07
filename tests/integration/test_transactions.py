"""Transactions on both databases: upserts, deadlocks, writers in many processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from models.base import upsert
from models.database import TRANSACTION_ATTEMPTS, Database, Nobody, open_database
from models.errors import DatabaseUnavailable
from models.users import User, ensure_user, find_profile, new_user, update_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from config.settings import Settings
    from models.database import UnitOfWork

USERS = ("u_1", "u_2")
# A second process that counts one user's logins up, a transaction each.
COUNTER = """
import os
from config.settings import load_settings
from models.database import open_database
from models.users import User

database = open_database(load_settings(dict(os.environ), env_file=None))

def count(work):
    work.session.get_one(User, "u_1", with_for_update=True).login_count += 1

for _ in range(25):
    database.transact(count)
"""


@pytest.fixture
def people(database: Database) -> Database:
    """Give a database with two users."""

    def act(work: UnitOfWork) -> None:
        for user_id in USERS:
            ensure_user(work.session, user_id, "wx1", 0)

    database.transact(act)
    return database


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        found = session.execute(sa.select(User.id, User.login_count))
        return {user_id: count for user_id, count in found}  # noqa: C416 - rows


def test_a_deadlock_costs_nobody_their_work(people: Database) -> None:
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def cross(first: str, second: str) -> None:
        def act(work: UnitOfWork) -> None:
            runs.append(first)
            get(work, first).login_count += 1
            work.session.flush()
            if len(runs) <= 2 and locks_rows(work):
                both_hold_one.wait(60)
            get(work, second).login_count += 1

        people.transact(act)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(cross, *names) for names in (USERS, USERS[::-1])]
        for future in done:
            future.result(90)

    assert counts(people) == {"u_1": 2, "u_2": 2}
    if people.engine.dialect.name != "sqlite":
        assert len(runs) == 3


def get(work: UnitOfWork, user_id: str) -> User:
    return work.session.get_one(User, user_id, with_for_update=True)


def locks_rows(work: UnitOfWork) -> bool:
    """Whether two writers can be inside at once; SQLite lets in one."""
    return work.session.get_bind().dialect.name != "sqlite"


def test_writers_of_several_processes_lose_nothing(
    people: Database, database_url: str, environment: dict[str, str]
) -> None:
    variables = {**environment, "DATABASE_URL": database_url, "PYTHONPATH": "."}
    rivals = [
        subprocess.Popen([sys.executable, "-c", COUNTER], env=variables)
        for _ in range(3)
    ]

    assert [rival.wait(120) for rival in rivals] == [0, 0, 0]
    assert counts(people)["u_1"] == 75


def test_a_reader_is_not_stopped_by_a_writer(people: Database) -> None:
    with people.unit_of_work() as work:
        get(work, "u_1").login_count = 9
        work.session.flush()

        assert counts(people)["u_1"] == 0

    assert counts(people)["u_1"] == 9


def test_work_that_fails_for_good_is_not_repeated(people: Database) -> None:
    runs = []

    def act(work: UnitOfWork) -> None:
        runs.append(1)
        work.session.execute(sa.text("SELECT no_such_column FROM users"))

    with pytest.raises((DatabaseUnavailable, sa.exc.DBAPIError)):
        people.transact(act)

    assert len(runs) == 1


def test_a_lock_nobody_gives_back_ends_in_a_wait_for_the_caller(
    mariadb_url: str, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(DATABASE_URL=mariadb_url, DATABASE_LOCK_WAIT_S="1")
    database = open_database(settings)
    database.transact(lambda work: ensure_user(work.session, "u_1", "wx1", 0))
    runs = []

    def act(work: UnitOfWork) -> None:
        runs.append(1)
        get(work, "u_1")

    with database.unit_of_work() as holder:
        get(holder, "u_1")
        with pytest.raises(DatabaseUnavailable):
            database.transact(act)

    assert len(runs) == TRANSACTION_ATTEMPTS
    database.dispose()


def test_a_connection_that_breaks_in_use_is_one_counted_line(
    people: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def lost() -> float:
        name = "kuaida_database_connections_lost_total"
        return REGISTRY.get_sample_value(name) or 0.0

    before = lost()
    borrowed = people.engine.raw_connection()
    driver: Any = borrowed.dbapi_connection
    if people.engine.dialect.name == "sqlite":
        driver.close()
    else:
        with people.unit_of_work() as work:
            work.session.execute(sa.text(f"KILL {driver.thread_id()}"))
    with capture_logs() as told:
        borrowed.close()

    assert lost() == before + 1
    assert [record for record in caplog.records if record.exc_info] == []
    assert [line["event"] for line in told] == ["connection given up"]
    assert "exc_info" not in told[0]
    assert counts(people) == dict.fromkeys(USERS, 0)


def test_a_full_pool_says_wait(
    mariadb_url: str, make_settings: Callable[..., Settings]
) -> None:
    variables = {"DATABASE_POOL_SIZE": "1", "DATABASE_POOL_WAIT_S": "0.1"}
    database = open_database(make_settings(DATABASE_URL=mariadb_url, **variables))

    with database.read() as session:
        session.execute(sa.text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable, match="pooled"):
            database.ping()

    database.ping()
    database.dispose()


def test_the_relay_is_woken_after_the_commit_and_only_for_work(
    database: Database,
) -> None:
    seen: list[int] = []

    class Ear(Nobody):
        def wake_relay(self) -> None:
            with database.read() as session:
                seen.append(session.scalar(sa.text("SELECT COUNT(*) FROM outbox")) or 0)

    database = Database(database.engine, Ear())
    with database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "wx1", 0)
    with database.unit_of_work() as work:
        work.enqueue("tasks.profile.anything", "u_1")

    assert seen == [1]


@pytest.mark.parametrize(
    ("rule", "old", "new", "kept"),
    [
        ("set", 5, 3, 3),
        ("add", 5, 3, 8),
        ("max", 5, 3, 5),
        ("max", 3, 5, 5),
        ("max", None, 5, 5),
        ("max", 5, None, 5),
        ("keep", 5, 3, 5),
        ("keep", None, 3, 3),
    ],
)
def test_an_upsert_takes_the_new_value_as_its_rule_says(
    database: Database, rule: str, old: int | None, new: int | None, kept: int
) -> None:
    column = "login_count" if rule in {"set", "add"} else "last_login_at"

    def write(value: int | None, rules: Mapping[str, str]) -> None:
        row: dict[str, Any] = {**new_user("u_1", "wx1", 1), column: value}
        with database.unit_of_work() as work:
            upsert(work.session, User.__table__, [row], rules)

    write(old, {column: rule})
    write(new, {column: rule})

    with database.read() as session:
        assert getattr(session.get_one(User, "u_1"), column) == kept


def test_an_upsert_of_nothing_is_nothing(database: Database) -> None:
    with database.unit_of_work() as work:
        upsert(work.session, User.__table__, [], {})


def test_a_profile_takes_any_script_and_is_found_again(people: Database) -> None:
    changes = {"nickname": "快答 😀", "gender": 1}
    people.transact(lambda work: update_profile(work.session, "u_1", changes))

    with people.read() as session:
        found = find_profile(session, "u_1")
        assert find_profile(session, "u_none") is None

    assert found is not None
    assert (found.nickname, found.gender) == ("快答 😀", 1)
    assert found.profile_state == "complete"
