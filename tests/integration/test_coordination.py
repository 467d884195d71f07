"""Locks, signals and shared flights between processes that die, freeze and forget."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import monotonic, now_ms, sleep
from models.errors import RedisUnavailable
from models.stores.container import open_stores
from models.stores.shared_flight import Place, SharedFlight
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.stores.container import Stores
    from tests.servers.redis_server import RedisServer

APP = "wx1"
AHEAD = 9_000_000_000_000_000
# Takes the lock as often as it can for a while; two owners at once trip over a file.
CONTENDER = """
import os, sys
from config.clock import monotonic, sleep
from config.settings import load_settings
from models.stores.container import open_stores

stores = open_stores(load_settings(dict(os.environ), env_file=None))
folder, rounds = sys.argv[1], 0
until = monotonic() + 200
while rounds < 25 and monotonic() < until:
    fence = stores.locks.acquire("x", 300)
    if fence is None:
        sleep(0.001)
        continue
    mark = os.path.join(folder, "inside")
    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    print(fence, flush=True)
    os.unlink(mark)
    assert stores.locks.release("x", fence)
    rounds += 1
assert rounds == 25
"""
# Leads a flight and never lands: its process is killed while it loads.
DYING = """
import os, signal
from config.settings import load_settings
from models.stores.container import open_stores

stores = open_stores(load_settings(dict(os.environ), env_file=None))
stores.users.load("u_1", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
# Holds the lease of a token, sleeps through its end, and then stores an old token.
SLEEPER = """
import os, sys
from config.clock import now_ms
from config.settings import load_settings
from models.stores.container import open_stores

shelf = open_stores(load_settings(dict(os.environ), env_file=None)).access_tokens
fence = shelf.lease("wx1", 0.2)
print(fence, flush=True)
sys.stdin.readline()
print(shelf.save("wx1", "old", now_ms() + 60_000, fence), flush=True)
"""


@pytest.fixture
def variables(
    redis_url: str, environment: dict[str, str], settings: Settings
) -> dict[str, str]:
    """Give the environment of a process over the Redis of this test."""
    assert settings.redis.url == redis_url
    return {**environment, "REDIS_URL": redis_url, "PYTHONPATH": "."}


@pytest.fixture
def own(
    private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> Iterator[Stores]:
    """Open stores over a Redis that this test may freeze, wipe and restart."""
    quick = {"REDIS_BREAKER_FAILURES": "1000", "REDIS_TIMEOUT_S": "3"}
    opened = open_stores(make_settings(REDIS_URL=private_redis.url, **quick))
    yield opened
    private_redis.process.thaw()
    opened.close()


# Locks


def test_processes_hold_a_lock_one_at_a_time(
    variables: dict[str, str], tmp_path: Path
) -> None:
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(tmp_path)],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    told = [rival.communicate(timeout=250)[0] for rival in rivals]

    assert [rival.returncode for rival in rivals] == [0, 0, 0]
    fences = [int(line) for text in told for line in text.split()]
    assert len(set(fences)) == 75
    for text in told:
        own_fences = [int(line) for line in text.split()]
        assert own_fences == sorted(own_fences)


def test_threads_get_one_owner_who_alone_can_let_go(stores: Stores) -> None:
    with ThreadPoolExecutor(12) as pool:
        drawn = list(pool.map(lambda _: stores.locks.acquire("x", 300), range(12)))
    (fence,) = [drawn for drawn in drawn if drawn is not None]

    assert not stores.locks.release("x", fence - 1)
    assert stores.locks.acquire("x", 300) is None
    assert stores.locks.acquire("y", 300) is not None
    assert stores.locks.release("x", fence)
    assert not stores.locks.release("x", fence)


def test_the_lock_of_a_dead_owner_ends(stores: Stores) -> None:
    first = stores.locks.acquire("x", 300)
    assert stores.locks.acquire("x", 300) is None
    stores.redis.execute("PEXPIRE", stores.keys.lock("x"), 1)
    sleep(0.02)

    second = stores.locks.acquire("x", 300)

    assert first is not None
    assert second is not None
    assert second > first


def test_a_frozen_owner_cannot_undo_what_its_heir_did(
    stores: Stores, variables: dict[str, str]
) -> None:
    sleeper = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sleeper.stdout is not None
    old = int(sleeper.stdout.readline())
    shelf = stores.access_tokens
    sleep(0.25)
    heir = shelf.lease(APP, 300)
    assert heir is not None
    assert heir > old
    assert shelf.save(APP, "new", now_ms() + 60_000, heir)

    said, _ = sleeper.communicate("go on\n", timeout=100)

    assert said.strip() == "False"
    found = shelf.load(APP)
    assert found is not None
    assert found.token == "new"


@pytest.mark.parametrize("how", ["wiped", "restarted"])
def test_fences_rise_although_redis_forgets(
    own: Stores, private_redis: RedisServer, how: str
) -> None:
    before = own.locks.acquire("x", 60)
    assert before is not None

    if how == "wiped":
        private_redis.flush()
    else:
        private_redis.stop()
        private_redis.start()
        wait_until(lambda: answers(own), within_s=60, what="Redis again")
    after = own.locks.acquire("x", 60)

    # The first owner is an owner no more, and whatever it guards can tell.
    assert after is not None
    assert after > before
    assert not own.locks.release("x", before)


def test_fences_rise_although_the_clock_goes_back(stores: Stores) -> None:
    stores.redis.execute("SET", stores.keys.fence("x"), AHEAD)

    first = stores.locks.acquire("x", 300)
    assert first == AHEAD + 1
    assert stores.locks.release("x", first)

    assert stores.locks.acquire("x", 300) == AHEAD + 2


def test_a_frozen_redis_gives_nobody_the_lock(
    own: Stores, private_redis: RedisServer
) -> None:
    own.ping()
    private_redis.process.freeze()
    began = monotonic()
    with pytest.raises(RedisUnavailable):
        own.locks.acquire("x", 0.3)
    assert monotonic() - began < 60
    private_redis.process.thaw()

    # The lost command may have taken the lock for nobody: it ends by itself.
    wait_until(lambda: own.locks.acquire("x", 300), within_s=60, what="lock free again")


# Signals


def blocked(stores: Stores) -> int:
    """Return how many wait at Redis."""
    told = stores.redis.execute("INFO", "clients").decode()
    return int(told.partition("blocked_clients:")[2].split()[0])


def test_a_signal_wakes_one_of_those_who_wait(stores: Stores) -> None:
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(stores.signals.wait, "x", 4) for _ in range(4)]
        wait_until(lambda: blocked(stores) == 4, within_s=60, what="all four wait")
        stores.signals.send("x")
        stores.signals.send("other")

        assert sorted(future.result(60) for future in waiting) == [False] * 3 + [True]


