"""Retention: what is old enough goes, in small bites, on the lane of bulk work."""

from __future__ import annotations

from collections.abc import Callable

from config.clock import DAY_MS, Deadline
from config.logging import get_logger
from models import (
    guests,
    idempotency,
    inbox,
    logins,
    notifications,
    operation_ends,
    operation_files,
    outbox_support,
    paid_calls,
    risk_marks,
    schedule_support,
    security_events,
    sessions,
    user_events,
)
from models.base import database_now
from tasks.app import app
from tasks.schedule import ScheduledTask, SlotWork

# Small transactions, so that pruning never holds up a login.
PRUNE_ROWS = 500
# Well below the soft limit of a task; what is left goes on as new work.
PART_MS = 20_000

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def apply_retention(work: SlotWork) -> None:
    """Delete what is old enough; hands itself on when that takes long."""
    house, until = work.resources, Deadline.after_ms(PART_MS)
    journal = house.settings.journal
    with house.database.read() as session:
        now = database_now(session)
    kept = now - journal.retention_days * DAY_MS
    ended = now - house.settings.notifications.kept_days * DAY_MS
    history = now - journal.login_history_days * DAY_MS
    ages: dict[Callable[..., int], int] = {
        outbox_support.prune: kept,
        inbox.prune: kept,
        user_events.prune: kept,
        sessions.prune: kept,
        schedule_support.prune: kept,
        logins.prune: history,
        security_events.prune: history,
        guests.prune: now - house.settings.accounts.guest_days * DAY_MS,
        idempotency.prune: now,
        notifications.prune: ended,
        operation_files.prune: now,
        paid_calls.prune: now - house.settings.private.paid_calls_days * DAY_MS,
        risk_marks.prune: now - house.settings.risk.history_days * DAY_MS,
        operation_ends.prune: now - house.settings.operations.operation_days * DAY_MS,
    }
    for prune, before in ages.items():
        if not _prune(work, prune, before, until):
            work.hand_on()
            return


def _prune(
    work: SlotWork, prune: Callable[..., int], before: int, until: Deadline
) -> bool:
    """Delete bite by bite; False when the time was over before the rows were."""
    total, deleted = 0, PRUNE_ROWS
    while deleted == PRUNE_ROWS and not until.expired:
        work.checkpoint()
        with work.resources.database.unit_of_work() as uow:
            deleted = prune(uow.session, before=before, limit=PRUNE_ROWS)
        total += deleted
    log.info("pruned", kind=prune.__module__, deleted=total)
    return deleted < PRUNE_ROWS
