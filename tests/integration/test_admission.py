"""Admission on a real Redis: exact across processes, one flight per code, lock-out."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from config.clock import sleep
from models.errors import Limited
from models.stores.admission import Caller, FailedExchange
from models.stores.container import open_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.stores.container import Stores

MakeStores = Any
SLOW = "0.001"
MOBILE = Caller(ip="10.0.0.1", device="phone")
# What another process of the same deployment does: knock 60 times from 6 threads.
KNOCKER = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from config.settings import load_settings
from models.errors import Limited
from models.stores.admission import Caller, FailedExchange
from models.stores.container import open_stores

stores = open_stores(load_settings(dict(os.environ), env_file=None))

def knock(_):
    try:
        stores.admission.admit_request("read", Caller(ip="10.0.0.1"))
    except Limited:
        return 0
    return 1

with ThreadPoolExecutor(6) as pool:
    print(json.dumps(sum(pool.map(knock, range(60)))))
"""


def admitted(stores: Stores, times: int, caller: Caller = MOBILE) -> int:
    """Knock ``times`` times and return how often the door opened."""
    passed = 0
    for _ in range(times):
        try:
            stores.admission.admit_request("read", caller)
        except Limited:
            continue
        passed += 1
    return passed


def test_a_bucket_lets_exactly_its_burst_pass_from_two_processes(
    redis_url: str, environment: dict[str, str]
) -> None:
    rules = {"read.ip": f"50/{SLOW}"}
    variables = {**environment, "REDIS_URL": redis_url, "PYTHONPATH": "."}
    variables["RATE_LIMITS"] = json.dumps(rules)
    command = [sys.executable, "-c", KNOCKER]

    rivals = [
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    passed = [json.loads(rival.communicate(timeout=100)[0]) for rival in rivals]

    assert sum(passed) == 50


def knock_until_refused(stores: Stores) -> NoReturn:
    """Empty the bucket, which refills while the machine stands still."""
    while True:
        stores.admission.admit_request("read", MOBILE)


def test_refusal_says_how_long_to_wait_and_the_wait_is_true(
    open_with: MakeStores,
) -> None:
    stores = open_with({"read.ip": "2/5"})

    with pytest.raises(Limited) as refused:
        knock_until_refused(stores)

    assert 0 < wait_of(refused) <= 201
    sleep(wait_of(refused) / 1000)
    assert admitted(stores, 1) == 1


def test_a_refusal_takes_nothing_from_the_other_buckets(open_with: MakeStores) -> None:
    stores = open_with({"read.ip": f"10/{SLOW}", "read.device": f"3/{SLOW}"})

    assert admitted(stores, 8) == 3

    other = Caller(ip=MOBILE.ip, device="another phone")
    # Four of ten are gone from the address: the three that passed, and this one.
    quota = stores.admission.admit_request("read", other).quota
    assert quota is not None
    assert quota.remaining == 6
    third = Caller(ip=MOBILE.ip, device="third phone")
    assert admitted(stores, 20, third) == 3


def test_buckets_of_classes_and_subjects_are_apart(open_with: MakeStores) -> None:
    stores = open_with({"read.ip": f"1/{SLOW}", "write.ip": f"1/{SLOW}"})

    assert admitted(stores, 3) == 1
    assert admitted(stores, 3, Caller(ip="10.0.0.2")) == 1
    stores.admission.admit_request("write", MOBILE)


def test_limits_off_means_off(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    stores = open_stores(make_settings(REDIS_URL=redis_url, RATE_LIMITS="off"))

    assert admitted(stores, 300) == 300
    for _ in range(10):
        fail(stores, MOBILE)
    assert knock(stores, MOBILE, "code-off") == "lead"
    stores.close()


def test_one_code_has_one_leader(open_with: MakeStores) -> None:
    stores = open_with({"login.ip": "1000/1000", "login.device": "1000/1000"})

    with ThreadPoolExecutor(40) as pool:
        mark = lambda n: knock(stores, MOBILE, "one", mark=f"f{n}")  # noqa: E731
        verdicts = list(pool.map(mark, range(40)))

    assert sorted(set(verdicts)) == ["join", "lead"]
    assert verdicts.count("lead") == 1


def test_a_flight_whose_leader_died_is_led_again(open_with: MakeStores) -> None:
    stores = open_with({})
    assert knock(stores, MOBILE, "lost", flight_ms=50) == "lead"

    sleep(0.08)

    assert knock(stores, MOBILE, "lost", mark="f2") == "lead"


def test_five_failures_lock_this_phone_and_no_other(open_with: MakeStores) -> None:
    stores = open_with({}, failures="5/300")
    for _ in range(5):
        assert knock(stores, MOBILE, "bad") in {"lead", "join", "known"}
        fail(stores, MOBILE)

    with pytest.raises(Limited) as refused:
        knock(stores, MOBILE, "good")

    assert refused.value.reason == "locked_out"
    assert 0 < wait_of(refused) <= 300_000
    assert knock(stores, Caller(MOBILE.ip, device="other"), "good") == "lead"
    assert knock(stores, Caller("10.9.9.9", device="phone"), "better") == "lead"


def test_the_lock_opens_by_itself(open_with: MakeStores) -> None:
    stores = open_with({}, failures="2/300")
    for _ in range(2):
        fail(stores, MOBILE)
    with pytest.raises(Limited) as refused:
        knock(stores, MOBILE, "late")

    key = stores.keys.locked(MOBILE.ip, MOBILE.device)
    assert 0 <= wait_of(refused) - stores.redis.execute("PTTL", key) < 60_000
    # Its life is all that keeps it shut.
    stores.redis.execute("PEXPIRE", key, 1)
    sleep(0.02)
    assert knock(stores, MOBILE, "late") == "lead"


def test_joined_callers_see_the_failure_of_the_leader(open_with: MakeStores) -> None:
    stores = open_with({})
    assert knock(stores, MOBILE, "shared", mark="f1") == "lead"
    assert knock(stores, MOBILE, "shared", mark="f2") == "join"

    fail(stores, MOBILE, "shared", mark="f1")

    key = stores.keys.code("app", "shared")
    assert stores.admission.find_record(key) == b"rfailed"
    assert knock(stores, MOBILE, "shared", mark="f3") == "known"


def test_every_answer_comes_in_one_round_trip(open_with: MakeStores) -> None:
    stores = open_with({"read.ip": "100000/1000", "read.device": "100000/1000"})
    admitted(stores, 1)
    before = commands(stores)

    admitted(stores, 20)

    # One EVALSHA each; what the script asks inside Redis is not counted as a call.
    assert commands(stores) - before == 20


def commands(stores: Stores) -> int:
    """Return how many scripts clients have sent so far."""
    lines = stores.redis.execute("INFO", "commandstats").decode().split()
    found = [line for line in lines if line.startswith("cmdstat_evalsha")]
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in found)


def test_a_full_bucket_is_forgotten(open_with: MakeStores) -> None:
    stores = open_with({"read.ip": "2/0.1"})
    told = stores.admission.admit_request("read", Caller("10.0.0.9"))

    life = stores.redis.execute("PTTL", stores.keys.bucket("read.ip", "10.0.0.9"))

    assert told.quota == (2, 1, 10)
    assert 0 < life <= 10_000 + 1000


def test_without_a_rule_nothing_is_counted(open_with: MakeStores) -> None:
    stores = open_with({})
    told = stores.admission.admit_request("push", Caller("", device="x"))

    assert (told.quota, told.session) == (None, "")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ([], "unknown"),
        (["user", "u_1", "app", "wx1"], "live"),
        (["user", "u_1", "app", "wx1", "revoked", "logout"], "revoked"),
        (["user", "u_2", "app", "wx1"], "revoked"),
        (["user", "u_1", "app", "wx2"], "revoked"),
    ],
)
def test_the_session_is_looked_at_in_the_same_round_trip(
    open_with: MakeStores, fields: list[str], state: str
) -> None:
    stores = open_with({})
    if fields:
        stores.redis.execute("HSET", stores.keys.session("se_1"), *fields)

    asked = Caller("10.0.0.9", user="u_1", app="wx1")
    told = stores.admission.admit_request("read", asked, session_id="se_1")

    assert told.session == state


