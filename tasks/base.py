"""The base task: context, metrics, the journal's row, retry and dead letters.

Bodies in the other modules say only the work. An `OutboxTask` gets a `Work` for one
outbox row (`tasks/work.py`); `tasks/schedule.py` builds the clock's tasks on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Task

from config.clock import monotonic
from config.logging import bind_context, clear_context, get_logger
from config.metrics.journals import (
    OUTBOX_DEAD,
    OUTBOX_EXPIRED,
    OUTBOX_QUARANTINED,
    OVERTAKEN,
)
from config.metrics.tasks import TASK_RUNS, TASK_SECONDS
from config.patience import under
from models.errors import Unavailable
from models.outbox import OPEN_STATES, Outbox, WorkCancelled, WorkExpired
from models.outbox_lease import (
    Holding,
    Lease,
    Refusal,
    begin,
    bury,
    expire,
    find_state,
    finish,
    postpone,
)
from tasks.app import Resources, resources
from tasks.failures import cause_of, is_transient
from tasks.retries import retry_wait_ms
from tasks.stopping import Stopped, stopping
from tasks.work import Overtaken, Work

if TYPE_CHECKING:
    AnyTask = Task[Any, Any]
else:
    AnyTask = Task

log = get_logger(__name__)


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


class OutboxTask(HouseTask):
    """Runs the body for one outbox row, so that its effect happens once."""

    abstract = True
    # What the body is given.
    work_type: type[Work] = Work

    def handle(self, outbox_id: str) -> str:
        """Begin the row, run the body, and finish, postpone or bury the row."""
        bind_context(outbox_id=outbox_id)
        house = resources()
        try:
            row = self._begin(house, outbox_id)
            if isinstance(row, str):
                return row
            bind_context(subject_id=row.subject_id, request_id=row.request_id)
            if row.operation_id is not None:
                bind_context(operation_id=row.operation_id)
            with house.leases.keeping(Holding(row.id, row.fence)):
                return self._attempt(self.work_type(self.name, row, house))
        except Unavailable as error:
            # The lease runs out and the relay sends again: nothing to do here.
            log.warning("journal away", cause=cause_of(error))
            return "postponed"

    def _begin(self, house: Resources, outbox_id: str) -> Outbox | Refusal:
        journal = house.settings.journal
        lease = Lease(journal.lease_s * 1000, journal.deaths)
        # Celery repeats a message only when the process that had it died.
        lost = self.request.id if self.request.retries > 0 else None
        begun = house.database.transact(
            lambda uow: begin(uow.session, outbox_id, lease, lost_message=lost)
        )
        if begun == "quarantined":
            OUTBOX_DEAD.inc()
            OUTBOX_QUARANTINED.inc()
            log.error("work quarantined", name=self.name)
        elif begun == "expired":
            OUTBOX_EXPIRED.inc()
        return begun

    def _attempt(self, work: Work) -> str:
        outcome, cause = "done", ""
        try:
            outcome = self._run_body(work)
        except Overtaken:
            outcome = self._overtaken(work)
        except WorkCancelled:
            return "cancelled"
        except WorkExpired:
            return self._expire(work)
        except Exception as error:  # noqa: BLE001 (this is the place that decides)
            if is_transient(error):
                if work.is_vain:
                    return self._expire(work)
                return self._postpone(work, error)
            self._bury(work, error)
            cause = cause_of(error)
        if cause:
            raise WorkDead(cause)
        return outcome

    def _run_body(self, work: Work) -> str:
        try:
            with stopping.breakable(), under(work.deadline):
                self.run(work)
                if not work.finished:
                    work.finish()
        except Stopped:
            return self._hand_back(work)
        return work.outcome

    def _overtaken(self, work: Work) -> str:
        with work.resources.database.read() as session:
            state = find_state(session, work.outbox_id)
        if state in OPEN_STATES:
            with work.resources.database.unit_of_work() as uow:
                # The done mark is there and the row is ours: it was revived by hand.
                if finish(uow.session, work.outbox_id, work.fence):
                    return "doubled"
            OVERTAKEN.inc()
            log.warning("late copy refused", attempt=work.attempts)
            return "overtaken"
        return "cancelled" if state in ("cancelled", "discarded") else "doubled"

    def _hand_back(self, work: Work) -> str:
        log.warning("task stopped with its process", attempt=work.attempts)
        with work.resources.database.unit_of_work() as uow:
            work.give_back(uow, 0, "its process was told to end")
            uow.wakes_relay = True
        return "stopped"

    def _expire(self, work: Work) -> str:
        with work.resources.database.unit_of_work() as uow:
            row = uow.session.get(Outbox, work.outbox_id, with_for_update=True)
            if row is not None and row.fence == work.fence:
                expire(uow.session, row)
        OUTBOX_EXPIRED.inc()
        return "expired"

    def _postpone(self, work: Work, error: Exception) -> str:
        delay_ms = retry_wait_ms(error, work.attempts, work.app_id, work.resources)
        log.warning("task postponed", cause=cause_of(error), attempt=work.attempts)
        cause = cause_of(error)
        with work.resources.database.unit_of_work() as uow:
            postpone(uow.session, work.outbox_id, delay_ms, cause, work.fence)
        return "postponed"

    def _bury(self, work: Work, error: Exception) -> None:
        log.error("work set aside", cause=cause_of(error), attempt=work.attempts)
        with work.resources.database.unit_of_work() as uow:
            bury(uow.session, work.outbox_id, cause_of(error), work.fence)
        OUTBOX_DEAD.inc()
