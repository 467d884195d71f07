"""One announced try of a message: the call to WeChat, then its outcome in SQL.

No transaction is open during the call. The notifier's threads have no time limit of
Celery's, so every wait here ends by a deadline of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import MS_PER_S, Deadline, now_ms, sleep
from config.logging import get_logger
from config.metrics.notifications import NOTIFICATION_SECONDS, NOTIFICATIONS
from config.patience import unhurried
from models.errors import Unavailable
from models.notification_states import (
    Attempt,
    Outcome,
    settle,
    settle_late,
)
from models.notifications import Notification, lock_notification
from models.rivals import RIVAL_WROTE
from tasks.failures import cause_of
from tasks.retries import retry_wait_ms
from tasks.send_outcomes import (
    after_waiting,
    is_busy,
    may_follow_at_once,
    outcome_of,
)
from tasks.work import Overtaken, Work
from wechat.client import SubscribeMessage
from wechat.errors import WeChatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.database import UnitOfWork

RECORD_PAUSE_S = 0.25
# The longer WeChat is shut the rarer it is asked: an eighth of the wait so far. In 25
# hours that makes some eighty attempts, and ten minutes of it cost another one at most.
AGE_SHARE = 8
# A rival that wrote first is found at the next try.
PASSING: tuple[type[Exception], ...] = (Unavailable, *RIVAL_WROTE)

log = get_logger(__name__)


class Delivery:
    """The try ``attempt`` of the message that ``work`` is about."""

    def __init__(self, work: Work, attempt: Attempt, deadline: Deadline) -> None:
        self._work = work
        self._attempt = attempt
        self._deadline = deadline
        self._settings = work.resources.settings.notifications

    def run(self, app_id: str, message: SubscribeMessage) -> None:
        """Call once and write down what became of it.

        Raises `Overtaken` when this attempt was given up for dead meanwhile; what it
        learned is kept nevertheless.
        """
        client = self._work.resources.gateway.client(app_id)
        try:
            msgid = client.send_subscribe_message(message, deadline=self._deadline)
        except WeChatError as error:
            self._refused(error)
        else:
            self._finish(Outcome("sent", errcode=0, msgid=msgid))

    def _refused(self, error: WeChatError) -> None:
        outcome = outcome_of(error, self._attempt.busy_answers)
        delay_ms = 0
        at_once = may_follow_at_once(error, self._attempt.last_errcode)
        if outcome.name == "put_off" and not at_once:
            delay_ms = self._wait_ms(error)
            waited_ms = now_ms() + delay_ms - self._work.due_at
            patience_ms = self._settings.patience_s * MS_PER_S
            outcome = after_waiting(outcome, waited_ms, patience_ms)
        cause = cause_of(error)
        log.warning("message not sent", outcome=outcome.name, cause=cause)
        if outcome.name != "put_off":
            self._finish(outcome)
            return

        def put_off() -> None:
            with self._work.step() as uow:
                row = self._settle(uow, outcome)
                row.busy_answers += is_busy(error)
                self._work.give_back(uow, delay_ms, cause)
                uow.wakes_relay |= at_once

        self._insist(outcome, put_off)

    def _finish(self, outcome: Outcome) -> None:
        def finish() -> None:
            with self._work.effect() as uow:
                row = self._settle(uow, outcome)
            if row.sent_at is not None and outcome.name == "sent":
                seconds = (row.sent_at - self._work.due_at) / MS_PER_S
                NOTIFICATION_SECONDS.observe(max(0.0, seconds))

        self._insist(outcome, finish)

    def _settle(self, uow: UnitOfWork, outcome: Outcome) -> Notification:
        row = lock_notification(uow.session, self._work.subject_id)
        if row is None:
            # Retention takes only what has ended.
            raise Overtaken
        settle(uow, row, outcome)
        return row

    def _insist(self, outcome: Outcome, write: Callable[[], None]) -> None:
        """Write although the database is away for a while: else it stays unknown."""
        until = Deadline.after_ms(self._settings.record_s * MS_PER_S)
        while True:
            try:
                # A body whose time is up must still tell what WeChat did.
                with unhurried():
                    write()
            except Overtaken:
                self._tell_late(outcome)
                raise
            except PASSING as error:
                log.warning(
                    "outcome not written", outcome=outcome.name, cause=cause_of(error)
                )
                if until.expired:
                    raise
            else:
                count_outcome(outcome)
                return
            sleep(until.capped(RECORD_PAUSE_S))

    def _tell_late(self, outcome: Outcome) -> None:
        if outcome.name == "put_off":
            # It waits for a person now; nobody else sends it again.
            outcome = Outcome("failed", "overtaken", outcome.errcode)
        subject, attempt = self._work.subject_id, self._attempt.id
        with unhurried():
            told = self._work.resources.database.transact(
                lambda uow: settle_late(uow, subject, attempt, outcome)
            )
        log.warning("outcome came late", outcome=outcome.name, state=told)

    def _wait_ms(self, error: WeChatError) -> int:
        work = self._work
        own = retry_wait_ms(error, 1, work.app_id, work.resources)
        return max(own, (now_ms() - work.due_at) // AGE_SHARE)


def count_outcome(outcome: Outcome) -> None:
    """Count what became of a message; causes are from fixed lists."""
    NOTIFICATIONS.labels(outcome.name, outcome.reason or "").inc()
