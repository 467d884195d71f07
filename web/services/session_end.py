"""Ends sessions for people's sake: SQL first, then at once in Redis.

`web/services/sessions.py` logs out with it, `web/services/refresh.py` ends what was
reused; what of it is one commit stands in `models/session_ends.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S
from models.session_ends import Owner, end_sessions
from models.sessions import EndReason, ensure_sessions
from models.users import ensure_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.login_entry import LoginEntry
    from models.stores.container import Stores


class Revoked(msgspec.Struct):
    """How many sessions were ended."""

    revoked: int


class SessionEnd:
    """The end of sessions of one user."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._store, self._late = stores.sessions, stores.late
        self._database = database
        # So long a copy may be believed that somebody restores.
        self._mark_ms = settings.tokens.refresh_s * MS_PER_S

    def end(
        self,
        entries: Sequence[LoginEntry],
        reason: EndReason,
        once: Once | None = None,
        more: Callable[[UnitOfWork], None] | None = None,
    ) -> Revoked:
        """End the sessions that ``entries`` describe; tells how many were live.

        ``more`` is done in the same commit. Redis away: the copies are marked when it
        is back, by this process or by the outbox. Raises `DatabaseUnavailable`;
        nothing is half done then.
        """
        ids = [entry.session_id for entry in entries]

        def act(work: UnitOfWork) -> Revoked:
            ended: list[str] = []
            if entries:
                ended = _end(work, entries, reason)
            if more is not None:
                more(work)
            return Revoked(len(ended))

        revoked = self._database.transact(act, once)
        if entries:
            user_id, life_ms = entries[0].user_id, self._mark_ms
            mark = partial(
                self._store.revoke, user_id, ids, life_ms=life_ms, reason=reason
            )
            self._late.attempt(mark)
        return revoked


def _end(
    work: UnitOfWork, entries: Sequence[LoginEntry], reason: EndReason
) -> list[str]:
    # Enrichment may be late: without a row the session would come to life in SQL
    # after its end. The user first, as enrichment does it; it numbers the events.
    first = entries[0]
    ensure_user(work.session, first.user_id, first.app_id, first.began_at)
    ensure_sessions(work.session, entries)
    work.wakes_relay = True
    owner = Owner(first.user_id, first.app_id)
    ids = [entry.session_id for entry in entries]
    return end_sessions(work.session, owner, ids, reason)
