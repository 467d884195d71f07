"""What happened to an account, as support sees it; `models/accounts.py` reads it."""

from __future__ import annotations

import msgspec


class SecuritySeen(msgspec.Struct, frozen=True):
    """What happened to the account's safety."""

    id: str
    kind: str
    session_id: str | None
    device_id: str | None
    ip: str | None
    request_id: str | None
    at: int
    detail: str | None


class LinkSeen(msgspec.Struct, frozen=True):
    """Another account of the same person, and why we think so."""

    user_id: str
    other_user_id: str
    reason: str
    state: str
    found_at: int


class LoginSeen(msgspec.Struct, frozen=True):
    """One login."""

    id: str
    session_id: str
    device_id: str | None
    ip: str | None
    request_id: str | None
    at: int


class RiskSeen(msgspec.Struct, frozen=True):
    """What a rule found about the user."""

    id: str
    rule: str
    score: int
    state: str
    at: int
    ends_at: int
