"""How a worker ends: running tasks have a while to finish, then their work goes back.

Celery's own stop waits without a bound, or sleeps its whole grace even when nothing
runs. `tasks/stopping.py` is what the tasks notice of it.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

from config.logging import get_logger
from config.metrics.processes import WORK_STOPPED
from tasks.stopping import stopping

# Billiard and Celery use the other free one for soft limits.
BREAK_OFF = signal.SIGUSR2

log = get_logger(__name__)


class GracefulStop(threading.Thread):
    """Waits for the stop, then for the grace, then stops what still runs.

    ``pool`` is Celery's: its processes get a signal, its threads see a flag at their
    next checkpoint.
    """

    def __init__(self, pool: Any, grace_s: float) -> None:  # noqa: ANN401 (Celery's)
        super().__init__(name="graceful-stop", daemon=True)
        self._pool = pool
        self._grace_s = grace_s
        self._asked = threading.Event()

    def ask(self) -> None:
        """Start the grace; called in a signal handler."""
        self._asked.set()

    def run(self) -> None:
        """End with the process, or by breaking off what outlasts the grace."""
        self._asked.wait()
        threading.Event().wait(self._grace_s)
        stopping.ask()
        told = [pid for pid in self._processes() if break_off(pid)]
        WORK_STOPPED.inc()
        log.warning("work broken off to end in time", workers=len(told))

    def _processes(self) -> list[int]:
        return list(self._pool.info.get("processes", ()))


def allow_break_off() -> None:
    """Let this process of a pool be told to give its work back."""
    signal.signal(BREAK_OFF, stopping.break_off)


def break_off(pid: int) -> bool:
    """Tell a process of the pool; False when it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, BREAK_OFF)
        return True
    return False
