"""Admission: limits, lock-out, sessions and login flights, one round trip each.

Redis away: every method raises `RedisUnavailable`; the callers in `web` then use
`local_buckets` and SQL, never an open door for revoked sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from config.metrics import RATE_LIMITED
from models.errors import Limited
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from config.limit_settings import LimitSettings
    from models.standings import Action
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

ADMIT_REQUEST = load_script("admit_request")
ADMIT_LOGIN = load_script("admit_login")
RECORD_FAILURE = load_script("record_failure")

SessionState = Literal["live", "banned", "revoked", "unknown", ""]


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted request: its session's state and the limit nearest to its end.

    ``limit`` is None when no limit applies; ``reset_s`` is until the bucket is full.
    """

    session: SessionState = ""
    action: Action = "allow"
    limit: int | None = None
    remaining: int = 0
    reset_s: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by the dimensions of the limits; empty text means not known."""

    ip: str
    user: str = ""
    device: str = ""
    app: str = ""

    def subjects(self) -> list[tuple[str, str]]:
        """Return the known dimensions as (name, value)."""
        named = ("ip", self.ip), ("user", self.user), ("device", self.device)
        return [(name, value) for name, value in (*named, ("app", self.app)) if value]


@dataclass(frozen=True, slots=True)
class Flight:
    """The verdict on a login: lead the exchange, join one, or take its record."""

    verdict: Literal["lead", "join", "known"]
    record: bytes = b""


@dataclass(frozen=True, slots=True)
class FailedExchange:
    """How an exchange failed; ``mark`` is its flight's, ``counts`` to the lock-out.

    With a ``life_ms`` of 0 nothing is left: those who joined try by themselves.
    """

    mark: str
    record: bytes
    life_ms: int
    counts: bool


class AdmissionStore:
    """The door of every request, shared by all processes."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, limits: LimitSettings
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._limits = limits

    def admit_request(
        self,
        limit_class: str,
        caller: Caller,
        *,
        session_id: str = "",
        epoch: int = 0,
    ) -> Admission:
        """Take one token from each bucket that applies and look at the session.

        ``epoch`` is the token's: below the user's, the session is revoked.

        Raises `Limited` with the wait; nothing is taken then.
        """
        rules, keys, amounts = self._buckets(limit_class, caller)
        reply = self._redis.run(
            ADMIT_REQUEST,
            [self._keys.session(session_id), self._keys.standing(caller.user), *keys],
            [caller.user if session_id else "", epoch, *amounts],
        )
        refused, retry_ms, burst, remaining, reset_ms, state, action = reply
        if refused:
            raise _limited(rules[refused - 1], retry_ms)
        return Admission(
            state.decode(),
            action.decode() or "allow",
            None if burst < 0 else int(burst),
            remaining,
            -(-reset_ms // 1000),
        )

    def admit_login(
        self, caller: Caller, code_key: str, *, mark: str, flight_ms: int
    ) -> Flight:
        """Check lock-out and limits, and decide who exchanges the code.

        ``mark`` names this caller's flight. Raises `Limited`, reason
        ``rate_limited`` or ``locked_out``.
        """
        rules, keys, amounts = self._buckets("login", caller)
        allowed = self._limits.login_failures.count if self._limits.enabled else 0
        verdict, detail, retry_ms = self._redis.run(
            ADMIT_LOGIN,
            [self._failures(caller), code_key, *keys],
            [allowed, mark, flight_ms, *amounts],
        )
        if verdict == b"locked":
            RATE_LIMITED.labels("login.failures").inc()
            raise Limited(
                "too many failures", reason="locked_out", retry_after_ms=retry_ms
            )
        if verdict == b"limited":
            raise _limited(rules[detail - 1], retry_ms)
        return Flight(verdict.decode(), detail)

    def record_failure(
        self, caller: Caller, code_key: str, failure: FailedExchange
    ) -> None:
        """Leave the failure for those who joined, and count it if it counts."""
        lock_ms = self._limits.login_failures.lock_s * 1000
        counts = failure.counts and self._limits.enabled
        self._redis.run(
            RECORD_FAILURE,
            [code_key, self._failures(caller)],
            [failure.mark, failure.record, failure.life_ms, lock_ms if counts else 0],
        )

    def find_record(self, code_key: str) -> bytes | None:
        """Return what stands under the code: a flight mark, a record, or None."""
        found = self._redis.execute("GET", code_key)
        return None if found is None else bytes(found)

    def _failures(self, caller: Caller) -> str:
        return self._keys.failures(caller.ip, caller.device)

    def _buckets(
        self, limit_class: str, caller: Caller
    ) -> tuple[list[str], list[str], list[float]]:
        names: list[str] = []
        keys: list[str] = []
        amounts: list[float] = []
        rules = self._limits.rules if self._limits.enabled else {}
        for dimension, subject in caller.subjects():
            rule = rules.get(f"{limit_class}.{dimension}")
            if rule is not None:
                names.append(f"{limit_class}.{dimension}")
                keys.append(self._keys.bucket(names[-1], subject))
                amounts += (rule.burst, rule.refill_per_s)
        return names, keys, amounts


def _limited(rule: str, retry_ms: int) -> Limited:
    RATE_LIMITED.labels(rule).inc()
    return Limited(f"limit {rule}", retry_after_ms=retry_ms)
