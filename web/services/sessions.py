"""Logout, and the session check that SQL answers when Redis cannot.

Redis remembers fast; the SQL row is the truth that survives a wipe. Refreshing is in
`web/services/refresh.py`, the end of sessions in `web/services/session_end.py`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import msgspec

from config.clock import MS_PER_S, Deadline, now_ms
from config.metrics.accounts import SESSIONS_HEALED
from config.patience import under, unhurried
from models import sessions as rows
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    RedisUnavailable,
    Unauthenticated,
)
from models.login_entry import LoginEntry
from models.standings import (
    NOBODY_SPECIAL,
    end_epoch,
    find_user_standing,
    publish_standing,
)
from web.services.refresh import RefreshService
from web.services.session_end import SessionEnd
from web.services.session_entries import vouched_entry

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.standings import Action, UserStanding
    from models.stores.container import Stores
    from web.services.caller import Caller, Claims
    from web.services.session_end import Revoked
    from web.services.tokens import Tokens

Scope = Literal["this", "others", "all"]


class SessionService:
    """What happens to a session after login."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
    ) -> None:
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._verdict_ms = settings.tokens.verdict_s * MS_PER_S
        self._database = database
        self._store = stores.sessions
        self._copies = stores.session_list
        self._standings = stores.standings
        self._late = stores.late
        self._end = SessionEnd(settings, stores, database)
        self._refreshes = RefreshService(settings, stores, database)

    def refresh(self, refresh_token: str, caller: Caller) -> Tokens:
        """Rotate the refresh token: see `RefreshService`."""
        return self._refreshes.refresh(refresh_token, caller)

    def confirm(self, claims: Claims) -> Action:
        """Return what the user may do, by SQL, which must let the session live.

        Raises `Unauthenticated`, or `Forbidden` for a banned user. A session that
        neither store knows was lost between login and enrichment; its signed token
        proves the login, so it is written again and counted.
        """
        entry = vouched_entry(claims, claims.session_id, self._life_ms)
        row, standing = self._judged(claims)
        trail = ""
        if row is not None and row.generation >= entry.generation:
            # The token may be older than the last rotation: its generation must not
            # become current again, or a stolen refresh token would.
            entry, trail = _restored(entry, row), row.trail
        with suppress(RedisUnavailable):
            # The standing first: a session must never be there without it.
            if standing != NOBODY_SPECIAL:
                self._standings.put(claims.user_id, standing)
            restored = self._store.restore(entry, trail)
            if restored and row is None:
                SESSIONS_HEALED.inc()
        return standing.action_at(now_ms())

    def placed(self, claims: Claims) -> Claims:
        """Return ``claims``, which name no app, with the app of their session.

        Redis says, or SQL where it is away or has none; whether the session lives and
        is the user's is admission's to say. Raises `Unauthenticated` for a session
        that neither knows, `RedisUnavailable` where only Redis might know it, and
        `DatabaseUnavailable`.
        """
        away = None
        try:
            copy = self._copies.find(claims.session_id)
        except RedisUnavailable as error:
            copy, away = None, error
        if copy is not None and copy.app_id:
            return replace(claims, app_id=copy.app_id)
        with self._database.read() as session:
            row = rows.find_session_facts(session, claims.session_id)
        if row is None:
            raise away or Unauthenticated(reason="session_revoked")
        return replace(claims, app_id=row.app_id)

    def recheck(self, claims: Claims) -> None:
        """Refuse a session that lives in Redis but ended in SQL while Redis was away.

        SQL away as well, or silent: nothing can have ended there meanwhile. A session
        that SQL does not know is Redis' to judge. It has ``verdict_s`` for it whatever
        the request has: an impatient one does not get around it.
        """
        until = Deadline.after_ms(self._verdict_ms)
        with under(until), suppress(DatabaseUnavailable):
            self._judged(claims)

    def _judged(self, claims: Claims) -> tuple[rows.SessionFacts | None, UserStanding]:
        """Return session and user as SQL knows them; raises where one is over."""
        with self._database.read() as session:
            row = rows.find_session_facts(session, claims.session_id)
            standing = find_user_standing(session, claims.user_id)
        if standing.banned:
            raise Forbidden(reason="user_banned")
        owner = claims.user_id, claims.app_id, claims.epoch
        over = row is not None and not (row.live and row.owner == owner)
        if over or standing.epoch > claims.epoch:
            raise Unauthenticated(reason="session_revoked")
        return row, standing

    def logout(self, claims: Claims, scope: Scope, once: Once | None = None) -> Revoked:
        """End this session, the user's others, or all; tells how many were live.

        Raises what `SessionEnd.end_asked` raises.
        """
        ids = self._ids(claims, scope)
        entries = [vouched_entry(claims, name, self._life_ms) for name in ids]
        if scope != "all":
            return self._end.end_asked(claims, entries, once)

        def end_all(work: UnitOfWork) -> None:
            # Also the sessions that are on no list yet.
            end_epoch(work.session, claims.user_id)
            publish_standing(work, claims.user_id)

        revoked = self._end.end_asked(claims, entries, once, end_all)
        self._put_standing(claims.user_id)
        return revoked

    def _put_standing(self, user_id: str) -> None:
        """Write the copy now; without Redis or us, the outbox does it later."""
        with unhurried(), suppress(DatabaseUnavailable):
            with self._database.read() as session:
                standing = find_user_standing(session, user_id)
            self._late.attempt(lambda: self._standings.put(user_id, standing))

    def _ids(self, claims: Claims, scope: Scope) -> list[str]:
        if scope == "this":
            return [claims.session_id]
        with self._database.read() as session:
            found = {claims.session_id, *rows.list_live_ids(session, claims.user_id)}
        with suppress(RedisUnavailable):
            found |= set(self._store.list_ids(claims.user_id))
        if scope == "others":
            found.discard(claims.session_id)
        return sorted(found)


def _restored(entry: LoginEntry, row: rows.SessionFacts) -> LoginEntry:
    """Return ``entry`` as far as SQL knows the session better."""
    return msgspec.structs.replace(
        entry,
        generation=row.generation,
        at=row.rotated_at,
        expires_at=row.expires_at,
        opened_at=row.created_at,
        refresh_hash=row.refresh_hash,
    )
