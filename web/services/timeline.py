"""What happened around an id, for people who were given one by a user or a log."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import msgspec

from models.errors import NotFound, RedisUnavailable
from models.stores.keys import LOCK_OUT
from models.timeline import read_timeline
from models.timeline_entries import Entry
from web.services.pages import places_in_time

if TYPE_CHECKING:
    from models.database import Database
    from models.stores.refusals import Refusal, RefusalStore
    from models.timeline import Timeline

MOST_REFUSALS: Final = 100


class TimelinePage(msgspec.Struct, frozen=True):
    """What happened, oldest first; ``truncated``: there was more than is ever told.

    ``away`` names a store whose part is missing.
    """

    id: str
    entries: list[Entry]
    next_cursor: str | None
    has_more: bool
    truncated: bool
    away: list[str]


class TimelineService:
    """Timelines out of SQL, and what was refused out of Redis."""

    def __init__(self, database: Database, refusals: RefusalStore) -> None:
        self._database = database
        self._refusals = refusals

    def read(
        self, name: str, cursor: str | None = None, limit: int | None = None
    ) -> TimelinePage:
        """Return the timeline of ``name``; `NotFound` for an id nobody knows.

        Of it, up to ``limit`` entries after ``cursor``; None stands for all.

        Redis away: what was refused is missing, and `RedisUnavailable` for an id that
        SQL does not know. Raises `DatabaseUnavailable`.
        """
        refused, away = [], None
        try:
            refused = self._refusals.find(name, MOST_REFUSALS)
        except RedisUnavailable as error:
            away = error
        with self._database.read() as session:
            timeline = read_timeline(session, name, [_told(one) for one in refused])
        if timeline is None:
            raise away or NotFound()
        if away is not None:
            timeline.away.append("redis")
        return _page(timeline, cursor, limit)


def _page(timeline: Timeline, cursor: str | None, limit: int | None) -> TimelinePage:
    places = places_in_time(entry.at for entry in timeline.entries)
    begin = 0 if cursor is None else bisect_right(places, _place_of(cursor))
    end = len(places) if limit is None else begin + limit
    more = end < len(places)
    return TimelinePage(
        id=timeline.id,
        entries=timeline.entries[begin:end],
        next_cursor="{}.{}".format(*places[end - 1]) if more else None,
        has_more=more,
        truncated=timeline.truncated,
        away=timeline.away,
    )


def _place_of(cursor: str) -> tuple[int, int]:
    at, _, number = cursor.partition(".")
    return int(at), int(number)


def _told(refusal: Refusal) -> Entry:
    asked = refusal.asked
    facts: dict[str, str | int] = {
        "reason": refusal.reason,
        "rule": refusal.rule,
        "retry_after_ms": refusal.retry_after_ms,
        "route": asked.route,
        "user_id": asked.user_id,
        "device_id": asked.device_id,
        "app_id": asked.app_id,
        "see": _see(refusal),
    }
    detail = {name: fact for name, fact in facts.items() if fact}
    what = "would be refused" if asked.dry and refusal.rule else "refused"
    return Entry(refusal.at, "refusal", asked.request_id, what, detail)


def _see(refusal: Refusal) -> str:
    """Return which route beside this one explains it, empty if none does."""
    asked, rule = refusal.asked, refusal.rule
    whose = asked.user_id
    if rule == LOCK_OUT or rule.endswith(".device"):
        whose = asked.device_id
    elif rule and not rule.endswith(".user"):
        whose = ""
    if whose:
        return f"risk/{whose}"
    return "limits" if rule else ""
