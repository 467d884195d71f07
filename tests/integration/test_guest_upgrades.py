"""Guests that log in: kept, linked, refused; at once, half way, without a store."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from models.account_links import AccountLink, UserAlias
from models.errors import Unavailable
from models.identities import Identity
from models.sealing import IdentityHasher
from models.standings import PUBLISH, ban
from models.user_events import read_after
from models.users import User, ensure_user, update_profile
from tests.conftest import NOWHERE
from tests.integration.failures import refused
from tests.integration.guest_house import GuestHouse, claims_of, open_guest_house
from tests.integration.security_history import security_history
from web.services.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from config.settings import Settings

MakeHouse = Any
PERSON = "o-1"
PLACES = ["Redis", "SQL alone"]


@pytest.fixture
def make_house(make_settings: Callable[..., Settings]) -> Iterator[MakeHouse]:
    """Open houses on the stores a test names."""
    with ExitStack() as opened:

        def make(redis_url: str, database_url: str, **variables: str) -> GuestHouse:
            settings = make_settings(
                REDIS_URL=redis_url,
                DATABASE_URL=database_url,
                RATE_LIMITS="off",
                **variables,
            )
            return opened.enter_context(closing(open_guest_house(settings)))

        yield make


@pytest.fixture
def house(make_house: MakeHouse, redis_url: str, database_url: str) -> GuestHouse:
    made: GuestHouse = make_house(redis_url, database_url)
    return made


@pytest.fixture(params=[False, True], ids=PLACES)
def either(
    request: pytest.FixtureRequest,
    make_house: MakeHouse,
    redis_url: str,
    database_url: str,
) -> GuestHouse:
    """Give a house with Redis and one without."""
    made: GuestHouse = make_house(NOWHERE if request.param else redis_url, database_url)
    return made


def links(house: GuestHouse) -> list[tuple[set[str], str, str]]:
    found = house.rows(AccountLink)
    return [({r.user_id, r.other_user_id}, r.reason, r.state) for r in found]


def told(house: GuestHouse, user_id: str, kind: str) -> list[dict[str, Any]]:
    with house.database.read() as session:
        events = read_after(session, user_id, 0, 100).events
    return [json.loads(event.data) for event in events if event.type == kind]


def history(house: GuestHouse, user_id: str) -> list[str]:
    return [event.kind for event in security_history(house.database, user_id)]


# A person of whom nobody knows


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_a_guest_becomes_the_persons_user_with_all_it_had(
    either: GuestHouse, *, enriched: bool
) -> None:
    house = either
    guest = house.enter()
    if enriched:
        if house.has_redis:
            house.enrich()
        with house.database.unit_of_work() as work:
            update_profile(work.session, guest.user_id, {"nickname": "小明"})

    answer = house.login(house.code(PERSON), guest=claims_of(guest))

    assert answer.user_id == guest.user_id
    assert answer.session_id != guest.session_id
    user = house.user(guest.user_id)
    assert (user.is_guest, user.nickname) == (False, "小明" if enriched else None)
    (identity,) = house.rows(Identity)
    assert identity.user_id == guest.user_id
    (alias,) = house.rows(UserAlias)
    assert alias.user_id == guest.user_id
    assert links(house) == []
    assert told(house, guest.user_id, "session.revoked") == [
        {"session_id": guest.session_id, "reason": "replaced"}
    ]
    assert told(house, guest.user_id, "profile.updated") == [{"changed": ["is_guest"]}]
    assert "guest_upgraded" in history(house, guest.user_id)
    sessions = SessionService(house.settings, house.stores, house.database)
    sessions.confirm(claims_of(answer))
    end = partial(sessions.confirm, claims_of(guest))
    assert refused(end) == "session_revoked"


def test_the_answer_tells_the_profile_the_guest_had(house: GuestHouse) -> None:
    guest = house.enter()
    house.enrich()
    with house.database.unit_of_work() as work:
        update_profile(work.session, guest.user_id, {"nickname": "小明"})

    answer = house.login(house.code(PERSON), guest=claims_of(guest))

    profile = msgspec.json.decode(msgspec.json.encode(answer.user))
    assert (profile["nickname"], profile["is_guest"]) == ("小明", False)


def test_the_person_comes_back_as_that_user_from_everywhere(
    house: GuestHouse,
) -> None:
    guest = house.enter()
    house.login(house.code(PERSON), guest=claims_of(guest))
    assert house.login(house.code(PERSON)).user_id == guest.user_id

    house.stores.redis.execute("FLUSHALL")

    assert house.login(house.code(PERSON)).user_id == guest.user_id
    house.enrich()
    assert house.count(User) == 1


def test_the_same_code_and_guest_give_the_same_answer(either: GuestHouse) -> None:
    guest = claims_of(either.enter())
    code = either.code(PERSON)

    answers = [either.login(code, guest=guest) for _ in range(3)]

    assert len({answer.refresh_token for answer in answers}) == 1
    assert len({answer.access_token for answer in answers}) == 1
    assert either.calls() == 1


def test_a_page_that_lost_the_answer_logs_in_with_its_old_token(
    either: GuestHouse,
) -> None:
    guest = either.enter()
    either.login(either.code(PERSON), guest=claims_of(guest))

    again = either.login(either.code(PERSON), guest=claims_of(guest))

    assert again.user_id == guest.user_id
    assert links(either) == []
    # Of somebody else it makes nothing: that guest is taken.
    other = either.login(either.code("o-2"), guest=claims_of(guest))
    assert other.user_id != guest.user_id
    assert links(either) == []


# A person who has a user


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_a_person_with_a_user_keeps_it_and_the_guest_is_linked(
    either: GuestHouse, *, enriched: bool
) -> None:
    house = either
    known = house.login(house.code(PERSON))
    if enriched and house.has_redis:
        house.enrich()
    guest = house.enter()

    answer = house.login(house.code(PERSON), guest=claims_of(guest))

    assert answer.user_id == known.user_id
    assert links(house) == [({known.user_id, guest.user_id}, "guest", "found")]
    assert house.user(guest.user_id).is_guest
    assert told(house, guest.user_id, "session.revoked") == [
        {"session_id": guest.session_id, "reason": "replaced"}
    ]
    assert house.rows(UserAlias) == []
    house.login(house.code(PERSON), guest=claims_of(guest))
    assert len(links(house)) == 1


# Refusals: before the code is spent


def end_session(house: GuestHouse, guest: Any) -> None:
    sessions = SessionService(house.settings, house.stores, house.database)
    sessions.logout(claims_of(guest), "this")


def shut_out(house: GuestHouse, guest: Any) -> None:
    end_session(house, guest)
    with house.database.unit_of_work() as work:
        ban(work.session, guest.user_id)


@pytest.mark.parametrize(
    ("spoil", "reason"), [(end_session, "session_revoked"), (shut_out, "user_banned")]
)
def test_a_guest_that_may_not_costs_no_code(
    either: GuestHouse, spoil: Callable[..., None], reason: str
) -> None:
    guest, code = either.enter(), either.code(PERSON)
    spoil(either, guest)
    bring = partial(either.login, code, guest=claims_of(guest))

    assert refused(bring) == reason
    assert refused(bring) == reason
    assert either.calls() == 0
    if reason == "session_revoked":
        assert either.login(code).user_id != guest.user_id
    assert either.count(UserAlias) == 0


def test_a_guest_whose_end_only_redis_knows_is_refused(house: GuestHouse) -> None:
    guest, code = house.enter(), house.code(PERSON)
    house.enrich()
    house.stores.sessions.revoke(
        guest.user_id, [guest.session_id], life_ms=60_000, reason="reused"
    )

    bring = partial(house.login, code, guest=claims_of(guest))

    assert refused(bring) == "session_revoked"
    assert house.calls() == 0


def test_tokens_of_users_and_of_other_apps_are_no_guests(house: GuestHouse) -> None:
    user = claims_of(house.login(house.code("o-2")))
    calls, code = house.calls(), house.code(PERSON)
    foreign = claims_of(house.enter())
    foreign = type(foreign)(
        **{n: getattr(foreign, n) for n in foreign.__slots__} | {"app_id": "wx-other"}
    )

    for claims in (user, foreign):
        assert refused(partial(house.login, code, guest=claims)) == "token_invalid"
    assert house.calls() == calls
    assert house.login(code).access_token


def test_a_banned_person_takes_no_guest(either: GuestHouse) -> None:
    known = either.login(either.code(PERSON))
    if either.has_redis:
        either.enrich()
    with either.database.unit_of_work() as work:
        ensure_user(work.session, known.user_id, known.app_id, 1)
        standing = ban(work.session, known.user_id)
    if either.has_redis:
        either.stores.standings.put(known.user_id, standing)
    guest = either.enter()

    bring = partial(either.login, either.code(PERSON), guest=claims_of(guest))

    assert refused(bring) == "user_banned"
    assert links(either) == []
    sessions = SessionService(either.settings, either.stores, either.database)
    sessions.confirm(claims_of(guest))


def test_without_sql_only_logins_with_guests_wait(
    make_house: MakeHouse, redis_url: str, tmp_path: Path
) -> None:
    house = make_house(redis_url, f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    guest, code = claims_of(house.enter()), house.code(PERSON)

    with pytest.raises(Unavailable):
        house.login(code, guest=guest)

    assert house.calls() == 0
    assert house.login(house.code("o-2")).access_token


# At once, and half way


@pytest.mark.parametrize("same", [True, False], ids=["one person", "two persons"])
def test_one_guest_with_two_codes_at_once_is_upgraded_once(
    either: GuestHouse, *, same: bool
) -> None:
    guest = either.enter()
    codes = [either.code(PERSON), either.code(PERSON if same else "o-2")]
    bring = partial(either.login, guest=claims_of(guest))

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(bring, codes))

    users = [answer.user_id for answer in answers]
    assert users.count(guest.user_id) == (2 if same else 1)
    assert not either.user(guest.user_id).is_guest
    assert either.count(UserAlias) == 1
    assert links(either) == []
    assert len(told(either, guest.user_id, "profile.updated")) == 1


def test_two_guests_of_one_person_at_once_end_as_one_user(either: GuestHouse) -> None:
    guests = [either.enter(device=name) for name in ("a", "b")]
    pairs = [(either.code(PERSON), claims_of(guest)) for guest in guests]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda p: either.login(p[0], guest=p[1]), pairs))

    (user_id,) = {answer.user_id for answer in answers}
    states = {guest.user_id: either.user(guest.user_id).is_guest for guest in guests}
    assert sorted(states.values()) == [False, True]
    assert not states[user_id]
    assert links(either) == [(set(states), "guest", "found")]


def test_one_phone_plain_and_one_with_a_guest_never_split_a_person(
    house: GuestHouse,
) -> None:
    for number in range(8):
        person = f"o-race-{number}"
        guest = house.enter()
        codes = [(house.code(person), None), (house.code(person), claims_of(guest))]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda p: house.login(p[0], guest=p[1]), codes))
        house.enrich()

        assert len({answer.user_id for answer in answers}) == 1


def test_who_dies_between_redis_and_sql_leaves_nothing_half_done(
    house: GuestHouse,
) -> None:
    guest = house.enter()
    hasher = IdentityHasher(house.settings.secrets.id_key)
    derived = hasher.user_id(guest.app_id, PERSON)
    # The process died after the claim: SQL was never told, and the code is spent.
    assert house.stores.standings.claim_alias(derived, guest.user_id) == guest.user_id

    again = house.login(house.code(PERSON), guest=claims_of(guest))

    assert again.user_id == guest.user_id
    assert not house.user(guest.user_id).is_guest
    assert house.count(UserAlias) == 1


def test_an_alias_made_without_redis_gets_there(
    make_house: MakeHouse, redis_url: str, sqlite_url: str
) -> None:
    alone, house = make_house(NOWHERE, sqlite_url), make_house(redis_url, sqlite_url)
    guest = alone.enter()
    alone.login(alone.code(PERSON), guest=claims_of(guest))
    (alias,) = alone.rows(UserAlias)

    assert alias.alias_id in alone.asked_for(PUBLISH)
    # Redis is back and does not know it yet: the stray account is found and linked.
    stray = house.login(house.code(PERSON))
    house.enrich()
    assert links(house) == [({stray.user_id, guest.user_id}, "guest", "found")]
