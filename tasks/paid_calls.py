"""Calls that WeChat bills and whose process died: nobody will settle them any more."""

from __future__ import annotations

from config.clock import MS_PER_S
from config.logging import get_logger
from config.metrics.paid_calls import PAID_CALLS
from models.base import database_now
from models.paid_calls import give_up
from tasks.app import app
from tasks.schedule import ScheduledTask, SlotWork

# Far more than die in a minute; what is left is found by the next run.
MOST = 500

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def settle_paid_calls(work: SlotWork) -> None:
    """Make old reservations unknown: counted as spent, and free to be tried again."""
    lease_ms = work.resources.settings.private.paid_call_s * MS_PER_S
    with work.resources.database.unit_of_work() as uow:
        before = database_now(uow.session) - lease_ms
        count = give_up(uow.session, before=before, limit=MOST)
    if count:
        PAID_CALLS.labels("phone", "unknown").inc(count)
        log.warning("paid calls given up", count=count)
