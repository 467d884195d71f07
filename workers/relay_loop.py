"""One endless loop of the relay: rounds, pauses after failures, a prompt end.

Used by `workers/relay.py` for both journals; what a round does is in `login_relay`
and `outbox_relay`.
"""

from __future__ import annotations

import threading
from typing import Protocol

from config.clock import monotonic
from config.logging import get_logger
from config.metrics.journals import RELAY_FAILURES

# After a failure: doubling from the first to the last, so that a store that comes
# back is found soon and one that stays away is not stormed.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# A loop without a finished round for this long has no sign of life.
STUCK_AFTER_S = 20.0

log = get_logger(__name__)


class BrokerAway(Exception):
    """The broker did not take a message in time; the journal keeps the work."""


class Courier(Protocol):
    """What a loop needs of the only sender of messages, `workers.relay.Publisher`."""

    def probe(self) -> None:
        """Make sure that the broker answers; raises `BrokerAway`."""

    def send(
        self, task: str, argument: str | list[str], message_id: str | None = None
    ) -> None:
        """Hand over one message; raises `BrokerAway` within about a second."""

    def count_waiting(self, queue: str) -> int:
        """Return how many messages nobody has fetched; raises `BrokerAway`."""


class Round(Protocol):
    """One journal's part of the relay."""

    journal: str

    def run(self) -> bool:
        """Move what is due, in bounded time; False when there was nothing."""

    def rest(self) -> None:
        """Wait, bounded, until there may be something."""


class RelayLoop(threading.Thread):
    """Runs rounds until told to stop; no failure ends it."""

    def __init__(self, work: Round, courier: Courier) -> None:
        super().__init__(name=f"relay-{work.journal}", daemon=True)
        self._work = work
        self._courier = courier
        self._stopping = threading.Event()
        self._pause_s = 0.0
        self._alive_at = monotonic()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            try:
                self._step()
                self._pause_s = 0.0
            except Exception as error:  # noqa: BLE001 (journals must go on moving)
                self._failed(error)
                self._stopping.wait(self._pause_s)
            self._alive_at = monotonic()

    def stop(self) -> None:
        """Ask for the end; a round that runs is finished."""
        self._stopping.set()

    @property
    def alive(self) -> bool:
        """Whether rounds are still being finished, well or badly."""
        return self.is_alive() and monotonic() - self._alive_at < STUCK_AFTER_S

    def _step(self) -> None:
        if self._pause_s:
            # Nothing is claimed for a broker that would not take it.
            self._courier.probe()
        if not self._work.run() and not self._stopping.is_set():
            self._work.rest()

    def _failed(self, error: Exception) -> None:
        cause = type(error).__name__
        RELAY_FAILURES.labels(self._work.journal, cause).inc()
        if not self._pause_s:
            log.warning(
                "relay pauses", name=self._work.journal, cause=cause, error=error
            )
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), LONGEST_PAUSE_S)
