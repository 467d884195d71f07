"""Ends sessions for people's sake: SQL first, then at once in Redis.

`web/services/sessions.py` logs out with it, `web/services/refresh.py` ends what was
reused; what of it is one commit stands in `models/session_ends.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S
from models.errors import Forbidden, Unauthenticated
from models.session_ended import find_end
from models.session_ends import Owner, end_sessions
from models.sessions import EndReason, ensure_sessions
from models.standings import find_user_standing
from models.users import ensure_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.login_entry import LoginEntry
    from models.stores.container import Stores
    from web.services.caller import Claims


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

    def end_asked(
        self,
        asker: Claims,
        entries: Sequence[LoginEntry],
        once: Once | None = None,
        more: Callable[[UnitOfWork], None] | None = None,
    ) -> Revoked:
        """End the sessions that ``entries`` describe, as the session of ``asker`` asks.

        Of sessions that end each other at once one wins, and is left. ``more`` is done
        in the same commit. Tells how many were live. Raises `Unauthenticated` or
        `Forbidden` when its own has ended since admission, and `DatabaseUnavailable`;
        nothing is half done then. Redis away: the copies are marked when it is back,
        by this process or by the outbox.
        """

        def act(work: UnitOfWork) -> Revoked:
            _enter(work, asker)
            ended = _end(work, entries, "logout")
            if more is not None:
                more(work)
            return Revoked(len(ended))

        revoked = self._database.transact(act, once)
        self._mark(entries, "logout")
        return revoked

    def end_reused(self, entry: LoginEntry) -> None:
        """End a session whose refresh token came back; Redis and errors as above."""

        def act(work: UnitOfWork) -> None:
            ensure_user(work.session, entry.user_id, entry.app_id, entry.began_at)
            _end(work, [entry], "reused")

        self._database.transact(act)
        self._mark([entry], "reused")

    def _mark(self, entries: Sequence[LoginEntry], reason: EndReason) -> None:
        if not entries:
            return
        mark = partial(
            self._store.revoke,
            entries[0].user_id,
            [entry.session_id for entry in entries],
            life_ms=self._mark_ms,
            reason=reason,
        )
        self._late.attempt(mark)


def _enter(work: UnitOfWork, asker: Claims) -> None:
    """Pass one at a time for each user, and only while the asker's session lives.

    What ends sessions of a user locks their row first: whoever waited for it here sees
    the end that was made meanwhile.
    """
    session = work.session
    ensure_user(session, asker.user_id, asker.app_id, asker.opened_at)
    standing = find_user_standing(session, asker.user_id)
    if standing.banned:
        raise Forbidden(reason="user_banned")
    ended = find_end(session, asker.session_id, asker.epoch)
    # A session without a row yet has an epoch all the same.
    if ended or standing.epoch > asker.epoch:
        raise Unauthenticated(reason="session_revoked")


def _end(
    work: UnitOfWork, entries: Sequence[LoginEntry], reason: EndReason
) -> list[str]:
    """End sessions of one user, whose row exists and is ours."""
    if not entries:
        return []
    # Enrichment may be late: without a row the session would come to life in SQL
    # after its end. The user first, as enrichment does it; it numbers the events.
    ensure_sessions(work.session, entries)
    work.wakes_relay = True
    owner = Owner(entries[0].user_id, entries[0].app_id)
    ids = [entry.session_id for entry in entries]
    return end_sessions(work.session, owner, ids, reason)
