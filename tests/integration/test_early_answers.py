"""What is told before enrichment is what is told after it, to the millisecond."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from models.device_info import DeviceInfo
from models.stores.session_list import SessionListStore
from models.users import Profile
from tests.integration.guest_house import (
    GuestHouse,
    caller,
    claims_of,
    open_guest_house,
)
from web.services.login_attempt import LoginRequest
from web.services.profile import ProfileService
from web.services.session_entries import vouched_entry
from web.services.session_list import open_session_list
from web.services.sessions import SessionService
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.settings import Settings

PHONE = DeviceInfo("d-1", "iPhone 15", "ios", "iOS 18", "8.0.50")


@pytest.fixture
def house(
    redis_url: str, database_url: str, make_settings: Any, tmp_path: Path
) -> Iterator[GuestHouse]:
    file = tmp_path / "cities.csv"
    file.write_text("10.0.0.0/8,Shenzhen\n")
    settings: Settings = make_settings(
        REDIS_URL=redis_url, DATABASE_URL=database_url, IP_CITY_FILE=str(file)
    )
    with closing(open_guest_house(settings)) as made:
        yield made


def login(house: GuestHouse, device: DeviceInfo | None = PHONE) -> Any:
    return house.service.login(LoginRequest(house.code("o-1"), device=device), caller())


def profile(house: GuestHouse, answer: Any) -> Profile:
    """Return what `GET /me` tells, as a process finds it that has cached nothing."""
    house.stores.users.delete(answer.user_id)
    service = ProfileService(house.database, house.stores.users)
    told = service.get(claims_of(answer))
    return msgspec.json.decode(msgspec.json.encode(told), type=Profile)


def listed(house: GuestHouse, answer: Any) -> Any:
    listing = open_session_list(house.settings, house.stores, house.database)
    return listing.page(claims_of(answer), None, 10)


@pytest.mark.parametrize("way", ["login", "guest"])
def test_the_first_profile_has_the_times_of_the_row(
    house: GuestHouse, way: str
) -> None:
    answer = login(house) if way == "login" else house.enter()
    first = profile(house, answer)
    house.enrich()
    later = profile(house, answer)

    assert first.created_at == answer.user.created_at
    assert first == msgspec.structs.replace(later, profile_state="pending")


def test_an_early_write_keeps_the_moment_of_the_login(house: GuestHouse) -> None:
    answer = login(house)
    service = ProfileService(house.database, house.stores.users)
    changed = service.update(claims_of(answer), {"city": "Chengdu"})
    house.enrich()

    assert changed.created_at == changed.last_login_at == answer.user.created_at
    assert profile(house, answer).created_at == answer.user.created_at


def test_a_session_that_both_stores_lost_is_written_with_its_moment(
    house: GuestHouse,
) -> None:
    answer = login(house)
    house.stores.redis.execute("FLUSHALL")
    claims = claims_of(answer)
    service = SessionService(house.settings, house.stores, house.database)
    service.confirm(claims)
    (early,) = listed(house, answer).items
    house.enrich()

    assert early.created_at == answer.user.created_at
    assert listed(house, answer).items[0].created_at == early.created_at
    assert profile(house, answer).created_at == answer.user.created_at


def test_what_a_token_vouches_for_is_no_older_than_its_session(
    house: GuestHouse,
) -> None:
    answer = login(house)
    entry = vouched_entry(claims_of(answer), answer.session_id, 60_000)

    assert entry.began_at == answer.user.created_at
    assert entry.at >= entry.began_at


@pytest.mark.parametrize(
    "device", [PHONE, DeviceInfo("d-2"), None], ids=["all", "an id", "nothing"]
)
def test_a_session_is_listed_at_once_as_its_row_will_be(
    house: GuestHouse, device: DeviceInfo | None
) -> None:
    answer = login(house, device)
    first = listed(house, answer)
    house.enrich()

    assert first == listed(house, answer)
    (session,) = first.items
    assert session.ip_city == "Shenzhen"
    told = session.device and msgspec.structs.asdict(session.device)
    wanted = device and {
        name: getattr(device, name) for name in DeviceInfo.__struct_fields__
    }
    assert told == wanted


def test_a_guest_and_a_refreshed_session_show_their_device_too(
    house: GuestHouse,
) -> None:
    guest = house.enter(device="d-3")
    house.refresh(guest.refresh_token)
    first = listed(house, guest)
    house.enrich()

    assert first == listed(house, guest)
    assert first.items[0].device.id == "d-3"


def test_an_entry_that_cannot_be_read_hides_no_session(house: GuestHouse) -> None:
    answer = login(house)
    keys, redis = house.stores.keys, house.stores.redis
    place = redis.execute("XADD", keys.logins, "*", "e", "no json")
    redis.execute("HSET", keys.session(answer.session_id), "entry", place)

    (session,) = listed(house, answer).items
    assert session.device is None


def test_copies_of_an_earlier_release_are_listed(house: GuestHouse) -> None:
    answer = login(house)
    keys, redis = house.stores.keys, house.stores.redis
    redis.execute("HDEL", keys.session(answer.session_id), "entry")

    (copy,) = SessionListStore(redis, keys).newest(answer.user_id, 9)
    assert copy.entry is None


def test_a_refreshed_access_token_still_knows_when_its_session_began(
    house: GuestHouse,
) -> None:
    answer = login(house)
    tokens = house.refresh(answer.refresh_token)
    grant = TokenSigner(house.settings).read_refresh(tokens.refresh_token)

    assert grant.opened_at == claims_of(answer).opened_at
