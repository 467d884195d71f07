"""Logins without Redis: one exchange a code, for the life of a code."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest
import sqlalchemy as sa

from config.clock import DAY_MS, Deadline, now_ms, sleep
from models.base import Base, new_id
from models.database import open_database
from models.errors import DatabaseUnavailable, Limited, LoginCodeInvalid, Upstream
from models.idempotency import IdempotencyKey
from models.login_entry import LoginEntry
from models.login_journal import PURPOSE, WeChatNames, unseal_bytes, unseal_login
from models.outbox import Outbox
from models.sealing import sealer_for
from models.sessions import Session
from models.stores.admission import Caller
from models.stores.wechat_keys import WeChatSecrets
from models.tables import METADATA
from tests.servers.process import wait_until
from web.services.code_flight import Course
from web.services.login_fallback import REMEMBERED_CODES, TASK, Asked, LoginFallback
from web.services.login_record import decode_record
from wechat.errors import CODE_USED, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from tests.still_clock import StillClock

PHONE = Caller("10.0.0.1", device="phone", app="wx1")
# How long a slow machine may take for what happens at once.
PATIENCE_S = 60
TOLD = WeChatSecrets("openid-1", "session-key-1")


def entry() -> LoginEntry:
    at = now_ms()
    return LoginEntry(
        id=new_id("lg"),
        kind="login",
        user_id="u_1",
        app_id="wx1",
        session_id=new_id("se"),
        at=at,
        expires_at=at + DAY_MS,
    )


def exchanged(
    fallback: LoginFallback,
    exchange: Callable[[], tuple[LoginEntry, WeChatSecrets]],
    *,
    code: str = "code-1",
    patience_ms: int = 60_000,
) -> bytes:
    """Have one caller send a code, with that much time for WeChat."""
    asked = Asked(code, PHONE, Course())
    return fallback.record(asked, exchange, Deadline.after_ms(patience_ms))


class Exchange:
    """Counts; waits until told to go on."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls = 0
        self.go = threading.Event()
        self.go.set()
        self.error = error

    def __call__(self) -> tuple[LoginEntry, WeChatSecrets]:
        self.calls += 1
        self.go.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return entry(), TOLD


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    assert Base.metadata is METADATA
    opened = open_database(settings)
    METADATA.create_all(opened.engine)
    yield opened
    opened.dispose()


@pytest.fixture
def fallback(settings: Settings, database: Database) -> LoginFallback:
    return LoginFallback(settings, database, bytes)


@pytest.fixture
def rival(settings: Settings, database: Database) -> LoginFallback:
    """Give what another process has: only the database is shared."""
    return LoginFallback(settings, database, bytes)


def test_a_login_is_a_session_row_and_sealed_work(
    fallback: LoginFallback, database: Database, settings: Settings
) -> None:
    exchanged(fallback, Exchange())

    with database.read() as session:
        row = session.query(Session).one()
        work = session.query(Outbox).one()
    assert (work.name, work.state) == (TASK, "ready")
    assert work.payload is not None
    assert "openid-1" not in work.payload
    sealer = sealer_for(settings.secrets, PURPOSE)
    login = unseal_login(sealer, work.payload, work.subject_id)
    assert login.names == WeChatNames(TOLD.openid, TOLD.unionid)
    plain = unseal_bytes(sealer, work.payload, work.subject_id)
    assert TOLD.session_key.encode() not in plain
    assert login.entry.session_id == row.id


def test_callers_with_one_code_share_one_exchange(
    fallback: LoginFallback, database: Database
) -> None:
    exchange = Exchange()
    exchange.go.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(exchanged, fallback, exchange) for _ in range(8)]
        exchange.go.set()
        records = {future.result(PATIENCE_S) for future in asked}

    assert exchange.calls == len(records) == 1
    with database.read() as session:
        assert session.query(Session).count() == 1


def test_a_passing_failure_is_told_and_forgotten(fallback: LoginFallback) -> None:
    with pytest.raises(Upstream):
        exchanged(fallback, Exchange(Upstream()))

    again = Exchange()
    exchanged(fallback, again)

    assert again.calls == 1


def test_a_refused_code_stays_refused_for_all_processes(
    fallback: LoginFallback, rival: LoginFallback
) -> None:
    with pytest.raises(LoginCodeInvalid):
        exchanged(fallback, Exchange(LoginCodeInvalid()))

    again = Exchange()
    record, _ = decode_record(exchanged(rival, again))

    assert (record.kind, again.calls) == ("LoginCodeInvalid", 0)


def test_processes_with_one_code_share_one_exchange(
    fallback: LoginFallback, rival: LoginFallback, database: Database
) -> None:
    exchange, other = Exchange(), Exchange()
    exchange.go.clear()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(exchanged, fallback, exchange)
        wait_until(lambda: exchange.calls, within_s=PATIENCE_S, what="WeChat is asked")
        joined = pool.submit(exchanged, rival, other)
        sleep(0.1)
        exchange.go.set()

        assert joined.result(PATIENCE_S) == leader.result(PATIENCE_S)
    assert (exchange.calls, other.calls) == (1, 0)
    with database.read() as session:
        assert session.query(Session).count() == 1


