"""The base task: context, metrics, the journal's row, retry and dead letters.

Bodies in the other modules say only the work. An `OutboxTask` gets a `Work` for one
outbox row, a `ScheduledTask` runs once a slot of `config/schedule.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import Task

from config.clock import monotonic
from config.logging import bind_context, clear_context, get_logger
from config.metrics import OUTBOX_DEAD, SLOT_RUNS, TASK_RUNS, TASK_SECONDS
from config.schedule import SCHEDULE, Job
from models.database import UnitOfWork
from models.errors import Unavailable
from models.inbox import mark_done
from models.outbox import Outbox, begin, bury, finish, postpone
from models.schedule import take_slot
from tasks.app import Resources, resources
from tasks.failures import cause_of, is_transient, wait_ms

if TYPE_CHECKING:
    AnyTask = Task[Any, Any]
else:
    AnyTask = Task

JOBS = {job.name: job for job in SCHEDULE}
log = get_logger(__name__)


class AlreadyDone(Exception):
    """The effect of this message is there; nothing was written again."""


class WorkDead(Exception):
    """The work was set aside; shows as a failed task in Flower, with no data in it."""


class HouseTask(AnyTask):
    """Counts, times and logs every run; the answer is the outcome in one word."""

    abstract = True
    # Messages carry an id; the body gets the loaded work, so its signature differs.
    typing = False
    ignore_result = True
    # Already logged here, with less in it than a traceback.
    throws = (WorkDead,)

    def __call__(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 (JSON)
        """Run one message: the door every task comes in by."""
        clear_context()
        bind_context(task_id=self.request.id, task=self.name)
        start, outcome = monotonic(), "failed"
        try:
            outcome = self.handle(*args) if self.accepts(args, kwargs) else "refused"
        except WorkDead:
            outcome = "dead"
            raise
        finally:
            TASK_RUNS.labels(self.name, outcome).inc()
            TASK_SECONDS.labels(self.name).observe(monotonic() - start)
            ms = int((monotonic() - start) * 1000)
            log.info("task ran", outcome=outcome, ms=ms)
        return outcome

    def accepts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the message is one of ours: a single id, or what a task says."""
        return len(args) == 1 and not kwargs and isinstance(args[0], str)

    def handle(self, argument: Any) -> str:  # noqa: ANN401 (a value of JSON)
        """Do the work of one message and return the outcome."""
        raise TypeError(f"{type(self).__name__} does not take {type(argument)}")

    def guarded(self, act: Callable[[], str]) -> str:
        """Return ``act()``, or the outcome of its failure when nothing owns it."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 (this is the place that decides)
            outcome = "postponed" if is_transient(error) else "dead"
            log.warning("task failed", cause=cause_of(error), outcome=outcome)
            if outcome == "postponed":
                return outcome
            cause = cause_of(error)
        raise WorkDead(cause)


class Work:
    """One outbox row in the hands of its task."""

    def __init__(self, task: str, row: Outbox, house: Resources) -> None:
        self.outbox_id = row.id
        self.subject_id = row.subject_id
        self.payload = row.payload
        self.attempts = row.attempts
        self.resources = house
        self.finished = False
        self._task = task

    @contextmanager
    def effect(self) -> Iterator[UnitOfWork]:
        """Open the one transaction of effect, done mark and finished row.

        Ends the task quietly when the effect is already there, and writes nothing.
        """
        with self.resources.database.unit_of_work() as uow:
            if not mark_done(uow.session, self._task, self.outbox_id):
                raise AlreadyDone
            if not finish(uow.session, self.outbox_id):
                raise AlreadyDone
            yield uow
        self.finished = True


class OutboxTask(HouseTask):
    """Runs the body for one outbox row, so that its effect happens once."""

    abstract = True

    def handle(self, outbox_id: str) -> str:
        """Begin the row, run the body, and finish, postpone or bury the row."""
        bind_context(outbox_id=outbox_id)
        house = resources()
        try:
            row = self._begin(house, outbox_id)
            if row is None:
                return "nothing"
            bind_context(subject_id=row.subject_id, request_id=row.request_id)
            return self._attempt(Work(self.name, row, house))
        except Unavailable as error:
            # The lease runs out and the relay sends again: nothing to do here.
            log.warning("journal away", cause=cause_of(error))
            return "postponed"

    def _begin(self, house: Resources, outbox_id: str) -> Outbox | None:
        lease_ms = house.settings.journal.lease_s * 1000
        with house.database.unit_of_work() as uow:
            return begin(uow.session, outbox_id, lease_ms)

    def _attempt(self, work: Work) -> str:
        outcome, cause = "done", ""
        try:
            self.run(work)
        except AlreadyDone:
            outcome = "doubled"
        except Exception as error:  # noqa: BLE001 (this is the place that decides)
            if is_transient(error):
                return self._postpone(work, error)
            self._bury(work, error)
            cause = cause_of(error)
        if cause:
            raise WorkDead(cause)
        if not work.finished:
            with work.resources.database.unit_of_work() as uow:
                finish(uow.session, work.outbox_id)
        return outcome

    def _postpone(self, work: Work, error: Exception) -> str:
        delay_ms = wait_ms(work.attempts, work.resources.settings.journal)
        log.warning("task postponed", cause=cause_of(error), attempt=work.attempts)
        with work.resources.database.unit_of_work() as uow:
            postpone(uow.session, work.outbox_id, delay_ms, cause_of(error))
        return "postponed"

    def _bury(self, work: Work, error: Exception) -> None:
        log.error("work set aside", cause=cause_of(error), attempt=work.attempts)
        with work.resources.database.unit_of_work() as uow:
            bury(uow.session, work.outbox_id, cause_of(error))
        OUTBOX_DEAD.inc()


class ScheduledTask(HouseTask):
    """Runs the body once for each slot of its job, however many beats ask."""

    abstract = True

    def handle(self, name: str) -> str:
        """Take the slot that is due now, or end quietly when it is taken."""
        job = JOBS.get(name)
        if job is None or job.task != self.name:
            return "unknown"
        outcome = self.guarded(lambda: self._run_slot(job))
        SLOT_RUNS.labels(job.name, outcome).inc()
        return outcome

    def _run_slot(self, job: Job) -> str:
        house = resources()
        with house.database.unit_of_work() as uow:
            due = take_slot(uow.session, job.name, job.every_s)
        if due is None:
            return "taken"
        bind_context(job=job.name, due=due)
        self.run(house)
        return "done"
