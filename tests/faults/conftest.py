"""The tier's place to work: one MariaDB, and one xdist process for all of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.site import Site
from tests.servers.fixtures import require
from tests.servers.mariadb_server import find_mariadb
from tests.servers.redis_server import find_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tier on one xdist process, with the e2e tier: both need the cores."""
    for item in items:
        if "/faults/" in str(item.path):
            item.add_marker(pytest.mark.xdist_group("house"))
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Open the tier's site; FAULTS_SEED repeats a run."""
    require(find_redis)
    require(lambda: find_mariadb("mariadbd"))
    seed = os.environ.get("FAULTS_SEED") or os.urandom(4).hex()
    with Site(tmp_path_factory.mktemp("faults"), seed) as opened:
        yield opened
