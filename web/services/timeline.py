"""What happened around an id, for people who were given one by a user or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import NotFound
from models.timeline import read_timeline

if TYPE_CHECKING:
    from models.database import Database
    from models.timeline import Timeline


class TimelineService:
    """Timelines out of SQL; raises `DatabaseUnavailable` when it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> Timeline:
        """Return the timeline of ``name``; `NotFound` for an id nobody knows."""
        with self._database.read() as session:
            timeline = read_timeline(session, name)
        if timeline is None:
            raise NotFound
        return timeline
