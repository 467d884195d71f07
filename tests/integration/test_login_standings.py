"""Logins of those we stand to in a special way: banned, of an epoch, under an alias."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from models.account_links import UserAlias
from models.errors import Unavailable
from models.standings import ban, end_epoch, set_action
from models.users import ensure_user
from tests.conftest import NOWHERE
from tests.integration.failures import failure
from tests.integration.login_house import House

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from models.standings import UserStanding
    from web.services.login_answer import LoginAnswer

MakeHouse = Any


@pytest.fixture
def house(make_login_house: MakeHouse, redis_url: str, sqlite_url: str) -> House:
    made: House = make_login_house(redis_url, sqlite_url)
    return made


@pytest.fixture
def cut_off(make_login_house: MakeHouse, database_url: str) -> House:
    """Give a house whose Redis is away, on each database."""
    made: House = make_login_house(NOWHERE, database_url)
    return made


# Whom we have shut out, and who goes by another id


def test_who_is_banned_is_told_so_and_so_are_repeats(house: House) -> None:
    user_id = house.login(house.code("o-1")).user_id
    stand(house, user_id, ban)
    code = house.code("o-1")

    for _ in range(2):
        assert failure(lambda: house.login(code)).reason == "user_banned"
    assert house.stores.sessions.list_ids(user_id) != []
    assert house.login(house.code("o-2")).user_id != user_id


@pytest.mark.parametrize("wiped", [False, True])
def test_who_is_blocked_is_told_so_and_so_are_repeats(
    house: House, *, wiped: bool
) -> None:
    known = house.code("o-1")
    user_id = house.login(known).user_id
    stand(house, user_id, block)
    assert failure(lambda: house.login(known)).reason == "high_risk_user"
    if wiped:
        house.stores.redis.execute("FLUSHALL")
    code = house.code("o-1")

    for _ in range(2):
        assert failure(lambda: house.login(code)).reason == "high_risk_user"
    assert house.login(house.code("o-2")).user_id != user_id


def test_a_block_that_is_over_shuts_nobody_out(house: House) -> None:
    known = house.code("o-1")
    user_id = house.login(known).user_id
    stand(house, user_id, partial(block, until=now_ms() - 1))

    assert house.login(house.code("o-1")).user_id == user_id
    assert house.login(known).user_id == user_id


def test_a_login_carries_the_epoch_of_its_user(house: House) -> None:
    user_id = house.login(house.code("o-1")).user_id
    stand(house, user_id, end_epoch)

    assert epoch_of(house.login(house.code("o-1"))) == 1
    assert epoch_of(house.login(house.code("o-2"))) == 0


@pytest.mark.parametrize("complete", [True, False])
def test_a_person_logs_in_as_the_guest_it_was(house: House, *, complete: bool) -> None:
    derived = house.login(house.code("o-1")).user_id
    with house.database.unit_of_work() as work:
        work.session.add(alias(derived, "u_guest"))
    if complete:
        house.stores.standings.put_aliases([(derived, "u_guest")])
    else:
        house.stores.redis.execute("FLUSHALL")

    answer = house.login(house.code("o-1"))

    assert answer.user_id == "u_guest"
    assert answer.session_id in house.stores.sessions.list_ids("u_guest")


def test_a_wiped_redis_has_a_login_ask_sql(house: House) -> None:
    user_id = house.login(house.code("o-1")).user_id
    stand(house, user_id, ban)
    house.stores.redis.execute("FLUSHALL")

    assert failure(lambda: house.login(house.code("o-1"))).reason == "user_banned"
    assert house.login(house.code("o-2")).access_token


def test_a_wiped_redis_without_sql_lets_nobody_in(
    make_login_house: MakeHouse, redis_url: str, tmp_path: Path
) -> None:
    house = make_login_house(redis_url, f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    house.stores.redis.execute("FLUSHALL")

    assert isinstance(failure(lambda: house.login(house.code())), Unavailable)


def stand(house: House, user_id: str, act: Callable[..., UserStanding]) -> None:
    """Change a user's standing in both stores, as services do."""
    with house.database.unit_of_work() as work:
        ensure_user(work.session, user_id, "wxdemo0000000001", 1)
        standing = act(work.session, user_id)
    house.stores.standings.put(user_id, standing)


def block(session: Session, user_id: str, until: int | None = None) -> UserStanding:
    return set_action(session, user_id, "block", until or now_ms() + 60_000)


def alias(alias_id: str, user_id: str) -> UserAlias:
    return UserAlias(alias_id=alias_id, user_id=user_id, app_id="x", created_at=1)


def epoch_of(answer: LoginAnswer) -> int:
    """Return the claim ``ep`` of the access token."""
    middle = answer.access_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=="))
    assert isinstance(claims["ep"], int)
    return claims["ep"]


# Redis away


@pytest.mark.parametrize("act", [ban, end_epoch])
def test_without_redis_sql_says_how_we_stand(
    cut_off: House, act: Callable[..., UserStanding]
) -> None:
    user_id = cut_off.login(cut_off.code("o-1")).user_id
    with cut_off.database.unit_of_work() as work:
        ensure_user(work.session, user_id, "wxdemo0000000001", 1)
        act(work.session, user_id)
    again = partial(cut_off.login, cut_off.code("o-1"))

    if act is ban:
        assert failure(again).reason == "user_banned"
    else:
        assert epoch_of(again()) == 1


def test_without_redis_who_is_blocked_stays_out_until_it_ends(cut_off: House) -> None:
    known = cut_off.code("o-1")
    user_id = cut_off.login(known).user_id

    def have_it_end(until: int) -> None:
        with cut_off.database.unit_of_work() as work:
            ensure_user(work.session, user_id, "wxdemo0000000001", 1)
            block(work.session, user_id, until)

    have_it_end(now_ms() + 60_000)
    for code in (known, cut_off.code("o-1")):
        told = failure(partial(cut_off.login, code))
        assert told.reason == "high_risk_user"
    have_it_end(now_ms() - 1)
    assert cut_off.login(cut_off.code("o-1")).user_id == user_id
