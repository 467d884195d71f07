"""What the clock asks for: tokens renewed, keys rotated, a look at the journals."""

from __future__ import annotations

from config.clock import DAY_MS, Deadline, now_ms
from config.jwt_keys import rotate
from config.logging import get_logger
from config.metrics.accounts import JWT_KEY_FAULTS
from config.secrets import secrets_directory
from models import outbox_support
from models.errors import RedisUnavailable
from tasks.app import app
from tasks.failures import cause_of
from tasks.schedule import ScheduledTask, SlotWork
from wechat.errors import WeChatError

CALL_MS = 10_000
IDLE_CONSUMER_MS = 3_600_000

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def refresh_access_tokens(work: SlotWork) -> None:
    """Renew each app's WeChat token before it ends; one app's fault stops no other."""
    house = work.resources
    for app_id in house.gateway.app_ids:
        client = house.gateway.client(app_id)
        try:
            if client.refresh_access_token(deadline=Deadline.after_ms(CALL_MS)):
                log.info("access token renewed", app_id=app_id)
        except WeChatError as error:
            log.warning("no access token", app_id=app_id, cause=cause_of(error))


@app.task(base=ScheduledTask)
def rotate_jwt_key(work: SlotWork) -> None:
    """Let a new key sign access tokens after its days, where the house keeps the key.

    Keys given by environment or by a file of somebody else's are theirs to change.
    """
    settings = work.resources.settings
    days = settings.tokens.key_days
    if not (days and settings.jwt_files.managed):
        return
    try:
        outcome = rotate(
            secrets_directory(settings.var_dir),
            now=now_ms(),
            overlap_ms=settings.tokens.key_overlap_ms,
            older_than_ms=days * DAY_MS,
        )
    except (OSError, ValueError) as error:
        # A folder that may only be read stays so however often this is tried.
        JWT_KEY_FAULTS.labels("rotate").inc()
        log.warning("token key not rotated", cause=cause_of(error))
        return
    log.info("token key looked at", outcome=outcome)


@app.task(base=ScheduledTask)
def sweep_journals(work: SlotWork) -> None:
    """Report what is stuck, forget relays that are gone, and wake the one we have."""
    house = work.resources
    with house.database.read() as session:
        rows = outbox_support.backlog(session)
    log.info(
        "outbox",
        size=rows.by_state.get("ready", 0),
        claimed=rows.by_state.get("sent", 0),
        dead=rows.by_state.get("dead", 0),
        lag_ms=rows.oldest_ready_age_ms,
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
