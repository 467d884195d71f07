"""Facts of an account as support sees them; `models/accounts.py` reads them."""

from __future__ import annotations

import msgspec


class StandingSeen(msgspec.Struct, frozen=True):
    """How we stand to a user; sessions below ``epoch`` are void."""

    epoch: int
    banned_at: int | None
    action: str
    action_until: int | None


class IdentitySeen(msgspec.Struct, frozen=True):
    """That WeChat knows the user in an app."""

    app_id: str
    has_unionid: bool
    created_at: int


class DeviceSeen(msgspec.Struct, frozen=True):
    """A device the user logged in from."""

    device_id: str
    model: str | None
    platform: str | None
    system: str | None
    wechat_version: str | None
    first_seen_at: int
    last_seen_at: int


class SessionSeen(msgspec.Struct, frozen=True):
    """A session, live or ended; void if its epoch is below the user's."""

    id: str
    device_id: str | None
    ip: str | None
    created_at: int
    last_seen_at: int
    expires_at: int
    epoch: int
    revoked_at: int | None
    ended_by: str | None
