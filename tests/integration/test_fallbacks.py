"""What still works when Redis, SQL or WeChat is gone: the design's table by row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import monotonic
from tests.servers.http import call
from tests.servers.phone import Phone
from tests.servers.process import wait_until
from tests.servers.schema import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.mariadb_server import MariaDbServer
    from tests.servers.stack import Stack

CODE2SESSION = "/sns/jscode2session"
STREAM = "kuaida:logins"
# A quiet machine answers in one; who has no limit on a store hangs until it is back.
HUNG_S = 60
# The default of DATABASE_POOL_WAIT_S; a request's own patience is longer.
POOL_WAIT_S = 2


@pytest.fixture
def phone(front: Stack, own_mariadb: MariaDbServer) -> Iterator[Phone]:
    """Give a phone in a world where everything works, and mend the world after it."""
    # No relay runs here to say it: nobody is banned in this world.
    front.redis.settle()
    yield Phone(front)
    front.wechat.heal()
    for server in (front.redis, own_mariadb):
        server.process.thaw()
        if not server.process.alive:
            server.start()
    wait_until(lambda: front_is_well(front), within_s=60, what="Redis is used again")
    well = Phone(front)
    well.login()
    wait_until(lambda: well.rename("x").status == 200, within_s=60, what="SQL is back")


def timed(answer: Any) -> tuple[Any, float]:
    """Return what ``answer()`` gives and the seconds it took."""
    started = monotonic()
    return answer(), monotonic() - started


# Redis is gone


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_login_without_redis_goes_to_the_sql_journal(
    front: Stack, phone: Phone, how: str
) -> None:
    break_redis(front, how)

    answer, seconds = timed(phone.login)

    assert answer.status == 200, answer.body
    assert seconds < HUNG_S
    query = "SELECT COUNT(*) AS n FROM outbox WHERE name LIKE :name AND state = 'ready'"
    found = rows(front.database_url, query, name="tasks.logins.%")
    assert found[0]["n"] >= 1
    assert phone.me().status == 200
    assert phone.me().data["id"] == phone.data["user"]["id"]


def test_writes_refresh_and_logout_work_without_redis(
    front: Stack, phone: Phone
) -> None:
    assert phone.login().status == 200
    break_redis(front, "stopped")

    assert phone.rename("无缓存").data["nickname"] == "无缓存"
    fresh = phone.refresh()
    assert fresh.status == 200, fresh.body
    token = fresh.data["access_token"]
    gone = phone.api("POST", "/auth/logout", token=token, body={"scope": "this"})
    assert gone.data["revoked"] == 1
    assert phone.api("GET", "/me", token=token).reason == "session_revoked"


def test_revocation_without_redis_holds_when_it_returns(
    front: Stack, phone: Phone
) -> None:
    assert phone.login().status == 200
    token = phone.data["access_token"]
    front.redis.process.freeze()
    gone = phone.api("POST", "/auth/logout", token=token, body={"scope": "this"})
    assert gone.status == 200, gone.body
    assert phone.api("GET", "/me", token=token).status == 401

    front.redis.process.thaw()
    wait_until(lambda: front_is_well(front), within_s=60, what="Redis is used again")
    front.start("relay", "worker")
    try:
        wait_until(
            lambda: phone.api("GET", "/me", token=token).status == 401,
            within_s=60,
            what="the session stays revoked",
        )
    finally:
        front.stop("relay", "worker")


def test_same_code_without_redis_is_one_login(front: Stack, phone: Phone) -> None:
    break_redis(front, "stopped")
    code, before = phone.code(), front.wechat.calls(CODE2SESSION)
    others = [Phone(front) for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda other: other.login(code), others))
    answers += [phone.login(code) for _ in range(4)]

    # The processes cannot see each other in Redis now; in SQL they can.
    assert [answer.status for answer in answers] == [200] * 14
    assert len({answer.data["refresh_token"] for answer in answers}) == 1
    assert front.wechat.calls(CODE2SESSION) - before == 1


def test_no_request_hangs_on_a_frozen_redis(front: Stack, phone: Phone) -> None:
    assert phone.login().status == 200
    front.redis.process.freeze()

    with ThreadPoolExecutor(30) as pool:
        timings = list(pool.map(lambda _: timed(phone.me), range(120)))

    # SQL carries all reads now. A machine too busy for that says wait, but only to
    # those who had waited: nobody is refused because Redis is away.
    refused = [(a.reason, seconds) for a, seconds in timings if a.status != 200]
    assert {reason for reason, _ in refused} <= {"unavailable"}
    assert [seconds for _, seconds in refused if seconds < POOL_WAIT_S] == []
    assert max(seconds for _, seconds in timings) < HUNG_S
    front.redis.process.thaw()
    wait_until(lambda: front_is_well(front), within_s=60, what="Redis back")


def test_limits_hold_in_each_process_without_redis(front: Stack, phone: Phone) -> None:
    break_redis(front, "stopped")

    answer = phone.login()

    assert answer.status == 200
    assert answer.headers["X-Request-Id"]


# SQL is gone


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_without_sql_login_works_and_writes_wait(
    phone: Phone, own_mariadb: MariaDbServer, how: str
) -> None:
    assert phone.login().status == 200
    assert phone.me().status == 200
    break_mariadb(own_mariadb, how)

    answer, seconds = timed(phone.login)
    assert answer.status == 200, answer.body
    assert seconds < HUNG_S
    assert phone.me().status == 200
    refused, waited = timed(lambda: phone.rename("nobody"))

    assert (refused.status, refused.reason) == (503, "unavailable")
    assert refused.json["action"] == "wait"
    assert refused.json["retry_after_ms"] > 0
    assert int(refused.headers["Retry-After"]) >= 1
    assert waited < HUNG_S
    assert phone.refresh().status == 200


def test_without_both_stores_everything_says_wait(
    front: Stack, phone: Phone, own_mariadb: MariaDbServer
) -> None:
    assert phone.login().status == 200
    own_mariadb.process.kill()
    break_redis(front, "stopped")

    for answer in (phone.login(), phone.me(), phone.rename("x"), phone.refresh()):
        assert (answer.status, answer.reason) == (503, "unavailable"), answer.body
        assert answer.json["retry_after_ms"] > 0
    health = call("GET", f"{front.url('web')}/healthz")
    assert health.status == 200


# WeChat is slow, down or lying


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ({"mode": "error", "errcode": 40029}, 400, "login_code_invalid"),
        ({"mode": "error", "errcode": 40163}, 400, "login_code_invalid"),
        ({"mode": "error", "errcode": 40226}, 403, "high_risk_user"),
        ({"mode": "error", "errcode": 45011}, 429, "rate_limited"),
        ({"mode": "error", "errcode": 40013}, 502, "wechat_failed"),
        ({"mode": "error", "errcode": 40125}, 502, "wechat_failed"),
        ({"mode": "error", "errcode": 40164}, 502, "wechat_failed"),
        ({"mode": "error", "errcode": -1}, 502, "wechat_failed"),
        ({"mode": "http500"}, 502, "wechat_failed"),
        ({"mode": "half_json"}, 502, "wechat_failed"),
        ({"mode": "reset"}, 502, "wechat_failed"),
        ({"mode": "accept_then_reset"}, 502, "wechat_failed"),
        ({"mode": "stall"}, 504, "wechat_timeout"),
        ({"mode": "accept_then_stall"}, 504, "wechat_timeout"),
        ({"mode": "delay", "delay_ms": 60_000}, 504, "wechat_timeout"),
    ],
    ids=lambda value: (
        "-".join(map(str, value.values())) if isinstance(value, dict) else ""
    ),
)
def test_wechat_fault_has_its_reason_inside_the_deadline(
    front: Stack, phone: Phone, fault: dict[str, Any], status: int, reason: str
) -> None:
    front.wechat.fault(CODE2SESSION, **fault)

    # Only who waits in vain waits to the end of its time.
    timeout_ms = 2800 if status == 504 else 30_000
    answer, seconds = timed(lambda: phone.login(timeout_ms=timeout_ms))

    assert (answer.status, answer.reason) == (status, reason), answer.body
    assert seconds < HUNG_S


def test_busy_wechat_is_asked_once_more_and_no_more(front: Stack, phone: Phone) -> None:
    before = front.wechat.calls(CODE2SESSION)
    front.wechat.fault(CODE2SESSION, "error", errcode=-1, times=1)

    assert phone.login().status == 200
    assert front.wechat.calls(CODE2SESSION) - before == 2

    front.wechat.fault(CODE2SESSION, "error", errcode=-1)
    assert phone.login().reason == "wechat_failed"
    assert front.wechat.calls(CODE2SESSION) - before == 4


def test_an_answer_that_may_have_used_the_code_is_not_repeated(
    front: Stack, phone: Phone
) -> None:
    before = front.wechat.calls(CODE2SESSION)
    front.wechat.fault(CODE2SESSION, "accept_then_stall")

    assert phone.login(timeout_ms=2800).reason == "wechat_timeout"

    assert front.wechat.calls(CODE2SESSION) - before == 1


def test_wechat_that_keeps_failing_is_left_alone_for_a_while(
    front: Stack, phone: Phone
) -> None:
    front.wechat.fault(CODE2SESSION, "http500")
    reasons = [phone.login().reason for _ in range(60)]

    assert reasons[0] == "wechat_failed"
    assert "wechat_unavailable" in reasons
    shut = next(a for a in iter(phone.login, None) if a.reason == "wechat_unavailable")
    assert shut.status == 503
    assert shut.json["retry_after_ms"] > 0


def test_slow_wechat_does_not_slow_others(front: Stack, phone: Phone) -> None:
    assert phone.login().status == 200
    front.wechat.fault(CODE2SESSION, "delay", delay_ms=1500)
    others = [Phone(front) for _ in range(40)]

    with ThreadPoolExecutor(40) as pool:
        logins = [pool.submit(other.login) for other in others]
        reads = [timed(phone.me) for _ in range(20)]
        statuses = {login.result().status for login in logins}

    assert statuses == {200}
    # One after the other behind logins they would take twice as long.
    assert sum(seconds for _, seconds in reads) < len(reads) * 1.5 / 2


def break_redis(stack: Stack, how: str) -> None:
    """Take Redis away: connections refused, or accepted and never answered."""
    if how == "frozen":
        stack.redis.process.freeze()
    else:
        stack.redis.stop()


def break_mariadb(server: MariaDbServer, how: str) -> None:
    """Take SQL away in the same two ways."""
    if how == "frozen":
        server.process.freeze()
    else:
        server.process.kill()


def front_is_well(front: Stack) -> bool:
    """Whether every web process uses Redis again: each login lands in the stream."""
    with front.redis.client() as link:
        before = link.xlen(STREAM)
        statuses = [Phone(front).login().status for _ in range(8)]
        return statuses == [200] * 8 and bool(link.xlen(STREAM) == before + 8)
