"""Refresh, logout and confirm: with Redis, without, after a wipe, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from config.clock import now_ms, sleep
from models import sessions as rows
from models.base import new_id
from models.database import open_database
from models.errors import DatabaseUnavailable, Forbidden, Unauthenticated
from models.session_ends import MARK_REVOKED
from models.standings import PUBLISH, ban, set_action
from tests.integration.session_house import CALLER, House, claims, late_login, open_pair
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores


@pytest.fixture
def make_house(
    stores: Stores, settings: Settings, database: Database
) -> Iterator[Callable[..., House]]:
    """Make houses over the same stores, with the token settings a test names."""
    with ExitStack() as opened:

        def make(**tokens: Any) -> House:
            return opened.enter_context(open_pair(settings, stores, database, **tokens))

        yield make


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as error:
        act()
    return error.value.reason


AWAY = pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])


# Refresh


@AWAY
def test_a_refresh_gives_the_next_generation_and_repeats_give_the_same(
    house: House, *, away: bool
) -> None:
    first = house.tokens(house.login("u_1"))

    second = house.refresh(first, away=away)

    assert house.generation(second) == 2
    assert house.refresh(first, away=away) == second
    assert house.generation(house.refresh(second, away=away)) == 3


@AWAY
def test_a_token_that_comes_back_after_the_grace_ends_the_session_everywhere(
    make_house: Callable[..., House], *, away: bool
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1")
    stolen = house.tokens(grant)
    newest = house.refresh(stolen, away=away)
    sleep(0.005)

    assert refused(lambda: house.refresh(stolen, away=away)) == "refresh_reused"

    assert refused(lambda: house.refresh(newest, away=True)) == "session_revoked"
    assert house.is_live_in_sql(grant.session_id) is False
    # Whether Redis was there or not, the relay carries the news there (again).
    assert house.asked_for(MARK_REVOKED) == {grant.session_id}
    if not away:
        assert house.state(grant.session_id) == "revoked"


def test_a_reuse_found_before_enrichment_holds_after_it_and_a_wipe(
    make_house: Callable[..., House],
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1", enriched=False)
    stolen = house.tokens(grant)
    house.refresh(stolen)
    sleep(0.005)

    assert refused(lambda: house.refresh(stolen)) == "refresh_reused"
    house.enrich(late_login(grant))
    house.wipe()

    assert refused(lambda: house.service.confirm(claims(grant))) == "session_revoked"


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_nobody_is_logged_out_by_a_wipe(house: House, *, enriched: bool) -> None:
    grant = house.login("u_1", enriched=enriched)
    second = house.refresh(house.tokens(grant))
    house.wipe()

    third = house.refresh(second)

    assert house.generation(third) == 3
    assert house.state(grant.session_id) == "live"
    assert house.generation(house.refresh(third)) == 4


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_rivals_without_redis_get_one_successor(
    house: House, *, enriched: bool
) -> None:
    first = house.tokens(house.login("u_1", enriched=enriched))

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: house.refresh(first, away=True), range(6)))

    assert len(set(told)) == 1
    assert house.generation(told[0]) == 2


STEPS = st.lists(
    st.sampled_from(["Redis", "away", "wipe", "confirm", "repeat", "old token"]),
    max_size=8,
)


@run_settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, enriched=st.booleans())
def test_whoever_holds_the_newest_token_stays_logged_in(
    house: House, steps: list[str], *, enriched: bool
) -> None:
    grant = house.login(new_id("u"), enriched=enriched)
    newest, before = house.tokens(grant), None
    for step in steps:
        if step == "wipe":
            house.wipe()
        elif step == "confirm":
            house.service.confirm(claims(grant, house.generation(newest)))
        elif step == "old token":
            house.service.confirm(claims(grant, 1))
        elif step == "repeat" and before is not None:
            assert house.generation(house.refresh(before)) >= house.generation(newest)
        else:
            before = newest
            newest = house.refresh(newest, away=step == "away")
            assert house.generation(newest) > house.generation(before)

    assert house.generation(house.refresh(newest)) > house.generation(newest)


@pytest.mark.parametrize("token", ["", "x", "x.y", "a" * 600])
def test_nonsense_is_no_refresh_token(house: House, token: str) -> None:
    assert refused(lambda: house.service.refresh(token, CALLER)) == "token_invalid"


# Confirm: Redis does not know the session of a valid access token


def test_a_session_neither_store_knows_is_written_again(house: House) -> None:
    grant = house.login("u_1", enriched=False)
    house.wipe()

    house.service.confirm(claims(grant))

    assert house.state(grant.session_id) == "live"
    assert house.stores.redis.execute("XLEN", house.stores.keys.logins) == 1


def test_an_old_access_token_does_not_bring_its_generation_back(
    make_house: Callable[..., House],
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1")
    stolen = house.tokens(grant)
    newest = house.refresh(stolen, away=True)
    house.wipe()
    house.service.confirm(claims(grant, generation=1))
    sleep(0.005)

    # With generation 1 current again, the thief would be given tokens here.
    assert refused(lambda: house.refresh(stolen)) == "refresh_reused"
    assert refused(lambda: house.refresh(newest)) == "session_revoked"


def test_a_revoked_session_stays_revoked_after_a_wipe(house: House) -> None:
    grant = house.login("u_1")
    house.service.logout(claims(grant), "this")
    house.wipe()

    assert refused(lambda: house.service.confirm(claims(grant))) == "session_revoked"
    assert house.state(grant.session_id) == "unknown"


def test_sql_alone_confirms_and_refuses(house: House) -> None:
    live, ended = house.login("u_1"), house.login("u_1")
    house.service.logout(claims(ended), "this")

    house.cut_off.confirm(claims(live))
    assert refused(lambda: house.cut_off.confirm(claims(ended))) == "session_revoked"


# Logout


@pytest.mark.parametrize(
    ("scope", "count", "left"),
    [("this", 1, {1, 2}), ("others", 2, {0}), ("all", 3, set())],
)
@AWAY
def test_logout_ends_what_it_names_and_counts_it(
    house: House, scope: Any, count: int, left: set[int], *, away: bool
) -> None:
    grants = [house.login("u_1") for _ in range(3)]
    stranger = house.login("u_2")
    service = house.cut_off if away else house.service

    assert service.logout(claims(grants[0]), scope).revoked == count

    live = {n for n, g in enumerate(grants) if house.is_live_in_sql(g.session_id)}
    assert live == left
    assert house.is_live_in_sql(stranger.session_id)
    ended = {g.session_id for n, g in enumerate(grants) if n not in left}
    if away:
        assert house.asked_for(MARK_REVOKED) == ended
    else:
        assert {
            g.session_id for g in grants if house.state(g.session_id) == "live"
        } == {grants[n].session_id for n in left}
    if scope == "others":
        assert service.logout(claims(grants[0]), scope).revoked == 0
    else:
        told = refused(lambda: service.logout(claims(grants[0]), scope))
        assert told == "session_revoked"


@pytest.mark.parametrize("scope", ["others", "all"])
def test_logout_reaches_sessions_that_enrichment_has_not_written(
    house: House, scope: Any
) -> None:
    own, late = house.login("u_1"), house.login("u_1", enriched=False)

    assert house.service.logout(claims(own), scope).revoked == (
        1 if scope == "others" else 2
    )

    house.enrich(late_login(late))
    house.wipe()
    assert refused(lambda: house.service.confirm(claims(late))) == "session_revoked"


def test_an_expired_session_is_not_counted(house: House) -> None:
    own, old = house.login("u_1"), house.login("u_1")
    with house.database.unit_of_work() as work:
        row = work.session.get_one(rows.Session, old.session_id)
        row.expires_at = now_ms() - 1000
    house.stores.redis.execute("DEL", house.stores.keys.session(old.session_id))

    assert house.service.logout(claims(own), "all").revoked == 1


def test_logout_of_nobody_else_is_nothing(house: House) -> None:
    own = house.login("u_1")

    assert house.service.logout(claims(own), "others").revoked == 0
    assert house.is_live_in_sql(own.session_id)


def test_logout_of_all_ends_sessions_that_are_on_no_list(house: House) -> None:
    here, lost = house.login("u_1"), house.login("u_1", enriched=False)
    house.forget(lost)

    house.service.logout(claims(here), "all")

    # Its signed token alone would bring it back otherwise.
    assert refused(lambda: house.service.confirm(claims(lost))) == "session_revoked"
    assert house.admit(lost).session == "unknown"
    assert house.asked_for(PUBLISH) == {"u_1"}


@AWAY
def test_a_banned_user_neither_refreshes_nor_confirms(
    house: House, *, away: bool
) -> None:
    grant = house.login("u_1")
    with house.database.unit_of_work() as work:
        standing = ban(work.session, "u_1")
    if not away:
        house.stores.standings.put("u_1", standing)
    service = house.cut_off if away else house.service

    for act in (
        lambda: house.refresh(house.tokens(grant), away=away),
        lambda: service.confirm(claims(grant)),
    ):
        with pytest.raises(Forbidden) as error:
            act()
        assert error.value.reason == "user_banned"


@pytest.mark.parametrize("by", ["a request", "a refresh"])
def test_a_session_comes_back_to_redis_with_its_users_standing(
    house: House, by: str
) -> None:
    grant = house.login("u_1")
    with house.database.unit_of_work() as work:
        set_action(work.session, "u_1", "slow")
    house.wipe()

    if by == "a request":
        house.service.confirm(claims(grant))
    else:
        house.refresh(house.tokens(grant))

    house.settle()
    told = house.admit(grant)
    assert (told.session, told.action) == ("live", "slow")


# SQL away


def test_without_sql_refresh_goes_on_and_logout_says_wait(
    stores: Stores, settings: Settings, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'such.db'}"
    nowhere = settings.database.model_copy(update={"url": url})
    gone = settings.model_copy(update={"database": nowhere})
    database = open_database(gone)
    service = SessionService(gone, stores, database)
    house = House(gone, stores, database, service, service, stores)
    grant = house.login("u_1", enriched=False)

    assert house.generation(house.refresh(house.tokens(grant))) == 2
    with pytest.raises(DatabaseUnavailable):
        service.logout(claims(grant), "this")
    # Told to wait, the client may come back: nothing is half done.
    assert house.state(grant.session_id) == "live"
    with pytest.raises(DatabaseUnavailable):
        service.confirm(claims(grant))


# Retention


def test_only_sessions_over_for_long_are_pruned(house: House) -> None:
    old, fresh = house.login("u_1"), house.login("u_1")
    with house.database.unit_of_work() as work:
        work.session.get_one(rows.Session, old.session_id).expires_at = 5
    with house.database.unit_of_work() as work:
        assert rows.prune(work.session, before=6, limit=10) == 1
        assert rows.prune(work.session, before=6, limit=10) == 0

    assert house.is_live_in_sql(old.session_id) is None
    assert house.is_live_in_sql(fresh.session_id)


def test_the_owner_of_a_session_is_found(house: House) -> None:
    grant = house.login("u_1")
    with house.database.read() as session:
        assert rows.find_owner(session, grant.session_id) == "u_1"
        assert rows.find_owner(session, "se_none") is None
