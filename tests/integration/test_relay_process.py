"""The relay's publisher and process against a broker that freezes, forgets and goes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from config.queues import Queue
from models.users import ensure_user
from tasks.app import TASK_MODULES, app, configure, resources
from tests.integration.journals import WARM, enqueue, journal, make_login, outbox_row
from tests.servers.process import LocalProcess, wait_until
from workers.health import is_fresh
from workers.login_relay import ENRICH
from workers.publisher import Publisher
from workers.relay_loop import BrokerAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from config.settings import Settings
    from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker(
    private_redis: RedisServer, sqlite_url: str, make_settings: Callable[..., Settings]
) -> Iterator[RedisServer]:
    """A broker of this test alone, with the app configured for it."""
    url = private_redis.url
    configure(make_settings(DATABASE_URL=sqlite_url, REDIS_URL=url, BROKER_URL=url))
    for module in TASK_MODULES:
        app.loader.import_task_module(module)
    yield private_redis
    private_redis.process.thaw()


def queued(broker: RedisServer, queue: str) -> list[dict[str, object]]:
    """Return the messages that wait in a queue."""
    with broker.client() as client:
        return [json.loads(raw) for raw in client.lrange(f"kuaida:test:{queue}", 0, -1)]


def test_a_message_carries_ids_to_the_queue_of_its_task(broker: RedisServer) -> None:
    publisher = Publisher(app)
    publisher.send(WARM, "ob_1")
    publisher.send(ENRICH, ["1-1", "1-2"])

    assert publisher.count_waiting(Queue.SYNC) == 1
    assert publisher.count_waiting(Queue.ORDERS) == 0
    (message,) = queued(broker, "logins")
    headers = message["headers"]
    assert isinstance(headers, dict)
    assert headers["task"] == ENRICH
    assert headers["argsrepr"] == "1-1 and 1 more"
    assert headers["eta"] is None
    publisher.close()


def test_a_frozen_broker_is_noticed_in_time(broker: RedisServer) -> None:
    publisher = Publisher(app)
    publisher.send(WARM, "ob_1")
    broker.process.freeze()
    for act in (lambda: publisher.send(WARM, "ob_2"), publisher.probe):
        start = monotonic()
        with pytest.raises(BrokerAway):
            act()
        assert monotonic() - start < 40
    broker.process.thaw()

    publisher.probe()
    publisher.send(WARM, "ob_3")
    assert publisher.count_waiting(Queue.SYNC) >= 2
    publisher.close()


def test_queues_forgotten_by_the_broker_are_made_again(broker: RedisServer) -> None:
    publisher = Publisher(app)
    publisher.send(WARM, "ob_1")
    broker.flush()
    for _ in range(2):
        try:
            publisher.send(WARM, "ob_2")
        except BrokerAway:
            continue

    assert publisher.count_waiting(Queue.SYNC) >= 1
    publisher.close()


@pytest.fixture
def running(
    broker: RedisServer, sqlite_url: str, environment: Mapping[str, str], tmp_path: Path
) -> Iterator[LocalProcess]:
    """A relay as a process of its own."""
    variables = {
        **environment,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": sqlite_url,
        "REDIS_URL": broker.url,
        "BROKER_URL": broker.url,
    }
    command = [sys.executable, "-m", "workers.relay"]
    process = LocalProcess(command, log=tmp_path / "relay.log", env=variables, cwd=ROOT)
    process.start()
    alive = tmp_path / "var" / "run" / "relay.alive"
    process.wait_ready(lambda: is_fresh(alive, 5), within_s=120)
    yield process
    process.stop()


def test_the_process_moves_both_journals_and_ends_in_time(
    running: LocalProcess, broker: RedisServer
) -> None:
    house = resources()
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)
    journal(house, make_login(house))
    (row_id,) = enqueue(house)
    wait_until(lambda: queued(broker, "logins"), within_s=60, what="the login")
    wait_until(lambda: queued(broker, "sync"), within_s=60, what="the work")

    running.signal(signal.SIGTERM)

    assert running.wait(60) == 0
    assert outbox_row(house, row_id).state == "sent"
    house.close()


def test_the_process_outlives_a_broker_that_goes_and_comes(
    running: LocalProcess, broker: RedisServer
) -> None:
    house = resources()
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)
    broker.stop()
    sleep(1)
    enqueue(house)
    sleep(2)
    broker.start()

    wait_until(lambda: queued(broker, "sync"), within_s=60, what="the work")

    assert running.alive
    house.close()
