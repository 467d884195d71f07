"""Lock-outs that fade, dry runs, slowed users, watched devices: on a real Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from config.clock import now_ms
from models.errors import Limited
from models.standings import UserStanding
from models.stores.admission import Caller
from models.stores.container import open_stores
from models.stores.keys import parts_of_bucket
from tests.integration.test_admission import MOBILE, admitted, fail, knock, wait_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.stores.container import Stores

Open = Any
SLOW = "0.001"
ANN = Caller("10.0.0.1", user="u_ann", device="phone")


@pytest.fixture
def open_house(
    redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., Stores]]:
    opened: list[Stores] = []

    def make(rules: dict[str, str], **variables: str) -> Stores:
        limits = {"REDIS_URL": redis_url, "RATE_LIMITS": json.dumps(rules)}
        opened.append(open_stores(make_settings(**limits, **variables)))
        return opened[-1]

    yield make
    for stores in opened:
        stores.close()


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def age_failures(stores: Stores, seconds: float) -> None:
    """Make the failures of the phone so much older."""
    key = stores.keys.failures(MOBILE.ip, MOBILE.device)
    count, _, at = stores.redis.execute("GET", key).decode().partition(":")
    stores.redis.execute("SET", key, f"{count}:{int(at) - int(seconds * 1000)}")


def locked(stores: Stores) -> bool:
    try:
        knock(stores, MOBILE, f"code-{now_ms()}")
    except Limited as refused:
        return refused.reason == "locked_out"
    return False


def test_the_fifth_failure_locks_and_the_fourth_does_not(open_house: Open) -> None:
    stores, before = open_house({}), figure("kuaida_lock_outs_total")
    for _ in range(4):
        fail(stores, MOBILE)
    assert not locked(stores)

    fail(stores, MOBILE)

    assert locked(stores)
    life = stores.redis.execute("PTTL", stores.keys.locked(MOBILE.ip, MOBILE.device))
    assert 240_000 < life <= 300_000
    assert figure("kuaida_lock_outs_total") == before + 1


def test_failures_fade_evenly_until_none_is_left(open_house: Open) -> None:
    stores = open_house({}, LOGIN_FAILURES="5/300")
    for _ in range(4):
        fail(stores, MOBILE)

    # One failure has faded a minute later: the fifth is the fourth.
    age_failures(stores, 61)
    fail(stores, MOBILE)
    assert not locked(stores)
    fail(stores, MOBILE)
    assert locked(stores)


def test_failures_long_ago_are_forgotten(open_house: Open) -> None:
    stores = open_house({})
    for _ in range(4):
        fail(stores, MOBILE)

    key = stores.keys.failures(MOBILE.ip, MOBILE.device)
    assert 180_000 < stores.redis.execute("PTTL", key) <= 240_000
    age_failures(stores, 241)
    for _ in range(4):
        fail(stores, MOBILE)

    assert not locked(stores)


def test_a_clock_set_back_forgives_nothing_and_adds_nothing(open_house: Open) -> None:
    stores = open_house({})
    for _ in range(4):
        fail(stores, MOBILE)
    age_failures(stores, -3600)

    fail(stores, MOBILE)

    assert locked(stores)


def test_failures_during_a_lock_do_not_prolong_it(open_house: Open) -> None:
    stores = open_house({}, LOGIN_FAILURES="2/300")
    for _ in range(2):
        fail(stores, MOBILE)
    key = stores.keys.locked(MOBILE.ip, MOBILE.device)
    # Most of its time is over.
    stores.redis.execute("PEXPIRE", key, 100_000)
    for _ in range(5):
        fail(stores, MOBILE)

    assert 0 < stores.redis.execute("PTTL", key) <= 100_000


def test_a_clock_set_back_gives_a_bucket_nothing_and_takes_nothing(
    open_house: Open,
) -> None:
    stores = open_house({"read.ip": f"3/{SLOW}"})
    key = stores.keys.bucket("read.ip", MOBILE.ip)
    stores.redis.execute("SET", key, f"2.000000:{now_ms() + 3_600_000}")

    assert admitted(stores, 5) == 2


def test_a_refusal_tells_the_quota(open_house: Open) -> None:
    stores = open_house({"login.device": "1/0.001"})
    assert knock(stores, MOBILE, "a") == "lead"

    with pytest.raises(Limited) as refused:
        knock(stores, MOBILE, "b")

    assert refused.value.quota == (1, 0, 1000)
    assert 900_000 < wait_of(refused) <= 1_000_000


def test_a_dry_run_refuses_nobody_and_counts_whom_it_would(open_house: Open) -> None:
    stores = open_house(
        {"read.ip": f"2/{SLOW}", "login.ip": f"1/{SLOW}"}, RATE_LIMITS_DRY_RUN="true"
    )
    name = "kuaida_rate_limit_would_refuse_total"
    rules = ("read.ip", "login.ip", "login.failures")
    before = {rule: figure(name, limit=rule) for rule in rules}

    assert admitted(stores, 10) == 10
    assert [knock(stores, MOBILE, code) for code in "abc"] == ["lead"] * 3
    for _ in range(5):
        fail(stores, MOBILE)
    assert knock(stores, MOBILE, "d") == "lead"

    counted = {rule: figure(name, limit=rule) - before[rule] for rule in rules}
    # Exactly those that would have been refused: of 10, of 3, and by the lock.
    assert counted == {"read.ip": 8, "login.ip": 2, "login.failures": 1}


def test_who_was_refused_is_counted_and_bounded(open_house: Open) -> None:
    stores = open_house({"read.ip": f"1/{SLOW}"})
    for times, ip in ((4, "10.0.0.1"), (2, "2001:db8::/64")):
        admitted(stores, times, Caller(ip))

    told = stores.redis.execute("ZRANGE", stores.keys.refused, 0, -1, "WITHSCORES")
    names = [parts_of_bucket(name.decode()) for name in told[::2]]
    assert names == [("read.ip", "2001:db8::/64"), ("read.ip", "10.0.0.1")]
    assert [float(count) for count in told[1::2]] == [1, 3]
    assert 0 < stores.redis.execute("PTTL", stores.keys.refused) <= 3_600_000

    many = [part for number in range(1100) for part in (9, f"x:bucket:r:{number}")]
    stores.redis.execute("ZADD", stores.keys.refused, *many)
    admitted(stores, 2, Caller("10.0.0.3"))
    assert stores.redis.execute("ZCARD", stores.keys.refused) == 1000


def slow_down(stores: Stores, until: int | None = None) -> None:
    stores.standings.put(
        "u_ann", UserStanding(action="slow", action_until=until, number=1)
    )
    stores.redis.execute(
        "HSET", stores.keys.session("se_1"), "user", "u_ann", "epoch", "0"
    )


def knocks_of_ann(stores: Stores, times: int) -> int:
    passed = 0
    for _ in range(times):
        try:
            stores.admission.admit_request("read", ANN, session_id="se_1")
        except Limited:
            continue
        passed += 1
    return passed


def test_a_slowed_user_has_a_share_of_the_own_bucket_only(open_house: Open) -> None:
    rules = {"read.user": f"20/{SLOW}", "read.ip": f"100/{SLOW}"}
    stores = open_house(rules, RISK_SLOW_SHARE="0.25")
    slow_down(stores)

    assert knocks_of_ann(stores, 30) == 5
    # Neighbours behind the same address are not slowed down with them.
    assert admitted(stores, 100, Caller("10.0.0.1", user="u_bob")) == 20


def test_slow_ends_by_itself(open_house: Open) -> None:
    stores = open_house({"read.user": f"20/{SLOW}"})
    slow_down(stores, until=now_ms() - 1)

    assert knocks_of_ann(stores, 30) == 20


def test_a_watched_device_has_a_share_of_its_login_bucket(open_house: Open) -> None:
    rules = {"login.device": f"10/{SLOW}", "login.ip": "1000/1000"}
    stores = open_house(rules, RISK_WATCHED_SHARE="0.3")
    stores.behaviour.watch({"phone": 60_000})

    def logins(caller: Caller) -> int:
        passed = 0
        for number in range(12):
            try:
                knock(stores, caller, f"{caller.device}-{number}")
            except Limited:
                continue
            passed += 1
        return passed

    assert logins(MOBILE) == 3
    assert logins(Caller(MOBILE.ip, device="other")) == 10
