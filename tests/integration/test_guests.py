"""Guests: a session without WeChat, in either store, and their removal."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa

from models import guests as guest_rows
from models.account_links import link_accounts
from models.device_info import DeviceInfo
from models.errors import InvalidInput, Limited, Unavailable
from models.logins import record_logins
from models.sessions import Session
from models.tables import METADATA
from models.users import User, ensure_user
from tests.conftest import NOWHERE
from tests.integration.guest_house import GuestHouse, claims_of, open_guest_house
from tests.integration.openings import journal
from web.services.profile import pending_profile
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings

MakeHouse = Any


@pytest.fixture
def make_house(make_settings: Callable[..., Settings]) -> Iterator[MakeHouse]:
    """Open houses on the stores a test names."""
    with ExitStack() as opened:

        def make(redis_url: str, database_url: str, **variables: str) -> GuestHouse:
            settings = make_settings(
                REDIS_URL=redis_url, DATABASE_URL=database_url, **variables
            )
            return opened.enter_context(closing(open_guest_house(settings)))

        yield make


@pytest.fixture
def house(make_house: MakeHouse, redis_url: str, database_url: str) -> GuestHouse:
    made: GuestHouse = make_house(redis_url, database_url)
    return made


def no_sql(folder: Path) -> str:
    return f"sqlite:///{folder / 'no' / 'such.db'}"


def test_a_guest_needs_neither_wechat_nor_sql(
    make_house: MakeHouse, redis_url: str, tmp_path: Path
) -> None:
    house = make_house(redis_url, no_sql(tmp_path))
    answer = house.enter()

    assert house.calls() == 0
    assert answer.is_new
    assert answer.user.is_guest
    assert answer.user.support_code
    assert answer.enrichment.state == "pending"
    assert house.admitted(answer) == "live"
    (entry,) = journal(house.stores)
    assert entry.user_id == answer.user_id
    assert entry.device == DeviceInfo(id="phone")
    assert pending_profile(claims_of(answer)).is_guest
    assert house.refresh(answer.refresh_token).session_id == answer.session_id


def test_enrichment_writes_a_guest_once(house: GuestHouse) -> None:
    answer = house.enter()
    house.enrich()
    house.enrich()

    user = house.user(answer.user_id)
    assert (user.is_guest, user.login_count) == (True, 1)
    assert house.count(Session) == 1


def test_an_early_write_makes_the_row_of_a_guest(house: GuestHouse) -> None:
    answer = house.enter()
    with house.database.unit_of_work() as work:
        ensure_user(work.session, answer.user_id, answer.app_id, 1)
    house.enrich()

    assert house.user(answer.user_id).is_guest


def test_without_redis_sql_takes_a_guest(
    make_house: MakeHouse, database_url: str
) -> None:
    house = make_house(NOWHERE, database_url)
    answer = house.enter()

    assert answer.enrichment.state == "done"
    assert house.user(answer.user_id).is_guest
    SessionService(house.settings, house.stores, house.database).confirm(
        claims_of(answer)
    )
    assert house.refresh(answer.refresh_token).session_id == answer.session_id


def test_without_both_stores_nobody_gets_in(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable):
        make_house(NOWHERE, no_sql(tmp_path)).enter()


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "this process"])
def test_guests_count_as_logins_do(
    make_house: MakeHouse, redis_url: str, sqlite_url: str, *, away: bool
) -> None:
    url = NOWHERE if away else redis_url
    house = make_house(url, sqlite_url, RATE_LIMITS='{"login.device": "2/0.001"}')
    house.enter()
    house.enter()

    with pytest.raises(Limited):
        house.enter()
    house.enter(device="another")


def test_an_unknown_app_has_no_guests(house: GuestHouse) -> None:
    with pytest.raises(InvalidInput):
        house.enter(app_id="wxunknown")


# Removal


def test_guests_nothing_is_heard_of_go_with_all_they_had(house: GuestHouse) -> None:
    old, active, linked = (house.enter(device=name) for name in "abc")
    house.enrich()
    person = house.login().user_id
    house.enrich()
    with house.database.unit_of_work() as work:
        work.session.execute(sa.update(User).values(updated_at=10))
        work.session.execute(sa.update(Session).values(last_seen_at=10))
        seen = sa.update(Session).where(Session.user_id == active.user_id)
        work.session.execute(seen.values(last_seen_at=50))
        link_accounts(work.session, linked.user_id, person, "guest")

    assert prune(house, before=20) == 1
    assert prune(house, before=20) == 0

    assert house.user(old.user_id) is None
    for one in (active.user_id, linked.user_id, person):
        assert house.user(one) is not None
    with house.database.read() as session:
        left = {
            table.name
            for table in METADATA.sorted_tables
            if table.name not in {"outbox", "inbox"}
            for row in session.execute(sa.select(table))
            if old.user_id in tuple(row)
        }
    assert left == set()


def prune(house: GuestHouse, before: int) -> int:
    with house.database.unit_of_work() as work:
        return guest_rows.prune(work.session, before=before, limit=10)


def test_a_guest_that_comes_back_after_its_removal_is_a_guest_again(
    house: GuestHouse,
) -> None:
    answer = house.enter()
    house.enrich()
    with house.database.unit_of_work() as work:
        work.session.execute(sa.update(User).values(updated_at=10))
        work.session.execute(sa.update(Session).values(last_seen_at=10))
    assert prune(house, before=20) == 1

    house.refresh(answer.refresh_token)
    entries = journal(house.stores)
    house.database.transact(
        lambda work: record_logins(work.session, entries, lambda _: [])
    )

    assert house.user(answer.user_id).is_guest
    assert msgspec.structs.asdict(answer.user)["is_guest"]
