"""The rows this process works on, and the one thread that keeps their leases.

A lease is short, so that a dead process is found soon; a living one renews it. Each
beat renews in one transaction what was begun more than a beat ago: short work costs no
SQL, an idle process none at all. `tasks/base.py` says what is in hand. Who is frozen
renews nothing, and meets the fence when it wakes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from config.clock import MS_PER_S, Deadline, monotonic
from config.logging import get_logger
from config.metrics.journals import LEASES_NOT_RENEWED
from config.patience import under
from models.database import Database
from models.outbox_lease import Holding, renew_held
from tasks.failures import cause_of

# In one lease: whenever work begins, two in a row may fail before it runs out.
BEATS = 5
# For one renewal: a store that does not answer is asked again at the next beat.
RENEW_WITHIN_S = 2.0

log = get_logger(__name__)


class LeaseKeeper:
    """Renews leases of ``lease_s`` for work that lasts ``most_s`` at most.

    Work that hangs is not renewed for ever: it is let go, and another attempt begins.
    """

    def __init__(self, database: Database, *, lease_s: float, most_s: float) -> None:
        self._database = database
        self._lease_ms = round(lease_s * MS_PER_S)
        self._beat_s = lease_s / BEATS
        self._most_s = most_s
        self._since: dict[Holding, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, holding: Holding) -> Iterator[None]:
        """Keep the lease of a row that was just begun, while its attempt lasts."""
        with self._lock:
            self._since[holding] = monotonic()
            self._start()
        try:
            yield
        finally:
            self._forget({holding})

    def close(self) -> None:
        """Renew nothing more; call before the database is closed."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(RENEW_WITHIN_S)

    def beat(self) -> None:
        """Renew what needs it, and let go what has lasted too long."""
        now = monotonic()
        with self._lock:
            lasted = {one: now - since for one, since in self._since.items()}
        for holding, seconds in lasted.items():
            if seconds > self._most_s:
                self._let_go(holding)
        due = [one for one in lasted if self._beat_s <= lasted[one] <= self._most_s]
        if due:
            self._renew(due)

    def _start(self) -> None:
        # With the first work: whatever forks has none.
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="lease-keeper", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._beat_s):
            self.beat()

    def _renew(self, due: list[Holding]) -> None:
        within = Deadline.after_ms(min(RENEW_WITHIN_S, self._beat_s) * MS_PER_S)
        try:
            with under(within):
                gone = self._database.transact(
                    lambda uow: renew_held(uow.session, due, self._lease_ms)
                )
        except Exception as error:  # noqa: BLE001 (the next beat tries again)
            LEASES_NOT_RENEWED.labels("database").inc()
            log.warning("leases not renewed", cause=cause_of(error))
        else:
            self._forget(gone)

    def _let_go(self, holding: Holding) -> None:
        LEASES_NOT_RENEWED.labels("too long").inc()
        log.error("work lasts too long, its lease ends", outbox_id=holding.row_id)
        self._forget({holding})

    def _forget(self, gone: set[Holding]) -> None:
        with self._lock:
            for holding in gone:
                self._since.pop(holding, None)
