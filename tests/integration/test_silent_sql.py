"""A database that says nothing at all holds nobody for longer than they have time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from config.clock import Deadline, monotonic
from config.patience import bind_deadline, under
from models.database import Database, open_database
from models.errors import DatabaseUnavailable, DeadlinePassed
from models.users import User, ensure_user, update_profile
from tests.servers.fixtures import require
from tests.servers.http import Answer, call
from tests.servers.phone import Phone
from tests.servers.process import wait_until
from tests.servers.redis_server import find_redis
from tests.servers.schema import migrate
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import UnitOfWork
    from tests.servers.mariadb_server import MariaDbServer

IMPATIENT_MS = 300
# Who is held by our own limits waits for minutes; a busy machine needs some seconds.
LIMITS = {
    "DATABASE_POOL_SIZE": "2",
    "DATABASE_CONNECT_TIMEOUT_S": "600",
    "DATABASE_READ_TIMEOUT_S": "600",
    "DATABASE_STATEMENT_TIMEOUT_S": "599",
}
SOON_S = 5
CROWD = 20


@pytest.fixture(scope="module")
def url(own_mariadb: MariaDbServer) -> str:
    made = own_mariadb.create("silent")
    migrate(made)
    return made


@pytest.fixture
def database(
    url: str, own_mariadb: MariaDbServer, make_settings: Callable[..., Settings]
) -> Iterator[Database]:
    opened = open_database(make_settings(DATABASE_URL=url, **LIMITS))
    with opened.unit_of_work() as work:
        ensure_user(work.session, "u_1", "wx1", 0)
    yield opened
    own_mariadb.process.thaw()
    opened.dispose()


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, own_mariadb: MariaDbServer
) -> Iterator[Stack]:
    require(find_redis)
    folder = tmp_path_factory.mktemp("silent")
    made = Stack(folder, own_mariadb.create("silent_web"), **LIMITS, WEB_PROCESSES="1")
    with standing(made, "wechat", "web", "ops"):
        yield made


def silences() -> float:
    labels = {"stage": "silent"}
    return REGISTRY.get_sample_value("kuaida_database_cut_total", labels) or 0


def soon() -> Deadline:
    return Deadline.after_ms(IMPATIENT_MS)


def rename(work: UnitOfWork, nickname: str) -> None:
    update_profile(work.session, "u_1", {"nickname": nickname})
    work.session.flush()


def nickname(database: Database) -> str | None:
    with database.read() as session:
        return session.get_one(User, "u_1").nickname


def line(database: Database) -> Any:
    with database.read() as session:
        return session.scalar(sa.text("SELECT CONNECTION_ID()"))


@pytest.mark.parametrize("pooled", [True, False], ids=["ping", "connect"])
def test_taking_a_connection_ends_with_its_callers_time(
    database: Database, own_mariadb: MariaDbServer, *, pooled: bool
) -> None:
    before = silences()
    if not pooled:
        database.dispose()
    own_mariadb.process.freeze()

    begun = monotonic()
    with under(soon()), pytest.raises(DeadlinePassed):
        database.ping()

    assert monotonic() - begun < SOON_S
    assert silences() == before + 1
    own_mariadb.process.thaw()
    database.ping()


def test_who_is_late_does_not_ask_a_silent_server(
    database: Database, own_mariadb: MariaDbServer
) -> None:
    before, held = silences(), line(database)
    own_mariadb.process.freeze()

    with under(Deadline.after_ms(0)), pytest.raises(DeadlinePassed):
        database.ping()

    assert silences() == before
    own_mariadb.process.thaw()
    assert line(database) == held


def test_a_crowd_that_wants_one_user_ends_with_its_time(
    stack: Stack, own_mariadb: MariaDbServer
) -> None:
    phone = Phone(stack)
    own_mariadb.process.freeze()
    try:
        assert phone.login().status == 200
        begun = monotonic()
        with ThreadPoolExecutor(CROWD) as pool:
            asked_at_once = [
                pool.submit(asked, phone, "GET", "/me", None) for _ in range(CROWD)
            ]
            answers = [one.result() for one in asked_at_once]
        took = monotonic() - begun
    finally:
        own_mariadb.process.thaw()

    assert {(a.status, a.reason) for a in answers} == {(503, "unavailable")}
    # One after the other, each with half a second, they need ten.
    assert took < SOON_S


def test_a_session_in_doubt_does_not_wait_for_a_silent_server(
    stack: Stack, own_mariadb: MariaDbServer
) -> None:
    phone = Phone(stack)
    assert phone.login().status == 200
    assert phone.rename("known").status == 200
    assert phone.me().status == 200
    stack.redis.process.freeze()
    phone.me()
    stack.redis.process.thaw()
    stack.wait(lambda: phone.me().status == 200, within_s=10, what="Redis is back")
    own_mariadb.process.freeze()

    begun = monotonic()
    try:
        answer = asked(phone, "GET", "/me", None)
    finally:
        took = monotonic() - begun
        own_mariadb.process.thaw()

    assert answer.data["nickname"] == "known"
    assert took < SOON_S


def test_a_statement_without_an_answer_is_given_up_with_its_connection(
    database: Database, own_mariadb: MariaDbServer
) -> None:
    before, broken = silences(), line(database)

    def act(work: UnitOfWork) -> None:
        rename(work, "half")
        own_mariadb.process.freeze()
        bind_deadline(soon())
        rename(work, "cut")

    with under(None), pytest.raises(DeadlinePassed) as told:
        database.transact(act)

    assert told.value.reason == "unavailable"
    assert silences() == before + 1
    own_mariadb.process.thaw()
    assert nickname(database) is None
    assert line(database) != broken
    database.transact(lambda work: rename(work, "whole"))
    assert nickname(database) == "whole"


def test_one_callers_patience_is_no_verdict_on_other_connections(
    database: Database, own_mariadb: MariaDbServer
) -> None:
    with database.read() as session, database.read() as other:
        kept = session.scalar(sa.text("SELECT CONNECTION_ID()"))
        other.execute(sa.text("SELECT 1"))
        own_mariadb.process.freeze()
        with under(soon()), pytest.raises(sa.exc.OperationalError):
            other.execute(sa.text("SELECT 1"))
        own_mariadb.process.thaw()

    with database.read() as session, database.read() as other:
        found = [s.scalar(sa.text("SELECT CONNECTION_ID()")) for s in (session, other)]
    assert kept in found


def test_a_commit_is_waited_for_however_impatient_its_caller_is(
    database: Database, own_mariadb: MariaDbServer
) -> None:
    with ThreadPoolExecutor(1) as others:
        with under(Deadline.after_ms(1)), database.unit_of_work() as work:
            with under(None):
                rename(work, "in time")
            own_mariadb.process.freeze()
            # Longer than any other wait of this caller, shorter than a commit's.
            thawed = others.submit(thaw_after, own_mariadb, 1.0)
        thawed.result()

    assert nickname(database) == "in time"


def test_a_commit_without_an_answer_is_not_said_to_be_undone(
    database: Database, own_mariadb: MariaDbServer
) -> None:
    before = silences()

    def act(work: UnitOfWork) -> None:
        rename(work, "perhaps")
        own_mariadb.process.freeze()
        bind_deadline(soon())

    with under(None), pytest.raises(DatabaseUnavailable, match="commit") as told:
        database.transact(act)

    assert not isinstance(told.value, DeadlinePassed)
    assert silences() == before + 1
    own_mariadb.process.thaw()
    # What it was told before it fell silent, it does.
    wait_until(lambda: nickname(database) == "perhaps", within_s=10, what="committed")


def test_who_has_no_deadline_has_the_limit_of_the_settings(
    url: str, own_mariadb: MariaDbServer, make_settings: Callable[..., Settings]
) -> None:
    limits = {**LIMITS, "DATABASE_READ_TIMEOUT_S": "1"}
    database = open_database(make_settings(DATABASE_URL=url, **limits))
    database.ping()
    before = silences()
    own_mariadb.process.freeze()
    try:
        with pytest.raises(DatabaseUnavailable) as told:
            database.ping()
    finally:
        own_mariadb.process.thaw()

    assert not isinstance(told.value, DeadlinePassed)
    # The pool's ping, and the connection that was to replace it.
    assert silences() == before + 2
    database.ping()
    database.dispose()


def thaw_after(server: MariaDbServer, seconds: float) -> None:
    begun = monotonic()
    wait_until(
        lambda: monotonic() - begun > seconds, within_s=seconds + 5, what="the pause"
    )
    server.process.thaw()


def test_requests_end_with_their_time_and_all_is_well_afterwards(
    stack: Stack, own_mariadb: MariaDbServer
) -> None:
    phone = Phone(stack)
    assert phone.login().status == 200
    assert phone.rename("first").status == 200
    own_mariadb.process.freeze()

    begun = monotonic()
    try:
        answers = [
            asked(phone, "PATCH", "/me", {"nickname": "second"}),
            asked(phone, "GET", "/sessions", None),
            asked(phone, "POST", "/auth/logout", {"scope": "all"}),
        ]
    finally:
        took = monotonic() - begun
        own_mariadb.process.thaw()

    assert {(a.status, a.reason) for a in answers} == {(503, "unavailable")}
    assert all(a.json["retry_after_ms"] > 0 for a in answers)
    assert took < SOON_S
    assert phone.rename("third").data["nickname"] == "third"
    assert counted(stack) >= len(answers)


def asked(phone: Phone, method: str, path: str, body: object) -> Answer:
    head = {"X-Timeout-Ms": str(IMPATIENT_MS)}
    token = phone.data["access_token"]
    return phone.api(method, path, token=token, body=body, headers=head)


def counted(stack: Stack) -> float:
    """Return the silences that the internal listener tells of all processes."""
    text = call("GET", f"{stack.url('ops')}/metrics").body.decode()
    name = 'kuaida_database_cut_total{stage="silent"} '
    (value,) = (row for row in text.splitlines() if row.startswith(name))
    return float(value.removeprefix(name))
