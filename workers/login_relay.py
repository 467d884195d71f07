"""The relay's part for logins: ids of the stream in batches, for `tasks/logins.py`."""

from __future__ import annotations

from config.clock import monotonic, sleep
from config.metrics.journals import RELAY_RESENT, RELAY_SENT
from config.queues import Queue
from config.work_settings import JournalSettings
from models.stores.login_stream import LoginStream
from workers.relay_loop import Courier

ENRICH = "tasks.logins.enrich_logins"
# Server-side wait for a first login; short, so that a stop is prompt.
WAIT_MS = 500
# How long to wait for room when enough logins are with the tasks.
FULL_PAUSE_S = 0.05


class LoginRound:
    """Hands new logins to tasks, and those again that no task finished."""

    journal = "logins"

    def __init__(
        self,
        stream: LoginStream,
        courier: Courier,
        settings: JournalSettings,
        *,
        consumer: str,
    ) -> None:
        self._stream = stream
        self._courier = courier
        self._settings = settings
        self._consumer = consumer
        self._next_sweep = 0.0
        self._grouped = False

    def run(self) -> bool:
        """Send one batch of new logins, waiting a little for it to fill."""
        if not self._grouped:
            self._stream.make_group()
            self._grouped = True
        self._resend_stale()
        room = self._settings.logins_in_flight - self._pending()
        if room <= 0:
            sleep(FULL_PAUSE_S)
            return True
        entry_ids = self._gather(min(room, self._settings.batch))
        if entry_ids:
            self._courier.send(ENRICH, entry_ids)
            RELAY_SENT.labels(self.journal).inc(len(entry_ids))
        return True

    def rest(self) -> None:
        """Return at once: `run` has waited on the server."""

    def _pending(self) -> int:
        self._grouped = False
        pending = self._stream.backlog().pending
        # Only now is it certain that the group survived since the last round.
        self._grouped = True
        return pending

    def _gather(self, count: int) -> list[str]:
        entry_ids = self._stream.read(self._consumer, count=count, block_ms=WAIT_MS)
        left = count - len(entry_ids)
        if entry_ids and left and self._settings.linger_ms:
            sleep(self._settings.linger_ms / 1000)
            entry_ids += self._stream.read(self._consumer, count=left, block_ms=1)
        return entry_ids

    def _resend_stale(self) -> None:
        if monotonic() < self._next_sweep:
            return
        settings = self._settings
        self._next_sweep = monotonic() + settings.poll_s
        # With this much in the queue the worker is late, not the messages lost.
        batches = -(-settings.logins_in_flight // settings.batch)
        if self._courier.count_waiting(Queue.LOGINS) >= batches:
            return
        entry_ids = self._stream.claim_stale(
            self._consumer, idle_ms=settings.resend_after_s * 1000, count=settings.batch
        )
        if entry_ids:
            self._courier.send(ENRICH, entry_ids)
            RELAY_RESENT.labels(self.journal).inc(len(entry_ids))
            self._next_sweep = 0.0
