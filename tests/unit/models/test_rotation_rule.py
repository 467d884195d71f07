"""The rule of refresh tokens in SQL, walked through by chance beside a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sessions import Presented, Rotation, Session, decide_rotation
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
    st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 5000, GRACE_MS, GRACE_MS + 1])),
    max_size=20,
)


@given(steps=STEPS)
def test_every_walk_obeys_the_rule(steps: list[tuple[int, int]]) -> None:
    row, now, current, made_at, ended = new_row(), START, 1, START, False

    for behind, pause in steps:
        now += pause
        presented = max(1, current - behind)
        told = decide(row, NOBODY_SPECIAL, presented, now=now)
        if ended:
            assert told.outcome == "revoked"
        elif presented == current:
            current, made_at = current + 1, now
            assert told == ("rotated", current, now)
        elif presented == current - 1 and now - made_at <= GRACE_MS:
            assert told == ("grace", current, made_at)
        else:
            assert told.outcome == "reused"
            ended = True
        assert row.generation == current
        assert (row.revoked_at is not None) == ended


def test_a_generation_ahead_of_sql_counts_as_current() -> None:
    row = new_row(generation=2)

    told = decide(row, NOBODY_SPECIAL, 7, now=START + 1)

    assert told == ("rotated", 8, START + 1)


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
) -> Rotation:
    shown = Presented(generation, "hash", ends_at)
    return decide_rotation(row, standing, shown, now=now, grace_ms=GRACE_MS)
