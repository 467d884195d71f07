"""A login code sent again: the session it opened, as it is now.

Asked only for repeats; the first login pays nothing for it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from config.clock import now_ms
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    LoginCodeInvalid,
    RedisUnavailable,
)
from models.sessions import find_session_facts
from models.standings import find_user_standing
from models.stores.sessions import Current
from web.services.login_record import decode_record, encode_record

if TYPE_CHECKING:
    from models.database import Database
    from models.stores.container import Stores
    from web.services.login_record import LoginRecord


class LoginRepeats:
    """Judges the record that stands under a code."""

    def __init__(self, stores: Stores, database: Database) -> None:
        self._sessions = stores.sessions
        self._database = database

    def checked(self, raw: bytes) -> bytes:
        """Return ``raw`` brought up to the session's present generation.

        Raises `LoginCodeInvalid` when the session has ended: the code is used up, and
        its tokens would be refused; `Forbidden` (``high_risk_user``). Redis away: SQL
        is asked, and raises `DatabaseUnavailable`. What Redis does not know SQL may,
        if it can be asked. A failure, and a session that no store knows yet, stay as
        they are.
        """
        record, profile = decode_record(raw)
        if not record.session_id:
            return raw
        now = self._find_current(record)
        if now is None:
            return raw
        if not now.live:
            raise LoginCodeInvalid("its session has ended")
        if now.blocked:
            raise Forbidden(reason="high_risk_user", user_id=record.user_id)
        if now.generation <= record.generation:
            return raw
        fresh = msgspec.structs.replace(
            record, generation=now.generation, rotated_at=now.rotated_at
        )
        return encode_record(fresh) + (b"\n" + profile if profile else b"")

    def _find_current(self, record: LoginRecord) -> Current | None:
        try:
            found = self._sessions.find_current(record.session_id, record.user_id)
        except RedisUnavailable:
            return self._in_sql(record)
        if found is None:
            # Opened while Redis was away, or lost by it since.
            with suppress(DatabaseUnavailable):
                return self._in_sql(record)
        return found

    def _in_sql(self, record: LoginRecord) -> Current | None:
        with self._database.read() as session:
            row = find_session_facts(session, record.session_id)
            standing = find_user_standing(session, record.user_id)
        if row is None:
            return None
        live = row.live and row.epoch >= standing.epoch
        blocked = standing.action_at(now_ms()) == "block"
        return Current(live, row.generation, row.rotated_at, blocked)
