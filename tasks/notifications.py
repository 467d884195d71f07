"""Sending a subscribe message: at most one call, and its outcome written down.

``sending`` is committed before the call, so whoever finds it knows that an attempt died
in between: the message may have gone out and becomes ``unknown``, for a person. The
call itself and its outcome are in `tasks/delivery.py`.
"""

from __future__ import annotations

from config.clock import MS_PER_S, Deadline
from config.logging import get_logger
from models.notification_states import (
    DIED,
    Attempt,
    Outcome,
    announce_sending,
    may_send,
    settle,
)
from models.notifications import Notification, lock_notification
from tasks.app import app
from tasks.base import OutboxTask
from tasks.delivery import Delivery, count_outcome
from tasks.recipients import Undeliverable, compose
from tasks.work import Work

log = get_logger(__name__)


@app.task(base=OutboxTask)
def send_notification(work: Work) -> None:
    """Send one message, or end quietly when there is nothing to send any more."""
    # Counted from before `sending`, and shorter than the lease: who is frozen in
    # between must not call later.
    call_s = work.resources.settings.notifications.call_s
    deadline = Deadline.after_ms(call_s * MS_PER_S)
    with work.resources.database.read() as session:
        row = session.get(Notification, work.subject_id)
    if row is None or row.outbox_id != work.outbox_id:
        return
    if row.state == "sending":
        _end(work, Outcome("unknown", DIED))
        return
    if not may_send(row, work.outbox_id):
        return
    try:
        message = compose(work.resources, row)
    except Undeliverable as error:
        _end(work, Outcome("failed", error.reason))
        return
    if attempt := _announce(work):
        Delivery(work, attempt, deadline).run(row.app_id, message)


def _announce(work: Work) -> Attempt | None:
    with work.step() as uow:
        row = lock_notification(uow.session, work.subject_id)
        if row is None or not may_send(row, work.outbox_id):
            return None
        return announce_sending(uow.session, row, work.outbox_id)


def _end(work: Work, outcome: Outcome) -> None:
    """Close the message without a call of this attempt."""
    with work.effect() as uow:
        row = lock_notification(uow.session, work.subject_id)
        if row is not None:
            settle(uow, row, outcome)
    log.error("message ended", outcome=outcome.name, cause=outcome.reason)
    count_outcome(outcome)
