"""The relay's part for standings: tells Redis again what it forgot, or never heard.

Redis was wiped, or started again from a file that lacks its last words, or a replica
took over: until all standings and ends of sessions are there, logins and requests ask
SQL (`web/services/login_doorway.py`, `web/services/sessions.py`). Changes come by
`tasks/standings.py`. Decision 0029 tells why.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S, monotonic, now_ms, sleep
from config.logging import get_logger
from config.metrics.accounts import SESSIONS_REVIVED, STANDINGS
from models.base import database_now
from models.errors import DatabaseUnavailable
from models.session_ended import list_ended
from models.standings import list_aliases, list_special

if TYPE_CHECKING:
    from config.token_settings import TokenSettings
    from models.database import Database
    from models.stores.container import Stores
    from models.stores.standings import Gap

# Rows of one SELECT and one round trip: a million take a thousand of each.
PAGE: Final = 1000
# A look is one call; a stop of the relay waits for it at most. So long a failover that
# no connection noticed (a proxy hid it) is not noticed here either.
LOOK_EVERY_S: Final = 0.5
# By so much a copy of Redis may be younger than it says.
NOTE_EVERY_S: Final = 5.0

log = get_logger("workers.relay")


class StandingRound:
    """Loads standings and ends whenever the mark of completeness is gone."""

    journal = "standings"

    def __init__(
        self, stores: Stores, database: Database, tokens: TokenSettings
    ) -> None:
        self._store = stores.standings
        self._sessions = stores.sessions
        self._database = database
        # As long as whoever ends a session has it marked.
        self._mark_ms = tokens.refresh_s * MS_PER_S
        self._noted_at = -NOTE_EVERY_S

    def run(self) -> bool:
        """Load if need be; False when there was nothing to do."""
        if self._store.is_whole(self._time_to_note()):
            return False
        began = now_ms()
        with self._database.read() as session:
            now = database_now(session)
        if self._store.load(self._put_all, now=now):
            STANDINGS.labels("loaded").inc()
            log.info("standings loaded", duration_ms=now_ms() - began)
        return True

    def rest(self) -> None:
        """Wait until the next look."""
        sleep(LOOK_EVERY_S)

    def _time_to_note(self) -> int | None:
        """Return the database's time now and then, and while SQL is there."""
        if monotonic() - self._noted_at < NOTE_EVERY_S:
            return None
        with suppress(DatabaseUnavailable), self._database.read() as session:
            now = database_now(session)
            self._noted_at = monotonic()
            return now
        return None

    def _put_all(self, gap: Gap) -> None:
        self._put_standings(gap.standings)
        self._put_aliases()
        self._mark_ended(gap.ends)

    def _put_standings(self, since: int) -> None:
        after = ""
        while True:
            with self._database.read() as session:
                page = list_special(session, after, PAGE, since=since)
            self._store.put_many(page)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def _put_aliases(self) -> None:
        after = ""
        while True:
            with self._database.read() as session:
                page = list_aliases(session, after, PAGE)
            self._store.put_aliases(page)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def _mark_ended(self, since: int) -> None:
        after = since, ""
        while True:
            with self._database.read() as session:
                page = list_ended(session, after, PAGE)
            revived = self._sessions.mark_ended(page, life_ms=self._mark_ms)
            SESSIONS_REVIVED.labels("marked").inc(revived)
            if len(page) < PAGE:
                return
            after = page[-1].at, page[-1].id
