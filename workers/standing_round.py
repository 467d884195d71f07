"""The relay's part for standings: fills them in again after Redis forgot them.

Until it has, logins ask SQL (`web/services/login_doorway.py`); changes come by
`tasks/standings.py`.
"""

from __future__ import annotations

from config.clock import sleep
from config.logging import get_logger
from config.metrics.accounts import STANDINGS
from models.database import Database
from models.standings import list_aliases, list_special
from models.stores.standings import StandingStore

# Rows of one SELECT and one round trip: a million take a thousand of each.
PAGE = 1000
# A look is one GET; a stop of the relay waits for it at most.
LOOK_EVERY_S = 0.5

log = get_logger("workers.relay")


class StandingRound:
    """Loads every special standing whenever the mark of completeness is gone."""

    journal = "standings"

    def __init__(self, store: StandingStore, database: Database) -> None:
        self._store = store
        self._database = database

    def run(self) -> bool:
        """Load if need be; False when there was nothing to do."""
        if self._store.is_complete():
            return False
        if self._store.load(self._put_all):
            STANDINGS.labels("loaded").inc()
            log.info("standings loaded")
        return True

    def rest(self) -> None:
        """Wait until the next look."""
        sleep(LOOK_EVERY_S)

    def _put_all(self) -> None:
        self._put_standings()
        self._put_aliases()

    def _put_standings(self) -> None:
        after = ""
        while True:
            with self._database.read() as session:
                page = list_special(session, after, PAGE)
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
