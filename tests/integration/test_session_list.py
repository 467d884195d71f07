"""The list of a user's sessions and the end of one: early, late, without Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from models.device_info import DeviceInfo
from models.errors import NotFound, RedisUnavailable
from models.standings import end_epoch
from tests.integration.session_house import House, claims, late_login, open_pair
from web.services.session_list import SessionList, open_session_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from web.services.session_shapes import SessionPage
    from web.services.tokens import Grant


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as opened:
        yield opened


@pytest.fixture
def mine(house: House) -> SessionList:
    return open_session_list(house.settings, house.stores, house.database)


@pytest.fixture
def without_redis(house: House) -> SessionList:
    return open_session_list(house.settings, house.cut, house.database)


def ids(page: SessionPage) -> list[str]:
    return [item.id for item in page.items]


def all_ids(listing: SessionList, grant: Grant, limit: int) -> list[str]:
    """Follow the pages to their end."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = listing.page(claims(grant), cursor, limit)
        found += ids(page)
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_live_sessions_are_listed_newest_first_whoever_knows_them(
    house: House, mine: SessionList, limit: int
) -> None:
    grants = [house.login("u_1", enriched=n % 2 == 0) for n in range(5)]
    house.login("u_2")
    ended = house.login("u_1")
    house.service.logout(claims(ended), "this")
    order = sorted(grants, key=lambda g: (g.issued_at, g.session_id), reverse=True)

    assert all_ids(mine, grants[0], limit) == [g.session_id for g in order]


def test_a_session_tells_its_device_and_whether_it_asks(
    house: House, mine: SessionList
) -> None:
    own, other = house.login("u_1", enriched=False), house.login("u_1")
    device = DeviceInfo(id="d1", model="M", platform="ios")
    house.enrich(msgspec.structs.replace(late_login(own), device=device, ip="10.1.2.3"))

    told = {item.id: item for item in mine.page(claims(own), None, 10).items}

    device_of_own = told[own.session_id].device
    assert device_of_own is not None
    assert device_of_own.model == "M"
    assert told[own.session_id].ip_city is None
    assert told[own.session_id].created_at == own.issued_at
    assert told[own.session_id].current
    assert told[other.session_id].device is None
    assert not told[other.session_id].current


def test_the_city_comes_from_the_operators_table(house: House, tmp_path: Path) -> None:
    file = tmp_path / "cities.csv"
    file.write_text("10.1.0.0/16,Shenzhen\n")
    accounts = house.settings.accounts.model_copy(update={"ip_city_file": file})
    settings = house.settings.model_copy(update={"accounts": accounts})
    listing = open_session_list(settings, house.stores, house.database)
    own = house.login("u_1", enriched=False)
    house.enrich(msgspec.structs.replace(late_login(own), ip="10.1.2.3"))

    assert [i.ip_city for i in listing.page(claims(own), None, 9).items] == ["Shenzhen"]


def test_the_own_session_is_listed_though_nobody_lists_it(
    house: House, mine: SessionList, without_redis: SessionList
) -> None:
    own, late = (house.login("u_1", enriched=False) for _ in range(2))

    assert ids(without_redis.page(claims(own), None, 10)) == [own.session_id]
    house.forget(own)
    assert set(ids(mine.page(claims(own), None, 10))) == {
        own.session_id,
        late.session_id,
    }


def test_sessions_of_an_epoch_that_is_over_are_not_listed(
    house: House, mine: SessionList
) -> None:
    old, late = house.login("u_1"), house.login("u_1", enriched=False)
    with house.database.unit_of_work() as work:
        standing = end_epoch(work.session, "u_1")
    house.stores.standings.put("u_1", standing)
    new = msgspec.structs.replace(house.login("u_1", enriched=False), epoch=1)
    asking = claims(new)

    assert old.session_id not in ids(mine.page(asking, None, 10))
    assert late.session_id not in ids(mine.page(asking, None, 10))


# The end of one


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "another"])
def test_one_session_ends_once(
    house: House, mine: SessionList, *, enriched: bool, own: bool
) -> None:
    here, there = (house.login("u_1", enriched=enriched) for _ in range(2))
    ended, left = (here, there) if own else (there, here)

    assert mine.end_one(claims(here), ended.session_id).revoked == 1
    asker = claims(left)
    assert mine.end_one(asker, ended.session_id).revoked == 0

    house.enrich(late_login(ended), late_login(left))
    assert house.is_live_in_sql(ended.session_id) is False
    assert house.is_live_in_sql(left.session_id) is True
    assert house.state(ended.session_id) == "revoked"
    assert house.state(left.session_id) == "live"


def test_sessions_of_others_are_not_there(house: House, mine: SessionList) -> None:
    own = house.login("u_1")
    for enriched in (True, False):
        other = house.login("u_2", enriched=enriched)
        for name in (other.session_id, "se_none", "x"):
            with pytest.raises(NotFound):
                mine.end_one(claims(own), name)
        assert house.state(other.session_id) == "live"


def test_without_redis_a_session_nobody_knows_is_no_404(
    house: House, without_redis: SessionList
) -> None:
    own, known = house.login("u_1"), house.login("u_1")
    late = house.login("u_1", enriched=False)

    assert without_redis.end_one(claims(own), known.session_id).revoked == 1
    with pytest.raises(RedisUnavailable):
        without_redis.end_one(claims(own), late.session_id)
