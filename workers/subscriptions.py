"""Which tasks an event starts: the one table; `workers/outbox_relay.py` reads it."""

from __future__ import annotations

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
