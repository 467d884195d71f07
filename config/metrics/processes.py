"""What is counted of processes themselves: alive, stuck, replaced, unheard."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

from config.queues import READERS, Queue

LAST_SIGN_OF_LIFE: Final = Gauge(
    "kuaida_last_sign_of_life_seconds",
    "When a process's main loop last turned, in seconds since the epoch.",
    ("process",),
    # The newest of all instances, also of those that ended: silence is the fault.
    multiprocess_mode="max",
)
FROZEN_REPLACED: Final = Counter(
    "kuaida_frozen_replaced",
    "Processes killed because they gave no sign of life, counted by their successors.",
    ("process",),
)
WORKER_REPLACED: Final = Counter(
    "kuaida_worker_replaced",
    "Workers that heard nothing while work waited.",
    ("queue",),
)
WORKER_REFUSED: Final = Counter(
    "kuaida_worker_refused", "Messages that are none of ours, by reason.", ("reason",)
)
WORK_STOPPED: Final = Counter(
    "kuaida_work_stopped", "Stops of a worker that had to break off running work."
)
BEAT_ASKED: Final = Counter(
    "kuaida_beat_asked", "Questions of beat; unheard: the queue is full.", ("outcome",)
)
BEAT_FAILURES: Final = Counter(
    "kuaida_beat_failures", "Rounds of beat that found no broker."
)
LOG_LINES_LOST: Final = Counter(
    "kuaida_log_lines_lost", "Log lines that could not be made, or not be written."
)

# Present from the start: see the package.
for _process in (*READERS, "relay", "beat"):
    FROZEN_REPLACED.labels(_process)
for _queue in Queue:
    WORKER_REPLACED.labels(_queue.value)
for _reason in ("unknown task", "bad message"):
    WORKER_REFUSED.labels(_reason)
