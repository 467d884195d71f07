"""Redis put back as it was before sessions ended: nobody gets in by the old copy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from models.database import open_database
from models.errors import DatabaseUnavailable, KuaidaError
from models.sessions import Session
from models.standings import ban, set_action
from models.stores.connection import SharedPipeline
from models.stores.container import open_stores
from models.stores.standings import Gap, StandingStore
from tests.integration.session_house import CALLER, House, claims, open_pair
from tests.servers.fixtures import require
from tests.servers.old_redis import OldRedis
from tests.servers.redis_server import find_redis
from web.services.sessions import SessionService
from workers.standing_round import StandingRound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from web.services.tokens import Grant

LANES = 2
REVIVED = "kuaida_sessions_revived_total"


def set_back(old_redis: OldRedis, house: House) -> None:
    """Set Redis back in time while the house is connected."""
    old_redis.set_back()
    meet_again(house.stores)


def meet_again(stores: Stores) -> None:
    """Have every connection notice; no call fails by it."""
    while not all(stores.redis.knock() for _ in range(LANES)):
        pass


@pytest.fixture
def old_redis(tmp_path: Path) -> Iterator[OldRedis]:
    require(find_redis)
    server = OldRedis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stores(
    old_redis: OldRedis, make_settings: Callable[..., Settings]
) -> Iterator[Stores]:
    opened = open_stores(make_settings(REDIS_URL=old_redis.url))
    yield opened
    opened.close()


@pytest.fixture
def house(
    stores: Stores,
    old_redis: OldRedis,
    database: Database,
    make_settings: Callable[..., Settings],
) -> Iterator[House]:
    """Give a deployment in which all is told and noted."""
    settings = make_settings(REDIS_URL=old_redis.url)
    with open_pair(settings, stores, database) as made:
        the_round(made).run()
        the_round(made).run()
        yield made


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def the_round(house: House) -> StandingRound:
    return StandingRound(house.stores, house.database, house.settings.tokens)


def at_the_door(house: House, grant: Grant) -> str:
    """Return what a request of the session meets: ``in``, or why not."""
    state = house.admit(grant).session
    if state in {"live", "revoked", "banned"}:
        return "in" if state == "live" else state
    return told_by(lambda: house.service.confirm(claims(grant)))


def told_by(act: Callable[[], object]) -> str:
    try:
        act()
    except KuaidaError as refused:
        return refused.reason
    return "in"


def logout(house: House, grant: Grant, scope: Any) -> None:
    house.service.logout(claims(grant), scope)


def stand(act: Callable[..., Any], house: House, grant: Grant) -> None:
    """Change the user's standing in both stores, as services do."""
    with house.database.unit_of_work() as work:
        standing = act(work.session, grant.user_id)
    house.stores.standings.put(grant.user_id, standing)


ENDS: dict[str, Callable[[House, Grant], None]] = {
    "logout": lambda house, grant: logout(house, grant, "this"),
    "everywhere": lambda house, grant: logout(house, grant, "all"),
    "ban": partial(stand, ban),
}


def test_what_ended_stays_ended_when_an_older_copy_is_put_back(
    house: House, old_redis: OldRedis
) -> None:
    ended = {name: house.login(f"u_{name}") for name in ENDS}
    blocked, lives = house.login("u_blocked"), house.login("u_lives")
    old_redis.keep()
    for name, grant in ended.items():
        ENDS[name](house, grant)
    stand(partial(set_action, action="block"), house, blocked)
    before = metric(REVIVED, found="marked")
    set_back(old_redis, house)

    # At once, while the relay has done nothing yet.
    assert house.admit(ended["logout"]).session == "unsure"
    expected = {"logout": "session_revoked", "everywhere": "session_revoked"}
    expected["ban"] = "user_banned"
    assert {n: at_the_door(house, g) for n, g in ended.items()} == expected
    assert {n: refreshed(house, g) for n, g in ended.items()} == expected
    assert refreshed(house, blocked) == "high_risk_user"
    assert house.service.confirm(claims(blocked)) == "block"
    assert at_the_door(house, lives) == refreshed(house, lives) == "in"

    assert the_round(house).run()

    # By Redis alone.
    told = {name: house.admit(grant).session for name, grant in ended.items()}
    assert told == {"logout": "revoked", "everywhere": "revoked", "ban": "banned"}
    assert house.admit(blocked).action == "block"
    assert house.admit(lives).session == "live"
    assert {refreshed(house, grant) for grant in ended.values()} == set(
        expected.values()
    )
    # Those that a refresh found are marked already.
    assert metric(REVIVED, found="marked") == before
    assert {generation(house, grant) for grant in ended.values()} == {1}


def generation(house: House, grant: Grant) -> int:
    """Return which refresh token SQL takes for the current one."""
    with house.database.read() as session:
        return session.get_one(Session, grant.session_id).generation


