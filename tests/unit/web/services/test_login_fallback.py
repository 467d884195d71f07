"""Logins of one process without Redis: one exchange a code, for the life of a code."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from config.clock import now_ms, sleep
from models.base import Base, new_id
from models.database import open_database
from models.errors import DatabaseUnavailable, Limited, LoginCodeInvalid
from models.login_entry import LoginEntry
from models.login_journal import PURPOSE, WeChatNames, unseal_bytes, unseal_login
from models.outbox import Outbox
from models.sealing import sealer_for
from models.sessions import Session
from models.stores.admission import Caller
from models.stores.wechat_keys import WeChatSecrets
from models.tables import METADATA
from web.services.login_fallback import REMEMBERED_CODES, TASK, LoginFallback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import Database

PHONE = Caller("10.0.0.1", device="phone", app="wx1")
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
        expires_at=at + 1000,
    )


class Exchange:
    """Counts; waits until told to go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.go = threading.Event()
        self.go.set()
        self.error = error

    def __call__(self) -> tuple[LoginEntry, WeChatSecrets]:
        self.calls += 1
        self.go.wait(5)
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
    return LoginFallback(settings, database)


def test_a_login_is_a_session_row_and_sealed_work(
    fallback: LoginFallback, database: Database, settings: Settings
) -> None:
    fallback.record("code-1", PHONE, Exchange())

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
        asked = [
            pool.submit(fallback.record, "code-1", PHONE, exchange) for _ in range(8)
        ]
        exchange.go.set()
        records = {future.result(5) for future in asked}

    assert exchange.calls == len(records) == 1
    with database.read() as session:
        assert session.query(Session).count() == 1


def test_a_failed_exchange_is_told_and_forgotten(fallback: LoginFallback) -> None:
    with pytest.raises(LoginCodeInvalid):
        fallback.record("code-1", PHONE, Exchange(LoginCodeInvalid()))

    again = Exchange()
    fallback.record("code-1", PHONE, again)

    assert again.calls == 1


def test_a_code_that_is_over_is_asked_of_wechat_again(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(CODE_LIFE_S="1"), database)
    exchange = Exchange()
    first = fallback.record("code-1", PHONE, exchange)
    assert fallback.record("code-1", PHONE, exchange) == first

    sleep(1.05)

    assert fallback.record("code-1", PHONE, exchange) != first
    assert exchange.calls == 2


def test_memory_of_codes_is_bounded(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(RATE_LIMITS="off"), database)
    for n in range(REMEMBERED_CODES + 20):
        fallback.remember(f"code-{n}", b"r")

    assert len(fallback._known) == REMEMBERED_CODES


def test_limits_hold_without_redis(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    rules = '{"login.device": "2/0.001"}'
    fallback = LoginFallback(make_settings(RATE_LIMITS=rules), database)
    fallback.admit(PHONE)
    assert fallback.admit(PHONE) == (2, 0, 2000)

    with pytest.raises(Limited) as refused:
        fallback.admit(PHONE)
    assert refused.value.reason == "rate_limited"


def test_refused_codes_lock_out_without_redis(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    fallback = LoginFallback(make_settings(LOGIN_FAILURES="3/300"), database)

    def refuse() -> NoReturn:
        raise LoginCodeInvalid

    for number in range(3):
        fallback.admit(PHONE)
        with pytest.raises(LoginCodeInvalid):
            fallback.record(f"code-{number}", PHONE, refuse)

    with pytest.raises(Limited) as refused:
        fallback.admit(PHONE)
    assert refused.value.reason == "locked_out"
    assert 299_000 < (refused.value.retry_after_ms or 0) <= 300_001
    fallback.admit(replace(PHONE, device="other"))


def test_without_both_stores_the_caller_is_told_to_wait(
    make_settings: Callable[..., Settings], tmp_path
) -> None:
    nowhere = make_settings(DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    fallback = LoginFallback(nowhere, open_database(nowhere))

    with pytest.raises(DatabaseUnavailable) as refused:
        fallback.record("code-1", PHONE, Exchange())

    assert refused.value.retry_after_ms
