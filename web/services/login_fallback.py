"""Logins while Redis is away: the SQL journal, and single flight there.

A session row and an outbox row in one commit stand for the Redis session and the
stream entry; the relay carries the login on once the broker is back. The same commit
keeps the record of the code, which `models/code_flights.py` lets one caller exchange.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from config.clock import MS_PER_S, monotonic, now_ms
from config.metrics.journals import JOURNAL_ADDED
from config.patience import for_at_least, unhurried
from models.account_links import find_alias
from models.code_flights import (
    CodeFlight,
    board_flight,
    find_landed,
    keep_refusal,
    keep_session,
    leave_flight,
)
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    KuaidaError,
    LoginCodeInvalid,
    Upstream,
)
from models.login_journal import PURPOSE, JournaledLogin, WeChatNames, seal_login
from models.sealing import IdentityHasher, sealer_for
from models.session_ends import end_by_journal
from models.sessions import ensure_sessions
from models.single_flight import SingleFlight
from models.standings import find_user_standing
from models.users import ensure_user
from models.waiting import wait_for
from web.services.local_buckets import LocalBuckets
from web.services.login_record import (
    encode_record,
    failure_record,
    is_lasting,
    record_of,
)
from web.services.wechat_faults import was_used_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.clock import Deadline
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.login_entry import LoginEntry
    from models.quota import Quota
    from models.stores.admission import Caller as LimitCaller
    from models.stores.wechat_keys import WeChatSecrets
    from web.services.code_flight import Course

    Exchange = Callable[[], tuple[LoginEntry, WeChatSecrets]]

TASK = "tasks.logins.enrich_journaled_login"
# For the journal of a spent code, however little time WeChat has left.
JOURNAL_S = 2.0
# Codes of the last minutes of one process; 1,000 records are about 200 kB.
REMEMBERED_CODES = 1000
# Callers that joined an exchange of another process look for its end this often.
JOIN_POLL_S = 0.05
# A leader writes its record within this time of WeChat's answer, or is taken for dead.
LANDING_S = 2.0
# Who used a code up a moment ago may be writing its record at this moment.
SOON_S = 0.2


class Asked(NamedTuple):
    """A code that is to be exchanged: its key, for whom, and where its flight is."""

    code_key: str
    limits: LimitCaller
    course: Course


class LoginFallback:
    """Finishes logins without Redis."""

    def __init__(
        self, settings: Settings, database: Database, check: Callable[[bytes], bytes]
    ) -> None:
        """Take what a kept record is judged by before it is told to anybody."""
        self._database = database
        self._check = check
        self._sealer = sealer_for(settings.secrets, PURPOSE)
        self._hasher = IdentityHasher(settings.secrets.id_key)
        self._limits = LocalBuckets(settings.limits)
        self._code_life_s = settings.tokens.code_life_s
        self._mutex = threading.Lock()
        # By code: when its record was made, oldest first, and the record.
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._flights: SingleFlight[bytes] = SingleFlight()

    def admit(self, limits: LimitCaller) -> Quota | None:
        """Count a login in this process alone; raises `Limited`."""
        return self._limits.admit_login(limits)

    def record(self, asked: Asked, exchange: Exchange, until: Deadline) -> bytes:
        """Have one process exchange the code, and journal the login in SQL.

        SQL is asked before WeChat is: `DatabaseUnavailable` when both stores are away,
        and the code is still good. Raises what ``exchange`` raises too, and `Upstream`
        (``wechat_timeout``) or `Unavailable` when another's exchange lasts longer than
        this caller can wait.
        """

        def fly() -> bytes:
            try:
                # Asked inside the flight: what landed just now has left its record.
                if known := self.recall(asked.code_key):
                    return self._check(known)
                return self._share(asked, exchange, until)
            except LoginCodeInvalid as error:
                if not was_used_up(error):
                    self._limits.count_failure(asked.limits)
                raise

        try:
            return self._flights.run(asked.code_key, fly)[0]
        except TimeoutError:
            raise asked.course.lateness() from None

    def remember(self, code_key: str, raw: bytes) -> None:
        """Keep the record of a login that went through Redis, should Redis go."""
        with self._mutex:
            self._known.pop(code_key, None)
            self._known[code_key] = monotonic(), raw
            if len(self._known) > REMEMBERED_CODES:
                self._known.popitem(last=False)

    def recall(self, code_key: str) -> bytes:
        """Return what this process remembers of a code, nothing of one that is over."""
        made_at, raw = self._known.get(code_key, (0.0, b""))
        # A code that is over must not open its session once more.
        return raw if raw and monotonic() - made_at < self._code_life_s else b""

    def find_spent(self, code_key: str, error: KuaidaError) -> bytes:
        """Return the record of a code that WeChat refuses since we had exchanged it.

        Redis was away then, or is now. Nothing for any other ``error``, for a code
        that SQL does not know, and while SQL is away.
        """
        if not isinstance(error, LoginCodeInvalid):
            return b""
        name = self._name(code_key)
        with suppress(DatabaseUnavailable):
            found = wait_for(
                lambda: self._find_landed(name) or None,
                seconds=SOON_S if was_used_up(error) else 0,
                every_s=JOIN_POLL_S,
            )
            return found or b""
        return b""

    def journal(self, code_key: str, entry: LoginEntry, told: WeChatSecrets) -> bytes:
        """Write session, journal row and the code's record in one commit.

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
            raw, life_ms = encode_record(record_of(entry)), self._code_life_ms
            keep_session(work.session, self._name(code_key), raw, life_ms)
        JOURNAL_ADDED.labels("outbox").inc()
        self.remember(code_key, raw)
        return raw

    def _share(self, asked: Asked, exchange: Exchange, until: Deadline) -> bytes:
        """Lead the exchange, or wait for the process that does."""
        name, mark = self._name(asked.code_key), secrets.token_hex(8)
        lease_ms = round((max(0.0, until.remaining_s()) + LANDING_S) * MS_PER_S)
        while True:
            flight = self._board(name, mark, lease_ms)
            if flight.verdict == "lead":
                return self._lead(asked.code_key, mark, exchange)
            if flight.verdict == "known":
                return self._check(flight.record)
            with asked.course.at_wechat():
                landed = wait_for(
                    lambda: self._find_landed(name),
                    seconds=until.remaining_s(),
                    every_s=JOIN_POLL_S,
                )
            if landed is None:
                raise Upstream(reason="wechat_timeout")
            if landed:
                return landed

    def _lead(self, code_key: str, mark: str, exchange: Exchange) -> bytes:
        try:
            return self.journal(code_key, *exchange())
        except KuaidaError as error:
            if found := self.find_spent(code_key, error):
                return found
            self._land_refused(self._name(code_key), mark, error)
            raise

    def _board(self, name: str, mark: str, lease_ms: int) -> CodeFlight:
        return self._database.transact(
            lambda work: board_flight(work.session, name, mark, lease_ms)
        )

    def _find_landed(self, name: str) -> bytes | None:
        with self._database.read() as session:
            return find_landed(session, name)

    def _land_refused(self, name: str, mark: str, error: KuaidaError) -> None:
        """Let the other processes know; without SQL they find the flight too long."""
        raw, life_ms = encode_record(failure_record(error)), self._code_life_ms

        def land(work: UnitOfWork) -> None:
            if is_lasting(error):
                keep_refusal(work.session, name, mark, record=raw, life_ms=life_ms)
            else:
                leave_flight(work.session, name, mark)

        with unhurried(), suppress(DatabaseUnavailable):
            self._database.transact(land)

    def _name(self, code_key: str) -> str:
        """Return the name of a code in SQL: it is a credential until it is used."""
        return self._hasher.look_up("login_code", code_key)

    @property
    def _code_life_ms(self) -> int:
        return self._code_life_s * MS_PER_S


def _admitted(work: UnitOfWork, entry: LoginEntry) -> LoginEntry:
    """Return ``entry`` for the user it stands for, with the epoch of SQL."""
    user_id = find_alias(work.session, entry.user_id) or entry.user_id
    standing = find_user_standing(work.session, user_id)
    if standing.banned:
        raise Forbidden(reason="user_banned", user_id=user_id)
    if standing.action_at(now_ms()) == "block":
        raise Forbidden(reason="high_risk_user", user_id=user_id)
    return msgspec.structs.replace(entry, user_id=user_id, epoch=standing.epoch)
