"""Fixtures that start real servers; each xdist process has servers of its own.

Loaded as a plugin by `tests.conftest`. A missing server program is a failure with
one clear line, unless SKIP_EXTERNAL=1 says that leaving these tests out is wanted.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.mariadb_server import MariaDbServer, find_mariadb
from tests.servers.process import ServerError
from tests.servers.redis_server import RedisServer, find_redis
from tests.servers.schema import empty_tables, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NUMBERS = itertools.count(1)


def require(find: Callable[[], str]) -> None:
    """Fail, or skip when told so, if a server program is not on this machine."""
    try:
        find()
    except ServerError as missing:
        if os.environ.get("SKIP_EXTERNAL") == "1":
            pytest.skip(str(missing))
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the session; use `private_redis` to freeze or kill one."""
    require(find_redis)
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Give the URL of an empty Redis that knows: nobody is special, nothing ended."""
    redis_server.flush()
    redis_server.settle()
    return redis_server.url


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis of this test alone, to be frozen, stopped and started again."""
    require(find_redis)
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbServer]:
    """One MariaDB for the session."""
    require(lambda: find_mariadb("mariadbd"))
    server = MariaDbServer(tmp_path_factory.mktemp("mariadb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mariadb_database(mariadb_server: MariaDbServer) -> Iterator[str]:
    """Make a migrated MariaDB database of this module."""
    name = f"kuaida_{next(NUMBERS)}"
    url = mariadb_server.create(name)
    migrate(url)
    yield url
    mariadb_server.drop(name)


@pytest.fixture
def mariadb_url(mariadb_database: str) -> str:
    """Give the URL of a migrated MariaDB database without rows."""
    empty_tables(mariadb_database)
    return mariadb_database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a migrated SQLite file that each test copies."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Give the URL of a migrated SQLite database without rows."""
    path = tmp_path / "kuaida.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> Any:
    """Give both databases in turn: the same test must hold on each."""
    return request.getfixturevalue(f"{request.param}_url")
