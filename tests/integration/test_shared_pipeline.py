"""The shared pipeline on a real Redis that is stopped, frozen, full, and comes back."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from config.clock import monotonic, sleep
from models.errors import RedisUnavailable
from models.stores.connection import SharedPipeline, blocking_client
from models.stores.scripts import load_script
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from tests.servers.redis_server import RedisServer

RELEASE = load_script("release")
SAVE_TOKEN = load_script("save_token")
QUICK = {"REDIS_TIMEOUT_S": "1.5", "REDIS_CONNECT_TIMEOUT_S": "1"}
BREAKER_S = 2.0
# Far above a caller's round, the one before it and the connecting; a caller that
# nobody lets go is away for ever.
HUNG_S = 60.0
Open = Any


@pytest.fixture
def open_pipeline(make_settings: Callable[..., Settings]) -> Iterator[Open]:
    """Open pipelines on a Redis, with a quick patience and the breaker a test names."""
    opened: list[SharedPipeline] = []

    def make(server: RedisServer, failures: int = 5) -> SharedPipeline:
        settings = make_settings(REDIS_URL=server.url, **QUICK)
        chosen = {"breaker_failures": failures, "breaker_open_s": BREAKER_S}
        opened.append(SharedPipeline(settings.redis.model_copy(update=chosen)))
        return opened[-1]

    yield make
    for pipeline in opened:
        pipeline.close()


def answers(pipeline: SharedPipeline) -> bool:
    """Whether a command gets through."""
    try:
        return bool(pipeline.execute("PING") == b"PONG")
    except RedisUnavailable:
        return False


def heal(server: RedisServer, pipeline: SharedPipeline) -> None:
    """Let Redis serve again and wait until the breaker has seen it."""
    server.process.thaw()
    if not server.process.alive:
        server.start()
    wait_until(lambda: answers(pipeline), within_s=60, what="Redis is used again")


class Crowd:
    """Callers that ask for their own words until the end, and check each answer."""

    def __init__(self, pipeline: SharedPipeline, size: int) -> None:
        self.pipeline = pipeline
        self.over = threading.Event()
        self.good = 0
        self.wrong: list[object] = []
        self.slowest = 0.0
        self._pool = ThreadPoolExecutor(size)
        self._done = [self._pool.submit(self._work, n) for n in range(size)]

    def _work(self, number: int) -> None:
        turn = 0
        while not self.over.is_set():
            turn += 1
            words = [f"{number}.{turn}.{part}".encode() for part in range(1 + turn % 3)]
            started = monotonic()
            try:
                got = self.pipeline.execute_many([("ECHO", word) for word in words])
            except RedisUnavailable:
                sleep(0.005)
            else:
                self.good += 1
                if got != words:
                    self.wrong.append((words, got))
            self.slowest = max(self.slowest, monotonic() - started)

    def end(self) -> None:
        self.over.set()
        for future in self._done:
            future.result(HUNG_S * 2)
        self._pool.shutdown()


def hang_up(server: RedisServer) -> None:
    """Close every connection but our own."""
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def slow_down(server: RedisServer) -> None:
    """Let nothing be answered for longer than the callers are patient."""
    with server.client() as client:
        client.client_pause(2000)


FAULTS = {
    "freeze": lambda server: server.process.freeze(),
    "blink": lambda server: (server.process.freeze(), server.process.thaw()),
    "kill": lambda server: server.process.kill(),
    "restart": lambda server: (server.stop(), server.start()),
    "hang up": hang_up,
    "slow": slow_down,
}


def bounce(server: RedisServer, fault: str, pause_s: float) -> None:
    """Do a fault, leave it for a moment, and mend it."""
    FAULTS[fault](server)
    sleep(pause_s)
    server.process.thaw()
    if not server.process.alive:
        server.start()


@run_settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    faults=st.lists(
        st.tuples(st.sampled_from(sorted(FAULTS)), st.sampled_from([0.0, 0.05, 2.0])),
        min_size=1,
        max_size=3,
    )
)
def test_every_caller_gets_its_own_reply_or_is_told_whatever_happens(
    private_redis: RedisServer, open_pipeline: Open, faults: list[tuple[str, float]]
) -> None:
    pipeline = open_pipeline(private_redis)
    heal(private_redis, pipeline)
    crowd = Crowd(pipeline, 12)
    try:
        for fault, pause_s in faults:
            bounce(private_redis, fault, pause_s)
        heal(private_redis, pipeline)
        before = crowd.good
        wait_until(
            lambda: crowd.good > before + 50, within_s=60, what="callers are served"
        )
    finally:
        crowd.end()

    assert crowd.wrong == []
    assert crowd.slowest < HUNG_S
    # No lane is left with somebody in it.
    assert [(lane._busy, len(lane._gathered)) for lane in pipeline._lanes] == [
        (False, 0)
    ] * len(pipeline._lanes)


def test_a_restarted_redis_learns_its_scripts_through_an_open_breaker(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis, failures=1)
    assert pipeline.run(RELEASE, ["lock"], ["me"]) == 0
    private_redis.stop()
    with pytest.raises(RedisUnavailable):
        pipeline.run(RELEASE, ["lock"], ["me"])
    private_redis.start()

    def served() -> bool:
        # The only command this process sends is the script nobody there knows.
        try:
            return bool(pipeline.run(RELEASE, ["lock"], ["me"]) == 0)
        except RedisUnavailable:
            return False

    wait_until(served, within_s=60, what="the script runs again")


def test_the_breaker_opens_answers_at_once_and_lets_one_look(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis, failures=2)
    private_redis.process.freeze()
    for _ in range(2):
        with pytest.raises(RedisUnavailable):
            pipeline.execute("PING")

    with pytest.raises(RedisUnavailable, match="breaker open") as refused:
        pipeline.execute("PING")
    assert 0 < (refused.value.retry_after_ms or 0) <= BREAKER_S * 1000 + 1

    sleep(BREAKER_S)
    with pytest.raises(RedisUnavailable) as looked:
        pipeline.execute("PING")
    assert "breaker" not in str(looked.value)
    with pytest.raises(RedisUnavailable, match="breaker open"):
        pipeline.execute("PING")

    private_redis.process.thaw()
    sleep(BREAKER_S)
    assert pipeline.execute("PING") == b"PONG"
    assert pipeline.execute("PING") == b"PONG"


def test_others_do_not_follow_the_one_who_looks(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis, failures=1)
    private_redis.process.freeze()
    with pytest.raises(RedisUnavailable):
        pipeline.execute("PING")
    sleep(BREAKER_S)

    with ThreadPoolExecutor(8) as pool:
        told = [pool.submit(pipeline.execute, "PING").exception(60) for _ in range(8)]

    # As many looks as fit into the wait of the first, never one a caller.
    assert sum("breaker open" in str(error) for error in told) >= 6


def test_an_error_reply_is_raised_and_does_not_open_the_breaker(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis, failures=1)
    pipeline.execute("SET", "text", "x")

    for _ in range(3):
        with pytest.raises(ResponseError, match="not an integer"):
            pipeline.execute("INCR", "text")

    assert pipeline.execute("GET", "text") == b"x"


def test_commands_around_an_error_still_run(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis)

    with pytest.raises(ResponseError):
        pipeline.execute_many([("SET", "a", 1), ("BAD",), ("SET", "b", 2.5)])

    assert pipeline.execute("MGET", "a", "b") == [b"1", b"2.5"]


def write(pipeline: SharedPipeline, way: str) -> None:
    """Write something, alone or within a script."""
    if way == "command":
        pipeline.execute("SET", "a", "x")
    else:
        pipeline.run(SAVE_TOKEN, ["token"], [1, "t", 1, 1000])


@pytest.mark.parametrize("way", ["command", "script"])
def test_a_full_redis_counts_as_away(
    private_redis: RedisServer, open_pipeline: Open, way: str
) -> None:
    pipeline = open_pipeline(private_redis, failures=1)
    with private_redis.client() as client:
        client.config_set("maxmemory", "1mb")

    with pytest.raises(RedisUnavailable):
        write(pipeline, way)

    with pytest.raises(RedisUnavailable, match="breaker open"):
        pipeline.execute("GET", "a")


@pytest.mark.parametrize("way", ["command", "script"])
def test_a_replica_counts_as_away(
    private_redis: RedisServer, open_pipeline: Open, way: str
) -> None:
    pipeline = open_pipeline(private_redis)
    with private_redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(RedisUnavailable):
        write(pipeline, way)


def test_an_idle_connection_the_server_closed_costs_nobody_an_error(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis)
    for _ in range(4):
        pipeline.execute("PING")
    hang_up(private_redis)
    for lane in pipeline._lanes:
        lane._used_at -= 60

    assert [pipeline.execute("PING") for _ in range(4)] == [b"PONG"] * 4


def test_arguments_of_every_kind_arrive_as_they_are(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis)
    odd = b"\r\n*1\r\n$4\r\nQUIT\r\n\x00\xff"
    text = json.dumps({"名": "快答 😀"}, ensure_ascii=False)

    got = pipeline.execute_many([("ECHO", odd), ("ECHO", text), ("ECHO", 7)])

    assert got == [odd, text.encode(), b"7"]


def test_close_ends_connections_and_a_later_call_opens_new_ones(
    private_redis: RedisServer, open_pipeline: Open
) -> None:
    pipeline = open_pipeline(private_redis)
    pipeline.execute("PING")
    pipeline.close()

    assert pipeline.execute("PING") == b"PONG"


def test_readers_that_wait_take_no_more_connections_than_they_may(
    make_settings: Callable[..., Settings], redis_url: str
) -> None:
    settings = make_settings(REDIS_URL=redis_url, REDIS_POOL_SIZE="1")
    client = blocking_client(settings.redis, 1.0)
    pool = client.connection_pool
    held = pool.get_connection()

    with pytest.raises(NoConnection, match="No connection"):
        client.ping()

    pool.release(held)
    assert client.ping()
    client.close()
    assert not held.is_connected
