"""What people are told of their sessions; see `web/services/session_list.py`."""

from __future__ import annotations

import msgspec


class DeviceView(msgspec.Struct, frozen=True):
    """What the client said of the device it logged in from."""

    id: str
    model: str | None
    platform: str | None
    system: str | None
    wechat_version: str | None


class SessionView(msgspec.Struct, frozen=True):
    """A live session of the caller; ``current`` is the one that asks."""

    id: str
    device: DeviceView | None
    ip_city: str | None
    created_at: int
    last_seen_at: int
    current: bool


class SessionPage(msgspec.Struct, frozen=True):
    """Sessions, newest first, and where the next page begins."""

    items: list[SessionView]
    next_cursor: str | None
    has_more: bool
