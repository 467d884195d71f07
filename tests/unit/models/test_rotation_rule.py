"""The rule of refresh tokens in SQL, walked through by chance beside a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sessions import Session, decide_rotation

GRACE_MS = 10_000
START = 1_000_000


def new_row(generation: int = 1, rotated_at: int = START, **given_values) -> Session:
    values = {"revoked_at": None, "expires_at": START * 1000, **given_values}
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
        told = decide_rotation(row, presented, now=now, grace_ms=GRACE_MS)
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

    told = decide_rotation(row, 7, now=START + 1, grace_ms=GRACE_MS)

    assert told == ("rotated", 8, START + 1)


@pytest.mark.parametrize(
    "ended", [{"revoked_at": 1}, {"expires_at": START}], ids=["revoked", "expired"]
)
def test_an_ended_session_rotates_no_more(ended: dict[str, int]) -> None:
    told = decide_rotation(new_row(**ended), 1, now=START, grace_ms=GRACE_MS)

    assert told.outcome == "revoked"
