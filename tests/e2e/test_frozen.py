"""Frozen processes are replaced and their work is done; waiting ones are left alone."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from config.clock import sleep
from tests.e2e.test_recovery import wait_back
from tests.servers.fixtures import require
from tests.servers.house import House
from tests.servers.process import wait_until
from tests.servers.redis_server import RedisServer, find_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FROZEN_AFTER_S = 15
REPLACED_S = 60
SIGNED = ("relay", "worker", "notifier", "bulk", "beat")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that nobody starts again but the test."""
    require(find_redis)
    server = RedisServer(tmp_path_factory.mktemp("redis"), appendonly="yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hasty(
    tmp_path_factory: pytest.TempPathFactory, store: RedisServer
) -> Iterator[House]:
    """A stack that waits for signs of life less long than by default."""
    folder = tmp_path_factory.mktemp("hasty")
    wait = {"FROZEN_AFTER_S": str(FROZEN_AFTER_S)}
    house = House(folder, REDIS_URL=store.url, BROKER_URL=store.url, **wait)
    try:
        house.start()
        yield house
    finally:
        house.end()


def pids(house: House) -> dict[str, int]:
    """Return who runs, of those that leave signs of life."""
    return {name: house.pid(name) for name in SIGNED}


def counted(house: House) -> bool:
    """Whether each successor has counted that it replaces a frozen process."""
    page = house.ops("/metrics").body.decode()
    lines = [f'kuaida_frozen_replaced_total{{process="{name}"}} 1.0' for name in SIGNED]
    return all(line in page for line in lines)


def test_frozen_processes_are_replaced_and_their_work_is_done(hasty: House) -> None:
    before = pids(hasty)
    pool = hasty.children(before["worker"])
    for name in SIGNED:
        os.kill(before[name], signal.SIGSTOP)
    user = hasty.login().data["user"]["id"]

    for name in SIGNED:
        wait_back(hasty, name, before[name], within_s=REPLACED_S)

    hasty.wait_enriched(user, within_s=REPLACED_S)
    running = set(hasty.alive())
    assert not running & {*before.values(), *pool}
    wait_until(lambda: counted(hasty), within_s=30, what="each replacement counted")


def away(store: RedisServer) -> None:
    """Refuse every connection for a while."""
    store.stop()
    sleep(3 * FROZEN_AFTER_S)
    store.start()


def mute(store: RedisServer) -> None:
    """Accept connections and answer nothing for a while."""
    store.process.freeze()
    sleep(3 * FROZEN_AFTER_S)
    store.process.thaw()


@pytest.mark.parametrize("fault", [mute, away])
def test_nobody_is_replaced_while_redis_is_gone(
    hasty: House, store: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    before = pids(hasty)

    fault(store)

    assert pids(hasty) == before
    user = hasty.login().data["user"]["id"]
    hasty.wait_enriched(user, within_s=REPLACED_S)
    assert pids(hasty) == before
