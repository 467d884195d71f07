"""Tokens of exactly the contract's ten claims: the app is the session's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from models.errors import RedisUnavailable, Unauthenticated
from tests.identity.forge import Forge, Tokens
from tests.identity.senders import send_to_app
from tests.identity.twist import Wanted, bearer
from tests.integration.session_house import APP, House, claims, open_pair
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

REVOKED = Wanted(401, "session_revoked")


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as opened:
        yield opened


@pytest.fixture
def make_app(
    make_settings: Callable[..., Settings], database_url: str, redis_url: str
) -> Callable[[list[str]], Flask]:
    """Make the public app of a house with the mini-programs a test names."""

    def make(apps: list[str]) -> Flask:
        listed = [{"app_id": app, "secret": "0123456789abcdef" * 2} for app in apps]
        where = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        return create_app(make_settings(WECHAT_APPS=json.dumps(listed), **where))

    return make


@pytest.mark.parametrize(
    ("apps", "ten"),
    [
        ([APP], Wanted(200, "")),
        ([APP, "wx2"], Wanted(200, "")),
        # The one app there is, and not that of the session.
        (["wx2"], REVOKED),
    ],
)
def test_ten_claims_let_in_whom_eleven_do(
    house: House,
    make_app: Callable[[list[str]], Flask],
    apps: list[str],
    ten: Wanted,
) -> None:
    tokens = house.tokens(house.login("u_own"))
    pair = Tokens(tokens.access_token, tokens.refresh_token)
    forge = Forge(house.settings.secrets.jwt_key, pair, pair)
    app = make_app(apps)

    assert send_to_app(app, bearer(forge.without("app"))) == ten
    assert send_to_app(app, bearer(forge.token())) == Wanted(200, "")
    assert send_to_app(app, bearer(forge.token(app="wx2"))) == REVOKED


@pytest.mark.parametrize("enriched", [True, False])
def test_either_store_knows_the_app(house: House, *, enriched: bool) -> None:
    grant = house.login("u_1", enriched=enriched)
    nameless = replace(claims(grant), app_id="")

    assert house.service.placed(nameless) == claims(grant)
    if not enriched:
        with pytest.raises(RedisUnavailable):
            house.cut_off.placed(nameless)
        return
    assert house.cut_off.placed(nameless) == claims(grant)
    house.wipe()
    assert house.service.placed(nameless) == claims(grant)


def test_a_session_nobody_knows_has_no_app(house: House) -> None:
    nobody = replace(claims(house.login("u_1")), app_id="", session_id="se_nobody")

    with pytest.raises(Unauthenticated) as refused:
        house.service.placed(nobody)
    assert refused.value.reason == "session_revoked"
