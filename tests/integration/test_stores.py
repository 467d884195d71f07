"""The stores on a real Redis: sessions, access tokens, locks, the journal, the wiring."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from config.clock import now_ms, sleep
from models.base import new_id
from models.errors import RedisUnavailable
from models.login_entry import LoginEntry
from models.stores.container import open_stores
from models.stores.sessions import NewSession, WeChatSecrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.stores.container import Stores
    from tests.servers.redis_server import RedisServer

APP, USER = "wx1", "u_1"
TOLD = WeChatSecrets("openid-1", "session-key-1", "unionid-1")
LIFE_MS, GRACE_MS = 60_000, 20_000
AWAY = [
    "list_ids",
    "acquire",
    "load_token",
    "claim",
    "read",
    "wait",
    "lengths",
    "ping",
]


def entry(session_id: str = "se_1", **changes: Any) -> LoginEntry:
    at = now_ms()
    values = {
        "id": f"lg_{session_id}",
        "kind": "login",
        "user_id": USER,
        "app_id": APP,
        "session_id": session_id,
        "at": at,
        "expires_at": at + LIFE_MS,
        **changes,
    }
    return LoginEntry(**values)


def new(session_id: str = "se_1", code: str = "c1", **changes: Any) -> NewSession:
    values = {
        "entry": entry(session_id),
        "secrets": TOLD,
        "code_key": f"kuaida:code:{code}",
        "record": f"r{session_id}".encode(),
        "record_ms": 5000,
        "life_ms": LIFE_MS,
        "secrets_ms": 5000,
        **changes,
    }
    return NewSession(**values)


def journal(stores: Stores) -> list[LoginEntry]:
    """Return what the journal holds, oldest first."""
    found = stores.redis.execute("XRANGE", stores.keys.logins, "-", "+")
    return [msgspec.json.decode(fields[1], type=LoginEntry) for _, fields in found]


def rotate(stores: Stores, presented: int, session_id: str = "se_1") -> tuple[str, int]:
    told = stores.sessions.rotate(
        entry(session_id, kind="refresh", generation=presented),
        presented,
        grace_ms=GRACE_MS,
        life_ms=LIFE_MS,
    )
    return told.outcome, told.generation


# Sessions


def test_opening_writes_everything_in_one_go(stores: Stores) -> None:
    assert stores.sessions.open(new()) == b"rse_1"

    assert stores.redis.execute("GET", "kuaida:code:c1") == b"rse_1"
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert stores.sessions.find_secrets([(APP, USER)]) == [TOLD]
    assert [e.session_id for e in journal(stores)] == ["se_1"]
    for name in (
        stores.keys.session("se_1"),
        stores.keys.sessions(USER),
        stores.keys.wechat_key(USER),
        "kuaida:code:c1",
    ):
        assert stores.redis.execute("PTTL", name) > 0


def test_the_slower_of_two_with_one_code_opens_nothing(stores: Stores) -> None:
    stores.sessions.open(new("se_1"))

    assert stores.sessions.open(new("se_2")) == b"rse_1"
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert len(journal(stores)) == 1


def test_a_flight_mark_makes_room_for_the_record(stores: Stores) -> None:
    stores.redis.execute("SET", "kuaida:code:c1", "f:mark", "PX", 1000)

    assert stores.sessions.open(new()) == b"rse_1"


@pytest.mark.parametrize(
    ("cached", "told"),
    [(b'{"id":"u_1"}', b'rse_1\n{"id":"u_1"}'), (b"-", b"rse_1"), (None, b"rse_1")],
)
def test_a_known_profile_comes_with_the_record(
    stores: Stores, cached: bytes | None, told: bytes
) -> None:
    if cached is not None:
        stores.redis.execute("SET", stores.keys.user(USER), cached)

    assert stores.sessions.open(new()) == told
    assert stores.sessions.open(new("se_2")) == told


def test_sessions_that_began_a_life_ago_leave_the_list(stores: Stores) -> None:
    old = entry("se_old", at=now_ms() - LIFE_MS - 10)
    stores.sessions.open(new("se_old", "c0", entry=old))
    stores.sessions.open(new("se_2", "c2"))

    names = stores.redis.execute("ZRANGE", stores.keys.sessions(USER), 0, -1)

    assert names == [b"se_2"]


def test_secrets_of_one_user_do_not_open_for_another(stores: Stores) -> None:
    stores.sessions.open(new())
    stolen = stores.redis.execute("GET", stores.keys.wechat_key(USER))
    stores.redis.execute("SET", stores.keys.wechat_key("u_2"), stolen)

    found = stores.sessions.find_secrets([(APP, "u_2"), ("wx2", USER), (APP, "u_9")])

    assert found == [None, None, None]
    assert stores.sessions.find_secrets([]) == []
    assert b"session-key-1" not in stolen


def test_sealed_bytes_of_another_shape_are_no_secrets(stores: Stores) -> None:
    blob = stores.sessions._sealer.seal(b'{"openid": 1}', f"{APP}:{USER}")

    assert stores.sessions.unseal(blob, APP, USER) is None


@run_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(st.integers(-1, 2), st.sampled_from([0, 0, 0, 1])), max_size=8
    )
)
def test_rotation_in_redis_obeys_the_same_rule_as_in_sql(
    stores: Stores, steps: list[tuple[int, int]]
) -> None:
    name = new_id("se")
    stores.sessions.open(new(name, name))
    current, ended = 1, False

    for behind, late in steps:
        if late:
            age_rotation(stores, name)
        presented = max(1, current - behind)
        told = rotate(stores, presented, name)
        if ended:
            assert told[0] == "revoked"
        elif presented > current:
            assert told[0] == "unknown"
        elif presented == current:
            current += 1
            assert told == ("rotated", current)
        elif presented == current - 1 and not is_late(stores, name):
            assert told == ("grace", current)
        else:
            assert told[0] == "reused"
            ended = True


def age_rotation(stores: Stores, name: str) -> None:
    """Let the last rotation lie longer back than the grace."""
    long_ago = now_ms() - GRACE_MS - 60_000
    stores.redis.execute("HSET", stores.keys.session(name), "rotated", long_ago)


def is_late(stores: Stores, name: str) -> bool:
    rotated = stores.redis.execute("HGET", stores.keys.session(name), "rotated")
    return now_ms() - int(rotated) > GRACE_MS + 5000


def test_rivals_that_refresh_at_once_get_one_successor(stores: Stores) -> None:
    stores.sessions.open(new())

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: rotate(stores, 1), range(16)))

    assert {generation for _, generation in told} == {2}
    assert sorted(outcome for outcome, _ in told) == ["grace"] * 15 + ["rotated"]


def test_a_rotation_is_journaled_with_its_generation_and_time(stores: Stores) -> None:
    stores.sessions.open(new())
    made = stores.sessions.rotate(
        entry(kind="refresh", ip="1.2.3.4"), 1, grace_ms=GRACE_MS, life_ms=LIFE_MS
    )

    written = journal(stores)[-1]

    assert (written.generation, written.at) == (2, made.at)
    assert (written.kind, written.ip) == ("refresh", "1.2.3.4")
    assert rotate(stores, 1)[0] == "grace"
    assert len(journal(stores)) == 2


def test_a_session_redis_does_not_hold_is_unknown(stores: Stores) -> None:
    assert rotate(stores, 1, "se_none") == ("unknown", 0)


def test_a_lost_copy_is_written_again_and_journaled(stores: Stores) -> None:
    lost = entry(kind="refresh", generation=4)

    assert stores.sessions.restore(lost, life_ms=LIFE_MS)

    assert rotate(stores, 4) == ("rotated", 5)
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert journal(stores)[0] == lost


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_an_older_copy_never_replaces_a_newer_one(
    stores: Stores, generation: int
) -> None:
    stores.sessions.restore(entry(generation=3), life_ms=LIFE_MS)

    assert not stores.sessions.restore(entry(generation=generation), life_ms=LIFE_MS)

    assert rotate(stores, 3) == ("rotated", 4)
    assert len(journal(stores)) == 2


def test_a_revoked_session_is_not_restored(stores: Stores) -> None:
    stores.sessions.revoke(USER, ["se_1"], life_ms=LIFE_MS)

    assert not stores.sessions.restore(entry(generation=9), life_ms=LIFE_MS)

    assert stores.sessions.list_ids(USER) == []
    assert rotate(stores, 1)[0] in {"unknown", "revoked"}


def test_ended_sessions_leave_the_list_and_admit_nobody(stores: Stores) -> None:
    for n in range(4):
        stores.sessions.open(new(f"se_{n}", f"c{n}"))
    stores.sessions.revoke(USER, ["se_1"], life_ms=LIFE_MS)
    rotate(stores, 1, "se_2")
    age_rotation(stores, "se_2")
    assert rotate(stores, 1, "se_2")[0] == "reused"
    stores.redis.execute("DEL", stores.keys.session("se_3"))

    assert stores.sessions.list_ids(USER) == ["se_0"]
    assert rotate(stores, 1, "se_1")[0] == "revoked"


def test_revoking_nothing_asks_nothing(stores: Stores) -> None:
    stores.sessions.revoke(USER, [], life_ms=LIFE_MS)

    assert stores.redis.execute("DBSIZE") == 0


# Access tokens and locks


def test_a_token_is_shared_and_sealed(stores: Stores) -> None:
    assert stores.access_tokens.load(APP) is None
    assert stores.access_tokens.save(APP, "token-1", now_ms() + 5000, 1)

    found = stores.access_tokens.load(APP)

    assert found is not None
    assert (found.token, found.fence) == ("token-1", 1)
    raw = stores.redis.execute("HGETALL", stores.keys.access_token(APP))
    assert b"token-1" not in b"".join(raw)
    assert "token-1" not in repr(found)


def test_a_token_under_another_app_is_no_token(stores: Stores) -> None:
    stores.access_tokens.save(APP, "token-1", now_ms() + 5000, 1)
    stores.redis.execute(
        "COPY", stores.keys.access_token(APP), stores.keys.access_token("wx2")
    )

    assert stores.access_tokens.load("wx2") is None


def test_an_old_refresher_cannot_overwrite_a_newer_token(stores: Stores) -> None:
    assert stores.access_tokens.save(APP, "new", now_ms() + 5000, 2)

    assert not stores.access_tokens.save(APP, "old", now_ms() + 9000, 1)

    found = stores.access_tokens.load(APP)
    assert found is not None
    assert found.token == "new"


def test_each_lease_has_a_higher_fence_than_all_before(stores: Stores) -> None:
    tokens, fences = stores.access_tokens, []
    with ThreadPoolExecutor(12) as pool:
        for _ in range(5):
            drawn = list(pool.map(lambda _: tokens.lease(APP, 5), range(12)))
            (fence,) = [f for f in drawn if f is not None]
            fences.append(fence)
            tokens.release(APP, fence - 1)
            assert tokens.lease(APP, 5) is None
            tokens.release(APP, fence)

    assert fences == sorted(set(fences))


def test_the_lease_of_a_dead_refresher_ends(stores: Stores) -> None:
    first = stores.access_tokens.lease(APP, 0.03)
    assert stores.access_tokens.lease(APP, 5) is None
    sleep(0.05)

    second = stores.access_tokens.lease(APP, 5)

    assert first is not None
    assert second is not None
    assert second > first


def test_forced_refreshes_are_counted_by_day(stores: Stores) -> None:
    days = ["d1", "d1", "d2"]

    assert [stores.access_tokens.count_forced(APP, d) for d in days] == [1, 2, 1]
    assert stores.redis.execute("TTL", stores.keys.forced_refreshes(APP, "d1")) > 0


def test_a_lock_has_one_owner_who_alone_can_let_go(stores: Stores) -> None:
    with ThreadPoolExecutor(12) as pool:
        owners = list(pool.map(lambda _: stores.locks.acquire("x", 5), range(12)))
    (owner,) = [o for o in owners if o is not None]

    assert not stores.locks.release("x", "stranger")
    assert stores.locks.acquire("x", 5) is None
    assert stores.locks.release("x", owner)
    assert not stores.locks.release("x", owner)


def test_a_lock_lets_go_by_itself(stores: Stores) -> None:
    assert stores.locks.acquire("x", 0.03)
    sleep(0.05)

    assert stores.locks.acquire("x", 5)


# The login journal


def fill(stores: Stores, count: int) -> None:
    for n in range(count):
        stores.sessions.open(new(f"se_{n}", f"c{n}"))


def test_the_journal_hands_each_entry_to_one_reader(stores: Stores) -> None:
    stream = stores.login_stream
    stream.make_group()
    stream.make_group()
    fill(stores, 5)

    first = stream.read("a", count=3, block_ms=10)
    second = stream.read("b", count=10, block_ms=10)

    assert (len(first), len(second)) == (3, 2)
    assert not set(first) & set(second)
    assert stream.read("a", count=3, block_ms=1) == []


def test_a_journal_that_was_wiped_gets_its_group_again(stores: Stores) -> None:
    fill(stores, 2)

    assert stores.login_stream.read("a", count=5, block_ms=1) == []
    assert len(stores.login_stream.read("a", count=5, block_ms=1)) == 2


def test_entries_come_in_the_order_asked_and_none_when_gone(stores: Stores) -> None:
    stream = stores.login_stream
    stream.make_group()
    fill(stores, 4)
    ids = stream.read("a", count=9, block_ms=10)
    stream.acknowledge([ids[1]])

    loaded = stream.load([ids[3], ids[1], ids[0]])

    names = [None if raw is None else read_session(raw) for raw in loaded]
    assert names == ["se_3", None, "se_0"]
    assert stream.load([]) == []


def read_session(raw: bytes) -> str:
    return msgspec.json.decode(raw, type=LoginEntry).session_id


def test_entries_far_apart_are_found_too(stores: Stores) -> None:
    stream = stores.login_stream
    stream.make_group()
    fill(stores, 12)
    ids = stream.read("a", count=20, block_ms=10)

    loaded = stream.load([ids[0], ids[11]])

    assert [read_session(raw) for raw in loaded if raw] == ["se_0", "se_11"]


def test_an_entry_without_our_field_is_empty(stores: Stores) -> None:
    made = stores.redis.execute("XADD", stores.keys.logins, "*", "other", "x")

    assert stores.login_stream.load([made.decode()]) == [b""]


def test_stale_entries_are_claimed_and_acknowledged_ones_are_not(
    stores: Stores,
) -> None:
    stream = stores.login_stream
    stream.make_group()
    fill(stores, 3)
    ids = stream.read("dead", count=9, block_ms=10)
    stream.acknowledge([ids[0]])
    stream.acknowledge([])

    assert stream.claim_stale("b", idle_ms=60_000, count=9) == []
    assert stream.claim_stale("b", idle_ms=0, count=9) == ids[1:]


def test_backlog_tells_what_is_not_in_sql(stores: Stores) -> None:
    stream = stores.login_stream
    stream.make_group()
    assert stream.backlog() == type(stream.backlog())(0, 0, 0)
    fill(stores, 3)
    sleep(0.01)
    stream.read("a", count=1, block_ms=10)

    backlog = stream.backlog()

    assert (backlog.length, backlog.pending) == (3, 1)
    assert 5 <= backlog.oldest_age_ms < 60_000


def test_readers_that_are_gone_are_forgotten_but_not_what_they_held(
    stores: Stores,
) -> None:
    stream = stores.login_stream
    stream.make_group()
    fill(stores, 1)
    held = stream.read("holds", count=9, block_ms=10)
    stream.read("idle", count=9, block_ms=1)
    sleep(0.02)

    assert stream.drop_idle_consumers(idle_ms=60_000) == 0
    assert stream.drop_idle_consumers(idle_ms=10) == 1
    assert stream.claim_stale("b", idle_ms=0, count=9) == held


def test_errors_that_are_no_missing_group_are_told(stores: Stores) -> None:
    stores.redis.execute("SET", stores.keys.logins, "no stream")

    with pytest.raises(ResponseError):
        stores.login_stream.make_group()
    with pytest.raises(ResponseError):
        stores.login_stream.read("a", count=1, block_ms=1)


# All stores of a process


def test_the_relay_is_woken_once_for_many_signals(stores: Stores) -> None:
    assert not stores.wait_for_work(0.05)
    for _ in range(5):
        stores.wake_relay()

    assert stores.wait_for_work(0.05)
    assert not stores.wait_for_work(0.05)


def test_queue_lengths_come_from_the_broker(stores: Stores) -> None:
    stores.redis.execute("LPUSH", "logins-queue", "a", "b")

    assert stores.queue_lengths(["logins-queue", "none"]) == {
        "logins-queue": 2,
        "none": 0,
    }
    stores.ping()


def test_closed_stores_open_again_on_use(stores: Stores) -> None:
    stores.login_stream.make_group()
    stores.login_stream.read("a", count=1, block_ms=1)
    stores.wait_for_work(0.01)
    stores.close()

    stores.ping()


@pytest.mark.parametrize("act", AWAY)
def test_without_redis_every_store_says_so(
    private_redis: RedisServer, make_settings: Callable[..., Settings], act: str
) -> None:
    url = private_redis.url
    stores = open_stores(make_settings(REDIS_URL=url, BROKER_URL=url))
    private_redis.stop()
    acts: dict[str, Callable[[], object]] = {
        "list_ids": lambda: stores.sessions.list_ids(USER),
        "acquire": lambda: stores.locks.acquire("x", 1),
        "load_token": lambda: stores.access_tokens.load(APP),
        "claim": lambda: stores.login_stream.claim_stale("a", idle_ms=1, count=1),
        "read": lambda: stores.login_stream.read("a", count=1, block_ms=1),
        "wait": lambda: stores.wait_for_work(0.01),
        "lengths": lambda: stores.queue_lengths(["x"]),
        "ping": stores.ping,
    }

    with pytest.raises(RedisUnavailable):
        acts[act]()

    stores.wake_relay()
    stores.close()
