"""Access tokens, locks, the login journal and the wiring, on a real Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest
from redis.exceptions import ResponseError

from config.clock import now_ms, sleep
from models.errors import RedisUnavailable
from models.login_entry import LoginEntry
from models.stores.container import open_stores
from models.stores.login_stream import StreamBacklog
from tests.integration.openings import APP, USER, new

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.stores.container import Stores
    from tests.servers.redis_server import RedisServer

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


def test_a_token_is_shared_and_sealed(stores: Stores) -> None:
    assert stores.access_tokens.load(APP) is None
    assert stores.access_tokens.save(APP, "token-1", now_ms() + 600_000, 1)

    found = stores.access_tokens.load(APP)

    assert found is not None
    assert (found.token, found.fence) == ("token-1", 1)
    raw = stores.redis.execute("HGETALL", stores.keys.access_token(APP))
    assert b"token-1" not in b"".join(raw)
    assert "token-1" not in repr(found)


def test_a_token_under_another_app_is_no_token(stores: Stores) -> None:
    stores.access_tokens.save(APP, "token-1", now_ms() + 600_000, 1)
    stores.redis.execute(
        "COPY", stores.keys.access_token(APP), stores.keys.access_token("wx2")
    )

    assert stores.access_tokens.load("wx2") is None


def test_an_old_refresher_cannot_overwrite_a_newer_token(stores: Stores) -> None:
    assert stores.access_tokens.save(APP, "new", now_ms() + 600_000, 2)

    assert not stores.access_tokens.save(APP, "old", now_ms() + 900_000, 1)

    found = stores.access_tokens.load(APP)
    assert found is not None
    assert found.token == "new"


def test_each_lease_has_a_higher_fence_than_all_before(stores: Stores) -> None:
    tokens, fences = stores.access_tokens, []
    with ThreadPoolExecutor(12) as pool:
        for _ in range(5):
            drawn = list(pool.map(lambda _: tokens.lease(APP, 600), range(12)))
            (fence,) = [f for f in drawn if f is not None]
            fences.append(fence)
            tokens.release(APP, fence - 1)
            assert tokens.lease(APP, 600) is None
            tokens.release(APP, fence)

    assert fences == sorted(set(fences))


def test_the_lease_of_a_dead_refresher_ends(stores: Stores) -> None:
    first = stores.access_tokens.lease(APP, 3)
    assert stores.access_tokens.lease(APP, 600) is None
    sleep(3.1)

    second = stores.access_tokens.lease(APP, 600)

    assert first is not None
    assert second is not None
    assert second > first


def test_forced_refreshes_are_counted_by_day(stores: Stores) -> None:
    days = ["d1", "d1", "d2"]

    assert [stores.access_tokens.count_forced(APP, d) for d in days] == [1, 2, 1]
    assert stores.redis.execute("TTL", stores.keys.forced_refreshes(APP, "d1")) > 0


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
    assert stream.backlog() == StreamBacklog(0, 0, 0)
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


def test_a_broker_that_is_no_redis_is_not_asked(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(REDIS_URL=redis_url)
    broker = {"broker_url": "sentinel://127.0.0.1:1/0"}
    redis = settings.redis.model_copy(update=broker)
    stores = open_stores(settings.model_copy(update={"redis": redis}))

    assert stores.queue_lengths(["logins"]) == {}
    stores.close()


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
