"""What a login tells the page: tokens, the user as far as known, a hint or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from models.users import Profile, pending_user

if TYPE_CHECKING:
    from web.services.login_record import LoginRecord
    from web.services.tokens import Tokens


class Enrichment(msgspec.Struct, frozen=True):
    """How far the background part of the login is: ``pending`` or ``done``."""

    state: str = "pending"


class LoginAnswer(msgspec.Struct, frozen=True):
    """Tokens, the user as far as known, and whether the user is new (a hint)."""

    access_token: str
    expires_in: int
    refresh_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str
    token_type: str
    app_id: str
    user_id: str
    user: Profile | msgspec.Raw
    enrichment: Enrichment
    is_new: bool | None


def login_answer(tokens: Tokens, record: LoginRecord, profile: bytes) -> LoginAnswer:
    """Return the answer; ``profile`` is the cached one of a user we know, or empty."""
    pending = pending_user(record.user_id, record.at)
    return LoginAnswer(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_in=tokens.refresh_in,
        refresh_token=tokens.refresh_token,
        refresh_expires_in=tokens.refresh_expires_in,
        session_id=tokens.session_id,
        token_type=tokens.token_type,
        app_id=record.app_id,
        user_id=record.user_id,
        user=msgspec.Raw(profile) if profile else pending,
        enrichment=Enrichment(),
        is_new=False if profile else None,
    )
