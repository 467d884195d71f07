"""The fast copies of sessions on a real Redis: opened, rotated, ended, restored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from config.clock import now_ms
from config.metrics.accounts import REFRESH_PROOFS
from models.base import new_id
from models.rotation_trail import TRAIL_LENGTH, read_trail, write_trail
from models.standings import UserStanding
from models.stores.sessions import Opened
from tests.integration.openings import (
    APP,
    GRACE_MS,
    LIFE_MS,
    TOLD,
    USER,
    entry,
    journal,
    new,
)

if TYPE_CHECKING:
    from config.settings import Settings
    from models.stores.container import Stores


def rotate(
    stores: Stores, presented: int, session_id: str = "se_1", grace_ms: int = GRACE_MS
) -> tuple[str, int]:
    told = stores.sessions.rotate(
        entry(session_id, kind="refresh", generation=presented),
        grace_ms=grace_ms,
    )
    return told.outcome, told.generation


def test_opening_writes_everything_in_one_go(stores: Stores) -> None:
    assert stores.sessions.open(new()) == Opened("opened", b"rse_1")

    assert stores.redis.execute("GET", "kuaida:code:c1") == b"rse_1"
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert stores.wechat_keys.find([(APP, USER)]) == [TOLD]
    assert [e.session_id for e in journal(stores)] == ["se_1"]
    for name in (
        stores.keys.session("se_1"),
        stores.keys.sessions(USER),
        stores.keys.wechat_key(USER),
        "kuaida:code:c1",
    ):
        assert stores.redis.execute("PTTL", name) > 0


def test_the_slower_of_two_with_one_code_opens_nothing(stores: Stores) -> None:
    stores.sessions.open(new("se_1"))

    assert stores.sessions.open(new("se_2")).record == b"rse_1"
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert len(journal(stores)) == 1


def test_a_flight_mark_makes_room_for_the_record(stores: Stores) -> None:
    stores.redis.execute("SET", "kuaida:code:c1", "f:mark", "PX", 1000)

    assert stores.sessions.open(new()) == Opened("opened", b"rse_1")


@pytest.mark.parametrize(
    ("cached", "told"),
    [(b'{"id":"u_1"}', b'rse_1\n{"id":"u_1"}'), (b"-", b"rse_1"), (None, b"rse_1")],
)
def test_a_known_profile_comes_with_the_record(
    stores: Stores, cached: bytes | None, told: bytes
) -> None:
    if cached is not None:
        stores.redis.execute("SET", stores.keys.user(USER), cached)

    assert stores.sessions.open(new()).record == told
    assert stores.sessions.open(new("se_2")).record == told


def test_sessions_that_began_their_longest_life_ago_leave_the_list(
    stores: Stores, settings: Settings
) -> None:
    longest_ms = settings.tokens.session_max_s * 1000
    # One that is refreshed now and then lives beyond what an idle one may.
    for name, age_ms in (("se_old", longest_ms + 10), ("se_1", longest_ms - 60_000)):
        begun = entry(name, at=now_ms() - age_ms)
        stores.sessions.open(new(name, name, entry=begun))
    stores.sessions.open(new("se_2", "c2"))

    names = stores.redis.execute("ZRANGE", stores.keys.sessions(USER), 0, -1)

    assert names == [b"se_1", b"se_2"]


@run_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([-1, 0, 0, 0, 1, 2, 3, TRAIL_LENGTH + 1, TRAIL_LENGTH + 2]),
            st.sampled_from([0] * 7 + [1]),
        ),
        max_size=20,
    )
)
def test_rotation_in_redis_obeys_the_same_rule_as_in_sql(
    stores: Stores, steps: list[tuple[int, int]]
) -> None:
    name = new_id("se")
    stores.sessions.open(new(name, name))
    # The oldest generation that was made within the grace.
    current, ended, young = 1, False, 1

    for behind, late in steps:
        if late:
            age_rotations(stores, name)
            young = current + 1
        presented = max(1, current - behind)
        told = rotate(stores, presented, name)
        if ended:
            assert told[0] == "revoked"
        elif presented > current:
            assert told[0] == "behind"
        elif presented == current:
            current += 1
            assert told == ("rotated", current)
        elif presented + 1 >= max(young, current - TRAIL_LENGTH):
            assert told == ("grace", presented + 1)
        else:
            assert told[0] == "reused"
            ended = True


def age_rotations(stores: Stores, name: str) -> None:
    """Let all rotations so far lie longer back than the grace."""
    key, long_ago = stores.keys.session(name), now_ms() - GRACE_MS - 60_000
    trail = stores.redis.execute("HGET", key, "trail") or b""
    aged = write_trail(dict.fromkeys(read_trail(trail.decode()), long_ago), after=0)
    stores.redis.execute("HSET", key, "rotated", long_ago, "trail", aged)


def test_a_copy_is_restored_with_the_rotations_before(stores: Stores) -> None:
    at = now_ms()
    lost = entry(kind="refresh", generation=4, at=at)
    stores.sessions.restore(lost, f"2:{at - GRACE_MS - 5000} 3:{at - 7}")

    again = entry(kind="refresh", generation=2)
    assert stores.sessions.rotate(again, grace_ms=GRACE_MS) == ("grace", 3, at - 7)
    assert rotate(stores, 1)[0] == "reused"


def test_without_a_grace_a_repeat_in_the_same_millisecond_is_reuse(
    stores: Stores,
) -> None:
    # Many, so that some of them surely fall within one tick of the clock.
    for number in range(200):
        name = f"se_{number}"
        stores.sessions.open(new(name, name))
        assert rotate(stores, 1, name, grace_ms=0) == ("rotated", 2)
        assert rotate(stores, 1, name, grace_ms=0)[0] == "reused"


def test_rivals_that_refresh_at_once_get_one_successor(stores: Stores) -> None:
    stores.sessions.open(new())

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: rotate(stores, 1), range(16)))

    assert {generation for _, generation in told} == {2}
    assert sorted(outcome for outcome, _ in told) == ["grace"] * 15 + ["rotated"]


def test_a_rotation_is_journaled_with_its_generation_and_time(stores: Stores) -> None:
    stores.sessions.open(new())
    made = stores.sessions.rotate(
        entry(kind="refresh", ip="1.2.3.4"), grace_ms=GRACE_MS
    )

    written = journal(stores)[-1]

    assert (written.generation, written.at) == (2, made.at)
    assert (written.kind, written.ip) == ("refresh", "1.2.3.4")
    assert rotate(stores, 1)[0] == "grace"
    assert len(journal(stores)) == 2


def test_a_session_redis_does_not_hold_is_unknown(stores: Stores) -> None:
    assert rotate(stores, 1, "se_none") == ("unknown", 0)


def test_a_lost_copy_is_written_again_and_journaled(stores: Stores) -> None:
    lost = entry(kind="refresh", generation=4)

    assert stores.sessions.restore(lost)

    assert rotate(stores, 4) == ("rotated", 5)
    assert stores.sessions.list_ids(USER) == ["se_1"]
    assert journal(stores)[0] == lost


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_an_older_copy_never_replaces_a_newer_one(
    stores: Stores, generation: int
) -> None:
    stores.sessions.restore(entry(generation=3))

    assert not stores.sessions.restore(entry(generation=generation))

    assert rotate(stores, 3) == ("rotated", 4)
    assert len(journal(stores)) == 2


def test_a_revoked_session_is_not_restored(stores: Stores) -> None:
    stores.sessions.revoke(USER, ["se_1"], life_ms=LIFE_MS)

    assert not stores.sessions.restore(entry(generation=9))

    assert stores.sessions.list_ids(USER) == []
    assert rotate(stores, 1)[0] in {"unknown", "revoked"}


def test_ended_sessions_leave_the_list_and_admit_nobody(stores: Stores) -> None:
    for n in range(4):
        stores.sessions.open(new(f"se_{n}", f"c{n}"))
    stores.sessions.revoke(USER, ["se_1"], life_ms=LIFE_MS)
    rotate(stores, 1, "se_2")
    age_rotations(stores, "se_2")
    assert rotate(stores, 1, "se_2")[0] == "reused"
    stores.redis.execute("DEL", stores.keys.session("se_3"))

    assert stores.sessions.list_ids(USER) == ["se_0"]
    assert rotate(stores, 1, "se_1")[0] == "revoked"


def test_revoking_nothing_asks_nothing(stores: Stores) -> None:
    before = stores.redis.execute("DBSIZE")

    stores.sessions.revoke(USER, [], life_ms=LIFE_MS)
    assert stores.sessions.mark_ended([], life_ms=LIFE_MS) == 0

    assert stores.redis.execute("DBSIZE") == before


# The hash of what only refresh tokens hold


def test_a_token_that_the_hash_refutes_changes_nothing(stores: Stores) -> None:
    stores.sessions.open(new())
    forged = entry(kind="refresh", refresh_hash="cd" * 32)

    assert stores.sessions.rotate(forged, grace_ms=GRACE_MS).outcome == "forged"

    assert rotate(stores, 1) == ("rotated", 2)
    # Also in the grace, and however far ahead it claims to be.
    for generation in (1, 2, 9):
        again = entry(kind="refresh", generation=generation, refresh_hash="")
        assert stores.sessions.rotate(again, grace_ms=GRACE_MS).outcome == "forged"


def test_a_copy_without_a_hash_takes_the_first_that_is_signed(stores: Stores) -> None:
    stores.sessions.restore(entry(kind="refresh", refresh_hash=None))
    counted = REFRESH_PROOFS.labels("unproven")._value
    before = counted.get()

    assert rotate(stores, 1) == ("rotated", 2)
    assert counted.get() == before + 1
    other = entry(kind="refresh", generation=2, refresh_hash="cd" * 32)
    assert stores.sessions.rotate(other, grace_ms=GRACE_MS).outcome == "forged"
    assert rotate(stores, 2) == ("rotated", 3)
    assert counted.get() == before + 1


def test_a_restored_copy_keeps_the_hash_it_had(stores: Stores) -> None:
    stores.sessions.open(new())
    stores.sessions.restore(entry(kind="refresh", generation=4, refresh_hash=None))
    other = entry(kind="refresh", generation=4, refresh_hash="cd" * 32)

    assert stores.sessions.rotate(other, grace_ms=GRACE_MS).outcome == "forged"


# As many sessions as an app allows


def test_the_newest_sessions_stay(stores: Stores) -> None:
    for n in range(4):
        stores.sessions.open(new(f"se_{n}", f"c{n}"))
    stores.redis.execute("DEL", stores.keys.session("se_3"))

    ended = stores.sessions.keep_newest(USER, 2, life_ms=LIFE_MS)

    # The one that is gone takes nobody's place.
    assert ended == ["se_0"]
    assert stores.sessions.list_ids(USER) == ["se_1", "se_2"]
    assert rotate(stores, 1, "se_0")[0] == "revoked"
    assert stores.sessions.keep_newest(USER, 2, life_ms=LIFE_MS) == []


def test_what_a_session_is_now(stores: Stores) -> None:
    assert stores.sessions.find_current("se_1", USER) is None
    stores.sessions.open(new())
    rotate(stores, 1)

    found = stores.sessions.find_current("se_1", USER)
    assert found is not None
    assert (found.live, found.generation) == (True, 2)
    stores.standings.put(USER, UserStanding(epoch=1, number=1))
    ended = stores.sessions.find_current("se_1", USER)
    assert ended is not None
    assert not ended.live
