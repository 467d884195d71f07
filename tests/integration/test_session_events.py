"""The end of a session is told to its user's pages, in the commit that ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from models.errors import Unauthenticated
from models.user_events import read_after
from tests.integration.session_house import House, claims, late_login, open_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    """A house whose refresh tokens have no grace."""
    with open_pair(settings, stores, database, grace_s=0) as opened:
        yield opened


def told(house: House, user_id: str = "u_1") -> list[tuple[str, str]]:
    """Return session and reason of each ``session.revoked`` of the user."""
    with house.database.read() as session:
        events = read_after(session, user_id, 0, 100).events
    data = [json.loads(e.data) for e in events if e.type == "session.revoked"]
    return [(entry["session_id"], entry["reason"]) for entry in data]


@pytest.mark.parametrize("enriched", [True, False])
def test_a_logout_is_told_once(house: House, *, enriched: bool) -> None:
    grant = house.login("u_1", enriched=enriched)

    house.service.logout(claims(grant), "this")
    with pytest.raises(Unauthenticated):
        house.cut_off.logout(claims(grant), "this")
    house.enrich(late_login(grant))

    assert told(house) == [(grant.session_id, "logout")]


def test_each_session_that_ends_is_told_and_no_other(house: House) -> None:
    own, *others = [house.login("u_1") for _ in range(3)]
    house.login("u_2")

    house.service.logout(claims(own), "others")

    expected = [(grant.session_id, "logout") for grant in others]
    assert sorted(told(house)) == sorted(expected)
    assert told(house, "u_2") == []
    house.service.logout(claims(own), "all")
    assert len(told(house)) == 3


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
def test_a_refresh_token_used_twice_is_told(house: House, *, away: bool) -> None:
    grant = house.login("u_1", enriched=False)
    first = house.tokens(grant)
    house.refresh(house.refresh(first, away=away), away=away)

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            house.refresh(first, away=away)

    assert told(house) == [(grant.session_id, "reused")]
