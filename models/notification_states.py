"""How a message moves: created or scheduled, sending, then what WeChat's answer made.

Every function changes a row that its caller has locked, after the outbox row: rows of
the journal, then notifications, then users is the order all transactions keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select, update

from config.queues import Queue
from models.base import database_now, new_id
from models.events import Event, EventType
from models.notifications import (
    WAITING,
    Notification,
    NotificationAttempt,
    lock_notification,
)
from models.outbox import OPEN_STATES, Outbox

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from models.database import UnitOfWork

SET_ASIDE = "work_set_aside"
DIED = "process_died"
# Nobody knows yet, or nobody will.
UNKNOWN = ("sending", "unknown")
# What a person may do to a row of the journal that is not "try again".
UNWANTED = ("discarded", "cancelled")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a try; ``put_off`` is known to have reached nobody.

    ``reason`` is from a fixed list and never quotes an answer.
    """

    name: Literal["sent", "put_off", "failed", "unknown", "cancelled"]
    reason: str | None = None
    errcode: int | None = None
    msgid: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that has been announced; ``busy_answers`` counts the -1 before it.

    ``last_errcode`` is what the try before it was answered.
    """

    id: str
    busy_answers: int
    last_errcode: int | None


def may_send(row: Notification, outbox_id: str) -> bool:
    """Whether the work ``outbox_id`` is to send this message now.

    A message that failed only because its work was set aside is sent when a person
    revives that work.
    """
    if row.outbox_id != outbox_id:
        return False
    return row.state in WAITING or (row.state, row.reason) == ("failed", SET_ASIDE)


def announce_sending(session: Session, row: Notification, outbox_id: str) -> Attempt:
    """Write ``sending`` and the attempt; the call may follow once this is committed."""
    now = database_now(session)
    attempt = NotificationAttempt(
        id=new_id("na"),
        notification_id=row.id,
        outbox_id=outbox_id,
        at=now,
        outcome="sending",
    )
    session.add(attempt)
    row.state, row.reason, row.updated_at = "sending", None, now
    session.flush()
    return Attempt(attempt.id, row.busy_answers, row.errcode)


def settle(uow: UnitOfWork, row: Notification, outcome: Outcome) -> int:
    """Write the outcome into the message and its open attempts; returns the time.

    A failure is told to the user in the same commit.
    """
    session = uow.session
    now = database_now(session)
    session.execute(
        update(NotificationAttempt)
        .where(
            NotificationAttempt.notification_id == row.id,
            NotificationAttempt.outcome == "sending",
        )
        .values(outcome=outcome.name, errcode=outcome.errcode)
    )
    row.state = "created" if outcome.name == "put_off" else outcome.name
    row.reason, row.errcode, row.updated_at = outcome.reason, outcome.errcode, now
    if outcome.name == "sent":
        row.sent_at, row.wechat_msgid = now, outcome.msgid
    session.flush()
    if outcome.name == "failed":
        data = {
            "notification_id": row.id,
            "template_key": row.template_key,
            "reason": outcome.reason,
        }
        uow.publish(Event(EventType.NOTIFICATION_FAILED, row.user_id, data))
    return now


def settle_late(
    uow: UnitOfWork, notification_id: str, attempt_id: str, outcome: Outcome
) -> bool:
    """Write what an attempt learned after it had lost its work.

    Somebody may have given it up as unknown, or set its work aside while it called.
    The message follows unless it has gone on meanwhile; True when it did.
    """
    row = lock_notification(uow.session, notification_id)
    attempt = uow.session.get(NotificationAttempt, attempt_id, with_for_update=True)
    if row is None or attempt is None or attempt.outcome not in UNKNOWN:
        return False
    attempt.outcome, attempt.errcode = outcome.name, outcome.errcode
    if row.state not in UNKNOWN:
        return False
    settle(uow, row, outcome)
    return True


def reopen(row: Notification, outbox_id: str, now: int) -> None:
    """Make a message wait again, for the work ``outbox_id``; attempts are kept."""
    row.state, row.outbox_id, row.updated_at = "created", outbox_id, now
    row.reason = row.errcode = None
    row.busy_answers = 0


def list_abandoned(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return (outbox id, notification id) of messages whose work ended without them."""
    found = session.execute(
        select(Outbox.id, Notification.id)
        .join(Notification, Notification.id == Outbox.subject_id)
        .where(
            Outbox.lane == Queue.NOTIFICATIONS.value,
            Outbox.state.in_(("dead", *UNWANTED)),
            Notification.outbox_id == Outbox.id,
            Notification.state.in_((*WAITING, "sending")),
        )
        .limit(limit)
    )
    return [(outbox_id, notification_id) for outbox_id, notification_id in found]


def settle_abandoned(
    outbox_id: str, notification_id: str, uow: UnitOfWork
) -> Outcome | None:
    """End a message whose work is over for good; None when that is no longer so.

    Whatever closed the work: one that was being sent is unknown.
    """
    work = uow.session.get(Outbox, outbox_id, with_for_update=True)
    row = lock_notification(uow.session, notification_id)
    if row is None or row.outbox_id != outbox_id:
        return None
    if work is not None and work.state in OPEN_STATES:
        return None
    if row.state == "sending":
        outcome = Outcome("unknown", DIED)
    elif row.state not in WAITING:
        return None
    elif work is not None and work.state in UNWANTED:
        outcome = Outcome("cancelled")
    else:
        outcome = Outcome("failed", SET_ASIDE)
    settle(uow, row, outcome)
    return outcome
