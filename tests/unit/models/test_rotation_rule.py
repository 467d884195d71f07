"""The rule of refresh tokens in SQL, walked through by chance beside a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rotation import Presented, Rotation, decide_rotation
from models.rotation_trail import TRAIL_LENGTH, TRAIL_TEXT
from models.sessions import Session
from models.standings import NOBODY_SPECIAL, UserStanding

GRACE_MS = 10_000
START = 1_000_000


def new_row(generation: int = 1, rotated_at: int = START, **given_values) -> Session:
    values = {
        "revoked_at": None,
        "expires_at": START * 1000,
        "epoch": 0,
        **given_values,
    }
    return Session(
        id="se_1",
        generation=generation,
        rotated_at=rotated_at,
        last_seen_at=0,
        **values,
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2, 3, TRAIL_LENGTH + 1, TRAIL_LENGTH + 2]),
        st.sampled_from([0, 1, 1, 1, 5000, GRACE_MS - 1, GRACE_MS]),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_every_walk_obeys_the_rule(steps: list[tuple[int, int]]) -> None:
    row, now, current, ended = new_row(), START, 1, False
    made = {1: START}

    for behind, pause in steps:
        now += pause
        presented = max(1, current - behind)
        made_at = made.get(presented + 1, 0)
        shown = Presented(presented, made[presented], "hash", 0)
        told = decide_rotation(row, NOBODY_SPECIAL, shown, now=now, grace_ms=GRACE_MS)
        if ended:
            assert told.outcome == "revoked"
        elif presented == current:
            current += 1
            made[current] = now
            assert told == ("rotated", current, now)
        elif presented + 1 >= current - TRAIL_LENGTH and now - made_at < GRACE_MS:
            assert told == ("grace", presented + 1, made_at)
        else:
            assert told.outcome == "reused"
            ended = True
        assert row.generation == current
        assert (row.revoked_at is not None) == ended


def test_without_a_grace_a_repeat_in_the_same_millisecond_is_reuse() -> None:
    row = new_row()
    shown = Presented(1, START, "hash", 0)

    told = [
        decide_rotation(row, NOBODY_SPECIAL, shown, now=START, grace_ms=0).outcome
        for _ in range(2)
    ]

    assert told == ["rotated", "reused"]


def test_a_generation_ahead_of_sql_counts_as_current() -> None:
    row = new_row(generation=2)

    told = decide(row, NOBODY_SPECIAL, 7, now=START + 1)

    assert told == ("rotated", 8, START + 1)


def test_repeats_of_a_chain_get_what_its_first_uses_got() -> None:
    row = new_row()
    first = decide(row, NOBODY_SPECIAL, 1, now=START + 1)
    second = decide(row, NOBODY_SPECIAL, 2, now=START + 9000, made_at=START + 1)

    # The grace of the first ends by itself, whatever happened since.
    in_time = decide(row, NOBODY_SPECIAL, 1, now=START + GRACE_MS)
    assert in_time == ("grace", 2, first.at)
    last = decide(row, NOBODY_SPECIAL, 2, now=START + 1 + GRACE_MS)
    assert last == ("grace", 3, second.at)
    late = decide(row, NOBODY_SPECIAL, 1, now=START + 1 + GRACE_MS)
    assert late.outcome == "reused"


def test_when_the_presented_token_was_made_stands_in_itself() -> None:
    # A row that was healed: it does not know when that generation was made.
    row = new_row(generation=3, rotated_at=START)
    decide(row, NOBODY_SPECIAL, 3, made_at=START - GRACE_MS - 1)

    assert decide(row, NOBODY_SPECIAL, 2).outcome == "reused"


def test_the_row_remembers_few_rotations() -> None:
    row = new_row(generation=2**53 - 100, expires_at=2**44)
    for generation in range(row.generation, row.generation + 40):
        decide(row, NOBODY_SPECIAL, generation, now=2**43, made_at=2**43)

    assert row.trail is not None
    assert len(row.trail.split()) == TRAIL_LENGTH
    assert len(row.trail) <= TRAIL_TEXT


@pytest.mark.parametrize(
    "ended", [{"revoked_at": 1}, {"expires_at": START}], ids=["revoked", "expired"]
)
def test_an_ended_session_rotates_no_more(ended: dict[str, int]) -> None:
    told = decide(new_row(**ended), NOBODY_SPECIAL)

    assert told.outcome == "revoked"


def test_a_session_of_an_epoch_that_is_over_rotates_no_more() -> None:
    raised = UserStanding(epoch=2)

    assert decide(new_row(epoch=1), raised).outcome == "revoked"
    assert decide(new_row(epoch=2), raised).outcome == "rotated"


def test_who_is_banned_is_told_so_and_keeps_the_row() -> None:
    row = new_row()

    assert decide(row, UserStanding(epoch=1, banned=True)).outcome == "banned"
    assert row.revoked_at is None


def test_who_is_blocked_keeps_the_row_until_the_block_ends() -> None:
    row, blocked = new_row(), UserStanding(action="block", action_until=START + 5)

    assert decide(row, blocked).outcome == "blocked"
    assert (row.generation, row.revoked_at) == (1, None)
    assert decide(row, blocked, now=START + 5).outcome == "rotated"


def test_another_hash_is_refused_and_ends_nothing() -> None:
    row = new_row(refresh_hash="its own")

    told = decide(row, NOBODY_SPECIAL, 9)

    assert told.outcome == "forged"
    assert (row.generation, row.revoked_at) == (1, None)


def test_a_row_without_a_hash_takes_that_of_the_signed_token() -> None:
    row = new_row()

    assert decide(row, NOBODY_SPECIAL).outcome == "rotated"
    assert row.refresh_hash == "hash"


def test_a_rotation_moves_the_end_of_the_session() -> None:
    row = new_row(expires_at=START + 5)

    decide(row, NOBODY_SPECIAL, ends_at=START + 9)

    assert row.expires_at == START + 9


def decide(
    row: Session,
    standing: UserStanding,
    generation: int = 1,
    *,
    now: int = START,
    ends_at: int = 0,
    made_at: int = START,
) -> Rotation:
    shown = Presented(generation, made_at, "hash", ends_at)
    return decide_rotation(row, standing, shown, now=now, grace_ms=GRACE_MS)
