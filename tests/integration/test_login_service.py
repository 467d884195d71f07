"""The login service on a real Redis and both databases; WeChat is the simulator.

The simulator runs in this process, as a transport under the real client.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import Deadline, monotonic
from models.errors import (
    InvalidInput,
    Limited,
    Unavailable,
)
from models.sessions import Session
from models.stores.wechat_keys import WeChatSecrets
from tests.conftest import NOWHERE
from tests.integration.failures import failure
from tests.integration.login_house import HASTY, HASTY_MS, RIVAL, WIDE, House
from tests.servers.process import wait_until
from web.services.caller import Caller
from web.services.login_attempt import LoginRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.redis_server import RedisServer

MakeHouse = Any
# How far behind its deadline an answer may come before we call it hung.
LATE_S = 60


@pytest.fixture
def house(make_login_house: MakeHouse, redis_url: str, sqlite_url: str) -> House:
    made: House = make_login_house(redis_url, sqlite_url, **HASTY)
    return made


@pytest.fixture
def cut_off(make_login_house: MakeHouse, database_url: str) -> House:
    """Give a house whose Redis is away, on each database."""
    made: House = make_login_house(NOWHERE, database_url)
    return made


# The happy path


def test_a_login_needs_no_sql_and_leaves_everything_in_redis(
    make_login_house: MakeHouse, redis_url: str, tmp_path: Path
) -> None:
    house = make_login_house(redis_url, f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    answer = house.login(house.code("o-1"))

    user_id = answer.user_id
    assert house.stores.sessions.list_ids(user_id) == [answer.session_id]
    (told,) = house.stores.wechat_keys.find([(answer.app_id, user_id)])
    assert isinstance(told, WeChatSecrets)
    assert told.openid == "o-1"
    assert house.stores.redis.execute("XLEN", house.stores.keys.logins) == 1
    assert answer.is_new is None
    assert answer.enrichment.state == "pending"


def test_the_same_person_has_one_id_and_a_session_for_each_login(house: House) -> None:
    one, two = house.login(house.code("o-1")), house.login(house.code("o-1"))

    assert one.user_id == two.user_id
    assert one.session_id != two.session_id
    assert house.login(house.code()).user_id != one.user_id


def test_a_known_person_gets_the_cached_profile(house: House) -> None:
    first = house.login(house.code("o-1"))
    profile = b'{"id":"x","nickname":"\\u5feb"}'
    house.stores.users.warm({first.user_id: profile})

    again = house.login(house.code("o-1"))

    assert bytes(again.user) == profile  # type: ignore[arg-type]
    assert again.is_new is False


def test_a_code_sent_again_is_answered_from_its_record(house: House) -> None:
    code = house.code()
    first = house.login(code)

    assert house.login(code, device="another") == first
    assert house.calls() == 1
    assert house.stores.redis.execute("XLEN", house.stores.keys.logins) == 1


def test_an_unknown_app_is_refused_before_anything_is_asked(house: House) -> None:
    caller = Caller("10.0.0.1", "", "r-1", Deadline.after_ms(1000))

    with pytest.raises(InvalidInput) as refused:
        house.service.login(LoginRequest("c", app_id="wxnone"), caller)

    assert refused.value.faults[0].field == "app_id"
    assert house.calls() == 0


def test_the_code_itself_is_no_key_in_redis(house: House) -> None:
    code = house.code()
    house.login(code)

    names = house.stores.redis.execute("KEYS", "*")

    assert not [name for name in names if code.encode() in name]


# The same code at once


def test_fifty_callers_with_one_code_get_one_login(house: House) -> None:
    code = house.code()
    house.fault(mode="delay", delay_ms=150)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: house.login(code), range(50)))

    assert len({(a.access_token, a.refresh_token) for a in answers}) == 1
    assert house.calls() == 1
    assert house.stores.redis.execute("XLEN", house.stores.keys.logins) == 1


def test_fifty_callers_in_two_processes_get_one_login(
    redis_url: str, sqlite_url: str, make_settings: Any, environment: dict[str, str]
) -> None:
    make_settings()
    variables = {**environment, **WIDE, "PYTHONPATH": "."}
    variables |= {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url}
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    told = [json.loads(rival.communicate(timeout=250)[0]) for rival in rivals]

    (first, first_calls), (second, second_calls) = told
    assert (len(first), first) == (1, second)
    assert first_calls + second_calls == 1


def test_those_who_joined_meet_the_leaders_failure(house: House) -> None:
    house.fault(mode="error", errcode=40029, delay_ms=150)
    code = house.code()

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(house.login, code) for _ in range(20)]
    reasons = {failure(f.result).reason for f in asked}
    assert reasons == {"login_code_invalid"}
    assert house.calls() == 1


def test_who_joins_a_leader_that_never_ends_is_told_in_time(house: House) -> None:
    code, started = house.code(), monotonic()
    house.stores.redis.execute("SET", house.key(code), "f:another", "PX", 300_000)

    told = failure(lambda: house.login(code, timeout_ms=HASTY_MS))

    assert told.reason == "wechat_timeout"
    assert monotonic() - started < LATE_S


def test_an_impatient_leader_does_not_fail_those_who_joined(house: House) -> None:
    code = house.code()
    house.fault(mode="stall", times=1)
    with ThreadPoolExecutor(2) as pool:
        hasty = pool.submit(house.login, code, until=house.until_asked())
        flying = partial(house.stores.admission.find_record, house.key(code))
        wait_until(flying, within_s=60, what="the first call flies", every_s=0.01)
        patient = pool.submit(house.login, code)

        assert failure(hasty.result).reason == "wechat_timeout"
        assert patient.result().access_token


# Failures of WeChat


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"mode": "error", "errcode": 40029}, "login_code_invalid"),
        ({"mode": "error", "errcode": 40163}, "login_code_invalid"),
        ({"mode": "error", "errcode": 40226}, "high_risk_user"),
        ({"mode": "error", "errcode": 45011}, "rate_limited"),
        ({"mode": "error", "errcode": -1}, "wechat_failed"),
        ({"mode": "error", "errcode": 40125}, "wechat_failed"),
        ({"mode": "http500"}, "wechat_failed"),
        ({"mode": "half_json"}, "wechat_failed"),
        ({"mode": "reset"}, "wechat_failed"),
        ({"mode": "stall"}, "wechat_timeout"),
        ({"mode": "accept_then_stall"}, "wechat_timeout"),
        ({"mode": "delay", "delay_ms": 60_000}, "wechat_timeout"),
    ],
    ids=str,
)
def test_wechats_fault_has_its_reason_inside_the_deadline(
    house: House, how: dict[str, Any], reason: str
) -> None:
    house.fault(**how)
    started = monotonic()

    # Who waits in vain waits to the end of its time; it comes when WeChat is asked.
    until = house.until_asked() if reason == "wechat_timeout" else None

    told = failure(lambda: house.login(house.code(), timeout_ms=HASTY_MS, until=until))

    assert told.reason == reason
    assert monotonic() - started < LATE_S


def test_a_passing_fault_is_forgotten_soon(house: House) -> None:
    house.fault(mode="http500")
    lives: list[int] = []
    # So soon that a slow machine may not see it.
    while not lives:
        assert failure(lambda: house.login(house.code())).reason == "wechat_failed"
        keys = house.stores.redis.execute("KEYS", "*code:*")
        told = [house.stores.redis.execute("PTTL", key) for key in keys]
        lives = [life for life in told if life > 0]

    assert max(lives) <= 500


def test_a_refused_code_stays_refused_without_asking_again(house: House) -> None:
    assert failure(lambda: house.login("nonsense")).reason == "login_code_invalid"
    calls = house.calls()

    assert failure(lambda: house.login("nonsense")).reason == "login_code_invalid"
    assert house.calls() == calls


def test_a_deadline_that_passed_before_the_login_is_no_error_of_ours(
    house: House,
) -> None:
    told = failure(lambda: house.login(house.code(), timeout_ms=-5000))

    assert told.reason == "wechat_timeout"


# Lock-out


def test_five_refused_codes_lock_the_phone_out(house: House) -> None:
    for code in ("bad-1", "bad-2", "bad-3", "bad-4", "bad-5"):
        told = failure(partial(house.login, code))
        assert told.reason == "login_code_invalid"
    calls = house.calls()

    locked = failure(lambda: house.login(house.code()))

    assert isinstance(locked, Limited)
    assert locked.reason == "locked_out"
    assert 0 < (locked.retry_after_ms or 0) <= 300_000
    assert house.calls() == calls
    assert house.login(house.code(), device="another phone").session_id


def test_faults_of_wechat_lock_nobody_out(house: House) -> None:
    house.fault(mode="http500")
    for _ in range(6):
        failure(lambda: house.login(house.code()))
    house.heal()

    assert house.login(house.code()).session_id


# Redis away


def test_without_redis_a_login_goes_to_the_sql_journal(cut_off: House) -> None:
    answer = cut_off.login(cut_off.code("o-1"))

    (work,) = cut_off.journaled()
    assert work.state == "ready"
    with cut_off.database.read() as session:
        row = session.get_one(Session, answer.session_id)
        assert (row.user_id, row.generation) == (answer.user_id, 1)


def test_without_redis_fifty_callers_of_a_process_get_one_login(
    cut_off: House,
) -> None:
    code = cut_off.code()
    cut_off.fault(mode="delay", delay_ms=100)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: cut_off.login(code), range(50)))

    assert len({a.refresh_token for a in answers}) == 1
    assert cut_off.calls() == len(cut_off.journaled()) == 1


def test_without_redis_wechats_refusal_is_told_to_all(cut_off: House) -> None:
    assert failure(lambda: cut_off.login("bad")).reason == "login_code_invalid"
    assert cut_off.journaled() == []


def test_redis_may_go_while_wechat_is_asked(
    make_login_house: MakeHouse, private_redis: RedisServer, sqlite_url: str
) -> None:
    house = make_login_house(private_redis.url, sqlite_url)
    code = house.code()

    with ThreadPoolExecutor(1) as pool:
        with house.wechat.held():
            asked = pool.submit(house.login, code)
            wait_until(house.calls, within_s=60, what="WeChat is asked")
            private_redis.stop()
        answer = asked.result(100)

    assert [work.subject_id[:3] for work in house.journaled()] == ["lg_"]
    with house.database.read() as session:
        assert session.get(Session, answer.session_id) is not None


def test_a_frozen_redis_delays_a_login_and_does_not_stop_it(
    make_login_house: MakeHouse, private_redis: RedisServer, sqlite_url: str
) -> None:
    hasty = {"REDIS_TIMEOUT_S": "1", "REDIS_CONNECT_TIMEOUT_S": "1"}
    house = make_login_house(private_redis.url, sqlite_url, **hasty)
    private_redis.process.freeze()
    started = monotonic()

    assert house.login(house.code()).session_id
    assert monotonic() - started < LATE_S


def test_redis_may_refuse_to_keep_a_failure(
    make_login_house: MakeHouse, private_redis: RedisServer, sqlite_url: str
) -> None:
    house = make_login_house(private_redis.url, sqlite_url)
    house.fault(mode="error", errcode=40029)

    with ThreadPoolExecutor(1) as pool:
        with house.wechat.held():
            asked = pool.submit(house.login, house.code())
            wait_until(house.calls, within_s=60, what="WeChat is asked")
            private_redis.stop()

        assert failure(lambda: asked.result(100)).reason == "login_code_invalid"


def test_without_both_stores_the_caller_is_told_to_wait(
    make_login_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_login_house(NOWHERE, f"sqlite:///{tmp_path / 'no' / 'such.db'}")

    told = failure(lambda: house.login(house.code()))

    assert isinstance(told, Unavailable)
    assert told.retry_after_ms
    assert house.calls() == 0
