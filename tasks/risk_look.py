"""What the behaviour rules find in the figures at this moment.

`tasks/risk_logins.py` looks at the logins; `tasks/risk.py` makes marks of all findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from config.logging import get_logger
from config.metrics.risk import RISK_LOOKS
from config.risk_settings import RiskSettings
from models.behaviour_figures import Finding, Subject
from models.errors import RedisUnavailable
from models.login_figures import (
    find_apps_of_devices,
)
from models.risk_rules import judge_device, judge_user
from models.stores.behaviour import BehaviourStore
from models.users import find_apps
from tasks.app import Resources
from tasks.failures import cause_of

log = get_logger(__name__)


class Suspect(NamedTuple):
    """Somebody of whom the rules found something."""

    subject: Subject
    app_id: str
    findings: list[Finding]


def look_at_figures(house: Resources) -> tuple[list[Suspect], list[Subject]]:
    """Return the busy ones that are odd, and all who were looked at.

    Without Redis nobody is: the figures are there and nowhere else.
    """
    store, rules = house.stores.behaviour, house.settings.risk
    try:
        busy = store.list_busy(rules.looks)
        found = _judge(store, busy, rules)
    except RedisUnavailable as error:
        log.warning("no figures of behaviour", cause=cause_of(error))
        return [], []
    RISK_LOOKS.labels("figures").inc(len(busy))
    odd = {subject: findings for subject, findings in found.items() if findings}
    apps = _apps_of(house, odd)
    suspects = [
        Suspect(subject, apps[subject], findings)
        for subject, findings in odd.items()
        # Who never logged in is nobody: a device's name is the client's own word.
        if subject in apps
    ]
    return suspects, busy


def _judge(
    store: BehaviourStore, busy: Sequence[Subject], rules: RiskSettings
) -> dict[Subject, list[Finding]]:
    judges = {"user": judge_user, "device": judge_device}
    figures = zip(busy, store.find(busy), strict=True)
    return {subject: judges[subject.kind](seen, rules) for subject, seen in figures}


def _apps_of(house: Resources, subjects: Iterable[Subject]) -> dict[Subject, str]:
    users = [subject.id for subject in subjects if subject.kind == "user"]
    devices = [subject.id for subject in subjects if subject.kind == "device"]
    with house.database.read() as session:
        of_users = find_apps(session, users)
        of_devices = find_apps_of_devices(session, devices)
    found = {Subject("user", name): app_id for name, app_id in of_users.items()}
    return found | {Subject("device", name): app for name, app in of_devices.items()}
