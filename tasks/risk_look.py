"""What the behaviour rules find at this moment: in the figures, and in the logins.

`tasks/risk.py` turns the findings into marks and actions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from config.logging import get_logger
from config.metrics import RISK_LOOKS
from config.risk_settings import RiskSettings
from models.base import database_now
from models.errors import RedisUnavailable
from models.login_figures import (
    SeenLogin,
    count_devices,
    count_users,
    find_apps_of_devices,
    list_recent_logins,
)
from models.risk_rules import (
    Finding,
    Subject,
    judge_count,
    judge_device,
    judge_user,
)
from models.stores.behaviour import BehaviourStore
from models.users import find_apps
from tasks.app import Resources
from tasks.failures import cause_of

DAY_MS = 86_400_000
# Four runs: a login that enrichment writes late is still met, and marks renew.
LOGINS_SINCE_MS = 120_000
# At more than 16 logins a second the newest are looked at, the others at their next.
LOGINS_MOST = 2000

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


def look_at_logins(house: Resources, watched: Iterable[str]) -> list[Suspect]:
    """Return who shares devices or has too many, among those who just logged in."""
    rules = house.settings.risk
    with house.database.read() as session:
        now = database_now(session)
        logins = list_recent_logins(session, now - LOGINS_SINCE_MS, LOGINS_MOST)
        since = now - rules.device_days * DAY_MS
        device_ids = sorted({seen.device_id for seen in logins})
        users = count_users(session, device_ids, since)
        user_ids = sorted({seen.user_id for seen in logins})
        devices = count_devices(session, user_ids, since)
    RISK_LOOKS.labels("logins").inc(len(logins))
    apps = _apps_in(logins)
    found: dict[Subject, list[Finding]] = defaultdict(list)
    for device_id, count in users.items():
        found[Subject("device", device_id)] += judge_count(
            "users_per_device", count, rules.users_per_device
        )
    for user_id, count in devices.items():
        found[Subject("user", user_id)] += judge_count(
            "devices_per_user", count, rules.devices_per_user
        )
    for user_id, count in _through(logins, set(watched)).items():
        found[Subject("user", user_id)] += judge_count(
            "watched_device", count, rules.watched_device
        )
    return [Suspect(who, apps[who], odd) for who, odd in found.items() if odd]


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


def _apps_in(logins: Iterable[SeenLogin]) -> dict[Subject, str]:
    found: dict[Subject, str] = {}
    for seen in logins:
        found[Subject("user", seen.user_id)] = seen.app_id
        found[Subject("device", seen.device_id)] = seen.app_id
    return found


def _through(logins: Iterable[SeenLogin], watched: set[str]) -> Counter[str]:
    return Counter(seen.user_id for seen in logins if seen.device_id in watched)
