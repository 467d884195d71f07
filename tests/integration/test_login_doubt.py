"""Logins through a process that lost Redis a moment ago: SQL may know more."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import monotonic
from models.account_links import AccountLink
from models.errors import Forbidden, RedisUnavailable
from models.standings import ban
from tests.conftest import NOWHERE
from tests.integration.guest_house import GuestHouse, claims_of, open_guest_house
from tests.integration.test_guests import no_sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.redis_server import RedisServer

PERSON = "o-1"
# A frozen Redis is not waited for long, and doubted for as long as a test lasts.
IMPATIENT = {"REDIS_TIMEOUT_S": "2", "REDIS_DOUBT_S": "300"}


@pytest.fixture
def pair(
    make_settings: Any, own_redis: RedisServer, database_url: str
) -> Iterator[tuple[GuestHouse, GuestHouse]]:
    """Give a house whose Redis may freeze, and one that never reaches it."""
    settings = [
        make_settings(REDIS_URL=url, DATABASE_URL=database_url, **IMPATIENT)
        for url in (own_redis.url, NOWHERE)
    ]
    with (
        closing(open_guest_house(settings[0])) as house,
        closing(open_guest_house(settings[1])) as alone,
    ):
        yield house, alone


def upgrade_unheard(
    house: GuestHouse, alone: GuestHouse, own_redis: RedisServer
) -> str:
    """Make a guest the person's user while Redis is frozen; return its id."""
    guest = alone.enter()
    own_redis.process.freeze()
    with pytest.raises(RedisUnavailable):
        house.stores.ping()
    alone.login(alone.code(PERSON), guest=claims_of(guest))
    return str(guest.user_id)


def test_the_person_of_a_guest_gets_no_second_account(
    pair: tuple[GuestHouse, GuestHouse], own_redis: RedisServer
) -> None:
    house, _ = pair
    guest_id = upgrade_unheard(*pair, own_redis)
    own_redis.process.thaw()

    assert house.login(house.code(PERSON)).user_id == guest_id
    house.enrich()
    assert house.rows(AccountLink) == []


def test_a_ban_that_redis_missed_holds(
    pair: tuple[GuestHouse, GuestHouse], own_redis: RedisServer
) -> None:
    house, _ = pair
    guest_id = upgrade_unheard(*pair, own_redis)
    with house.database.unit_of_work() as work:
        ban(work.session, guest_id)
    own_redis.process.thaw()

    with pytest.raises(Forbidden) as error:
        house.login(house.code(PERSON))
    assert (error.value.reason, error.value.user_id) == ("user_banned", guest_id)


def test_without_sql_what_redis_knows_must_do(
    make_settings: Any, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(REDIS_URL=redis_url, DATABASE_URL=no_sql(tmp_path))
    with closing(open_guest_house(settings)) as house:
        house.stores.redis._failed_at = monotonic()

        assert house.login().session_id
