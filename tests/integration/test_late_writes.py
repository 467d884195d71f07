"""Ends of sessions that Redis missed: written when it is back, doubted until then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline, sleep
from config.patience import under
from models.database import open_database
from models.errors import Forbidden, RedisUnavailable, Unauthenticated
from models.standings import ban
from models.stores.container import Stores, open_stores
from models.stores.late_writes import AT_MOST, LateWrites
from tests.integration.session_house import House, claims, open_pair
from tests.servers.process import wait_until
from tests.servers.redis_server import RedisServer
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database


class Rota:
    """A Redis that comes back at the third knock."""

    def __init__(self) -> None:
        self.knocks = 0

    def knock(self) -> bool:
        self.knocks += 1
        return self.knocks >= 3


def test_a_write_that_works_is_made_once_and_at_once() -> None:
    made: list[int] = []
    LateWrites(Rota()).attempt(lambda: made.append(1))  # type: ignore[arg-type]
    assert made == [1]


def test_late_writes_are_made_in_order_once_redis_answers() -> None:
    rota, made = Rota(), []
    late = LateWrites(rota)  # type: ignore[arg-type]

    def write(number: int) -> None:
        if rota.knocks < 3:
            raise RedisUnavailable
        made.append(number)

    for number in range(5):
        late.attempt(lambda n=number: write(n))  # type: ignore[misc]

    wait_until(lambda: len(made) == 5, within_s=60, what="late writes")
    assert made == list(range(5))
    # And a later outage is not the end of it.
    rota.knocks = 0
    late.attempt(lambda: write(9))
    wait_until(lambda: made[-1] == 9, within_s=60, what="a write of later")


def test_an_outage_holds_a_bounded_number_of_them() -> None:
    late = LateWrites(Rota())  # type: ignore[arg-type]

    def fail() -> None:
        raise RedisUnavailable

    for _ in range(AT_MOST + 50):
        late.attempt(fail)
    assert len(late._waiting) <= AT_MOST


@pytest.fixture
def lonely(
    own_redis: RedisServer, settings: Settings, database: Database
) -> Iterator[House]:
    """A house over a Redis that the test may freeze."""
    redis = settings.redis.model_copy(
        update={
            "url": own_redis.url,
            "broker_url": own_redis.url,
            # Frozen it is not waited for long.
            "timeout_s": 3.0,
            "doubt_s": 300.0,
        }
    )
    chosen = settings.model_copy(update={"redis": redis})
    stores = open_stores(chosen)
    with open_pair(chosen, stores, database) as house:
        yield house
    stores.close()


def other_process(house: House) -> Stores:
    """Return stores that have lived through nothing."""
    return open_stores(house.settings)


def test_a_logout_without_redis_holds_as_soon_as_it_is_back(
    lonely: House, own_redis: RedisServer
) -> None:
    grant = lonely.login("u_1")
    own_redis.process.freeze()
    try:
        for _ in range(6):  # the breaker opens, so nothing lies in a buffer
            with pytest.raises(RedisUnavailable):
                lonely.admit(grant)
        lonely.service.logout(claims(grant), "this")
    finally:
        own_redis.process.thaw()

    fresh = other_process(lonely)
    seen = replace(lonely, stores=fresh)
    wait_until(
        lambda: seen.admit(grant).session == "revoked", within_s=60, what="the mark"
    )
    fresh.close()


def test_who_lost_redis_a_moment_ago_asks_sql_as_well(
    lonely: House, own_redis: RedisServer
) -> None:
    live, ended = lonely.login("u_1"), lonely.login("u_1")
    assert lonely.admit(live).session == "live"
    own_redis.process.freeze()
    with pytest.raises(RedisUnavailable):
        lonely.admit(live)
    lonely.cut_off.logout(claims(ended), "this")
    own_redis.process.thaw()
    sleep(0.05)

    # Redis has not heard of the logout; this process knows that it may not have.
    assert lonely.admit(ended).session == "doubtful"
    with pytest.raises(Unauthenticated):
        lonely.service.recheck(claims(ended))
    lonely.service.recheck(claims(live))


def test_a_recheck_leaves_to_redis_what_sql_does_not_know(
    stores: Stores, settings: Settings, database: Database
) -> None:
    with open_pair(settings, stores, database) as house:
        late = house.login("u_1", enriched=False)
        house.service.recheck(claims(late))

        known = house.login("u_2")
        with database.unit_of_work() as work:
            ban(work.session, "u_2")
        with pytest.raises(Forbidden):
            house.service.recheck(claims(known))


def test_an_impatient_request_does_not_get_around_a_recheck(
    stores: Stores, settings: Settings, database: Database
) -> None:
    with open_pair(settings, stores, database) as house:
        ended = house.login("u_1")
        house.cut_off.logout(claims(ended), "this")

        with under(Deadline.after_ms(0)), pytest.raises(Unauthenticated):
            house.service.recheck(claims(ended))


def test_a_recheck_without_sql_passes(
    stores: Stores, settings: Settings, database: Database, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'such.db'}"
    gone = settings.model_copy(
        update={"database": settings.database.model_copy(update={"url": url})}
    )
    with open_pair(settings, stores, database) as house:
        grant = house.login("u_1")
    SessionService(gone, stores, open_database(gone)).recheck(claims(grant))
