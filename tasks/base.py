"""The base task: context, metrics, the journal's row, retry and dead letters.

Bodies in the other modules say only the work. An `OutboxTask` gets a `Work` for one
outbox row; `tasks/schedule.py` builds the clock's tasks on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import Task

from config.clock import Deadline, monotonic
from config.logging import bind_context, clear_context, get_logger
from config.metrics.journals import (
    OUTBOX_DEAD,
    OUTBOX_EXPIRED,
    OUTBOX_QUARANTINED,
    OVERTAKEN,
)
from config.metrics.tasks import TASK_RUNS, TASK_SECONDS
from config.patience import under
from models.base import database_now
from models.database import UnitOfWork
from models.errors import Unavailable
from models.inbox import mark_done
from models.operations import set_progress, succeed
from models.outbox import (
    OPEN_STATES,
    Outbox,
    WorkCancelled,
    WorkContext,
    WorkExpired,
)
from models.outbox_lease import (
    Lease,
    Refusal,
    begin,
    bury,
    expire,
    find_state,
    finish,
    give_back,
    postpone,
    renew,
)
from tasks.app import Resources, resources
from tasks.failures import cause_of, is_transient
from tasks.retries import retry_wait_ms
from tasks.stopping import Stopped, stopping

if TYPE_CHECKING:
    AnyTask = Task[Any, Any]
else:
    AnyTask = Task

MS_PER_S = 1000

log = get_logger(__name__)


class Overtaken(Exception):
    """This attempt owns its row no more: done, cancelled, or begun by another."""


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
    """One outbox row in the hands of its task; the attempt that began it owns it.

    ``deadline`` bounds the body: its SQL ends by it, and so should its calls. It is
    the soft limit of tasks, or the moment when nobody can use the result any more.
    """

    def __init__(self, task: str, row: Outbox, house: Resources) -> None:
        self.outbox_id = row.id
        self.subject_id = row.subject_id
        self.payload = row.payload
        self.app_id = row.app_id
        self.operation_id = row.operation_id
        self.attempts = row.attempts
        self.due_at = row.due_at
        self.fence = row.fence
        self.resources = house
        self.finished = False
        self.outcome = "done"
        self.context = WorkContext(
            row.id, row.app_id, row.operation_id, row.expires_at, row.request_id
        )
        self.task = task
        self._useful_until = _useful_until(row)
        soft = Deadline.after_ms(house.settings.celery.soft_limit_s * MS_PER_S)
        self.deadline = soft.earlier(self._useful_until)
        self._looked_at = monotonic()
        self._percent = 0

    @contextmanager
    def effect(self) -> Iterator[UnitOfWork]:
        """Open the one transaction of effect, done mark and finished row.

        Ends the task quietly, with nothing written, when the effect is already there,
        when the work was cancelled, or when another attempt has begun it anew.
        """
        with self.resources.database.unit_of_work(self.context) as uow:
            if not mark_done(uow.session, self.task, self.outbox_id):
                raise Overtaken
            if not finish(uow.session, self.outbox_id, self.fence):
                raise Overtaken
            yield uow
        self.finished = True

    @contextmanager
    def step(self) -> Iterator[UnitOfWork]:
        """Open a transaction of this attempt that does not finish the row yet.

        What it enqueues becomes a child of this work. Raises `Overtaken` like `effect`.
        """
        with self.resources.database.unit_of_work(self.context) as uow:
            if not renew(uow.session, self.outbox_id, self.fence, self._lease_ms):
                raise Overtaken
            yield uow

    def give_back(self, uow: UnitOfWork, delay_ms: int, cause: str) -> None:
        """Look at this row again after ``delay_ms``, in the commit of a `step`.

        The attempt does not count: nothing could be tried. The body ends after it.
        """
        give_back(uow.session, self.outbox_id, delay_ms, cause, self.fence)
        self.finished, self.outcome = True, "postponed"

    def checkpoint(self, done: int = 0, total: int = 0) -> None:
        """Stop here if the work is over, else say how far it is and keep the lease.

        Cheap to call often: it looks into SQL at most once in `CHECKPOINT_S`. Raises
        `Overtaken` after a cancel, and `WorkExpired` after the deadline.
        """
        stopping.check()
        now = monotonic()
        if now - self._looked_at < self.resources.settings.journal.checkpoint_s:
            return
        self._looked_at = now
        percent = 100 * done // total if total else 0
        with self.step() as uow:
            expires_at = self.context.expires_at
            if expires_at is not None and expires_at <= database_now(uow.session):
                raise WorkExpired
            if self.operation_id is not None and percent > self._percent:
                self._percent = percent
                set_progress(uow.session, self.operation_id, percent)

    def succeed(self, uow: UnitOfWork, result: Mapping[str, Any] | None = None) -> None:
        """Close this work's operation with its result, in the effect's commit."""
        if self.operation_id is not None:
            succeed(uow.session, self.operation_id, result)

    def finish(self) -> None:
        """Close the row of a body that found nothing to write."""
        with self.effect() as uow:
            # A child may find nothing to do long before its operation is done.
            if self.operation_id == self.subject_id:
                self.succeed(uow)

    @property
    def is_vain(self) -> bool:
        """Whether the deadline has passed because nobody can use the result."""
        return self._useful_until is not None and self._useful_until.expired

    @property
    def _lease_ms(self) -> int:
        return self.resources.settings.journal.lease_s * 1000


def _useful_until(row: Outbox) -> Deadline | None:
    if row.expires_at is None:
        return None
    # Its begin was written just now, by the same clock as its end.
    return Deadline.after_ms(row.expires_at - row.updated_at)


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
            return self._attempt(self.work_type(self.name, row, house))
        except Unavailable as error:
            # The lease runs out and the relay sends again: nothing to do here.
            log.warning("journal away", cause=cause_of(error))
            return "postponed"

    def _begin(self, house: Resources, outbox_id: str) -> Outbox | Refusal:
        journal = house.settings.journal
        lease = Lease(journal.lease_s * 1000, journal.deaths)
        # Celery repeats a message only when the process that had it died.
        died = self.request.retries > 0
        begun = house.database.transact(
            lambda uow: begin(uow.session, outbox_id, lease, holder_died=died)
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
