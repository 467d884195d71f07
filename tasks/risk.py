"""The behaviour rules, run by the clock: findings become marks, marks become actions.

Never on the path of a request: admission only keeps the figures and obeys. Everything
here may be repeated; a mark that is found again is renewed, and an action that stands
already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from config.clock import MS_PER_S
from config.logging import get_logger
from config.metrics.risk import RISK_FINDINGS
from models.base import database_now
from models.database import UnitOfWork
from models.errors import RedisUnavailable
from models.risk_actions import list_ending, settle_user
from models.risk_marks import (
    weighed,
    write_findings,
)
from models.risk_policy import asks_wechat
from tasks.app import Resources, app
from tasks.failures import cause_of
from tasks.risk_logins import look_at_logins
from tasks.risk_look import Suspect, look_at_figures
from tasks.risk_rank import Grey, ask_wechat
from tasks.schedule import ScheduledTask, SlotWork
from tasks.watch_list import renew_watch_list

# Users whose action ends, settled in one run.
MOST = 500
# Actions that end before the next run is surely through are settled by this one.
SOON_MS = 60_000

log = get_logger(__name__)


@app.task(base=ScheduledTask)
def judge_behaviour(work: SlotWork) -> None:
    """Look at the busy and at the logins; mark, ask WeChat, act, and let go again."""
    house = work.resources
    if not (house.settings.risk.enabled and house.settings.limits.enabled):
        return
    watched = renew_watch_list(house)
    suspects, looked_at = look_at_figures(house)
    suspects += look_at_logins(house, watched)
    grey = []
    for suspect in suspects:
        work.checkpoint()
        if mark(house, suspect):
            grey.append(Grey(suspect.subject.id, suspect.app_id))
    settle(house, ask_wechat(house, grey))
    with house.database.read() as session:
        ending = list_ending(session, database_now(session) + SOON_MS, MOST)
    settle(house, ending)
    if any(suspect.subject.kind == "device" for suspect in suspects):
        renew_watch_list(house)
    try:
        # Last: whoever was not looked at to the end is looked at again.
        house.stores.behaviour.looked_at(looked_at)
    except RedisUnavailable as error:
        log.warning("looks not taken off the list", cause=cause_of(error))


def mark(house: Resources, suspect: Suspect) -> bool:
    """Mark a suspect and settle the action; whether WeChat should be asked."""
    for finding in suspect.findings:
        RISK_FINDINGS.labels(finding.rule).inc()
    rules = house.settings.risk

    def act(work: UnitOfWork) -> bool:
        now = database_now(work.session)
        times = now, now + rules.mark_s * MS_PER_S
        subject, app_id, findings = suspect
        marks = write_findings(work.session, subject, app_id, findings, times)
        work.session.flush()
        if subject.kind == "device":
            return False
        known = settle_user(work, subject.id, rules) is not None
        return known and asks_wechat([weighed(row) for row in marks], rules, now)

    return house.database.transact(act)


def settle(house: Resources, user_ids: Iterable[str]) -> None:
    """Have the actions of these users follow their marks as they are now."""
    for user_id in user_ids:
        act = partial(settle_user, user_id=user_id, policy=house.settings.risk)
        house.database.transact(act)
