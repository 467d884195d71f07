"""The journal entry a verified token vouches for, where sessions end or heal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import MS_PER_S
from models.login_entry import LoginEntry
from web.services.tokens import generation_of

if TYPE_CHECKING:
    from web.services.caller import Claims

FIRST_GENERATION = 1


def vouched_entry(claims: Claims, session_id: str, life_ms: int) -> LoginEntry:
    """Return the entry of a session of the caller's, as far as the token knows it.

    Of another session than its own it knows no generation: the first is certain.
    """
    at = claims.issued_at * MS_PER_S
    own = session_id == claims.session_id
    return LoginEntry(
        id=session_id,
        kind="refresh",
        user_id=claims.user_id,
        app_id=claims.app_id,
        session_id=session_id,
        at=at,
        expires_at=at + life_ms,
        generation=generation_of(claims.token_id) if own else FIRST_GENERATION,
        epoch=claims.epoch,
    )
