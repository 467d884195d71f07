"""What beat asks for: the due slots of a job become work; and the base of that work.

`models/schedule.py` decides what is due, `workers/beat.py` asks, the bodies are in
`maintenance` and `retention`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from config.logging import bind_context, get_logger
from config.metrics.tasks import SLOT_RUNS
from config.schedule import JOBS, Job
from models.database import UnitOfWork
from models.rivals import RIVAL_WROTE
from models.schedule import (
    Taken,
    finish_slot,
    hand_on_slot,
    settle,
    take_due,
)
from tasks.app import Resources, app, resources
from tasks.base import HouseTask, OutboxTask
from tasks.work import Work

log = get_logger(__name__)


class Question(HouseTask):
    """A message of beat: the name of a job. Asking twice is asking once."""

    abstract = True

    def handle(self, name: str) -> str:
        """Take what is due of the job; ``unknown`` for one that is gone."""
        job = JOBS.get(name)
        if job is None:
            return "unknown"
        bind_context(job=name)
        return self.guarded(lambda: self.run(job, resources()))


@app.task(base=Question)
def take_due_slots(job: Job, house: Resources) -> str:
    """Turn the due slots of ``job`` into work, and close those whose work is over."""

    def take(uow: UnitOfWork) -> tuple[int, Taken]:
        return settle(uow.session, job.name), take_due(uow, job)

    try:
        failed, taken = house.database.transact(take)
    except RIVAL_WROTE:
        return "taken"
    counts = {"taken": len(taken.runs), "missed": len(taken.missed), "failed": failed}
    for outcome, count in counts.items():
        SLOT_RUNS.labels(job.name, outcome).inc(count)
    if taken.missed or failed:
        log.warning("slots did not run", count=len(taken.missed), failures=failed)
    return "done" if taken.runs else "nothing"


class SlotWork(Work):
    """The work of one slot; closing it closes the slot in the same commit."""

    @contextmanager
    def effect(self) -> Iterator[UnitOfWork]:
        """Open the one transaction that finishes work and slot."""
        with super().effect() as uow:
            yield uow
            finish_slot(uow.session, self.outbox_id)

    def hand_on(self) -> None:
        """End here and let new work of the same task go on with the slot."""
        with super().effect() as uow:
            next_id = uow.enqueue(self.task, self.subject_id)
            hand_on_slot(uow.session, self.outbox_id, next_id)


class ScheduledTask(OutboxTask):
    """Runs the body once for a slot; the body gets its `SlotWork`."""

    abstract = True
    work_type = SlotWork
