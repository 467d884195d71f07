"""Beat: a metronome that asks, job by job, what is due; it decides nothing.

Runs inside `celery beat` in place of its scheduler. It keeps no file and never looks
at the wall clock: the database knows which slots have run (`models/schedule.py`), so
beats may be many, frozen, or have a clock that somebody steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from celery.beat import Scheduler

from config.clock import monotonic
from config.logging import get_logger
from config.metrics.processes import BEAT_ASKED, BEAT_FAILURES
from config.queues import queue_of
from config.schedule import ASK
from tasks.app import known_settings
from workers.health import count_replacement, heartbeat_path, touch_heartbeat
from workers.publisher import Publisher
from workers.relay_loop import BrokerAway

# Where so many questions and rows wait, one more would only fill Redis: twice what
# the relay may hand out, so that a long queue alone silences no beat.
DEEP = 2

log = get_logger(__name__)


class Asker(Protocol):
    """What the metronome needs of `workers.publisher.Publisher`."""

    def send(self, task: str, argument: str | list[str]) -> None:
        """Hand over one message; raises `BrokerAway` soon."""

    def count_waiting(self, queue: str) -> int:
        """Return how many messages nobody has fetched; raises `BrokerAway`."""


@dataclass(slots=True)
class Beat:
    """One job: how often it is asked for, and when next on the monotonic clock."""

    job: str
    every_s: float
    due_at: float

    def wait_s(self, now: float) -> float:
        """Return the seconds until the question; a wait of more than one is none."""
        wait = self.due_at - now
        return wait if wait <= self.every_s else 0.0

    def move_on(self, now: float) -> None:
        """Plan the next question, one step on, without making up for lost ones."""
        self.due_at += self.every_s
        if not now < self.due_at <= now + self.every_s:
            self.due_at = now + self.every_s


class Metronome:
    """Asks for each job in time, and goes on when the broker is away."""

    def __init__(self, every_s: Mapping[str, float], asker: Asker, depth: int) -> None:
        # The first questions are due at once.
        self._beats = [Beat(job, step, -step) for job, step in every_s.items()]
        self._asker = asker
        self._depth = depth
        self._away = False

    def tick(self, now: float) -> float:
        """Ask what is due and return the seconds until the next question."""
        try:
            for beat in self._beats:
                if beat.wait_s(now) <= 0:
                    self._ask(beat.job)
                    beat.move_on(now)
        except BrokerAway as error:
            self._failed(error)
            return max(beat.every_s for beat in self._beats)
        self._away = False
        return min(beat.wait_s(now) for beat in self._beats)

    def _ask(self, job: str) -> None:
        if self._asker.count_waiting(queue_of(ASK).value) >= self._depth:
            BEAT_ASKED.labels("unheard").inc()
            return
        self._asker.send(ASK, job)
        BEAT_ASKED.labels("asked").inc()

    def _failed(self, error: BrokerAway) -> None:
        BEAT_FAILURES.inc()
        if not self._away:
            log.warning("beat pauses", cause=str(error))
        self._away = True


class LivingScheduler(Scheduler):
    """What `celery beat` runs; touches ``beat.alive`` at each tick."""

    def setup_schedule(self) -> None:
        """Read the table; no file, no entries of Celery's own."""
        settings = known_settings()
        every_s = {
            job: float(entry["schedule"])
            for job, entry in self.app.conf.beat_schedule.items()
        }
        self._publisher = Publisher(self.app)
        depth = DEEP * settings.journal.queue_depth
        self._metronome = Metronome(every_s, self._publisher, depth)
        self._heartbeat = heartbeat_path(settings, "beat")
        count_replacement(self._heartbeat)
        self._longest_s = settings.celery.beat_interval_s

    def tick(self, *_: Any, **__: Any) -> float:  # noqa: ANN401 (Celery's own)
        """Ask what is due and return the seconds until the next look."""
        touch_heartbeat(self._heartbeat)
        return min(self._metronome.tick(monotonic()), self._longest_s)

    def close(self) -> None:
        """Let go of the broker."""
        self._publisher.close()