def test_a_login_over_its_limit_leads_no_flight(open_with: MakeStores) -> None:
    stores = open_with({"login.device": f"1/{SLOW}"})
    knock(stores, MOBILE, "a")

    with pytest.raises(Limited) as refused:
        knock(stores, MOBILE, "b")

    assert refused.value.reason == "rate_limited"
    assert stores.admission.find_record(stores.keys.code("app", "b")) is None


def test_a_failure_that_does_not_count_locks_nobody(open_with: MakeStores) -> None:
    stores = open_with({}, failures="1/300")
    key = stores.keys.code("app", "c")
    knock(stores, MOBILE, "c", mark="f1")
    failure = FailedExchange(mark="f1", record=b"rbusy", life_ms=60_000, counts=False)
    stores.admission.record_failure(MOBILE, key, failure)

    assert stores.admission.find_record(key) == b"rbusy"
    assert knock(stores, MOBILE, "d") == "lead"


def test_a_failure_without_life_frees_the_code_at_once(open_with: MakeStores) -> None:
    stores = open_with({})
    key = stores.keys.code("app", "c")
    knock(stores, MOBILE, "c", mark="f1")
    failure = FailedExchange(mark="f1", record=b"rtimeout", life_ms=0, counts=False)
    stores.admission.record_failure(MOBILE, key, failure)

    assert stores.admission.find_record(key) is None
    assert knock(stores, MOBILE, "c", mark="f2") == "lead"


def test_a_late_leader_does_not_overwrite_the_next_flight(
    open_with: MakeStores,
) -> None:
    stores = open_with({})
    assert knock(stores, MOBILE, "c", mark="f1", flight_ms=20) == "lead"
    sleep(0.04)
    assert knock(stores, MOBILE, "c", mark="f2") == "lead"

    fail(stores, MOBILE, "c", mark="f1")

    assert stores.admission.find_record(stores.keys.code("app", "c")) == b"f2"
    assert stores.admission.find_record(stores.keys.code("app", "none")) is None


def knock(
    stores: Stores,
    caller: Caller,
    code: str,
    *,
    mark: str = "f0",
    flight_ms: int = 60_000,
) -> str:
    """Ask for admission with a code and return the verdict."""
    key = stores.keys.code("app", code)
    flight = stores.admission.admit_login(caller, key, mark=mark, flight_ms=flight_ms)
    return flight.verdict


def fail(stores: Stores, caller: Caller, code: str = "x", mark: str = "f0") -> None:
    """Record a refused login."""
    failure = FailedExchange(mark=mark, record=b"rfailed", life_ms=60_000, counts=True)
    stores.admission.record_failure(caller, stores.keys.code("app", code), failure)


def wait_of(refused: pytest.ExceptionInfo[Limited]) -> int:
    """Return the wait a refusal told, in milliseconds."""
    assert refused.value.retry_after_ms is not None
    return refused.value.retry_after_ms
