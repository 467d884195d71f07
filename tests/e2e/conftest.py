"""One house for the whole tier; tests that stop a house start their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.fixtures import require
from tests.servers.house import House
from tests.servers.redis_server import find_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tier on one xdist process: two houses do not fit two cores."""
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.xdist_group("house"))
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def running_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Start the stack once."""
    require(find_redis)
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.start()
        yield house
    finally:
        house.end()


@pytest.fixture
def house(running_house: House) -> Iterator[House]:
    """Give the running stack with a WeChat in good health."""
    running_house.wechat.heal()
    yield running_house
    running_house.wechat.heal()
