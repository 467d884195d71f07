"""Refresh tokens: what a thief of keys or of stores can do, reuse, lives, repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa

from config.clock import DAY_MS, Deadline, now_ms, sleep
from config.metrics.accounts import REFRESH_PROOFS
from config.patience import under
from models.database import open_database
from models.errors import Forbidden, Unauthenticated
from models.sessions import Session
from models.standings import set_action
from tasks.app import configure, resources
from tasks.logins import enrich_logins
from tasks.sessions import mark_rotated
from tests.identity.forge import b64
from tests.integration.journals import fetch
from tests.integration.security_history import security_history
from tests.integration.session_house import House, claims, open_pair
from web.services.refresh import MARK_ROTATED
from web.services.sessions import SessionService
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from tests.still_clock import StillClock

AWAY = pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as opened:
        yield opened


@pytest.fixture
def hasty(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    """A house whose refresh tokens have no grace."""
    with open_pair(settings, stores, database, grace_s=0) as opened:
        yield opened


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as error:
        act()
    return error.value.reason


def forged() -> float:
    value: float = REFRESH_PROOFS.labels("forged")._value.get()
    return value


# A thief


@AWAY
@pytest.mark.parametrize("generation", [1, 2, 3, 99])
def test_the_key_alone_makes_no_token_of_a_session(
    house: House, *, away: bool, generation: int
) -> None:
    grant = house.login("u_1")
    newest = house.refresh(house.tokens(grant), away=away)
    before = forged()
    # The thief knows every id and signs, but has never seen a token of the session.
    made = msgspec.structs.replace(grant, generation=generation, secret="a guess")

    assert refused(lambda: house.refresh(house.tokens(made), away=away)) == (
        "token_invalid"
    )

    assert forged() == before + 1
    # And it cannot be used to log the victim out.
    assert house.generation(house.refresh(newest, away=away)) == 3


def test_no_store_holds_what_a_token_needs(house: House) -> None:
    grant = house.login("u_1")
    house.refresh(house.tokens(grant))
    keys = house.stores.redis.execute("KEYS", "*")
    dumped = b"".join(house.stores.redis.execute("DUMP", key) for key in keys)
    with house.database.read() as session:
        row = session.get_one(Session, grant.session_id)
        columns = [str(getattr(row, c.name)) for c in sa.inspect(Session).columns]

    assert grant.secret.encode() not in dumped
    assert grant.secret not in "".join(columns)
    assert row.refresh_hash == grant.refresh_hash


def test_a_repeat_of_the_code_gives_the_same_secret(settings: Settings) -> None:
    signer = TokenSigner(settings)

    assert signer.secret("se_1", "code") == signer.secret("se_1", "code")
    assert signer.secret("se_1", "code") != signer.secret("se_1", "other")
    assert signer.secret("se_1", "code") != signer.secret("se_2", "code")


# Reuse


@AWAY
def test_reuse_stands_once_in_the_history_of_the_account(
    hasty: House, *, away: bool
) -> None:
    grant = hasty.login("u_1", enriched=False)
    first = hasty.tokens(grant)
    hasty.refresh(first, away=away)
    sleep(0.005)

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            hasty.refresh(first, away=away)

    events = security_history(hasty.database, "u_1")
    assert [(e.kind, e.session_id) for e in events] == [
        ("refresh_reused", grant.session_id)
    ]


def test_an_impatient_thief_does_not_keep_the_session_in_sql(hasty: House) -> None:
    grant = hasty.login("u_1")
    first = hasty.tokens(grant)
    hasty.refresh(first)
    sleep(0.005)

    with under(Deadline.after_ms(0)):
        assert refused(lambda: hasty.refresh(first)) == "refresh_reused"

    assert hasty.is_live_in_sql(grant.session_id) is False


def test_reuse_while_sql_is_away_reaches_it_by_the_journal(
    hasty: House, stores: Stores, settings: Settings, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'such.db'}"
    nowhere = settings.database.model_copy(update={"url": url})
    gone = hasty.settings.model_copy(update={"database": nowhere})
    service = SessionService(gone, stores, open_database(gone))
    grant = hasty.login("u_1", enriched=False)
    first = hasty.tokens(grant)
    lonely = House(gone, stores, hasty.database, service, service, stores)
    lonely.refresh(first)
    sleep(0.005)
    assert refused(lambda: lonely.refresh(first)) == "refresh_reused"
    assert hasty.is_live_in_sql(grant.session_id) is None

    configure(settings)
    assert enrich_logins(fetch(resources())) == "done"
    resources().close()

    assert hasty.is_live_in_sql(grant.session_id) is False
    hasty.wipe()
    assert refused(lambda: hasty.service.confirm(claims(grant))) == "session_revoked"


# A session that SQL rotated must not live on in Redis as it was before


def test_a_rotation_without_redis_repairs_the_older_copy(
    hasty: House, settings: Settings
) -> None:
    grant = hasty.login("u_1")
    stolen = hasty.tokens(grant)
    newest = hasty.refresh(stolen, away=True)
    assert hasty.asked_for(MARK_ROTATED) == {grant.session_id}

    configure(settings)
    run_asked(resources())
    sleep(0.005)

    # Without the repair Redis would take the old token for the current one.
    assert refused(lambda: hasty.refresh(stolen)) == "refresh_reused"
    assert refused(lambda: hasty.refresh(newest)) == "session_revoked"


def run_asked(house: Any) -> None:
    """Run the repairs that were asked for, as the relay has them run."""
    with house.database.read() as session:
        query = sa.text("SELECT id FROM outbox WHERE name = :name")
        ids = list(session.scalars(query, {"name": MARK_ROTATED}))
    assert [mark_rotated(row_id) for row_id in ids] == ["done"] * len(ids)
    house.close()


def test_a_rotation_that_redis_knows_needs_no_repair(house: House) -> None:
    grant = house.login("u_1")
    house.wipe()
    house.refresh(house.tokens(grant))

    assert house.asked_for(MARK_ROTATED) == set()


# Repeats of a chain


@AWAY
def test_a_repeat_gets_its_successor_after_that_was_used(
    house: House, *, away: bool
) -> None:
    first = house.tokens(house.login("u_1"))
    second = house.refresh(first, away=away)
    third = house.refresh(second, away=away)
    fourth = house.refresh(third, away=away)

    assert house.refresh(first, away=away) == second
    assert house.refresh(second, away=away) == third
    assert house.refresh(third, away=away) == fourth
    assert house.generation(house.refresh(fourth, away=away)) == 5


@pytest.mark.parametrize("lost", [False, True], ids=["behind", "lost"])
def test_what_sql_rotated_is_repeated_by_a_redis_that_comes_back(
    house: House, *, lost: bool
) -> None:
    grant = house.login("u_1")
    first = house.tokens(grant)
    second = house.refresh(first, away=True)
    third = house.refresh(second, away=True)
    if lost:
        house.wipe()

    # SQL decides, and a repeat does not take the copy back to what it was told.
    fourth = house.refresh(third)
    assert house.refresh(first) == second
    assert house.refresh(second) == third
    assert house.refresh(third) == fourth
    assert house.generation(house.refresh(fourth)) == 5


def test_a_repeat_that_sql_answers_leaves_redis_the_newest(house: House) -> None:
    grant = house.login("u_1")
    first = house.tokens(grant)
    second = house.refresh(first, away=True)
    third = house.refresh(second, away=True)
    house.forget(grant)

    assert house.refresh(first) == second
    assert house.refresh(second) == third
    assert house.generation(house.refresh(third)) == 4


def test_a_session_that_a_request_restored_repeats_too(house: House) -> None:
    grant = house.login("u_1")
    first = house.tokens(grant)
    second = house.refresh(first, away=True)
    house.refresh(second, away=True)
    house.wipe()

    house.service.confirm(claims(grant, generation=2))

    assert house.refresh(first) == second


# Lives


@AWAY
def test_a_refresh_moves_the_idle_end_and_never_the_absolute_one(
    stores: Stores, settings: Settings, database: Database, *, away: bool
) -> None:
    lives = {"refresh_s": 20 * 86_400, "session_max_s": 50 * 86_400}
    with open_pair(settings, stores, database, **lives) as house:
        grant = house.login("u_1", age_ms=40 * DAY_MS)
        row_end = grant.opened_at + 50 * DAY_MS
        young = msgspec.structs.replace(grant, issued_at=now_ms())
        with database.unit_of_work() as work:
            work.session.get_one(Session, grant.session_id).expires_at = row_end - 1

        told = house.refresh(house.tokens(young), away=away)

        days = told.refresh_expires_in / 86_400
        assert 9.9 < days <= 10
        if away:
            with database.read() as session:
                assert session.get_one(Session, grant.session_id).expires_at == row_end


def test_after_the_absolute_end_only_a_login_helps(
    stores: Stores, settings: Settings, database: Database, clock: StillClock
) -> None:
    with open_pair(settings, stores, database, session_max_s=600) as house:
        grant = house.login("u_1", age_ms=300_000)
        young = msgspec.structs.replace(grant, issued_at=now_ms())
        last = house.refresh(house.tokens(young))
        # Nothing of the session outlives it.
        assert 0 < last.expires_in <= 300
        assert last.refresh_expires_in == last.expires_in
        clock.move(301)

        assert refused(lambda: house.refresh(last)) == "session_revoked"


def test_a_token_of_an_older_release_is_refused_as_any_other(house: House) -> None:
    signer = TokenSigner(house.settings)
    grant = house.login("u_1")
    body = msgspec.json.encode(msgspec.to_builtins(grant)[:6])
    made = b64(body)
    token = f"{made}.{signer._mac(made.encode()).decode()}"

    assert refused(lambda: signer.read_refresh(token)) == "token_invalid"


# Who is blocked


@AWAY
def test_a_blocked_user_refreshes_no_more_until_the_block_ends(
    house: House, *, away: bool
) -> None:
    grant = house.login("u_1")

    def block(until: int) -> None:
        with house.database.unit_of_work() as work:
            standing = set_action(work.session, "u_1", "block", until)
        if not away:
            house.stores.standings.put("u_1", standing)

    block(now_ms() + 60_000)
    with pytest.raises(Forbidden) as error:
        house.refresh(house.tokens(grant), away=away)
    assert error.value.reason == "high_risk_user"

    block(now_ms() - 1)
    assert house.generation(house.refresh(house.tokens(grant), away=away)) == 2
