"""Messages whose work ended without them: quarantined, worn out, discarded by a person.

No message may wait for ever. Within half a minute such a one fails, is cancelled, or,
when it was being sent, becomes unknown.
"""

from __future__ import annotations

from functools import partial

from config.logging import get_logger
from models.notification_states import list_abandoned, settle_abandoned
from tasks.app import app
from tasks.delivery import count_outcome
from tasks.schedule import ScheduledTask, SlotWork

BATCH = 500

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def settle_notifications(work: SlotWork) -> None:
    """End what no work will end; what is left over waits for the next run."""
    database = work.resources.database
    with database.read() as session:
        found = list_abandoned(session, BATCH)
    for outbox_id, notification_id in found:
        settled = partial(settle_abandoned, outbox_id, notification_id)
        outcome = database.transact(settled)
        if outcome is None:
            continue
        count_outcome(outcome)
        log.error(
            "message abandoned",
            notification_id=notification_id,
            outbox_id=outbox_id,
            outcome=outcome.name,
            cause=outcome.reason,
        )
