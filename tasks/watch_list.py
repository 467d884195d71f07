"""The watch list of devices: SQL has the marks, Redis the list that logins meet."""

from __future__ import annotations

from collections.abc import Iterable

from config.logging import get_logger
from models.base import database_now
from models.errors import RedisUnavailable
from models.risk_marks import RiskMark, list_live, list_marked_devices, weighed
from models.risk_policy import decide
from tasks.app import Resources
from tasks.failures import cause_of

# Devices on the list, those that stay longest first.
MOST = 500

log = get_logger(__name__)


def renew_watch_list(house: Resources) -> list[str]:
    """Put the devices whose marks weigh enough on the list in Redis; return them.

    At each run, so that a list that Redis lost is there again.
    """
    with house.database.read() as session:
        now = database_now(session)
        devices = list_marked_devices(session, now, MOST)
        marks = list_live(session, "device", devices, now)
    lives = {device: _watch_ms(marks[device], house, now) for device in devices}
    watched = {device: life_ms for device, life_ms in lives.items() if life_ms}
    try:
        house.stores.behaviour.watch(watched)
    except RedisUnavailable as error:
        log.warning("watch list not written", cause=cause_of(error))
    return sorted(watched)


def _watch_ms(marks: Iterable[RiskMark], house: Resources, now: int) -> int:
    decision = decide([weighed(row) for row in marks], house.settings.risk, now)
    watched = decision.action != "allow" and decision.until is not None
    return (decision.until or now) - now if watched else 0
