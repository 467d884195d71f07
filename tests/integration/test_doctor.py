"""`flask doctor`: a healthy installation is called well, each fault is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from web.doctor import Doctor
from wechat.gateway import open_gateway

if TYPE_CHECKING:
    from tests.integration.login_house import House
    from tests.servers.redis_server import RedisServer

TOKEN = "/cgi-bin/stable_token"


@pytest.fixture
def house(
    make_login_house: Any, private_redis: RedisServer, database_url: str
) -> House:
    made: House = make_login_house(private_redis.url, database_url)
    return made


def told(house: House) -> dict[str, list[tuple[bool, str]]]:
    """Return what the doctor says of each part."""
    gateway = open_gateway(house.settings, house.stores, transport=house.wechat)
    found: dict[str, list[tuple[bool, str]]] = {}
    for one in Doctor(house.settings, house.stores, house.database, gateway).examine():
        found.setdefault(one.part, []).append((one.ok, one.words))
    return found


def test_a_sound_installation_is_called_well(house: House) -> None:
    found = told(house)

    assert set(found) >= {"configuration", "redis", "database", "clocks", "wechat"}
    sick = [words for said in found.values() for ok, words in said if not ok]
    assert [words for words in sick if "maxmemory" not in words] == []


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"mode": "error", "errcode": 40125}, "40125"),
        ({"mode": "reset"}, "check WECHAT_API_BASE"),
    ],
    ids=str,
)
def test_a_kept_token_does_not_hide_that_wechat_is_away(
    house: House, how: dict[str, Any], word: str
) -> None:
    told(house)
    calls = house.wechat.state.calls[TOKEN]
    house.fault(**how)

    ((ok, words),) = told(house)["wechat"]

    assert not ok
    assert word in words
    assert house.wechat.state.calls[TOKEN] == calls


def test_a_store_that_is_away_is_one_finding_of_its_own(
    house: House, private_redis: RedisServer
) -> None:
    private_redis.stop()

    found = told(house)

    ((ok, words),) = found["redis"]
    assert not ok
    assert "cannot be reached" in words
    assert all(ok for ok, _ in found["database"])
