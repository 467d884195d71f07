"""What is counted of task runs, the clock's among them."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

from config.schedule import SCHEDULE

_TASK_BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 45.0, 60.0)
TASK_RUNS: Final = Counter(
    "kuaida_task_runs", "Task runs by outcome.", ("task", "outcome")
)
TASK_SECONDS: Final = Histogram(
    "kuaida_task_seconds", "Time of a task run.", ("task",), buckets=_TASK_BUCKETS
)
RETRIES_HELD: Final = Counter(
    "kuaida_retries_held", "Retries put off because their app's budget was spent."
)
SLOT_RUNS: Final = Counter(
    "kuaida_slot_runs", "Slots by what became of them.", ("job", "outcome")
)

# Present from the start: see the package.
for _job in SCHEDULE:
    for _outcome in ("missed", "failed"):
        SLOT_RUNS.labels(_job.name, _outcome)