def test_signals_sent_before_the_wait_are_one(stores: Stores) -> None:
    for _ in range(5):
        stores.signals.send("x")

    assert stores.signals.wait("x", 0.1)
    assert not stores.signals.wait("x", 0.02)
    stores.signals.send("x")
    assert 0 < stores.redis.execute("TTL", stores.keys.signal("x")) <= 60


def test_a_wait_is_no_longer_than_the_longest(stores: Stores) -> None:
    began = monotonic()

    assert not stores.signals.wait("x", 3600)

    assert monotonic() - began < 60


def test_a_wait_outlives_a_wipe_and_a_restart(
    own: Stores, private_redis: RedisServer
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(own.signals.wait, "x", 4)
        sleep(0.1)
        private_redis.flush()
        own.signals.send("x")
        assert waiting.result(60)

        waiting = pool.submit(own.signals.wait, "x", 4)
        sleep(0.1)
        private_redis.stop()
        assert isinstance(waiting.exception(60), RedisUnavailable)
    own.signals.send("lost without a word")
    private_redis.start()
    wait_until(lambda: answers(own), within_s=60, what="Redis again")
    own.signals.send("x")

    assert own.signals.wait("x", 1)


def test_a_frozen_redis_ends_a_wait(own: Stores, private_redis: RedisServer) -> None:
    assert not own.signals.wait("x", 0.01)
    private_redis.process.freeze()
    began = monotonic()

    with pytest.raises(RedisUnavailable):
        own.signals.wait("x", 0.1)

    assert monotonic() - began < 60


# Shared flights, as the cache of users takes them


def test_a_loader_that_dies_leaves_its_flight_to_the_next(
    stores: Stores, variables: dict[str, str]
) -> None:
    dead = subprocess.run([sys.executable, "-c", DYING], env=variables, check=False)
    assert dead.returncode == -9
    lease = stores.keys.user_load("u_1")
    assert stores.redis.execute("EXISTS", lease) == 1

    assert stores.users.load("u_1", lambda: b"profile") == b"profile"


def test_a_value_that_landed_since_the_look_is_taken(stores: Stores) -> None:
    flights = SharedFlight(stores.redis, lambda _: 60_000)
    place = Place(stores.keys.user("u_1"), stores.keys.user_load("u_1"))
    assert flights.run(place, lambda: b"first") == b"first"

    # This caller looked before that landing, and comes only now.
    assert flights.run(place, lambda: b"never asked") == b"first"

    assert stores.redis.execute("EXISTS", place.lease) == 0


@pytest.mark.parametrize("how", ["wiped", "frozen", "stopped"])
def test_a_load_survives_what_redis_does_meanwhile(
    own: Stores, private_redis: RedisServer, how: str
) -> None:
    acts = {
        "wiped": private_redis.flush,
        "frozen": private_redis.process.freeze,
        "stopped": private_redis.stop,
    }
    loads = []

    def load() -> bytes:
        loads.append(how)
        acts[how]()
        return b"profile"

    assert own.users.load("u_1", load) == b"profile"

    assert loads == [how]


def test_callers_of_a_process_share_a_load_without_redis(
    own: Stores, private_redis: RedisServer
) -> None:
    private_redis.stop()
    loading, go = threading.Event(), threading.Event()
    loads = []

    def load() -> bytes:
        loads.append(1)
        loading.set()
        go.wait(60)
        return b"profile"

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(own.users.load, "u_1", load) for _ in range(8)]
        assert loading.wait(60)
        flight: Any = own.users._flights._flights
        wait_until(lambda: joined(flight) == 7, within_s=60, what="seven have joined")
        go.set()

        assert {reader.result(60) for reader in readers} == {b"profile"}
    assert len(loads) == 1


def joined(flights: Any) -> int:
    """Return how many of this process wait for the load of another."""
    return sum(
        len(flight._condition._waiters) for flight in list(flights._flights.values())
    )


def answers(stores: Stores) -> bool:
    """Whether Redis serves again."""
    try:
        stores.ping()
    except RedisUnavailable:
        return False
    return True
