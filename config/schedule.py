"""The whole clock of the house in one table; read by celery beat.

Any number of beats may run: the slot row ``(job, due)`` lets each due run happen
once (`tasks/maintenance.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from config.queues import Queue


class Job(NamedTuple):
    """One entry: ``task`` is called with ``name`` every ``every_s`` seconds."""

    name: str
    task: str
    every_s: int
    queue: Queue


SCHEDULE: tuple[Job, ...] = (
    Job(
        name="refresh_access_tokens",
        task="tasks.maintenance.refresh_access_tokens",
        every_s=60,
        queue=Queue.MAINTENANCE,
    ),
    Job(
        name="sweep_journals",
        task="tasks.maintenance.sweep_journals",
        every_s=15,
        queue=Queue.MAINTENANCE,
    ),
    Job(
        name="apply_retention",
        task="tasks.maintenance.apply_retention",
        every_s=3600,
        queue=Queue.MAINTENANCE,
    ),
)


def beat_schedule() -> dict[str, dict[str, object]]:
    """Return the table in celery beat's own form."""
    return {
        job.name: {
            "task": job.task,
            "schedule": float(job.every_s),
            "args": [job.name],
            # A run that nobody fetched before the next is due is superfluous.
            "options": {"queue": job.queue.value, "expires": job.every_s},
        }
        for job in SCHEDULE
    }
