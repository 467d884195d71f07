"""What the journal tells of sessions that SQL knows to have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from config.clock import now_ms
from models.errors import Unauthenticated
from models.login_entry import LoginEntry
from models.session_ended import find_ended, list_ended
from models.session_ends import MARK_REVOKED, SURELY_LATER_MS
from models.sessions import Session
from models.standings import end_epoch
from tests.integration.session_house import (
    APP,
    CALLER,
    LIFE_MS,
    House,
    claims,
    late_login,
    open_pair,
)
from web.services.tokens import Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

ROTATED = ("kuaida_sessions_revived_total", {"found": "rotated"})
REFUSED = ("kuaida_sessions_revived_total", {"found": "refused"})


@pytest.fixture
def house(settings: Settings, stores: Stores, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as made:
        yield made


def rotation(grant: Grant, *, at: int) -> LoginEntry:
    """Return the entry of a refresh that Redis allowed then."""
    return LoginEntry(
        id=grant.session_id,
        kind="refresh",
        user_id=grant.user_id,
        app_id=APP,
        session_id=grant.session_id,
        at=at,
        expires_at=at + LIFE_MS,
        generation=2,
        ip="10.0.0.7",
        request_id="r-7",
    )


def row(house: House, grant: Grant) -> tuple[int, bool]:
    """Return a session's generation in SQL, and whether it was revoked."""
    with house.database.read() as session:
        found = session.get_one(Session, grant.session_id)
        return found.generation, found.revoked_at is not None


def told(house: House) -> list[dict[str, Any]]:
    """Return what the histories of accounts tell of ended sessions."""
    query = "SELECT * FROM security_events WHERE kind = 'ended_session_used'"
    with house.database.read() as session:
        return [dict(found) for found in session.execute(sa.text(query)).mappings()]


def counted(metric: tuple[str, dict[str, str]]) -> float:
    return REGISTRY.get_sample_value(*metric) or 0.0


@pytest.mark.parametrize("later_ms", [-1000, 1000, SURELY_LATER_MS + 60_000])
def test_a_rotation_of_an_ended_session_is_not_written(
    house: House, later_ms: int
) -> None:
    grant = house.login("u_1")
    house.service.logout(claims(grant), "this")
    before, at = counted(ROTATED), now_ms() + later_ms

    house.enrich(rotation(grant, at=at))

    assert row(house, grant) == (1, True)
    assert grant.session_id in house.asked_for(MARK_REVOKED)
    # On its way at the end, or used long after: only the latter is told.
    surely = later_ms > SURELY_LATER_MS
    assert counted(ROTATED) == before + surely
    assert [(e["session_id"], e["ip"], e["request_id"]) for e in told(house)] == [
        (grant.session_id, "10.0.0.7", "r-7")
    ] * surely


def test_a_rotation_under_an_epoch_that_is_over_is_not_written(house: House) -> None:
    ended, lives = house.login("u_1"), house.login("u_2")
    with house.database.unit_of_work() as work:
        end_epoch(work.session, "u_1")

    house.enrich(*(rotation(grant, at=now_ms()) for grant in (ended, lives)))

    assert (row(house, ended), row(house, lives)) == ((1, False), (2, False))
    assert house.asked_for(MARK_REVOKED) == {ended.session_id}
    assert told(house) == []


def test_a_login_that_is_told_after_its_logout_is_history(house: House) -> None:
    grant = house.login("u_1", enriched=False)
    house.service.logout(claims(grant), "this")

    house.enrich(late_login(grant))

    assert row(house, grant) == (1, True)
    with house.database.read() as session:
        logins = session.scalars(sa.text("SELECT session_id FROM login_events"))
        assert list(logins) == [grant.session_id]


def test_a_refresh_that_sql_refuses_ends_the_old_copy(house: House) -> None:
    grant = house.login("u_1")
    copy = house.stores.keys.session(grant.session_id)
    with house.database.unit_of_work() as work:
        work.session.get_one(Session, grant.session_id).revoked_at = now_ms()
    newer = msgspec.structs.replace(grant, generation=3)
    before = counted(REFUSED)

    # Redis holds an older rotation than this token's: SQL decides.
    with pytest.raises(Unauthenticated) as error:
        house.service.refresh(house.tokens(newer).refresh_token, CALLER)

    assert error.value.reason == "session_revoked"
    assert house.stores.redis.execute("HGET", copy, "revoked") == b"logout"
    assert counted(REFUSED) == before + 1


def test_ended_sessions_come_in_pages_oldest_first(house: House) -> None:
    grants = [house.login(f"u_{number}") for number in range(6)]
    times = [50, 30, 30, 40, 10, None]
    with house.database.unit_of_work() as work:
        for grant, at in zip(grants, times, strict=True):
            work.session.get_one(Session, grant.session_id).revoked_at = at

    with house.database.read() as session:
        first = list_ended(session, (30, ""), 2)
        rest = list_ended(session, (first[-1].at, first[-1].id), 9)
        ended = find_ended(session, [grant.session_id for grant in grants])

    names = [grant.session_id for grant in grants]
    assert [one.id for one in first] == sorted(names[1:3])
    assert [(one.id, one.user_id, one.at) for one in rest] == [
        (names[3], "u_3", 40),
        (names[0], "u_0", 50),
    ]
    assert ended == dict(zip(names[:5], times[:5], strict=True))
