"""What happened around an id, for people who were given one by a user or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.errors import NotFound, RedisUnavailable
from models.stores.keys import LOCK_OUT
from models.timeline import read_timeline
from models.timeline_entries import Entry

if TYPE_CHECKING:
    from models.database import Database
    from models.stores.refusals import Refusal, RefusalStore
    from models.timeline import Timeline

MOST_REFUSALS: Final = 100


class TimelineService:
    """Timelines out of SQL, and what was refused out of Redis."""

    def __init__(self, database: Database, refusals: RefusalStore) -> None:
        self._database = database
        self._refusals = refusals

    def read(self, name: str) -> Timeline:
        """Return the timeline of ``name``; `NotFound` for an id nobody knows.

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
        return timeline


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
