"""Which tasks an event starts: the one table; `workers/outbox_relay.py` reads it."""

from __future__ import annotations

from collections.abc import Callable

from config.work_settings import JournalSettings
from models.events import EventType

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    EventType.PROFILE_UPDATED: ("tasks.profile.warm_user_cache",),
    EventType.LOGIN_ENRICHED: (),
    EventType.DEVICE_ADDED: (),
    EventType.SESSION_REVOKED: (),
    EventType.PHONE_BOUND: ("tasks.profile.warm_user_cache",),
    EventType.NOTIFICATION_FAILED: (),
    EventType.OPERATION_UPDATED: (),
}

# Seconds after which such a task's result is of no use; all others must run, however
# late. A cache entry that was not deleted at the write has lived out its life by then.
USEFUL_FOR_S: dict[str, Callable[[JournalSettings], int]] = {
    "tasks.profile.warm_user_cache": lambda journal: journal.user_cache_s,
}
