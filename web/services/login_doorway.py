"""Opens the session of a login in Redis, for whom SQL says, when it must be asked.

Normally one round trip. Only for an alias (a guest that kept its id) is it two, and
only while Redis lacks the standings (it was wiped), or may lack the last of them (this
process lost it a moment ago), is SQL asked as well.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S, Deadline
from config.metrics.accounts import STANDINGS
from config.patience import under
from models.account_links import find_alias
from models.errors import DatabaseUnavailable, Forbidden, RedisUnavailable
from models.standings import NOBODY_SPECIAL, find_user_standing
from models.stores.sessions import NewSession
from web.services.login_record import encode_record, record_of

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.login_entry import LoginEntry
    from models.stores.container import Stores
    from models.stores.wechat_keys import WeChatSecrets

# Open; after asking SQL; for the user that an alias stands for; after asking again.
LOOKS = 4


class LoginDoorway:
    """The last step of a login: nobody gets in whom we have shut out."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._tokens = settings.tokens
        self._stores = stores
        self._database = database

    def open(self, code_key: str, entry: LoginEntry, told: WeChatSecrets) -> bytes:
        """Return the record of the session that was opened.

        Raises `Forbidden` (``user_banned``, ``high_risk_user``), `RedisUnavailable`,
        and `DatabaseUnavailable` when neither store knows how we stand to the user.
        """
        asked = self._asked_in_doubt(entry.user_id)
        for _ in range(LOOKS):
            opened = self._stores.sessions.open(
                self._new(code_key, entry, told, asked=asked)
            )
            if opened.outcome == "opened":
                if not asked:
                    self._end_oldest(entry)
                return opened.record
            if opened.outcome == "banned":
                raise Forbidden(reason="user_banned", user_id=entry.user_id)
            if opened.outcome == "blocked":
                raise Forbidden(reason="high_risk_user", user_id=entry.user_id)
            if opened.outcome == "alias":
                entry = msgspec.structs.replace(entry, user_id=opened.alias)
                asked = self._asked_in_doubt(entry.user_id)
            else:
                self._ask(entry.user_id)
                asked = True
        raise RedisUnavailable("standings come and go")

    def _end_oldest(self, entry: LoginEntry) -> None:
        """Keep to the app's number of sessions at once; SQL follows by enrichment.

        Redis must know which have ended: they are not among those to keep.
        """
        if entry.max_sessions:
            # The enrichment ends them in any case, and marks what was missed here.
            with suppress(RedisUnavailable):
                self._stores.sessions.keep_newest(
                    entry.user_id,
                    entry.max_sessions,
                    life_ms=self._tokens.refresh_s * MS_PER_S,
                )

    def _new(
        self, code_key: str, entry: LoginEntry, told: WeChatSecrets, *, asked: bool
    ) -> NewSession:
        return NewSession(
            entry=entry,
            secrets=told,
            code_key=code_key,
            record=encode_record(record_of(entry)),
            record_ms=self._tokens.code_life_s * MS_PER_S,
            life_ms=self._tokens.refresh_s * MS_PER_S,
            secrets_ms=self._tokens.session_key_s * MS_PER_S,
            standing_asked=asked,
        )

    def _asked_in_doubt(self, user_id: str) -> bool:
        """Ask SQL where Redis may have missed that a user is banned, or a guest's.

        SQL away as well, or silent: what Redis knows must do.
        """
        if self._stores.redis.in_doubt:
            until = Deadline.after_ms(self._tokens.verdict_s * MS_PER_S)
            with under(until), suppress(DatabaseUnavailable):
                self._ask(user_id)
                return True
        return False

    def _ask(self, user_id: str) -> None:
        """Put what SQL knows of the user where the script looks."""
        STANDINGS.labels("asked").inc()
        with self._database.read() as session:
            alias = find_alias(session, user_id)
            standing = find_user_standing(session, user_id)
        if alias is not None:
            self._stores.standings.put_aliases([(user_id, alias)])
        elif standing != NOBODY_SPECIAL:
            self._stores.standings.put(user_id, standing)
