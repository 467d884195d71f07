"""Refresh, logout and confirm: with Redis, without it, after a wipe, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from config.clock import Deadline, now_ms, sleep
from models import sessions as rows
from models.base import new_id
from models.database import open_database
from models.errors import DatabaseUnavailable, Unauthenticated
from models.login_entry import LoginEntry
from models.logins import record_logins
from models.outbox import Outbox
from models.stores.container import open_stores
from models.stores.sessions import NewSession, WeChatSecrets
from tests.conftest import NOWHERE
from web.services.caller import Caller, Claims
from web.services.sessions import MARK_REVOKED, SessionService
from web.services.tokens import Grant, TokenSigner, Tokens, token_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

APP = "wx1"
CALLER = Caller("10.0.0.1", "phone", "r-1", Deadline(0))
LIFE_MS = 60_000


@dataclass
class House:
    """One deployment: its service, and the same service cut off from Redis."""

    settings: Settings
    stores: Stores
    database: Database
    service: SessionService
    cut_off: SessionService

    def login(self, user: str, *, enriched: bool = True) -> Grant:
        """Open a session; the journal has or has not been written to SQL yet."""
        at = now_ms()
        entry = LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=user,
            app_id=APP,
            session_id=new_id("se"),
            at=at,
            expires_at=at + LIFE_MS,
        )
        told = WeChatSecrets("o", "k")
        code = f"kuaida:code:{entry.id}"
        self.stores.sessions.open(
            NewSession(entry, told, code, b"r", 1000, LIFE_MS, LIFE_MS)
        )
        if enriched:
            self.enrich(entry)
        return Grant(entry.session_id, user, APP, 1, at)

    def enrich(self, *entries: LoginEntry) -> None:
        """Do what the task does with journal entries."""
        self.database.transact(
            lambda work: record_logins(work.session, entries, lambda _: [])
        )

    def wipe(self) -> None:
        self.stores.redis.execute("FLUSHALL")

    def tokens(self, grant: Grant) -> Tokens:
        return TokenSigner(self.settings).sign(grant)

    def refresh(self, tokens: Tokens, *, away: bool = False) -> Tokens:
        service = self.cut_off if away else self.service
        return service.refresh(tokens.refresh_token, CALLER)

    def generation(self, tokens: Tokens) -> int:
        signer = TokenSigner(self.settings)
        return signer.read_refresh(tokens.refresh_token).generation

    def state(self, session_id: str) -> str:
        """Return what Redis tells a request about the session."""
        found = self.stores.redis.execute(
            "HMGET", self.stores.keys.session(session_id), "user", "revoked"
        )
        return "unknown" if found[0] is None else "revoked" if found[1] else "live"

    def is_live_in_sql(self, session_id: str) -> bool | None:
        with self.database.read() as session:
            standing = rows.find_standing(session, session_id)
        return None if standing is None else standing.live

    def repairs(self) -> set[str]:
        """Return the sessions whose Redis copy somebody was asked to mark."""
        with self.database.read() as session:
            found = session.scalars(
                sa.select(Outbox.subject_id).where(Outbox.name == MARK_REVOKED)
            )
            return set(found)


@pytest.fixture
def make_house(
    stores: Stores, settings: Settings, database: Database
) -> Iterator[Callable[..., House]]:
    """Make houses over the same stores, with the token settings a test names."""
    nowhere = settings.redis.model_copy(update={"url": NOWHERE, "broker_url": NOWHERE})
    cut = open_stores(settings.model_copy(update={"redis": nowhere}))

    def make(**tokens: Any) -> House:
        group = settings.tokens.model_copy(update=tokens)
        chosen = settings.model_copy(update={"tokens": group})
        return House(
            chosen,
            stores,
            database,
            SessionService(chosen, stores, database),
            SessionService(chosen, cut, database),
        )

    yield make
    cut.close()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


def claims(grant: Grant, generation: int = 1) -> Claims:
    return Claims(
        user_id=grant.user_id,
        session_id=grant.session_id,
        app_id=APP,
        token_id=token_id(grant.session_id, generation),
        expires_at=grant.issued_at // 1000 + 900,
        issued_at=grant.issued_at // 1000,
    )


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unauthenticated) as error:
        act()
    return error.value.reason


AWAY = pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])


# Refresh


@AWAY
def test_a_refresh_gives_the_next_generation_and_repeats_give_the_same(
    house: House, away: bool
) -> None:
    first = house.tokens(house.login("u_1"))

    second = house.refresh(first, away=away)

    assert house.generation(second) == 2
    assert house.refresh(first, away=away) == second
    assert house.generation(house.refresh(second, away=away)) == 3


@AWAY
def test_a_token_that_comes_back_after_the_grace_ends_the_session_everywhere(
    make_house: Callable[..., House], away: bool
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1")
    stolen = house.tokens(grant)
    newest = house.refresh(stolen, away=away)
    sleep(0.005)

    assert refused(lambda: house.refresh(stolen, away=away)) == "refresh_reused"

    assert refused(lambda: house.refresh(newest, away=True)) == "session_revoked"
    assert house.is_live_in_sql(grant.session_id) is False
    if away:
        # Its copy in Redis still lives: the relay carries the news there.
        assert house.repairs() == {grant.session_id}
    else:
        assert house.state(grant.session_id) == "revoked"
        assert house.repairs() == set()


def test_a_reuse_found_before_enrichment_holds_after_it_and_a_wipe(
    make_house: Callable[..., House],
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1", enriched=False)
    stolen = house.tokens(grant)
    house.refresh(stolen)
    sleep(0.005)

    assert refused(lambda: house.refresh(stolen)) == "refresh_reused"
    house.enrich(late_login(grant))
    house.wipe()

    assert refused(lambda: house.service.confirm(claims(grant))) == "session_revoked"


def late_login(grant: Grant) -> LoginEntry:
    """Return the journal entry of a login as the worker reads it, late."""
    return LoginEntry(
        id=new_id("lg"),
        kind="login",
        user_id=grant.user_id,
        app_id=APP,
        session_id=grant.session_id,
        at=grant.issued_at,
        expires_at=grant.issued_at + LIFE_MS,
    )


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_nobody_is_logged_out_by_a_wipe(house: House, enriched: bool) -> None:
    grant = house.login("u_1", enriched=enriched)
    second = house.refresh(house.tokens(grant))
    house.wipe()

    third = house.refresh(second)

    assert house.generation(third) == 3
    assert house.state(grant.session_id) == "live"
    assert house.generation(house.refresh(third)) == 4


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_rivals_without_redis_get_one_successor(house: House, enriched: bool) -> None:
    first = house.tokens(house.login("u_1", enriched=enriched))

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: house.refresh(first, away=True), range(6)))

    assert len(set(told)) == 1
    assert house.generation(told[0]) == 2


STEPS = st.lists(
    st.sampled_from(["Redis", "away", "wipe", "confirm", "repeat", "old token"]),
    max_size=8,
)


@run_settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, enriched=st.booleans())
def test_whoever_holds_the_newest_token_stays_logged_in(
    house: House, steps: list[str], enriched: bool
) -> None:
    grant = house.login(new_id("u"), enriched=enriched)
    newest, before = house.tokens(grant), None
    for step in steps:
        if step == "wipe":
            house.wipe()
        elif step == "confirm":
            house.service.confirm(claims(grant, house.generation(newest)))
        elif step == "old token":
            house.service.confirm(claims(grant, 1))
        elif step == "repeat" and before is not None:
            assert house.generation(house.refresh(before)) >= house.generation(newest)
        else:
            before = newest
            newest = house.refresh(newest, away=step == "away")
            assert house.generation(newest) > house.generation(before)

    assert house.generation(house.refresh(newest)) > house.generation(newest)


@pytest.mark.parametrize("token", ["", "x", "x.y", "a" * 600])
def test_nonsense_is_no_refresh_token(house: House, token: str) -> None:
    assert refused(lambda: house.service.refresh(token, CALLER)) == "token_invalid"


# Confirm: Redis does not know the session of a valid access token


def test_a_session_neither_store_knows_is_written_again(house: House) -> None:
    grant = house.login("u_1", enriched=False)
    house.wipe()

    house.service.confirm(claims(grant))

    assert house.state(grant.session_id) == "live"
    assert house.stores.redis.execute("XLEN", house.stores.keys.logins) == 1


def test_an_old_access_token_does_not_bring_its_generation_back(
    make_house: Callable[..., House],
) -> None:
    house = make_house(grace_s=0)
    grant = house.login("u_1")
    stolen = house.tokens(grant)
    newest = house.refresh(stolen, away=True)
    house.wipe()
    house.service.confirm(claims(grant, generation=1))
    sleep(0.005)

    # With generation 1 current again, the thief would be given tokens here.
    assert refused(lambda: house.refresh(stolen)) == "refresh_reused"
    assert refused(lambda: house.refresh(newest)) == "session_revoked"


def test_a_revoked_session_stays_revoked_after_a_wipe(house: House) -> None:
    grant = house.login("u_1")
    house.service.logout(claims(grant), "this")
    house.wipe()

    assert refused(lambda: house.service.confirm(claims(grant))) == "session_revoked"
    assert house.state(grant.session_id) == "unknown"


def test_sql_alone_confirms_and_refuses(house: House) -> None:
    live, ended = house.login("u_1"), house.login("u_1")
    house.service.logout(claims(ended), "this")

    house.cut_off.confirm(claims(live))
    assert refused(lambda: house.cut_off.confirm(claims(ended))) == "session_revoked"


# Logout


@pytest.mark.parametrize(
    ("scope", "count", "left"),
    [("this", 1, {1, 2}), ("others", 2, {0}), ("all", 3, set())],
)
@AWAY
def test_logout_ends_what_it_names_and_counts_it(
    house: House, scope: Any, count: int, left: set[int], away: bool
) -> None:
    grants = [house.login("u_1") for _ in range(3)]
    stranger = house.login("u_2")
    service = house.cut_off if away else house.service

    assert service.logout(claims(grants[0]), scope) == count

    live = {n for n, g in enumerate(grants) if house.is_live_in_sql(g.session_id)}
    assert live == left
    assert house.is_live_in_sql(stranger.session_id)
    ended = {g.session_id for n, g in enumerate(grants) if n not in left}
    if away:
        assert house.repairs() == ended
    else:
        assert {g.session_id for g in grants if house.state(g.session_id) == "live"} == {
            grants[n].session_id for n in left
        }
    assert service.logout(claims(grants[0]), scope) == 0


@pytest.mark.parametrize("scope", ["others", "all"])
def test_logout_reaches_sessions_that_enrichment_has_not_written(
    house: House, scope: Any
) -> None:
    own, late = house.login("u_1"), house.login("u_1", enriched=False)

    assert house.service.logout(claims(own), scope) == (1 if scope == "others" else 2)

    house.enrich(late_login(late))
    house.wipe()
    assert refused(lambda: house.service.confirm(claims(late))) == "session_revoked"


def test_an_expired_session_is_not_counted(house: House) -> None:
    own, old = house.login("u_1"), house.login("u_1")
    with house.database.unit_of_work() as work:
        row = work.session.get_one(rows.Session, old.session_id)
        row.expires_at = now_ms() - 1000
    house.stores.redis.execute("DEL", house.stores.keys.session(old.session_id))

    assert house.service.logout(claims(own), "all") == 1


def test_logout_of_nobody_else_is_nothing(house: House) -> None:
    own = house.login("u_1")

    assert house.service.logout(claims(own), "others") == 0
    assert house.is_live_in_sql(own.session_id)


def test_logouts_at_once_count_each_session_once(house: House) -> None:
    grants = [house.login("u_1", enriched=n % 2 == 0) for n in range(6)]

    with ThreadPoolExecutor(6) as pool:
        counts = list(
            pool.map(lambda g: house.service.logout(claims(g), "all"), grants)
        )

    assert sum(counts) == 6


# SQL away


def test_without_sql_refresh_goes_on_and_logout_says_wait(
    stores: Stores, settings: Settings, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'no' / 'such.db'}"
    nowhere = settings.database.model_copy(update={"url": url})
    gone = settings.model_copy(update={"database": nowhere})
    database = open_database(gone)
    service = SessionService(gone, stores, database)
    house = House(gone, stores, database, service, service)
    grant = house.login("u_1", enriched=False)

    assert house.generation(house.refresh(house.tokens(grant))) == 2
    with pytest.raises(DatabaseUnavailable):
        service.logout(claims(grant), "this")
    with pytest.raises(DatabaseUnavailable):
        service.confirm(claims(grant))


# Retention


def test_only_sessions_over_for_long_are_pruned(house: House) -> None:
    old, fresh = house.login("u_1"), house.login("u_1")
    with house.database.unit_of_work() as work:
        work.session.get_one(rows.Session, old.session_id).expires_at = 5
    with house.database.unit_of_work() as work:
        assert rows.prune(work.session, before=6, limit=10) == 1
        assert rows.prune(work.session, before=6, limit=10) == 0

    assert house.is_live_in_sql(old.session_id) is None
    assert house.is_live_in_sql(fresh.session_id)


def test_the_owner_of_a_session_is_found(house: House) -> None:
    grant = house.login("u_1")
    with house.database.read() as session:
        assert rows.find_owner(session, grant.session_id) == "u_1"
        assert rows.find_owner(session, "se_none") is None
