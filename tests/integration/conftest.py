"""Stores with chosen limits, and whole processes to kill, freeze and starve."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from models.stores.container import open_stores
from models.users import ensure_user
from tasks.app import _process, configure, resources
from tests.integration.login_house import WIDE, House, open_house
from tests.integration.message_house import HASTE as QUICKLY
from tests.integration.message_house import MessageHouse
from tests.integration.private_house import ANY_LIMIT, private_house
from tests.servers.fixtures import require
from tests.servers.mariadb_server import MariaDbServer, find_mariadb
from tests.servers.proxy import FaultProxy
from tests.servers.redis_server import RedisServer, find_redis
from tests.servers.stack import Stack, standing
from web.services.notifications import NotificationService
from wechat.gateway import open_gateway
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from config.settings import Settings
    from models.stores.container import Stores
    from tasks.app import Resources
    from tests.integration.private_house import PrivateHouse

# Promises are kept in seconds here, so that a test need not wait for minutes.
HASTE = {
    "RESEND_AFTER_S": "2",
    "TASK_LEASE_S": "5",
    # Half of the lease at most.
    "NOTIFICATION_CALL_S": "2.5",
    "LOST_RETRY_DELAY_S": "1",
    "VISIBILITY_TIMEOUT_S": "61",
    # What is heard in time was told: no look by the clock may help, and no heartbeat.
    "EVENTS_POLL_S": "600",
    "EVENTS_HEARTBEAT_S": "100",
}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis of this test alone, to be stopped and frozen."""
    require(find_redis)
    server = RedisServer(tmp_path / "own")
    server.start()
    server.settle()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbServer]:
    """Start a MariaDB of this module alone, to be stopped and frozen."""
    require(lambda: find_mariadb("mariadbd"))
    server = MariaDbServer(tmp_path_factory.mktemp("sql"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, own_mariadb: MariaDbServer
) -> Iterator[Stack]:
    """Run web and simulator on MariaDB; nobody empties the journals."""
    require(find_redis)
    folder = tmp_path_factory.mktemp("front")
    stack = Stack(folder, own_mariadb.create("front"), **HASTE)
    with standing(stack, "wechat", "web"):
        yield stack


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def pipeline(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Run web, simulator, relay and worker on each database.

    The workers reach their broker through a proxy that can cut their connections.
    """
    require(find_redis)
    url = ""
    if request.param == "mariadb":
        url = request.getfixturevalue("own_mariadb").create("pipeline")
    stack = Stack(tmp_path_factory.mktemp("pipeline"), url, **HASTE)
    proxy = FaultProxy(stack.redis.port, b"enrich_logins")
    stack.variables["BROKER_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
    stack.proxy = proxy
    with standing(stack, "wechat", "web", "relay", "worker"):
        yield stack
    proxy.close()


@pytest.fixture
def open_with(
    redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., Stores]]:
    """Open stores with the limits a test names."""
    opened: list[Stores] = []

    def make(rules: dict[str, str], failures: str = "5/300") -> Stores:
        settings = make_settings(
            REDIS_URL=redis_url,
            RATE_LIMITS=json.dumps(rules),
            LOGIN_FAILURES=failures,
        )
        opened.append(open_stores(settings))
        return opened[-1]

    yield make
    for stores in opened:
        stores.close()


@pytest.fixture
def workplace(
    database_url: str, redis_url: str, settings: Settings
) -> Iterator[Resources]:
    """What tasks work with, on a real Redis and each database."""
    configure(settings)
    opened = resources()
    yield opened
    opened.close()


@pytest.fixture
def house(workplace: Resources) -> Resources:
    """What tasks work with, and one user; files with another house have their own."""
    with workplace.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)
    return workplace


@pytest.fixture
def messages(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[MessageHouse]:
    """Give the way of a message in this process, on each database."""
    settings = make_settings(
        DATABASE_URL=database_url, REDIS_URL=redis_url, BROKER_URL=redis_url, **QUICKLY
    )
    configure(settings)
    (app,) = settings.wechat.apps
    simulated = SimApp(app.app_id, app.secret.get_secret_value())
    wechat = SimulatedTransport(SimState([simulated], seed=7))
    opened = resources()
    gateway = open_gateway(settings, opened.stores, transport=wechat)
    wired = replace(opened, gateway=gateway)
    _process._opened = wired
    service = NotificationService(settings, opened.stores, opened.database)
    yield MessageHouse(wired, wechat, service)
    wired.close()


@pytest.fixture
def open_private(
    redis_url: str, database_url: str, make_settings: Callable[..., Settings]
) -> Callable[..., AbstractContextManager[PrivateHouse]]:
    """Open processes of one private house, on each database, with other settings."""

    def make(**variables: str) -> AbstractContextManager[PrivateHouse]:
        given = {"REDIS_URL": redis_url, **ANY_LIMIT, **variables}
        return private_house(make_settings(DATABASE_URL=database_url, **given))

    return make


@pytest.fixture
def private(
    open_private: Callable[..., AbstractContextManager[PrivateHouse]],
) -> Iterator[PrivateHouse]:
    """Give one private house."""
    with open_private() as house:
        yield house


@pytest.fixture
def make_login_house(
    make_settings: Callable[..., Settings],
) -> Iterator[Callable[..., House]]:
    """Open login services on the stores a test names; see `login_house`."""
    with ExitStack() as opened:

        def make(redis_url: str, database_url: str, **variables: str) -> House:
            settings = make_settings(
                REDIS_URL=redis_url, DATABASE_URL=database_url, **{**WIDE, **variables}
            )
            return opened.enter_context(closing(open_house(settings)))

        yield make
