"""An export asked for right after a login waits until that login is in SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from models.identities import IdentityRow
from models.logins import record_logins
from models.outbox import Outbox
from tasks.app import configure, resources
from tests.integration.export_house import Exports
from tests.integration.journals import APP, make_login, openid
from web.services.caller import Claims

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.login_entry import LoginEntry
    from models.operations import OperationView

WAIT_S = 300


@pytest.fixture
def exports(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Exports]:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    configure(make_settings(**urls, EXPORT_LOGIN_WAIT_S=str(WAIT_S)))
    made = Exports(resources())
    yield made
    made.close()
    made.house.close()


def ask(exports: Exports, entry: LoginEntry) -> OperationView:
    """Start the export with the token of a login."""
    claims = Claims(entry.user_id, entry.session_id, APP, "t_1", 0)
    return exports.service.start(claims)


def enrich(exports: Exports, entry: LoginEntry) -> None:
    """Write the login into every table, as the worker does."""
    row = IdentityRow(entry.user_id, APP, "hash", openid(1).encode(), None, None)
    with exports.house.database.unit_of_work() as uow:
        record_logins(uow.session, [entry], lambda _: [row])


def test_it_waits_for_the_login_without_an_attempt(exports: Exports) -> None:
    entry = make_login(exports.house)
    operation = ask(exports, entry)
    row_id = exports.message(operation)

    for _ in range(3):
        assert exports.run_row(row_id) == "postponed"
    with exports.house.database.read() as session:
        assert session.get_one(Outbox, row_id).attempts == 0
    assert exports.look(operation).active
    assert exports.pieces(operation) == []

    enrich(exports, entry)
    assert exports.run_row(row_id) == "done"

    told = json.loads(exports.content(operation, entry.user_id))
    assert told["pending_login"] is False
    assert told["profile"][0]["login_count"] == 1
    for section in ("identities", "sessions", "devices", "login_history"):
        assert len(told[section]) == 1, section


def test_after_its_time_it_goes_on_without_and_says_so(exports: Exports) -> None:
    entry = make_login(exports.house)
    operation = ask(exports, entry)
    row_id = exports.message(operation)
    exports.age(row_id, WAIT_S * 1000)

    assert exports.run_row(row_id) == "done"

    told = json.loads(exports.content(operation, entry.user_id))
    assert told["pending_login"] is True
    assert told["login_history"] == []


def test_a_known_login_is_not_waited_for(exports: Exports) -> None:
    entry = make_login(exports.house)
    enrich(exports, entry)
    operation = ask(exports, entry)

    assert exports.run(operation) == "done"

    told = json.loads(exports.content(operation, entry.user_id))
    assert told["pending_login"] is False
