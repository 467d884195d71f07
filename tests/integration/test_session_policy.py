"""An app's number of sessions at a time: one, a few, any; and codes sent once more."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from config.clock import Deadline, sleep
from models.errors import Forbidden, LoginCodeInvalid
from models.session_ends import MARK_REVOKED
from models.sessions import Session
from models.user_events import read_after
from models.users import ensure_user
from tasks.app import configure, resources
from tasks.logins import enrich_journaled_login, enrich_logins
from tests.conftest import NOWHERE
from tests.integration.journals import fetch
from tests.integration.login_house import WIDE, House, open_house
from tests.integration.session_house import claims
from web.services.caller import Caller
from web.services.sessions import SessionService
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from web.services.login_answer import LoginAnswer

APP = "wxdemo0000000001"
MakeHouse = Any


@pytest.fixture
def make_house(make_settings: Callable[..., Settings]) -> Iterator[MakeHouse]:
    """Open houses whose app allows ``keep`` sessions at a time."""
    with ExitStack() as opened:

        def make(redis_url: str, database_url: str, keep: int = 0) -> House:
            app = {"app_id": APP, "secret": "s" * 32, "max_sessions": keep}
            settings = make_settings(
                REDIS_URL=redis_url,
                BROKER_URL=redis_url,
                DATABASE_URL=database_url,
                WECHAT_APPS=json.dumps([app]),
                **WIDE,
            )
            configure(settings)
            return opened.enter_context(closing(open_house(settings)))

        yield make


def logins(house: House, count: int) -> list[LoginAnswer]:
    """Log one person in so often, a millisecond or two apart: that orders them."""
    answers = []
    for _ in range(count):
        answers.append(house.login(house.code("o-1")))
        sleep(0.002)
    return answers


def enrich(house: House) -> None:
    """Do what the worker does with all that is in the stream."""
    opened = resources()
    assert enrich_logins(fetch(opened)) == "done"
    opened.close()


def rows(house: House) -> dict[str, tuple[bool, str | None]]:
    """Return whether each session lives in SQL, and why not."""
    with house.database.read() as session:
        found = session.scalars(sa.select(Session))
        return {row.id: (row.revoked_at is None, row.ended_by) for row in found}


def told(house: House, user_id: str) -> list[tuple[str, str]]:
    with house.database.read() as session:
        events = read_after(session, user_id, 0, 100).events
    data = [json.loads(e.data) for e in events if e.type == "session.revoked"]
    return [(entry["session_id"], entry["reason"]) for entry in data]


def live_in_redis(house: House, answers: list[LoginAnswer]) -> list[str]:
    return house.stores.sessions.list_ids(answers[0].user_id)


@pytest.mark.parametrize(("keep", "left"), [(1, 1), (2, 2), (0, 4), (9, 4)])
def test_a_login_ends_the_oldest_at_once_and_everywhere(
    make_house: MakeHouse, redis_url: str, database_url: str, keep: int, left: int
) -> None:
    house = make_house(redis_url, database_url, keep)
    answers = logins(house, 4)
    stranger = house.login(house.code("o-2"))
    ids = [answer.session_id for answer in answers]

    assert live_in_redis(house, answers) == ids[-left:]

    enrich(house)
    ended = dict.fromkeys(ids[:-left], (False, "replaced"))
    kept = dict.fromkeys((*ids[-left:], stranger.session_id), (True, None))
    assert rows(house) == ended | kept
    assert told(house, answers[0].user_id) == [(n, "replaced") for n in ids[:-left]]


def test_the_time_of_login_decides_not_that_of_enrichment(
    make_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    house = make_house(redis_url, database_url, 1)
    older, newer = logins(house, 2)
    opened = resources()
    first, second = fetch(opened)

    assert enrich_logins([second]) == "done"
    assert enrich_logins([first]) == "done"
    opened.close()

    assert rows(house) == {
        older.session_id: (False, "replaced"),
        newer.session_id: (True, None),
    }


def test_a_wipe_does_not_bring_a_replaced_session_back(
    make_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    house = make_house(redis_url, database_url, 1)
    older = house.login(house.code("o-1"))
    enrich(house)
    # The newer login's process has no time to mark the older copy.
    house.stores.redis.execute("FLUSHALL")
    house.stores.standings.load(lambda _: None)
    newer = house.login(house.code("o-1"))
    enrich(house)

    assert rows(house)[older.session_id] == (False, "replaced")
    assert rows(house)[newer.session_id] == (True, None)
    with house.database.read() as session:
        query = sa.text("SELECT subject_id FROM outbox WHERE name = :name")
        marked = set(session.scalars(query, {"name": MARK_REVOKED}))
    assert marked == {older.session_id}


def test_logins_at_once_leave_one(
    make_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    house = make_house(redis_url, database_url, 1)
    codes = [house.code("o-1") for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(house.login, codes))

    assert len(live_in_redis(house, answers)) == 1
    enrich(house)
    assert sum(live for live, _ in rows(house).values()) == 1


def test_without_redis_sql_ends_the_older_session_in_the_logins_commit(
    make_house: MakeHouse, database_url: str
) -> None:
    house = make_house(NOWHERE, database_url, 1)
    older, newer = logins(house, 2)

    assert rows(house) == {
        older.session_id: (False, "replaced"),
        newer.session_id: (True, None),
    }
    assert told(house, older.user_id) == [(older.session_id, "replaced")]
    opened = resources()
    ids = [row.id for row in house.journaled()]
    assert {enrich_journaled_login(row_id) for row_id in ids} == {"done"}
    opened.close()
    assert len(told(house, older.user_id)) == 1


# A code that is sent again


def logged_out(house: House, answer: LoginAnswer) -> None:
    """Log the session of an answer out."""
    service = SessionService(house.settings, house.stores, house.database)
    service.logout(claims_of(house, answer), "this")


def claims_of(house: House, answer: LoginAnswer) -> Any:
    signer = TokenSigner(house.settings)
    return claims(signer.read_refresh(answer.refresh_token))


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
def test_a_code_whose_session_was_logged_out_is_used_up(
    make_house: MakeHouse, redis_url: str, database_url: str, *, away: bool
) -> None:
    house = make_house(NOWHERE if away else redis_url, database_url)
    code = house.code()
    first = house.login(code)
    assert house.login(code) == first

    logged_out(house, first)

    with pytest.raises(LoginCodeInvalid):
        house.login(code)
    assert house.calls() == 1


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
def test_a_code_after_a_refresh_gives_the_tokens_of_now(
    make_house: MakeHouse, redis_url: str, database_url: str, *, away: bool
) -> None:
    house = make_house(NOWHERE if away else redis_url, database_url)
    code = house.code()
    first = house.login(code)
    settings = house.settings
    service = SessionService(settings, house.stores, house.database)
    caller = Caller("10.0.0.1", "", "r-1", Deadline.after_ms(60_000))
    fresh = service.refresh(first.refresh_token, caller)

    again = house.login(code)

    # With its first token it would be taken for a thief after the grace.
    assert again.refresh_token == fresh.refresh_token
    assert (again.session_id, again.user) == (first.session_id, first.user)


def test_a_code_of_a_user_shut_out_meanwhile_is_used_up(
    make_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    house = make_house(redis_url, database_url)
    code = house.code()
    first = house.login(code)
    with house.database.unit_of_work() as work:
        ensure_user(work.session, first.user_id, APP, 1)
    service = SessionService(house.settings, house.stores, house.database)
    other = house.login(house.code(openid_of(house)))
    service.logout(claims_of(house, other), "all")

    with pytest.raises((LoginCodeInvalid, Forbidden)):
        house.login(code)


def openid_of(house: House) -> str:
    """Return the one person of this world."""
    (openid,) = house.wechat.state.users
    return str(openid)


def test_failures_stay_as_they_were(
    make_house: MakeHouse, redis_url: str, database_url: str
) -> None:
    house = make_house(redis_url, database_url)
    for _ in range(2):
        with pytest.raises(LoginCodeInvalid):
            house.login("0" * 32)
    assert house.calls() == 1
