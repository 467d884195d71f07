"""WeChat's days and months: they begin at midnight in China, without summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from config.clock import MS_PER_S

CHINA = timedelta(hours=8)
LONGEST_MONTH = timedelta(days=31)


class Period(NamedTuple):
    """A day or month in China, in epoch ms; ``name`` is like ``2026-11``."""

    name: str
    begins_at: int
    ends_at: int


def day_of(at: int) -> Period:
    """Return the day in China that holds ``at`` (epoch ms)."""
    begin = _china(at).replace(hour=0, minute=0, second=0, microsecond=0)
    return _period(f"{begin:%Y-%m-%d}", begin, begin + timedelta(days=1))


def until_midnight_ms(at: int) -> int:
    """Return the milliseconds from ``at`` until WeChat's daily quotas start anew."""
    return day_of(at).ends_at - at


def month_of(at: int) -> Period:
    """Return the month in China that holds ``at`` (epoch ms)."""
    begin = _china(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _period(f"{begin:%Y-%m}", begin, (begin + LONGEST_MONTH).replace(day=1))


def _china(at: int) -> datetime:
    return datetime.fromtimestamp(at / MS_PER_S, UTC) + CHINA


def _period(name: str, begin: datetime, end: datetime) -> Period:
    first, last = (round((at - CHINA).timestamp() * MS_PER_S) for at in (begin, end))
    return Period(name, first, last)
