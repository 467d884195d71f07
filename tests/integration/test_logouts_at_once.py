"""Sessions of one user that end each other at the same moment: one wins and stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from models.errors import Forbidden, Unauthenticated
from models.session_ends import MARK_REVOKED
from models.standings import ban, end_epoch
from models.users import ensure_user
from tests.integration.session_house import APP, House, claims, open_pair
from web.services.session_list import open_session_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from web.services.sessions import SessionService
    from web.services.tokens import Grant

AWAY = pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
RIVALS = 10


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as opened:
        yield opened


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as error:
        act()
    return error.value.reason


def at_once(grants: list[Grant], act: Callable[[Grant], int]) -> list[int | str]:
    """Have each session act at the same moment; tells counts, and refusals by name."""
    start = Barrier(len(grants))

    def ask(grant: Grant) -> int | str:
        start.wait()
        try:
            return act(grant)
        except Unauthenticated as error:
            return error.reason

    with ThreadPoolExecutor(len(grants)) as pool:
        return list(pool.map(ask, grants))


def leaving(service: SessionService, scope: Any) -> Callable[[Grant], int]:
    return lambda grant: service.logout(claims(grant), scope).revoked


@pytest.mark.parametrize(("scope", "count"), [("others", RIVALS - 1), ("all", RIVALS)])
@AWAY
def test_of_logouts_at_once_one_wins(
    house: House, scope: Any, count: int, *, away: bool
) -> None:
    # What enrichment has not written, only Redis can list.
    grants = [house.login("u_1", enriched=away or n % 2 == 0) for n in range(RIVALS)]
    service = house.cut_off if away else house.service

    told = at_once(grants, leaving(service, scope))

    assert sorted(told, key=str) == [count] + ["session_revoked"] * (RIVALS - 1)
    left = [g for g in grants if house.is_live_in_sql(g.session_id) is not False]
    winner = grants[told.index(count)]
    assert left == ([winner] if scope == "others" else [])
    if not away:
        live = [g for g in grants if house.state(g.session_id) == "live"]
        assert live == left


@AWAY
def test_of_two_sessions_that_end_each_other_one_is_left(
    house: House, *, away: bool
) -> None:
    stores = house.cut if away else house.stores
    mine = open_session_list(house.settings, stores, house.database)
    pair = [house.login("u_1") for _ in range(2)]
    other = dict(zip((g.session_id for g in pair), reversed(pair), strict=True))

    told = at_once(
        pair,
        lambda g: mine.end_one(claims(g), other[g.session_id].session_id).revoked,
    )

    assert sorted(told, key=str) == [1, "session_revoked"]
    assert [house.is_live_in_sql(g.session_id) for g in pair] == [
        answer == 1 for answer in told
    ]


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_who_was_shut_out_since_admission_ends_nothing(
    house: House, *, enriched: bool
) -> None:
    own = house.login("u_1", enriched=enriched)
    other = house.login("u_1")
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", APP, 0)
        end_epoch(work.session, "u_1")

    told = refused(lambda: house.service.logout(claims(own), "others"))

    assert told == "session_revoked"
    assert house.asked_for(MARK_REVOKED) == set()
    with house.database.unit_of_work() as work:
        ban(work.session, "u_1")
    with pytest.raises(Forbidden):
        house.service.logout(claims(own), "all")
    assert house.state(other.session_id) == "live"
