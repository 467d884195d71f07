"""What the behaviour rules find in the logins of the last minutes, by SQL alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from config.clock import DAY_MS
from config.metrics.risk import RISK_LOOKS
from models.base import database_now
from models.behaviour_figures import Finding, Subject
from models.login_figures import (
    SeenLogin,
    count_devices,
    count_users,
    list_recent_logins,
)
from models.risk_rules import judge_count
from tasks.app import Resources
from tasks.risk_look import Suspect

# Four runs: a login that enrichment writes late is still met, and marks renew.
LOGINS_SINCE_MS = 120_000
# At more than 16 logins a second the newest are looked at, the others at their next.
LOGINS_MOST = 2000


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


def _apps_in(logins: Iterable[SeenLogin]) -> dict[Subject, str]:
    found: dict[Subject, str] = {}
    for seen in logins:
        found[Subject("user", seen.user_id)] = seen.app_id
        found[Subject("device", seen.device_id)] = seen.app_id
    return found


def _through(logins: Iterable[SeenLogin], watched: set[str]) -> Counter[str]:
    return Counter(seen.user_id for seen in logins if seen.device_id in watched)
