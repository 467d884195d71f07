"""Beats as processes: clocks stepped, one frozen, the broker away; one run a slot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.clock import monotonic, sleep
from tests.servers.false_clock import FalseClock, find_faketime
from tests.servers.fixtures import require
from tests.servers.process import LocalProcess, wait_until
from tests.servers.stack import Stack, standing
from workers.health import is_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.mariadb_server import MariaDbServer
    from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
CELERY = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.servers.fast_clock"]
BEAT = [*CELERY, "beat", "--pidfile="]
QUEUE = "kuaida:test:maintenance"
SLOTS = 9


@pytest.fixture
def clock(tmp_path: Path) -> FalseClock:
    """A clock that can be stepped."""
    require(find_faketime)
    return FalseClock(tmp_path / "clock")


@pytest.fixture
def beat(
    private_redis: RedisServer,
    environment: Mapping[str, str],
    clock: FalseClock,
    tmp_path: Path,
) -> Iterator[LocalProcess]:
    """A beat that asks each half second, with a queue that nobody reads."""
    variables = {
        **environment,
        **clock.environment,
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": private_redis.url,
        "BROKER_URL": private_redis.url,
        "BEAT_INTERVAL_S": "1",
    }
    process = LocalProcess(BEAT, log=tmp_path / "beat.log", env=variables, cwd=ROOT)
    process.start()
    yield process
    process.stop()


def count_asked(redis: RedisServer) -> int:
    """Return how many questions wait."""
    with redis.client() as client:
        return int(client.llen(QUEUE))


def wait_asked(redis: RedisServer, more: int, within_s: float) -> None:
    """Wait for ``more`` questions."""
    before = count_asked(redis)
    what = f"{more} more questions"
    wait_until(
        lambda: count_asked(redis) >= before + more, within_s=within_s, what=what
    )


def test_a_stepped_clock_costs_no_question(
    beat: LocalProcess, private_redis: RedisServer, clock: FalseClock
) -> None:
    beat.wait_ready(lambda: count_asked(private_redis), within_s=60)
    for step in (-600, 600, 0):
        clock.step(step)
        before, began = count_asked(private_redis), monotonic()

        wait_asked(private_redis, 4, within_s=60)

        # Two a second are asked: a burst would be hundreds.
        asked, took_s = count_asked(private_redis) - before, monotonic() - began
        assert asked < 60 + 2 * took_s


def test_a_beat_outlives_its_broker_and_asks_once_for_what_it_missed(
    beat: LocalProcess, private_redis: RedisServer, tmp_path: Path
) -> None:
    beat.wait_ready(lambda: count_asked(private_redis), within_s=60)
    private_redis.process.kill()
    sleep(6)
    alive = tmp_path / "var" / "run" / "beat.alive"
    wait_until(lambda: is_fresh(alive, 5), within_s=60, what="a sign of life")
    private_redis.start()

    wait_until(lambda: count_asked(private_redis), within_s=60, what="a question again")

    assert beat.alive
    assert "Traceback" not in beat.tail(200)


@pytest.fixture(params=["sqlite", "mariadb"])
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """Relay and a worker whose table has a job for each second."""
    url = ""
    if request.param == "mariadb":
        server: MariaDbServer = request.getfixturevalue("own_mariadb")
        url = server.create("beats")
    stack = Stack(tmp_path / "stack", url)
    worker = [*CELERY, "worker", "-n", "worker@%h", "-c", "2"]
    with standing(stack, "relay"):
        queues = "-Qlogins,sync,orders,push_messages,maintenance"
        stack.run("worker", [*worker, queues, "--without-gossip", "--without-mingle"])
        yield stack


def look(stack: Stack, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    engine = sa.create_engine(stack.database_url)
    try:
        with engine.connect() as link:
            return [tuple(row) for row in link.execute(sa.text(query))]
    finally:
        engine.dispose()


def start_beat(stack: Stack, name: str) -> FalseClock:
    """Start one more beat with a clock of its own."""
    clock = FalseClock(stack.folder / f"{name}.clock")
    stack.variables.update(clock.environment)
    stack.run(name, BEAT)
    for variable in clock.environment:
        del stack.variables[variable]
    return clock


def done(stack: Stack) -> int:
    """Return how many slots of the fast job have been done."""
    query = "SELECT count(*) FROM schedule_slots WHERE state='done' AND job='{}'"
    return int(str(look(stack, query.format("every_second"))[0][0]))


def wait_done(stack: Stack, goal: int) -> None:
    """Wait until so many slots are done."""
    stack.wait(lambda: done(stack) >= goal, within_s=100, what=f"{goal} slots done")


def test_three_beats_one_frozen_two_stepped_run_each_slot_once(many: Stack) -> None:
    require(find_faketime)
    clocks = [start_beat(many, f"beat{number}") for number in range(3)]
    wait_done(many, 2)
    many.running["beat0"].freeze()
    for offset in (600, -600, 0):
        clocks[1].step(offset)
        clocks[2].step(-offset)
        goal = done(many) + SLOTS // 3
        wait_done(many, goal)
    many.running["beat0"].thaw()
    wait_done(many, done(many) + SLOTS // 3)

    slots = look(
        many,
        "SELECT due, state FROM schedule_slots WHERE job='every_second' ORDER BY due",
    )
    dues = [int(str(due)) for due, _ in slots]
    assert dues == list(range(dues[0], dues[-1] + 1, 1000))
    assert {state for _, state in slots} <= {"taken", "done"}
    work = look(many, "SELECT subject_id FROM outbox WHERE subject_id LIKE 'every%'")
    # The beats went on between the two looks.
    names = sorted(str(name) for (name,) in work)
    seen = [name for name in names if name <= f"every_second@{dues[-1]}"]
    assert seen == [f"every_second@{due}" for due in dues]
