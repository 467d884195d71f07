"""Days and months as WeChat counts them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.china_time import day_of, month_of


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "day", "month"),
    [
        ("2026-11-26T15:59:59", "2026-11-26", "2026-11"),
        ("2026-11-26T16:00:00", "2026-11-27", "2026-11"),
        ("2026-11-30T16:00:00", "2026-12-01", "2026-12"),
        ("2026-12-31T16:00:00", "2027-01-01", "2027-01"),
        ("2028-02-29T15:59:59", "2028-02-29", "2028-02"),
    ],
)
def test_a_day_begins_at_four_in_the_afternoon_utc(
    at: str, day: str, month: str
) -> None:
    assert day_of(ms(at)).name == day
    assert month_of(ms(at)).name == month


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_periods_hold_their_moment_and_meet_without_a_gap(at: int) -> None:
    for period_of in (day_of, month_of):
        period = period_of(at)
        assert period.begins_at <= at < period.ends_at
        assert period_of(period.ends_at).begins_at == period.ends_at
        assert period_of(period.ends_at - 1) == period
