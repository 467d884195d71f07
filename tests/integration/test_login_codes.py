"""Codes sent again to another process, or after Redis went, came back or was wiped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from models.errors import KuaidaError
from models.sessions import revoke
from tests.conftest import NOWHERE
from tests.integration.login_house import House
from tests.servers.schema import migrate, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.mariadb_server import MariaDbServer

MakeHouse = Any


@pytest.fixture
def alone(make_login_house: MakeHouse, database_url: str) -> House:
    """Give a process whose Redis is away."""
    made: House = make_login_house(NOWHERE, database_url)
    return made


@pytest.fixture
def house(
    make_login_house: MakeHouse, redis_url: str, database_url: str, alone: House
) -> House:
    """Give a process with Redis; it has its WeChat and its SQL from ``alone``."""
    made: House = make_login_house(redis_url, database_url)
    return of_one_world(made, alone)


def of_one_world(house: House, other: House) -> House:
    house.wechat = other.wechat
    house.service._exchange._gateway = other.service._exchange._gateway
    return house


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(KuaidaError) as error:
        act()
    return error.value.reason


# Redis away


def test_processes_without_redis_share_one_exchange(
    alone: House, make_login_house: MakeHouse, database_url: str
) -> None:
    rival = of_one_world(make_login_house(NOWHERE, database_url), alone)
    code = alone.code()
    alone.fault(mode="delay", delay_ms=200)

    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda where: where.login(code), [alone, rival] * 4))
    later = [where.login(code) for where in [rival, alone]]

    assert len({answer.refresh_token for answer in at_once + later}) == 1
    assert alone.calls() == len(alone.journaled()) == 1


def test_sql_holds_neither_the_code_nor_who_it_was(
    alone: House, database_url: str
) -> None:
    code = alone.code("openid-of-somebody")
    answer = alone.login(code)

    kept = repr(rows(database_url, "SELECT * FROM idempotency_keys"))
    assert answer.user_id in kept
    assert code not in kept
    assert "openid-of-somebody" not in kept


def test_a_refused_code_is_refused_by_all_and_asked_of_wechat_once(
    alone: House, make_login_house: MakeHouse, database_url: str
) -> None:
    rival = of_one_world(make_login_house(NOWHERE, database_url), alone)

    for where in (alone, rival, alone):
        assert refused(partial(where.login, "no-such-code")) == "login_code_invalid"

    assert alone.calls() == 1


def test_who_has_little_time_is_told_that_the_stores_are_slow(
    make_login_house: MakeHouse, own_mariadb: MariaDbServer
) -> None:
    url = own_mariadb.create("silent")
    migrate(url)
    house = make_login_house(NOWHERE, url)
    code = house.code()
    house.login(house.code())
    own_mariadb.process.freeze()
    try:
        assert refused(lambda: house.login(code, timeout_ms=400)) == "unavailable"
        assert house.calls() == 1
    finally:
        own_mariadb.process.thaw()
    assert house.login(code).access_token


# Redis is back


def test_a_code_used_without_redis_gives_its_session_when_redis_is_back(
    alone: House, house: House
) -> None:
    code = alone.code()
    first = alone.login(code)

    again = [house.login(code) for _ in range(3)]

    assert {answer.refresh_token for answer in again} == {first.refresh_token}
    # WeChat is asked once more, and Redis knows the answer from then on.
    assert alone.calls() == 2


def test_a_code_whose_session_ended_opens_nothing_when_redis_is_back(
    alone: House, house: House
) -> None:
    code = alone.code()
    first = alone.login(code)
    with alone.database.unit_of_work() as work:
        revoke(work.session, [first.session_id], "logout")

    for _ in range(2):
        assert refused(partial(house.login, code)) == "login_code_invalid"


# Redis was wiped


def test_who_made_a_login_knows_it_after_a_wipe(house: House) -> None:
    code = house.code()
    first = house.login(code)
    house.stores.redis.execute("FLUSHALL")

    assert house.login(code).refresh_token == first.refresh_token
    assert house.calls() == 1


def test_a_code_that_a_wipe_made_us_forget_is_no_failed_login(
    house: House, make_login_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    rival = of_one_world(make_login_house(redis_url, database_url), house)
    codes = [house.code() for _ in range(6)]
    for code in codes:
        house.login(code)
    house.stores.redis.execute("FLUSHALL")

    told = [refused(partial(rival.login, code)) for code in codes]

    assert set(told) == {"login_code_invalid"}
    assert rival.login(house.code()).access_token