def refreshed(house: House, grant: Grant) -> str:
    tokens = house.tokens(grant)
    return told_by(lambda: house.service.refresh(tokens.refresh_token, CALLER))


def test_the_round_finds_ends_that_nobody_asked_about(
    house: House, old_redis: OldRedis
) -> None:
    grants = [house.login(f"u_{number}") for number in range(3)]
    old_redis.keep()
    for grant in grants[:2]:
        logout(house, grant, "this")
    before = metric(REVIVED, found="marked")
    set_back(old_redis, house)

    assert the_round(house).run()
    assert not the_round(house).run()

    assert metric(REVIVED, found="marked") == before + 2
    assert [house.admit(one).session for one in grants] == ["revoked"] * 2 + ["live"]


def test_an_old_copy_is_not_believed_while_sql_is_away(
    house: House,
    old_redis: OldRedis,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    grant = house.login("u_1")
    old_redis.keep()
    logout(house, grant, "this")
    set_back(old_redis, house)
    settings = make_settings(
        REDIS_URL=old_redis.url,
        DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'such.db'}",
    )
    nowhere = open_database(settings, house.stores)
    service = SessionService(settings, house.stores, nowhere)

    assert house.admit(grant).session == "unsure"
    for act in (
        lambda: service.confirm(claims(grant)),
        lambda: service.refresh(house.tokens(grant).refresh_token, CALLER),
    ):
        with pytest.raises(DatabaseUnavailable):
            act()
    nowhere.dispose()


# Whose mark it is


@pytest.mark.parametrize("files", ["its own", "older"])
def test_a_mark_counts_on_the_server_that_got_it(
    house: House, old_redis: OldRedis, files: str
) -> None:
    old_redis.keep()
    assert house.stores.standings.is_whole()

    if files == "older":
        set_back(old_redis, house)
    else:
        old_redis.restart()
        meet_again(house.stores)

    # The connection itself has asked before anybody else could.
    assert not house.stores.standings.is_whole()
    assert the_round(house).run()
    assert house.stores.standings.is_whole()


def test_a_failover_that_no_connection_noticed_is_found_by_the_round(
    house: House,
) -> None:
    house.stores.redis.execute("SET", house.stores.keys.standings, "f" * 40)

    assert the_round(house).run()
    assert house.stores.standings.is_whole()


def test_a_loader_of_before_does_not_vouch_for_an_older_copy(
    house: House, old_redis: OldRedis
) -> None:
    def put_all(_: Gap) -> None:
        old_redis.keep()
        set_back(old_redis, house)

    assert not house.stores.standings.load(put_all)
    assert not house.stores.standings.is_whole()


def test_loaders_at_once_do_not_hinder_each_other(house: House) -> None:
    standings = house.stores.standings
    house.wipe()
    told: list[bool] = []

    def put_all(_: Gap) -> None:
        told.append(standings.load(lambda _: None))

    told.append(standings.load(put_all))

    assert told == [True, False]
    assert standings.is_whole()


# How old a copy is


def test_a_copy_tells_since_when_it_may_lack_something(stores: Stores) -> None:
    store = StandingStore(stores.redis, stores.keys, look_back_ms=10)
    gaps: list[Gap] = []

    assert store.load(gaps.append, now=1000)
    assert store.is_whole(2000)
    stores.redis.execute("SET", stores.keys.standings, "another")
    assert not store.is_whole(3000)
    assert not store.is_whole(4000)
    assert store.load(gaps.append, now=5000)
    stores.redis.execute("DEL", stores.keys.standings_seen)
    stores.redis.execute("SET", stores.keys.standings, "complete")
    assert not store.is_whole()
    assert store.load(gaps.append, now=6000)

    # Wiped; of 2000; of an earlier release, which told no age.
    assert gaps == [Gap(0, 990), Gap(1990, 1990), Gap(0, 0)]


# A Redis that does not say who it is


def test_without_leave_to_ask_redis_is_never_sure(
    house: House, old_redis: OldRedis, make_settings: Callable[..., Settings]
) -> None:
    grant = house.login("u_1")
    with old_redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-info"
        )
    url = old_redis.url.replace("redis://", "redis://app:word@")
    before = metric("kuaida_redis_greetings_refused_total")
    stores = open_stores(make_settings(REDIS_URL=url))

    told = stores.redis.execute("EXISTS", stores.keys.standings)

    assert told == 0
    assert metric("kuaida_redis_greetings_refused_total") == before + 1
    assert house.admit(grant).session == "unsure"
    stores.close()


def test_a_pipeline_of_others_is_not_asked(
    old_redis: OldRedis, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(REDIS_URL=old_redis.url)
    plain = SharedPipeline(settings.redis)
    plain.execute("SET", "kuaida:standings", "another")

    assert plain.execute("GET", "kuaida:standings") == b"another"
    plain.close()
