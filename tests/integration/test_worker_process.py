"""A real worker: it stops in time without losing a step, and is replaced when deaf."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from models.outbox import Outbox
from models.outbox_lease import Lease, begin, claim
from tasks.app import app, configure, resources
from tests.integration.journals import outbox_row
from tests.servers.process import LocalProcess, wait_until
from workers.health import is_fresh
from workers.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from config.settings import Settings
    from tasks.app import Resources
    from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
TASK = "tests.servers.slow_work.take_time"
GRACE_S = 6
PROBE_S = 10
LEASE_S = 10
HASTE = {
    "SOFT_SHUTDOWN_S": str(GRACE_S),
    "WORKER_PROBE_S": str(PROBE_S),
    "TASK_LEASE_S": str(LEASE_S),
    "NOTIFICATION_CALL_S": str(LEASE_S / 2),
    # Its probe must have given a frozen Redis up before its sign of life is old.
    "REDIS_TIMEOUT_S": "2",
}


class Workshop:
    """One worker on the queue `maintenance`, and the messages for it."""

    def __init__(self, worker: LocalProcess, folder: Path, redis: RedisServer) -> None:
        self.worker, self.redis = worker, redis
        self.sign = folder / "var" / "run" / "lab.alive"
        self._publisher = Publisher(app)

    def start(self) -> None:
        """Start the worker and wait until it hears."""
        self.worker.start()
        self.worker.wait_ready(lambda: is_fresh(self.sign, 5), within_s=90)

    def accept(self, house: Resources, seconds: float) -> str:
        """Accept work that takes so long and send its message."""
        with house.database.unit_of_work() as uow:
            row_id = uow.enqueue(TASK, "u_1", payload=str(seconds))
        self.send(row_id)
        return row_id

    def send(self, row_id: str) -> None:
        """Send a message for this row, as the relay does."""
        self._publisher.send(TASK, row_id)

    def waiting(self) -> int:
        """Return how many messages wait."""
        with self.redis.client() as client:
            return int(client.llen("kuaida:test:maintenance"))

    def end(self) -> None:
        """Stop what may still run."""
        self._publisher.close()
        self.redis.process.thaw()
        self.worker.stop()


@pytest.fixture
def house(
    private_redis: RedisServer, sqlite_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Resources]:
    """What the test shares with the worker."""
    url = private_redis.url
    configure(make_settings(DATABASE_URL=sqlite_url, REDIS_URL=url, BROKER_URL=url))
    opened = resources()
    yield opened
    opened.close()


@pytest.fixture
def workshop(
    house: Resources,
    private_redis: RedisServer,
    environment: Mapping[str, str],
    tmp_path: Path,
) -> Iterator[Workshop]:
    """A worker with two processes."""
    variables = {
        **environment,
        **HASTE,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": house.settings.database.url,
        "REDIS_URL": private_redis.url,
        "BROKER_URL": private_redis.url,
    }
    command = [sys.executable, "-m", "celery", "--quiet"]
    command += ["-A", "tests.servers.slow_work", "worker", "-n", "lab@%h", "-c", "2"]
    command += ["-Q", "maintenance", "--without-gossip", "--without-mingle"]
    worker = LocalProcess(command, log=tmp_path / "worker.log", env=variables, cwd=ROOT)
    made = Workshop(worker, tmp_path, private_redis)
    made.start()
    yield made
    made.end()


def wait_begun(house: Resources, *row_ids: str) -> None:
    """Wait until all this work runs."""

    def begun() -> bool:
        return all(outbox_row(house, row_id).holder_fence for row_id in row_ids)

    wait_until(begun, within_s=60, what="work begun")


def stop(workshop: Workshop) -> float:
    """Stop the worker as a supervisor does; return the seconds it took."""
    start = monotonic()
    workshop.worker.signal(signal.SIGTERM)
    assert workshop.worker.wait(60) == 0
    return monotonic() - start


def claimed(house: Resources) -> list[str]:
    """Return the rows the relay would send again now."""
    with house.database.unit_of_work() as uow:
        rows = claim(uow.session, "maintenance", limit=9, resend_after_ms=60_000)
        return [row.id for row in rows]


def wait_claimed(house: Resources, row_id: str) -> None:
    """Wait until the relay takes the holder of the row for dead."""
    wait_until(lambda: claimed(house) == [row_id], within_s=60, what="the lease is out")


def state(row: Outbox) -> tuple[str, int, int, int | None]:
    """Return what tells whether somebody has, or died of, a row."""
    return row.state, row.attempts, row.deaths, row.holder_fence


def test_work_that_outlasts_the_grace_goes_back_at_once_and_uncounted(
    workshop: Workshop, house: Resources
) -> None:
    rows = [workshop.accept(house, 40), workshop.accept(house, 40)]
    wait_begun(house, *rows)
    while house.stores.wait_for_work(0.1):
        pass

    spent = stop(workshop)

    assert GRACE_S <= spent < 35
    for row in (outbox_row(house, row_id) for row_id in rows):
        assert state(row) == ("ready", 0, 0, None)
        assert row.visible_at <= row.updated_at
    assert house.stores.wait_for_work(0.2)
    assert workshop.waiting() == 0


def test_work_that_ends_within_the_grace_is_done(
    workshop: Workshop, house: Resources
) -> None:
    row_id = workshop.accept(house, 1)
    wait_begun(house, row_id)

    stop(workshop)

    assert state(outbox_row(house, row_id)) == ("done", 1, 0, None)


def test_an_idle_worker_stops_at_once(workshop: Workshop) -> None:
    assert stop(workshop) < 40


def test_a_worker_that_hears_nothing_while_work_waits_is_replaced(
    workshop: Workshop, house: Resources
) -> None:
    deaf = partial(app.control.cancel_consumer, "maintenance", reply=True, timeout=5)
    wait_until(deaf, within_s=90, what="the worker listens no more")
    row_id = workshop.accept(house, 0)

    workshop.worker.wait(60)

    assert "hears nothing" in workshop.worker.tail(50)
    assert workshop.waiting() == 1
    workshop.start()
    wait_until(
        lambda: outbox_row(house, row_id).state == "done",
        within_s=60,
        what="done by the next worker",
    )


def test_a_worker_is_not_replaced_for_long_work_or_for_a_broker_that_is_away(
    workshop: Workshop, house: Resources
) -> None:
    rows = [workshop.accept(house, PROBE_S + 8) for _ in range(3)]
    wait_begun(house, *rows[:2])
    assert workshop.waiting() == 1
    sleep(PROBE_S + 6)
    assert workshop.worker.alive
    assert is_fresh(workshop.sign, PROBE_S)
    wait_begun(house, rows[2])
    workshop.redis.process.freeze()
    sleep(PROBE_S + 6)

    assert workshop.worker.alive
    # Celery's own heartbeat waits for the broker; the process has one all the same.
    assert is_fresh(workshop.sign, PROBE_S)
    assert "hears nothing" not in workshop.worker.tail(200)


def test_long_silent_work_of_a_living_worker_is_nobody_elses(
    workshop: Workshop, house: Resources
) -> None:
    row_id = workshop.accept(house, 2.5 * LEASE_S)
    wait_begun(house, row_id)

    def over() -> bool:
        assert claimed(house) == []
        return outbox_row(house, row_id).state == "done"

    wait_until(over, within_s=90, what="the work is done", every_s=0.5)
    assert state(outbox_row(house, row_id)) == ("done", 1, 0, None)


def test_the_work_of_a_killed_worker_is_begun_again_after_the_short_lease(
    workshop: Workshop, house: Resources
) -> None:
    row_id = workshop.accept(house, 40)
    wait_begun(house, row_id)
    workshop.worker.signal(signal.SIGKILL, group=True)
    workshop.worker.kill()

    wait_claimed(house, row_id)
    with house.database.unit_of_work() as uow:
        uow.session.get_one(Outbox, row_id).payload = "0"
    workshop.start()
    workshop.send(row_id)

    wait_until(
        lambda: outbox_row(house, row_id).state == "done",
        within_s=60,
        what="done by the next worker",
    )
    assert state(outbox_row(house, row_id)) == ("done", 2, 1, None)


def test_a_worker_that_was_frozen_finds_its_work_taken_over(
    workshop: Workshop, house: Resources
) -> None:
    row_id = workshop.accept(house, LEASE_S / 2)
    wait_begun(house, row_id)
    workshop.worker.signal(signal.SIGSTOP, group=True)
    wait_claimed(house, row_id)
    with house.database.unit_of_work() as uow:
        heir = begin(uow.session, row_id, Lease(600_000, deaths=3))
    assert isinstance(heir, Outbox)

    workshop.worker.signal(signal.SIGCONT, group=True)

    wait_until(
        lambda: "late copy refused" in workshop.worker.tail(200),
        within_s=60,
        what="the late copy is refused",
    )
    found = outbox_row(house, row_id)
    assert state(found) == ("sent", 2, 1, heir.fence)
    assert found.visible_at == heir.visible_at
