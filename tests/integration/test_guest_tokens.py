"""Tokens of guests that have logged in already, or that end while they are judged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from models.account_links import AccountLink, UserAlias
from tests.conftest import NOWHERE
from tests.integration.guest_house import GuestHouse, claims_of, open_guest_house
from tests.servers.process import wait_until
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.stores.sessions import Current

PERSON = "o-1"


@pytest.fixture(params=["Redis", "SQL alone"])
def either(
    request: pytest.FixtureRequest,
    make_settings: Callable[..., Settings],
    redis_url: str,
    database_url: str,
) -> Iterator[GuestHouse]:
    """Give a house with Redis and one without."""
    settings = make_settings(
        REDIS_URL=redis_url if request.param == "Redis" else NOWHERE,
        DATABASE_URL=database_url,
        RATE_LIMITS="off",
    )
    with closing(open_guest_house(settings)) as made:
        yield made


def test_a_token_of_a_guest_that_logged_in_changes_nothing(
    either: GuestHouse,
) -> None:
    guest = either.enter()
    bring = partial(either.login, guest=claims_of(guest))
    assert bring(either.code(PERSON)).user_id == guest.user_id
    if either.has_redis:
        either.enrich()

    again, other = bring(either.code(PERSON)), bring(either.code("o-2"))

    assert again.user_id == guest.user_id
    assert other.user_id != guest.user_id
    assert either.count(UserAlias) == 1
    assert either.rows(AccountLink) == []


def test_a_guest_that_logs_in_while_it_is_judged_is_no_ended_one(
    either: GuestHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = either
    guest, codes = house.enter(), [house.code(PERSON), house.code(PERSON)]
    bring = partial(house.login, guest=claims_of(guest))
    find, first = house.stores.sessions.find_current, []

    def rival_comes_first(*asked: str) -> Current | None:
        # SQL has been asked, Redis has not: the other login ends between the two.
        monkeypatch.undo()
        first.append(bring(codes[0]))
        return find(*asked)

    monkeypatch.setattr(house.stores.sessions, "find_current", rival_comes_first)

    second = bring(codes[1])

    assert second.user_id == first[0].user_id == guest.user_id


def test_a_guest_that_ends_while_wechat_is_asked_does_not_cost_the_login(
    either: GuestHouse,
) -> None:
    guest, code = either.enter(), either.code(PERSON)
    sessions = SessionService(either.settings, either.stores, either.database)
    with ThreadPoolExecutor(1) as pool:
        with either.wechat.held():
            asked = pool.submit(either.login, code, guest=claims_of(guest))
            wait_until(either.calls, within_s=60, what="WeChat is asked")
            sessions.logout(claims_of(guest), "this")
        answer = asked.result(100)

    assert answer.user_id != guest.user_id
    assert either.user(guest.user_id).is_guest
