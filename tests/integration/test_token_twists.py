"""Every twist of a token against the real app over real stores; none is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.standings import UserStanding
from tests.identity.forge import Forge, Tokens
from tests.identity.senders import send_to_app
from tests.identity.twist import Twist, Wanted, bearer
from tests.identity.twists import all_twists
from tests.integration.session_house import House
from web.app import create_app
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

TWISTS = all_twists()
LIVE = Wanted(200, "")


@pytest.fixture
def app(settings: Settings, stores: Stores, database: Database) -> Flask:
    return create_app(settings)


@pytest.fixture
def forge(settings: Settings, stores: Stores, database: Database) -> Forge:
    service = SessionService(settings, stores, database)
    house = House(settings, stores, database, service, service, stores)
    # In its second epoch, so that there is a lower one.
    stores.standings.put("u_own", UserStanding(epoch=1, number=1))
    own = house.tokens(house.login("u_own", epoch=1))
    other = house.tokens(house.login("u_other"))
    return Forge(
        settings.secrets.jwt_key,
        Tokens(own.access_token, own.refresh_token),
        Tokens(other.access_token, other.refresh_token),
    )


def test_the_forgers_own_tokens_are_good(app: Flask, forge: Forge) -> None:
    # Else what follows would prove nothing.
    for token in (forge.own.access, forge.token(), forge.headed(), forge.other.access):
        assert send_to_app(app, bearer(token)) == LIVE


def test_no_twist_is_let_in(app: Flask, forge: Forge) -> None:
    got = {t.name: send_to_app(app, t.send(forge)) for t in TWISTS}

    assert got == {t.name: t.wanted for t in TWISTS}


def test_the_table_has_its_size_and_names_each_twist_once() -> None:
    assert len(TWISTS) >= 60
    assert len({twist.name for twist in TWISTS}) == len(TWISTS)


@pytest.mark.parametrize("twist", [t for t in TWISTS if t.group == "session"])
def test_sql_alone_refuses_other_peoples_sessions(
    app: Flask, forge: Forge, stores: Stores, twist: Twist
) -> None:
    stores.redis.execute("FLUSHALL")

    assert send_to_app(app, twist.send(forge)) == twist.wanted
