"""Logins whose caller has less time than WeChat takes, or whose answer is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.conftest import NOWHERE
from tests.integration.failures import failure
from tests.integration.login_house import HASTY, House
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["Redis", "SQL alone"])
def house(
    request: pytest.FixtureRequest,
    make_login_house: Callable[..., House],
    redis_url: str,
    sqlite_url: str,
) -> House:
    url = redis_url if request.param == "Redis" else NOWHERE
    return make_login_house(url, sqlite_url, **HASTY)


@pytest.fixture
def redis_house(
    make_login_house: Callable[..., House], redis_url: str, sqlite_url: str
) -> House:
    return make_login_house(redis_url, sqlite_url, **HASTY)


def test_an_exchange_ends_though_its_caller_had_no_time(house: House) -> None:
    code = house.code()
    with house.wechat.held():
        told = failure(lambda: house.login(code, until=house.until_asked()))
        assert told.reason == "wechat_timeout"

    assert house.login(code).access_token
    assert house.calls() == 1


def test_a_patient_caller_gets_what_an_impatient_one_began(redis_house: House) -> None:
    house, code = redis_house, redis_house.code()
    with ThreadPoolExecutor(2) as pool:
        with house.wechat.held():
            hasty = pool.submit(house.login, code, until=house.until_asked())
            flying = partial(house.stores.admission.find_record, house.key(code))
            wait_until(flying, within_s=60, what="the first call flies", every_s=0.01)
            patient = pool.submit(house.login, code)
            assert failure(hasty.result).reason == "wechat_timeout"
        assert patient.result().access_token
    assert house.calls() == 1


def test_a_code_whose_answer_was_lost_is_no_failure_of_the_phone(
    redis_house: House,
) -> None:
    house = redis_house
    for _ in range(6):
        code = house.code()
        house.fault(mode="accept_then_reset", times=1)
        lost = failure(partial(house.login, code))
        assert lost.reason == "wechat_failed"
        assert lost.retry_after_ms
        forgotten = partial(is_forgotten, house, code)
        wait_until(forgotten, within_s=60, what="the failure is forgotten")
        again = failure(partial(house.login, code))
        assert again.reason == "login_code_invalid"

    assert house.login(house.code()).access_token


def is_forgotten(house: House, code: str) -> bool:
    return house.stores.admission.find_record(house.key(code)) is None


def test_what_the_caller_left_behind_is_told_when_it_fails(redis_house: House) -> None:
    house, code = redis_house, redis_house.code()
    code_of_nobody = "nobody-has-this"

    with house.wechat.held():
        told = failure(lambda: house.login(code_of_nobody, until=house.until_asked()))
    assert told.reason == "wechat_timeout"
    assert failure(lambda: house.login(code_of_nobody)).reason == "login_code_invalid"
    assert house.login(code).access_token
