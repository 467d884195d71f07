"""Rotates refresh tokens: in Redis, in SQL when Redis cannot, one successor for all.

The rule is in `models/stores/lua/rotate_session.lua` and, for SQL, in
`models/rotation.py`; decision 0007 tells why tokens are derived.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec

from config.clock import MS_PER_S, Deadline, now_ms
from config.logging import get_logger
from config.metrics.accounts import (
    REFRESH_PROOFS,
    SESSIONS_HEALED,
    SESSIONS_REVIVED,
)
from config.patience import under
from models import sessions as rows
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    RedisUnavailable,
    Unauthenticated,
)
from models.login_entry import LoginEntry
from models.rotation import Presented, Rotation, decide_rotation
from models.session_ended import EndedSession
from models.session_ends import Owner, tell_ended
from models.standings import find_user_standing
from models.users import ensure_user
from web.services.session_end import SessionEnd
from web.services.tokens import Grant, TokenSigner

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.standings import UserStanding
    from models.stores.container import Stores
    from web.services.caller import Caller
    from web.services.tokens import Tokens

# Repairs a Redis copy that is older than what SQL rotated.
MARK_ROTATED = "tasks.sessions.mark_rotated"

_log = get_logger(__name__)


class RefreshService:
    """Turns a refresh token into its successor."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._grace_ms = settings.tokens.grace_s * MS_PER_S
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._verdict_ms = settings.tokens.verdict_s * MS_PER_S
        self._store = stores.sessions
        self._standings = stores.standings
        self._database = database
        self._tokens = TokenSigner(settings)
        self._end = SessionEnd(settings, stores, database)
        apps = settings.wechat.apps
        self._max_sessions = {app.app_id: app.max_sessions for app in apps}

    def refresh(self, refresh_token: str, caller: Caller) -> Tokens:
        """Rotate the refresh token; repeats inside the grace get the same successor.

        Raises `Unauthenticated`: ``token_invalid``, ``session_revoked``, or
        ``refresh_reused``, which also revokes the session (RFC 9700 4.14.2);
        `Forbidden`: ``user_banned``, ``high_risk_user``.
        """
        grant = self._tokens.read_refresh(refresh_token)
        entry = self._entry(grant, caller)
        rotation = self._rotate(entry, grant.issued_at)
        if rotation.outcome not in ("rotated", "grace"):
            self._refuse(entry, rotation)
        return self._tokens.sign(
            msgspec.structs.replace(
                grant, generation=rotation.generation, issued_at=rotation.at
            )
        )

    def _rotate(self, entry: LoginEntry, made_at: int) -> Rotation:
        try:
            rotation = self._store.rotate(entry, grace_ms=self._grace_ms)
        except RedisUnavailable:
            return self._rotate_in_sql(entry, made_at, repairs=True)
        if rotation.outcome in ("unknown", "behind", "unsure"):
            repairs = rotation.outcome != "unknown"
            return self._rotate_in_sql(entry, made_at, repairs=repairs)
        return rotation

    def _rotate_in_sql(
        self, entry: LoginEntry, made_at: int, *, repairs: bool
    ) -> Rotation:
        """Let SQL decide; ``repairs`` when Redis may hold an older copy."""

        def act(work: UnitOfWork) -> tuple[Rotation, UserStanding, LoginEntry, str]:
            row = self._locked(work, entry)
            standing = find_user_standing(work.session, entry.user_id)
            rotation = self._decide(row, standing, entry, made_at)
            if rotation.outcome == "reused":
                # The rule itself has revoked it: told in the same commit.
                ensure_user(work.session, entry.user_id, entry.app_id, entry.began_at)
                owner = Owner(entry.user_id, entry.app_id)
                tell_ended(work.session, owner, [entry.session_id], "reused")
            elif rotation.outcome == "rotated" and repairs:
                # The token that was just used must not be current there for ever.
                work.enqueue(MARK_ROTATED, entry.session_id)
            # The copy is to be as the row is: a repeat is told an older generation.
            present = msgspec.structs.replace(
                entry, generation=row.generation, at=row.rotated_at
            )
            return rotation, standing, present, row.trail or ""

        rotation, standing, present, trail = self._database.transact(act)
        if rotation.outcome in ("rotated", "grace"):
            with suppress(RedisUnavailable):
                # The standing first: a session must never be there without it.
                self._standings.put(entry.user_id, standing)
                self._store.restore(present, trail)
        elif rotation.outcome == "revoked" and repairs:
            self._end_copy(entry)
        return rotation

    def _end_copy(self, entry: LoginEntry) -> None:
        """Mark the copy of a session that SQL knows to have ended, now or never."""
        ended = EndedSession(entry.session_id, entry.user_id, "logout", entry.at)
        with suppress(RedisUnavailable):
            revived = self._store.mark_ended([ended], life_ms=self._life_ms)
            SESSIONS_REVIVED.labels("refused").inc(revived)

    def _locked(self, work: UnitOfWork, entry: LoginEntry) -> rows.Session:
        row = rows.lock(work.session, entry.session_id)
        if row is None:
            SESSIONS_HEALED.inc()
            rows.ensure_sessions(work.session, [entry])
            row = rows.lock(work.session, entry.session_id)
        if row is None:
            raise DatabaseUnavailable
        return row

    def _decide(
        self,
        row: rows.Session,
        standing: UserStanding,
        entry: LoginEntry,
        made_at: int,
    ) -> Rotation:
        if row.refresh_hash is None:
            REFRESH_PROOFS.labels("unproven").inc()
        presented = Presented(
            entry.generation, made_at, entry.refresh_hash or "", entry.expires_at
        )
        return decide_rotation(
            row, standing, presented, now=now_ms(), grace_ms=self._grace_ms
        )

    def _refuse(self, entry: LoginEntry, rotation: Rotation) -> NoReturn:
        if rotation.outcome == "reused":
            _log.warning("refresh_reused", session_id=entry.session_id)
            self._end_everywhere(entry)
            raise Unauthenticated(reason="refresh_reused", user_id=entry.user_id)
        if rotation.outcome == "forged":
            # Signed with our key by somebody who never had a token of the session.
            REFRESH_PROOFS.labels("forged").inc()
            _log.error("refresh_forged", session_id=entry.session_id)
            raise Unauthenticated("a hash refutes it")
        if rotation.outcome == "banned":
            raise Forbidden(reason="user_banned", user_id=entry.user_id)
        if rotation.outcome == "blocked":
            raise Forbidden(reason="high_risk_user", user_id=entry.user_id)
        raise Unauthenticated(reason="session_revoked", user_id=entry.user_id)

    def _end_everywhere(self, entry: LoginEntry) -> None:
        """Tell the store that did not find it out; later, if it is away now."""
        try:
            # A thief must not keep it alive by an impatient request, nor wait for ever.
            with under(Deadline.after_ms(self._verdict_ms)):
                self._end.end_reused(entry)
        except DatabaseUnavailable:
            # Redis has found it out, so it is there.
            with suppress(RedisUnavailable):
                self._store.journal(msgspec.structs.replace(entry, kind="reused"))

    def _entry(self, grant: Grant, caller: Caller) -> LoginEntry:
        at = now_ms()
        return LoginEntry(
            id=grant.session_id,
            kind="refresh",
            user_id=grant.user_id,
            app_id=grant.app_id,
            session_id=grant.session_id,
            at=at,
            expires_at=self._tokens.ends_at(grant.opened_at, at),
            generation=grant.generation,
            ip=caller.ip,
            request_id=caller.request_id,
            epoch=grant.epoch,
            opened_at=grant.opened_at,
            refresh_hash=grant.refresh_hash,
            max_sessions=self._max_sessions.get(grant.app_id, 0),
        )
