"""A watchdog in each worker: who hears nothing while work waits is replaced.

Celery can keep its connection and consume nothing. The thread looks at the queues by
a connection of its own; the supervisor (`make run`, Compose) starts the next process.
Each look is also a sign of life, which Celery's main loop does not give while it waits
for its broker: the thread of a frozen process leaves none.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from celery.worker import state

from config.clock import monotonic, sleep
from config.logging import get_logger
from config.metrics.processes import WORKER_REPLACED
from config.settings import Settings
from models.errors import RedisUnavailable
from models.stores.container import open_stores
from workers.health import touch_file

LOOK_EVERY_S = 5.0
# A worker that is deaf may be too stuck to end politely.
END_WITHIN_S = 10.0
EXIT_DEAF = 70

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a worker has done so far, and what it does now."""

    received: int
    active: int


class Silence:
    """How long a worker has done nothing although work waited at every look."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: float | None = None
        self._received = 0

    def lasts_too_long(self, now: float, seen: Activity, waiting: int) -> bool:
        """Judge one look; any sign of work, or of none waiting, starts anew."""
        heard = seen.received != self._received or seen.active > 0
        self._received = seen.received
        if heard or not waiting:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._patience_s

    def forget(self) -> None:
        """Start anew: nobody could look."""
        self._since = None


class Watchdog(threading.Thread):
    """Looks every few seconds; ends the process when its silence lasts too long."""

    def __init__(
        self,
        look: Callable[[], Mapping[str, int]],
        activity: Callable[[], Activity],
        patience_s: float,
        replace: Callable[[str], None],
        alive: Callable[[], None],
    ) -> None:
        """``look`` returns the lengths of this worker's queues."""
        super().__init__(name="watchdog", daemon=True)
        self._look = look
        self._activity = activity
        self._silence = Silence(patience_s)
        self._replace = replace
        self._alive = alive
        self._ending = threading.Event()

    def end(self) -> None:
        """Watch no more: the worker stops by itself."""
        self._ending.set()

    def run(self) -> None:
        """Look until the worker ends or must be replaced."""
        while not self._ending.wait(LOOK_EVERY_S):
            self._alive()
            try:
                lengths = self._look()
            except RedisUnavailable:
                # The worker cannot hear either, and another one could not.
                self._silence.forget()
                continue
            longest = max(lengths, key=lambda name: lengths[name], default="")
            waiting = lengths.get(longest, 0)
            if self._silence.lasts_too_long(monotonic(), self._activity(), waiting):
                self._replace(longest)
                return


def watch(settings: Settings, queues: list[str], heartbeat: Path) -> Watchdog:
    """Return the watchdog of this process, which consumes ``queues``."""
    names = {f"{settings.broker_prefix}{queue}": queue for queue in queues}
    stores = open_stores(settings)

    def look() -> dict[str, int]:
        lengths = stores.queue_lengths(list(names))
        return {names[name]: length for name, length in lengths.items()}

    def alive() -> None:
        touch_file(heartbeat)

    patience_s = settings.celery.probe_s
    return Watchdog(look, work_of_worker, patience_s, replace_worker, alive)


def work_of_worker() -> Activity:
    """Return what Celery says of this process."""
    return Activity(state.all_total_count[0], len(state.active_requests))


def replace_worker(queue: str) -> None:
    """End this process: politely, then at once."""
    WORKER_REPLACED.labels(queue).inc()
    log.error("worker hears nothing while work waits: it ends", queue=queue)
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(END_WITHIN_S)
    log.error("worker did not end by itself", queue=queue)
    os._exit(EXIT_DEAF)