def test_who_joined_tries_by_itself_when_the_leader_failed(
    fallback: LoginFallback, rival: LoginFallback
) -> None:
    exchange, other = Exchange(Upstream()), Exchange()
    exchange.go.clear()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(exchanged, fallback, exchange)
        wait_until(lambda: exchange.calls, within_s=PATIENCE_S, what="WeChat is asked")
        joined = pool.submit(exchanged, rival, other)
        sleep(0.1)
        exchange.go.set()

        assert isinstance(leader.exception(PATIENCE_S), Upstream)
        assert joined.result(PATIENCE_S)
    assert other.calls == 1


def let_sql_forget(database: Database) -> None:
    """Have the time of every lease and record be over, by the clock of SQL."""
    with database.unit_of_work() as work:
        work.session.execute(sa.update(IdempotencyKey).values(expires_at=1))


def test_a_flight_whose_leader_died_is_led_anew(
    fallback: LoginFallback, rival: LoginFallback, database: Database
) -> None:
    with pytest.raises(SystemExit):
        exchanged(fallback, Exchange(SystemExit()))

    exchange = Exchange()
    with pytest.raises(Upstream) as told:
        exchanged(rival, exchange, patience_ms=100)
    assert (told.value.reason, exchange.calls) == ("wechat_timeout", 0)

    let_sql_forget(database)
    assert exchanged(rival, exchange)
    assert exchange.calls == 1


def test_a_code_used_up_by_a_rival_gets_the_rivals_session(
    fallback: LoginFallback, rival: LoginFallback, database: Database
) -> None:
    mine, told = entry(), TOLD

    def used() -> NoReturn:
        # As when the rival led by Redis, which went away meanwhile.
        fallback.journal("code-1", mine, told)
        raise LoginCodeInvalid from refusal("/sns/jscode2session", CODE_USED, "used")

    record, _ = decode_record(exchanged(rival, used))

    assert record.session_id == mine.session_id


def test_a_code_that_is_over_is_asked_of_wechat_again(
    make_settings: Callable[..., Settings], database: Database, clock: StillClock
) -> None:
    settings = make_settings()
    fallback, exchange = LoginFallback(settings, database, bytes), Exchange()
    first = exchanged(fallback, exchange)
    assert exchanged(fallback, exchange) == first

    clock.move(settings.tokens.code_life_s)
    let_sql_forget(database)

    assert exchanged(fallback, exchange) != first
    assert exchange.calls == 2


def test_memory_of_codes_is_bounded(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(RATE_LIMITS="off"), database, bytes)
    for n in range(REMEMBERED_CODES + 20):
        fallback.remember(f"code-{n}", b"r")

    assert len(fallback._known) == REMEMBERED_CODES


def test_limits_hold_without_redis(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    rules = '{"login.device": "2/0.001"}'
    fallback = LoginFallback(make_settings(RATE_LIMITS=rules), database, bytes)
    fallback.admit(PHONE)
    assert fallback.admit(PHONE) == (2, 0, 2000)

    with pytest.raises(Limited) as refused:
        fallback.admit(PHONE)
    assert refused.value.reason == "rate_limited"


def test_refused_codes_lock_out_without_redis(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(LOGIN_FAILURES="3/300"), database, bytes)

    def refuse() -> NoReturn:
        raise LoginCodeInvalid

    for number in range(3):
        fallback.admit(PHONE)
        with pytest.raises(LoginCodeInvalid):
            exchanged(fallback, refuse, code=f"code-{number}")

    with pytest.raises(Limited) as refused:
        fallback.admit(PHONE)
    assert refused.value.reason == "locked_out"
    assert 299_000 < (refused.value.retry_after_ms or 0) <= 300_001
    fallback.admit(replace(PHONE, device="other"))


def test_a_code_that_we_used_up_locks_nobody_out(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(LOGIN_FAILURES="3/300"), database, bytes)

    def refuse() -> NoReturn:
        raise LoginCodeInvalid from refusal("/sns/jscode2session", CODE_USED, "used")

    for number in range(3):
        with pytest.raises(LoginCodeInvalid):
            exchanged(fallback, refuse, code=f"code-{number}")

    fallback.admit(PHONE)


def test_without_both_stores_the_code_is_not_spent(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    nowhere = make_settings(DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    fallback = LoginFallback(nowhere, open_database(nowhere), bytes)

    exchange = Exchange()

    with pytest.raises(DatabaseUnavailable) as refused:
        exchanged(fallback, exchange)

    assert refused.value.retry_after_ms
    assert exchange.calls == 0
