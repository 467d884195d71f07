"""What the clock asks for: token refresh-ahead, a look at the journals, retention."""

from __future__ import annotations

from collections.abc import Callable

from config.clock import Deadline
from config.logging import get_logger
from models import inbox, logins, outbox_support, schedule, sessions, user_events
from models.base import database_now
from models.errors import RedisUnavailable
from tasks.app import Resources, app
from tasks.base import ScheduledTask
from tasks.failures import cause_of
from wechat.errors import WeChatError

CALL_MS = 10_000
IDLE_CONSUMER_MS = 3_600_000
DAY_MS = 86_400_000
# Small transactions, so that pruning never holds up a login; what is left after
# this many waits for the next hour.
PRUNE_ROWS = 500
PRUNE_ROUNDS = 100

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def refresh_access_tokens(house: Resources) -> None:
    """Renew each app's WeChat token before it ends; one app's fault stops no other."""
    for app_id in house.gateway.app_ids:
        client = house.gateway.client(app_id)
        try:
            if client.refresh_access_token(deadline=Deadline.after_ms(CALL_MS)):
                log.info("access token renewed", app_id=app_id)
        except WeChatError as error:
            log.warning("no access token", app_id=app_id, cause=cause_of(error))


@app.task(base=ScheduledTask)
def sweep_journals(house: Resources) -> None:
    """Report what is stuck, forget relays that are gone, and wake the one we have."""
    with house.database.read() as session:
        work = outbox_support.backlog(session)
    log.info(
        "outbox",
        size=work.by_state.get("ready", 0),
        claimed=work.by_state.get("sent", 0),
        dead=work.by_state.get("dead", 0),
        lag_ms=work.oldest_ready_age_ms,
    )
    try:
        stream = house.stores.login_stream
        stream.make_group()
        gone = stream.drop_idle_consumers(idle_ms=IDLE_CONSUMER_MS)
        waiting = stream.backlog()
        log.info(
            "login journal",
            size=waiting.length,
            claimed=waiting.pending,
            lag_ms=waiting.oldest_age_ms,
            retired=gone,
        )
    except RedisUnavailable as error:
        log.warning("login journal away", cause=cause_of(error))
    house.stores.wake_relay()


@app.task(base=ScheduledTask)
def apply_retention(house: Resources) -> None:
    """Delete what is old enough, in batches that hold locks for moments."""
    journal = house.settings.journal
    with house.database.read() as session:
        now = database_now(session)
    kept = now - journal.retention_days * DAY_MS
    history = now - journal.login_history_days * DAY_MS
    ages = {
        outbox_support.prune: kept,
        inbox.prune: kept,
        user_events.prune: kept,
        sessions.prune: kept,
        logins.prune: history,
    }
    for prune, before in ages.items():
        deleted = _prune_all(house, prune, before)
        log.info("pruned", kind=prune.__module__, deleted=deleted)
    with house.database.unit_of_work() as uow:
        schedule.prune(uow.session, before=kept)


def _prune_all(house: Resources, prune: Callable[..., int], before: int) -> int:
    total = 0
    for _ in range(PRUNE_ROUNDS):
        with house.database.unit_of_work() as uow:
            deleted = prune(uow.session, before=before, limit=PRUNE_ROWS)
        total += deleted
        if deleted < PRUNE_ROWS:
            break
    return total
