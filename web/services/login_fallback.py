"""Logins while Redis is away: the SQL journal, and single flight in this process.

A session row and an outbox row in one commit stand for the Redis session and the
stream entry; the relay carries the login on once the broker is back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from config.clock import monotonic, now_ms
from config.metrics.journals import JOURNAL_ADDED
from config.patience import for_at_least
from models.account_links import find_alias
from models.errors import Forbidden, LoginCodeInvalid, Upstream
from models.login_journal import PURPOSE, JournaledLogin, WeChatNames, seal_login
from models.sealing import sealer_for
from models.session_ends import end_by_journal
from models.sessions import ensure_sessions
from models.single_flight import SingleFlight
from models.standings import find_user_standing
from models.users import ensure_user
from web.services.local_buckets import LocalBuckets
from web.services.login_record import encode_record, record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.login_entry import LoginEntry
    from models.quota import Quota
    from models.stores.admission import Caller as LimitCaller
    from models.stores.wechat_keys import WeChatSecrets

    Exchange = Callable[[], tuple[LoginEntry, WeChatSecrets]]

TASK = "tasks.logins.enrich_journaled_login"
# For the journal of a spent code, however little time WeChat has left.
JOURNAL_S = 2.0
# Codes of the last minutes of one process; 1,000 records are about 200 kB.
REMEMBERED_CODES = 1000


class LoginFallback:
    """Finishes logins without Redis."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._sealer = sealer_for(settings.secrets, PURPOSE)
        self._limits = LocalBuckets(settings.limits)
        self._code_life_s = settings.tokens.code_life_s
        self._mutex = threading.Lock()
        # By code: when its record was made, oldest first, and the record.
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._flights: SingleFlight[bytes] = SingleFlight()

    def admit(self, limits: LimitCaller) -> Quota | None:
        """Count a login in this process alone; raises `Limited`."""
        return self._limits.admit_login(limits)

    def record(self, code_key: str, limits: LimitCaller, exchange: Exchange) -> bytes:
        """Exchange the code once in this process and journal the login in SQL.

        Raises what ``exchange`` raises, `DatabaseUnavailable` when both stores are
        away, and `Upstream` (``wechat_timeout``) where another caller's exchange takes
        longer than this one can wait.
        """

        def fly() -> bytes:
            # Asked inside the flight: one that landed just now has left its record.
            known = self._recall(code_key)
            try:
                return known or self._finish(code_key, exchange)
            except LoginCodeInvalid:
                self._limits.count_failure(limits)
                raise

        try:
            return self._flights.run(code_key, fly)[0]
        except TimeoutError:
            raise Upstream(reason="wechat_timeout") from None

    def remember(self, code_key: str, raw: bytes) -> None:
        """Keep the record of a login that went through Redis, should Redis go."""
        with self._mutex:
            self._known.pop(code_key, None)
            self._known[code_key] = monotonic(), raw
            if len(self._known) > REMEMBERED_CODES:
                self._known.popitem(last=False)

    def journal(self, entry: LoginEntry, told: WeChatSecrets) -> bytes:
        """Write session and journal row in one commit and return the record.

        The code is spent by now, so what comes too late for this request is kept for
        its repetition. Raises `Forbidden` (``user_banned``, ``high_risk_user``).
        """
        names = WeChatNames(told.openid, told.unionid)
        with for_at_least(JOURNAL_S), self._database.unit_of_work() as work:
            entry = _admitted(work, entry)
            sealed = seal_login(self._sealer, JournaledLogin(entry, names))
            ensure_sessions(work.session, [entry])
            if entry.max_sessions:
                ensure_user(work.session, entry.user_id, entry.app_id, entry.at)
                end_by_journal(work.session, [entry])
            work.enqueue(TASK, entry.id, payload=sealed)
        JOURNAL_ADDED.labels("outbox").inc()
        return encode_record(record_of(entry))

    def _recall(self, code_key: str) -> bytes:
        """Return the record, nothing for a code that is unknown or over."""
        made_at, raw = self._known.get(code_key, (0.0, b""))
        # A code that is over must not open its session once more.
        return raw if raw and monotonic() - made_at < self._code_life_s else b""

    def _finish(self, code_key: str, exchange: Exchange) -> bytes:
        raw = self.journal(*exchange())
        self.remember(code_key, raw)
        return raw


def _admitted(work: UnitOfWork, entry: LoginEntry) -> LoginEntry:
    """Return ``entry`` for the user it stands for, with the epoch of SQL."""
    user_id = find_alias(work.session, entry.user_id) or entry.user_id
    standing = find_user_standing(work.session, user_id)
    if standing.banned:
        raise Forbidden(reason="user_banned", user_id=user_id)
    if standing.action_at(now_ms()) == "block":
        raise Forbidden(reason="high_risk_user", user_id=user_id)
    return msgspec.structs.replace(entry, user_id=user_id, epoch=standing.epoch)
