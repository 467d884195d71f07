"""How we stand to users, in both stores: epochs, bans, aliases, and their way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.clock import now_ms
from models.account_links import UserAlias
from models.standings import (
    UserStanding,
    ban,
    end_epoch,
    find_user_standing,
    list_aliases,
    list_special,
    set_action,
    unban,
)
from models.stores.admission import Caller
from models.stores.sessions import Opened
from models.users import ensure_user
from tests.integration.openings import APP, USER, entry, journal, new
from workers.standing_round import StandingRound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from config.settings import Settings
    from config.token_settings import TokenSettings
    from models.database import Database
    from models.stores.container import Stores
    from models.stores.standings import Gap

ALIAS = "u_alias"
ASKED = Caller("10.0.0.9", user=USER, app=APP)


@pytest.fixture
def tokens(make_settings: Callable[..., Settings]) -> TokenSettings:
    """Give how long tokens live."""
    return make_settings().tokens


@pytest.fixture
def change(database: Database) -> Callable[..., UserStanding]:
    """Give a function that changes one user's standing in SQL."""
    with database.unit_of_work() as work:
        ensure_user(work.session, USER, APP, 1)

    def apply(act: Callable[..., UserStanding], *more: object) -> UserStanding:
        with database.unit_of_work() as work:
            return act(work.session, USER, *more)

    return apply


def state(stores: Stores, session_id: str = "se_1", epoch: int = 0) -> tuple[str, str]:
    """Return session state and action as a request meets them."""
    told = stores.admission.admit_request(
        "read", ASKED, session_id=session_id, epoch=epoch
    )
    return told.session, told.action


# SQL


def test_each_change_counts_and_says_what_holds(
    change: Callable[..., UserStanding], database: Database
) -> None:
    assert change(end_epoch) == UserStanding(epoch=1, number=1)
    assert change(ban) == UserStanding(epoch=2, banned=True, number=2)
    assert change(unban) == UserStanding(epoch=2, number=3)
    slow = change(set_action, "slow", 99)
    assert slow == UserStanding(2, action="slow", action_until=99, number=4)
    with database.read() as session:
        assert find_user_standing(session, USER) == slow
        assert find_user_standing(session, "u_nobody") == UserStanding()


def test_special_users_and_aliases_come_in_pages(database: Database) -> None:
    with database.unit_of_work() as work:
        for number in range(5):
            ensure_user(work.session, f"u_{number}", APP, 1)
            add_alias(work.session, f"a_{number}", f"u_{number}")
        for number in (1, 3, 4):
            end_epoch(work.session, f"u_{number}")

    with database.read() as session:
        first = list_special(session, "", 2)
        rest = list_special(session, first[-1][0], 2)
        aliases = list_aliases(session, "a_2", 10)

    assert [name for name, _ in first + rest] == ["u_1", "u_3", "u_4"]
    assert aliases == [("a_3", "u_3"), ("a_4", "u_4")]


# Redis


def test_a_late_writer_does_not_undo_a_later_change(stores: Stores) -> None:
    stores.sessions.open(new())
    stores.standings.put(USER, UserStanding(epoch=1, banned=True, number=2))

    stores.standings.put(USER, UserStanding(epoch=1, number=1))

    assert state(stores) == ("banned", "allow")


def test_a_raised_epoch_ends_what_was_opened_before(stores: Stores) -> None:
    stores.sessions.open(new("se_1"))
    assert state(stores) == ("live", "allow")

    stores.standings.put(USER, UserStanding(epoch=1, number=1))
    stores.sessions.open(new("se_2", "c2", record=b'r{"epoch":-1}'))

    assert state(stores)[0] == "revoked"
    assert state(stores, "se_2", epoch=1)[0] == "live"
    assert rotated(stores, "se_1") == "revoked"
    assert rotated(stores, "se_2") == "rotated"


@pytest.mark.parametrize("epoch", [1, 99])
def test_a_token_of_an_epoch_the_session_never_had_is_refused(
    stores: Stores, epoch: int
) -> None:
    stores.sessions.open(new())

    assert state(stores, epoch=epoch)[0] == "revoked"


def test_the_epoch_is_filled_in_where_a_login_opens(stores: Stores) -> None:
    stores.standings.put(USER, UserStanding(epoch=7, number=1))
    login = new(record=b'r{"epoch":-1}', entry=entry(epoch=-1))

    assert stores.sessions.open(login) == Opened("opened", b'r{"epoch":7}')
    assert [e.epoch for e in journal(stores)] == [7]
    assert state(stores, epoch=7)[0] == "live"


def test_who_is_banned_opens_and_rotates_nothing(stores: Stores) -> None:
    stores.sessions.open(new("se_1"))
    stores.standings.put(USER, UserStanding(epoch=1, banned=True, number=1))

    assert stores.sessions.open(new("se_2", "c2")) == Opened("banned")
    assert rotated(stores, "se_1") == "banned"
    assert stores.redis.execute("GET", "kuaida:code:c2") is None
    assert len(journal(stores)) == 1


def test_an_action_holds_until_its_end(stores: Stores) -> None:
    stores.sessions.open(new())
    later, before = now_ms() + 60_000, now_ms() - 60_000

    stores.standings.put(USER, UserStanding(action="slow", number=1))
    assert state(stores) == ("live", "slow")
    stores.standings.put(USER, verify_until(later, 2))
    assert state(stores) == ("live", "verify")
    stores.standings.put(USER, verify_until(before, 3))
    assert state(stores) == ("live", "allow")


def test_without_the_mark_a_login_must_ask(stores: Stores) -> None:
    unasked = new(standing_asked=False)
    stores.redis.execute("FLUSHALL")
    assert stores.sessions.open(unasked) == Opened("ask")

    assert stores.standings.load(lambda _: None)

    assert stores.sessions.open(unasked).outcome == "opened"


def test_an_alias_names_its_user(stores: Stores) -> None:
    stores.standings.put_aliases([(ALIAS, USER)])

    told = stores.sessions.open(new(entry=entry(user_id=ALIAS)))

    assert told == Opened("alias", alias=USER)
    assert journal(stores) == []


def test_a_wipe_while_loading_means_loading_again(stores: Stores) -> None:
    def put_all(_: Gap) -> None:
        stores.redis.execute("FLUSHALL")

    assert not stores.standings.load(put_all)
    assert not stores.standings.is_whole()


def test_the_relay_fills_in_what_redis_forgot(
    stores: Stores,
    database: Database,
    tokens: TokenSettings,
    change: Callable[..., UserStanding],
) -> None:
    change(ban)
    with database.unit_of_work() as work:
        add_alias(work.session, ALIAS, USER)
    stores.redis.execute("FLUSHALL")
    work_round = StandingRound(stores, database, tokens)

    assert work_round.run()
    assert not work_round.run()

    assert stores.sessions.open(new(standing_asked=False)).outcome == "banned"
    aliased = new(entry=entry(user_id=ALIAS), standing_asked=False)
    assert stores.sessions.open(aliased).alias == USER


def add_alias(session: Session, alias_id: str, user_id: str) -> None:
    session.add(UserAlias(alias_id=alias_id, user_id=user_id, app_id=APP, created_at=1))


def verify_until(until: int, number: int) -> UserStanding:
    return UserStanding(action="verify", action_until=until, number=number)


def rotated(stores: Stores, session_id: str) -> str:
    told = stores.sessions.rotate(entry(session_id, kind="refresh"), grace_ms=1000)
    return told.outcome
