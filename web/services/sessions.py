"""Refresh, logout, and the session check that SQL answers when Redis cannot.

Redis rotates and remembers fast; the SQL row is the truth that survives a wipe.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from config.clock import now_ms
from config.logging import get_logger
from config.metrics import SESSIONS_HEALED
from models import sessions as rows
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    RedisUnavailable,
    Unauthenticated,
)
from models.events import Event, EventType
from models.login_entry import LoginEntry
from models.sessions import Rotation
from models.standings import (
    NOBODY_SPECIAL,
    end_epoch,
    find_user_standing,
    publish_standing,
)
from models.users import ensure_user
from web.services.tokens import Grant, TokenSigner, generation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.standings import Action
    from models.stores.container import Stores
    from web.services.caller import Caller, Claims
    from web.services.tokens import Tokens

Scope = Literal["this", "others", "all"]
MS_PER_S = 1000
# Repairs Redis copies that could not be marked at logout.
MARK_REVOKED = "tasks.sessions.mark_revoked"

_log = get_logger(__name__)


class Revoked(msgspec.Struct):
    """How many sessions were ended."""

    revoked: int


class SessionService:
    """What happens to a session after login."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
    ) -> None:
        self._settings = settings.tokens
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._database = database
        self._store = stores.sessions
        self._standings = stores.standings
        self._tokens = TokenSigner(settings)

    def refresh(self, refresh_token: str, caller: Caller) -> Tokens:
        """Rotate the refresh token; repeats inside the grace get the same successor.

        Raises `Unauthenticated`: ``token_invalid``, ``session_revoked``, or
        ``refresh_reused``, which also revokes the session (RFC 9700 4.14.2).
        """
        grant = self._tokens.read_refresh(refresh_token)
        entry = self._entry(grant, caller)
        try:
            rotation = self._store.rotate(
                entry,
                grant.generation,
                grace_ms=self._settings.grace_s * MS_PER_S,
                life_ms=self._life_ms,
            )
        except RedisUnavailable:
            rotation = Rotation("unknown")
        if rotation.outcome == "unknown":
            rotation = self._rotate_in_sql(entry, grant.generation)
        if rotation.outcome not in ("rotated", "grace"):
            self._refuse(entry, rotation)
        return self._tokens.sign(
            msgspec.structs.replace(
                grant, generation=rotation.generation, issued_at=rotation.at
            )
        )

    def confirm(self, claims: Claims) -> Action:
        """Return what the user may do, by SQL, which must let the session live.

        Raises `Unauthenticated`, or `Forbidden` for a banned user. A session that
        neither store knows was lost between login and enrichment; its signed token
        proves the login, so it is written again and counted.
        """
        entry = self._entry_of(claims, claims.session_id)
        with self._database.read() as session:
            row = rows.find_standing(session, claims.session_id)
            standing = find_user_standing(session, claims.user_id)
        if standing.banned:
            raise Forbidden(reason="user_banned")
        if standing.epoch > claims.epoch:
            raise Unauthenticated(reason="session_revoked")
        if row is None:
            SESSIONS_HEALED.inc()
        elif not row.live or (row.user_id, row.epoch) != (claims.user_id, claims.epoch):
            raise Unauthenticated(reason="session_revoked")
        elif row.generation >= entry.generation:
            # The token may be older than the last rotation: its generation must not
            # become current again, or a stolen refresh token would.
            entry = msgspec.structs.replace(
                entry, generation=row.generation, at=row.rotated_at
            )
        with suppress(RedisUnavailable):
            # The standing first: a session must never be there without it.
            if standing != NOBODY_SPECIAL:
                self._standings.put(claims.user_id, standing)
            self._store.restore(entry, life_ms=self._life_ms)
        return standing.action_at(now_ms())

    def logout(self, claims: Claims, scope: Scope, once: Once | None = None) -> Revoked:
        """End this session, the user's others, or all; tells how many were live."""
        ids = self._ids(claims, scope)
        entries = [self._entry_of(claims, name) for name in ids]
        if scope != "all":
            return self._revoke(entries, "logout", once)

        def end_all(work: UnitOfWork) -> None:
            # Also the sessions that are on no list yet.
            end_epoch(work.session, claims.user_id)
            publish_standing(work, claims.user_id)

        revoked = self._revoke(entries, "logout", once, end_all)
        self._put_standing(claims.user_id)
        return revoked

    def _put_standing(self, user_id: str) -> None:
        """Write the copy now; without Redis or us, the outbox does it later."""
        with suppress(RedisUnavailable, DatabaseUnavailable):
            with self._database.read() as session:
                standing = find_user_standing(session, user_id)
            self._standings.put(user_id, standing)

    def _revoke(
        self,
        entries: Sequence[LoginEntry],
        reason: rows.EndReason,
        once: Once | None = None,
        more: Callable[[UnitOfWork], None] | None = None,
    ) -> Revoked:
        ids = [entry.session_id for entry in entries]

        def act(work: UnitOfWork) -> Revoked:
            # Enrichment may be late: without a row the session would come to life
            # in SQL after its end. The user first, as enrichment does it.
            _ensure_users(work, entries)
            rows.ensure_sessions(work.session, entries)
            # SQL first, so that a refusal leaves nothing half done; this repairs
            # the copies if Redis, or we, are gone right after the commit.
            for session_id in ids:
                work.enqueue(MARK_REVOKED, session_id)
            ended = rows.revoke(work.session, ids, reason)
            _tell(work, [e for e in entries if e.session_id in ended], reason)
            if more is not None:
                more(work)
            return Revoked(len(ended))

        revoked = self._database.transact(act, once)
        if entries:
            with suppress(RedisUnavailable):
                user_id, life_ms = entries[0].user_id, self._life_ms
                self._store.revoke(user_id, ids, life_ms=life_ms, reason=reason)
        return revoked

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

    def _rotate_in_sql(self, entry: LoginEntry, presented: int) -> Rotation:
        def act(work: UnitOfWork) -> Rotation:
            row = rows.lock(work.session, entry.session_id)
            if row is None:
                SESSIONS_HEALED.inc()
                rows.ensure_sessions(work.session, [entry])
                row = rows.lock(work.session, entry.session_id)
            if row is None:
                raise DatabaseUnavailable
            standing = find_user_standing(work.session, entry.user_id)
            rotation = rows.decide_rotation(
                row,
                standing,
                presented,
                now=now_ms(),
                grace_ms=self._settings.grace_s * MS_PER_S,
            )
            if rotation.outcome == "reused":
                # The rule itself has revoked it: told in the same commit.
                _ensure_users(work, [entry])
                _tell(work, [entry], "reused")
            return rotation

        rotation = self._database.transact(act)
        if rotation.outcome in ("rotated", "grace"):
            fresh = msgspec.structs.replace(
                entry, generation=rotation.generation, at=rotation.at
            )
            with suppress(RedisUnavailable):
                self._store.restore(fresh, life_ms=self._life_ms)
        return rotation

    def _refuse(self, entry: LoginEntry, rotation: Rotation) -> NoReturn:
        if rotation.outcome == "reused":
            _log.warning("refresh_reused", session_id=entry.session_id)
            # Whichever store found it out refuses already; now or later the other.
            with suppress(DatabaseUnavailable):
                self._revoke([entry], "reused")
            raise Unauthenticated(reason="refresh_reused")
        if rotation.outcome == "banned":
            raise Forbidden(reason="user_banned")
        raise Unauthenticated(reason="session_revoked")

    def _entry(self, grant: Grant, caller: Caller) -> LoginEntry:
        at = now_ms()
        return LoginEntry(
            id=grant.session_id,
            kind="refresh",
            user_id=grant.user_id,
            app_id=grant.app_id,
            session_id=grant.session_id,
            at=at,
            expires_at=at + self._life_ms,
            generation=grant.generation,
            ip=caller.ip,
            request_id=caller.request_id,
            epoch=grant.epoch,
        )

    def _entry_of(self, claims: Claims, session_id: str) -> LoginEntry:
        at = claims.issued_at * MS_PER_S
        own = session_id == claims.session_id
        return LoginEntry(
            id=session_id,
            kind="refresh",
            user_id=claims.user_id,
            app_id=claims.app_id,
            session_id=session_id,
            at=at,
            expires_at=at + self._life_ms,
            generation=generation_of(claims.token_id) if own else 1,
            epoch=claims.epoch,
        )


def _ensure_users(work: UnitOfWork, entries: Sequence[LoginEntry]) -> None:
    """Make the row that numbers the events, if no enrichment has made it yet."""
    for entry in entries[:1]:
        # All sessions that one call ends are of one user.
        ensure_user(work.session, entry.user_id, entry.app_id, entry.at)


def _tell(
    work: UnitOfWork, ended: Sequence[LoginEntry], reason: rows.EndReason
) -> None:
    """Publish the end of sessions to their user's pages; the user's row exists."""
    for entry in ended:
        told = {"session_id": entry.session_id, "reason": reason}
        work.publish(Event(EventType.SESSION_REVOKED, entry.user_id, told))
