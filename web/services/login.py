"""Login: a WeChat code becomes a session in two Redis round trips and one WeChat call.

Admission decides who exchanges the code; everyone else with the same code gets the
same answer. No SQL and no broker on this path; while Redis is away the SQL journal
takes its place (`web/services/login_fallback.py`).
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from config.clock import MS_PER_S, Deadline
from config.metrics.accounts import LOGINS
from models.errors import (
    KuaidaError,
    Limited,
    RedisUnavailable,
    Upstream,
)
from models.stores.admission import Flight
from models.waiting import wait_for
from web.services.apps import Apps
from web.services.code_flight import Courses, flight_deadline, outlast
from web.services.login_answer import LoginAnswer, login_answer
from web.services.login_attempt import Attempt
from web.services.login_doorway import LoginDoorway
from web.services.login_exchange import LoginExchange
from web.services.login_failures import LoginFailures
from web.services.login_fallback import Asked, LoginFallback
from web.services.login_record import (
    decode_record,
    is_record,
    raise_failure,
)
from web.services.login_repeat import LoginRepeats
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from web.services.caller import Caller
    from web.services.login_attempt import LoginRequest
    from wechat.gateway import Gateway

# Callers that joined an exchange look for its record this often.
JOIN_POLL_S = 0.015
# With less time than this left a joined caller does not try by itself.
WORTHWHILE_S = 0.5
_SUCCEEDED = LOGINS.labels("ok")


class LoginService:
    """Turns WeChat codes into sessions."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        gateway: Gateway,
    ) -> None:
        self._code_life_ms = settings.tokens.code_life_s * MS_PER_S
        self._patience_s = settings.wechat.login_patience_s
        self._stores = stores
        self._tokens = TokenSigner(settings)
        self._exchange = LoginExchange(settings, stores, database, gateway)
        self._doorway = LoginDoorway(settings, stores, database)
        self._failures = LoginFailures(stores, settings.tokens)
        self._repeats = LoginRepeats(stores, database)
        self._fallback = LoginFallback(settings, database, self._repeats.checked)
        self._apps = Apps(settings)
        self._courses = Courses()

    def login(self, request: LoginRequest, caller: Caller) -> LoginAnswer:
        """Return tokens for the person behind ``request.code``.

        Raises `LoginCodeInvalid`, `Forbidden`, `Limited`, `Upstream` and
        `Unavailable`; the same error for everyone who sent the code meanwhile.
        """
        attempt = self._attempt(request, caller)
        try:
            raw = self._record(attempt)
            record, profile = decode_record(raw)
            raise_failure(record)
        except KuaidaError as error:
            LOGINS.labels(error.reason).inc()
            raise
        _SUCCEEDED.inc()
        secret = self._tokens.secret(record.session_id, request.code)
        tokens = self._tokens.sign(record.grant(secret))
        return login_answer(tokens, record, profile)

    def _attempt(self, request: LoginRequest, caller: Caller) -> Attempt:
        app_id = self._apps.known(request.app_id)
        # The code itself is a credential: Redis knows it by its hash.
        code_hash = sha256(request.code.encode()).hexdigest()
        keys, mark = self._stores.keys, f"f:{secrets.token_hex(8)}"
        names = keys.code(app_id, code_hash), keys.spent_code(app_id, code_hash)
        course = self._courses.of(names[0])
        return Attempt(request, caller, app_id, *names, mark, course)

    def _record(self, attempt: Attempt) -> bytes:
        try:
            flight = self._admit(attempt)
        except Limited as refused:
            attempt.caller.on_quota(refused.quota)
            raise
        attempt.caller.on_quota(flight.quota)
        if flight.verdict == "alone":
            return self._outlast(attempt, self._without_redis)
        if flight.verdict == "known":
            return self._repeats.checked(flight.record)
        if flight.verdict == "join":
            return self._joined(attempt)
        return self._outlast(attempt, self._lead)

    def _outlast(
        self, attempt: Attempt, fly: Callable[[Attempt, Deadline], bytes]
    ) -> bytes:
        """Have the exchange end, however little time its caller has."""
        return outlast(
            lambda until: fly(attempt, flight_deadline(until)),
            attempt.caller.deadline,
            self._patience_s,
            attempt.course,
        )

    def _without_redis(self, attempt: Attempt, until: Deadline) -> bytes:
        asked = Asked(attempt.code_key, attempt.limits, attempt.course)
        return self._fallback.record(
            asked, lambda: self._exchange.make(attempt, until), until
        )

    def _admit(self, attempt: Attempt) -> Flight:
        try:
            return self._stores.admission.admit_login(
                attempt.limits,
                attempt.code_key,
                mark=attempt.mark,
                flight_ms=self._flight_ms(attempt.caller.deadline),
            )
        except RedisUnavailable:
            return Flight("alone", quota=self._fallback.admit(attempt.limits))

    def _flight_ms(self, caller: Deadline) -> int:
        """Return how long an exchange may take, whatever time its caller has left."""
        return int(max(self._patience_s, caller.remaining_s()) * MS_PER_S)

    def _joined(self, attempt: Attempt) -> bytes:
        raw = wait_for(
            lambda: self._landed(attempt),
            seconds=attempt.caller.deadline.remaining_s(),
            every_s=JOIN_POLL_S,
        )
        if raw is None:
            raise Upstream(reason="wechat_timeout")
        return raw or self._again(attempt)

    def _landed(self, attempt: Attempt) -> bytes | None:
        """Return the record, nothing of a leader that is gone, None in flight."""
        found = self._stores.admission.find_record(attempt.code_key)
        return found or b"" if found is None or is_record(found) else None

    def _again(self, attempt: Attempt) -> bytes:
        """Try after a leader that died or had less time than this caller has."""
        if attempt.caller.deadline.remaining_s() < WORTHWHILE_S:
            raise Upstream(reason="wechat_timeout")
        return self._record(attempt)

    def _lead(self, attempt: Attempt, until: Deadline) -> bytes:
        if known := self._fallback.recall(attempt.code_key):
            return self._known_again(attempt, known)
        try:
            return self._opened(attempt, until)
        except KuaidaError as error:
            if known := self._fallback.find_spent(attempt.code_key, error):
                return self._known_again(attempt, known)
            self._failures.remember(attempt, error)
            raise

    def _opened(self, attempt: Attempt, until: Deadline) -> bytes:
        entry, found = self._exchange.make(attempt, until)
        try:
            raw = self._doorway.open(attempt.code_key, entry, found)
        except RedisUnavailable:
            return self._fallback.journal(attempt.code_key, entry, found)
        self._fallback.remember(attempt.code_key, raw)
        return raw

    def _known_again(self, attempt: Attempt, record: bytes) -> bytes:
        """Tell Redis of a login that it had no record of: it was away, or wiped."""
        with suppress(RedisUnavailable):
            self._stores.admission.put_record(
                attempt.code_key, record, life_ms=self._code_life_ms
            )
        return self._repeats.checked(record)
