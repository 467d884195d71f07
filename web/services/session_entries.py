"""Journal entries of sessions that have no row yet, as a token or Redis knows them.

Where sessions end or heal, the entry makes the row that enrichment has not written.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S
from models.errors import RedisUnavailable
from models.login_entry import FIRST_GENERATION, LoginEntry
from web.services.caller import opened_at
from web.services.tokens import generation_of

if TYPE_CHECKING:
    from models.stores.session_list import SessionCopy, SessionListStore
    from web.services.caller import Claims

# Of a user's newest sessions only so many can be too new for SQL; the others are void
# by their epoch when a user is shut out.
LATE_AT_MOST: Final = 100


def vouched_entry(claims: Claims, session_id: str, life_ms: int) -> LoginEntry:
    """Return the entry of a session of the caller's, as far as the token knows it.

    Of another session than its own it knows no generation: the first is certain.
    """
    began = opened_at(session_id, claims.issued_at)
    # Of the first token that is its very moment, which the token has in seconds.
    at = max(began, claims.issued_at * MS_PER_S)
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
        opened_at=began,
    )


def late_entry(copy: SessionCopy, life_ms: int) -> LoginEntry:
    """Return the entry of a session that only Redis knows."""
    return LoginEntry(
        id=copy.id,
        kind="refresh",
        user_id=copy.user_id,
        app_id=copy.app_id,
        session_id=copy.id,
        at=copy.created_at,
        expires_at=copy.rotated_at + life_ms,
        generation=copy.generation,
        epoch=copy.epoch,
    )


def list_copies(store: SessionListStore, user_id: str) -> list[SessionCopy]:
    """Return what Redis lists: SQL may not know the newest yet. Redis away: nothing."""
    with suppress(RedisUnavailable):
        return store.newest(user_id, LATE_AT_MOST)
    return []
