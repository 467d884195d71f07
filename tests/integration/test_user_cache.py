"""The profile cache on a real Redis: one loader, jitter, negatives, no stale fill."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from config.clock import sleep
from models.stores.container import open_stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.stores.container import Stores
    from tests.servers.redis_server import RedisServer

PROFILE = b'{"id":"u_1"}'
LIFE_MS, NEGATIVE_MS = 600_000, 30_000


class Source:
    """Stands where SQL does: slow, and it counts."""

    def __init__(self, value: bytes | None = PROFILE, seconds: float = 0.05) -> None:
        self.value = value
        self.seconds = seconds
        self.loads = 0
        self._lock = threading.Lock()

    def __call__(self) -> bytes | None:
        """Load once more."""
        with self._lock:
            self.loads += 1
        sleep(self.seconds)
        return self.value


@pytest.fixture
def rival(redis_url: str, settings: Settings) -> Iterator[Stores]:
    """Open the stores of a second process: nothing shared but Redis."""
    opened = open_stores(settings)
    yield opened
    opened.close()


def test_one_load_serves_every_thread_of_two_processes(
    stores: Stores, rival: Stores
) -> None:
    source = Source()

    with ThreadPoolExecutor(40) as pool:
        sides = [stores, rival] * 20
        read = lambda side: side.users.load("u_1", source)  # noqa: E731
        values = list(pool.map(read, sides))

    assert values == [PROFILE] * 40
    assert source.loads == 1


def test_a_hit_does_not_load(stores: Stores) -> None:
    stores.users.warm({"u_1": PROFILE})
    source = Source(b"other")

    assert stores.users.load("u_1", source) == PROFILE
    assert source.loads == 0


def test_nobody_is_remembered_for_a_short_time(stores: Stores) -> None:
    source = Source(None)

    assert stores.users.load("u_2", source) is None
    assert stores.users.load("u_2", source) is None

    assert source.loads == 1
    life = stores.redis.execute("PTTL", stores.keys.user("u_2"))
    assert 0 < life <= NEGATIVE_MS


def test_lives_are_spread_by_a_tenth(stores: Stores) -> None:
    stores.users.warm({f"u_{n}": PROFILE for n in range(200)})

    lives = [
        stores.redis.execute("PTTL", stores.keys.user(f"u_{n}")) for n in range(200)
    ]

    assert max(lives) <= LIFE_MS
    assert min(lives) > LIFE_MS * 0.9 - 30_000
    assert max(lives) - min(lives) > LIFE_MS * 0.07
    assert len(set(lives)) > 100


def test_a_write_during_a_load_keeps_the_old_value_out(stores: Stores) -> None:
    reading, written = threading.Event(), threading.Event()

    def slow_load() -> bytes:
        reading.set()
        written.wait(60)
        return b"old"

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(stores.users.load, "u_3", slow_load)
        reading.wait(60)
        stores.users.delete("u_3")
        written.set()
        reader.result(60)

    assert stores.users.load("u_3", lambda: b"new") == b"new"


def test_a_warm_value_beats_a_slow_loader(stores: Stores) -> None:
    reading, written = threading.Event(), threading.Event()

    def slow_load() -> bytes:
        reading.set()
        written.wait(60)
        return b"old"

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(stores.users.load, "u_4", slow_load)
        reading.wait(60)
        stores.users.warm({"u_4": b"new"})
        written.set()
        reader.result(60)

    assert stores.users.load("u_4", lambda: b"never asked") == b"new"


def test_an_error_of_the_loader_reaches_all_and_is_not_kept(stores: Stores) -> None:
    def broken() -> bytes:
        sleep(0.05)
        raise ValueError

    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(stores.users.load, "u_5", broken) for _ in range(8)]
        failed = [isinstance(read.exception(60), ValueError) for read in reads]

    assert all(failed)
    assert stores.users.load("u_5", lambda: PROFILE) == PROFILE


def test_a_loader_that_died_is_replaced(stores: Stores) -> None:
    lease = stores.keys.user_load("u_6")
    stores.redis.execute("SET", lease, "dead", "PX", 60_000)

    assert stores.users.load("u_6", lambda: PROFILE) == PROFILE


def test_without_redis_every_read_loads(
    private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> None:
    stores = open_stores(make_settings(REDIS_URL=private_redis.url))
    private_redis.stop()
    source = Source(seconds=0)

    values = [stores.users.load("u_7", source) for _ in range(3)]

    assert values == [PROFILE] * 3
    assert source.loads == 3
    stores.close()


def test_a_reader_after_the_write_does_not_join_an_older_load(stores: Stores) -> None:
    reading, written = threading.Event(), threading.Event()

    def slow_load() -> bytes:
        reading.set()
        written.wait(60)
        return b"old"

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(stores.users.load, "u_8", slow_load)
        reading.wait(60)
        stores.users.delete("u_8")

        # The row is written: whoever asks now must meet it, in this process too.
        assert stores.users.load("u_8", lambda: b"new") == b"new"

        written.set()
        assert reader.result(60) == b"old"
    assert stores.users.load("u_8", lambda: b"never asked") == b"new"


def test_a_follower_sees_what_the_leader_of_another_process_found(
    stores: Stores, rival: Stores
) -> None:
    loading, found = threading.Event(), threading.Event()

    def lead() -> None:
        loading.set()
        found.wait(60)

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(stores.users.load, "u_9", lead)
        loading.wait(60)
        follower = pool.submit(rival.users.load, "u_9", lambda: b"asked twice")
        sleep(0.03)
        found.set()

        assert leader.result(60) is None
        # Nobody is an answer too.
        assert follower.result(60) is None


def test_warming_nothing_asks_nothing(stores: Stores) -> None:
    before = stores.redis.execute("DBSIZE")
    stores.users.warm({})

    assert stores.redis.execute("DBSIZE") == before


class Leaving:
    """A source that takes Redis away while it loads."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def __call__(self) -> bytes:
        self.server.stop()
        return PROFILE


def test_redis_may_go_while_a_value_is_loaded(
    private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> None:
    stores = open_stores(make_settings(REDIS_URL=private_redis.url))

    assert stores.users.load("u_1", Leaving(private_redis)) == PROFILE
    stores.close()


def test_a_full_redis_still_answers_reads(stores: Stores) -> None:
    stores.redis.execute("CONFIG", "SET", "maxmemory", "1mb")
    try:
        assert stores.users.load("u_1", lambda: PROFILE) == PROFILE
    finally:
        stores.redis.execute("CONFIG", "SET", "maxmemory", "0")
