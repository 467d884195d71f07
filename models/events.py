"""What can happen to a user, in the past tense, and the record of one such event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EventType(StrEnum):
    """Names of the public contract; clients see them on the event channel."""

    LOGIN_ENRICHED = "login.enriched"
    DEVICE_ADDED = "device.added"
    SESSION_REVOKED = "session.revoked"
    PROFILE_UPDATED = "profile.updated"
    PHONE_BOUND = "phone.bound"
    NOTIFICATION_FAILED = "notification.failed"
    OPERATION_UPDATED = "operation.updated"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to ``user_id``; ``data`` holds ids and plain values."""

    type: EventType
    user_id: str
    data: Mapping[str, object] = field(default_factory=dict)
