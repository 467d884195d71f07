"""Admission: limits, lock-out, sessions and login flights, one round trip each.

Redis away: every method raises `RedisUnavailable`; the callers in `web` then use
`local_buckets` and SQL, never an open door for revoked sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from config.metrics.limits import LOCK_OUTS, RATE_LIMIT_WOULD_REFUSE, RATE_LIMITED
from models.errors import Limited
from models.quota import Quota
from models.stores.keys import FAILING_MOST, LOCK_OUT
from models.stores.refusals import Asked, RefusalBook
from models.stores.scripts import load_script
from models.stores.steps import NO_STEP, FigureArguments, Step

if TYPE_CHECKING:
    from config.limit_settings import LimitSettings
    from config.risk_settings import RiskSettings
    from models.standings import Action
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

ADMIT_REQUEST = load_script("admit_request")
ADMIT_LOGIN = load_script("admit_login")
RECORD_FAILURE = load_script("record_failure")

SessionState = Literal["live", "doubtful", "unsure", "banned", "revoked", "unknown", ""]


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted request: its session's state, its user's action, what is left.

    ``quota`` is None when no limit applies.
    """

    session: SessionState = ""
    action: Action = "allow"
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by the dimensions of the limits; empty text means not known.

    ``request_id`` is what a refusal is found by.
    """

    ip: str
    user: str = ""
    device: str = ""
    app: str = ""
    request_id: str = field(default="", compare=False)

    def subjects(self) -> list[tuple[str, str]]:
        """Return the known dimensions as (name, value)."""
        named = ("ip", self.ip), ("user", self.user), ("device", self.device)
        return [(name, value) for name, value in (*named, ("app", self.app)) if value]


@dataclass(frozen=True, slots=True)
class Flight:
    """The verdict on a login: lead the exchange, join one, or take its record.

    ``alone`` is the word of who had to decide without Redis.
    """

    verdict: Literal["lead", "join", "known", "alone"]
    record: bytes = b""
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class FailedExchange:
    """How an exchange failed; ``mark`` is its flight's, ``counts`` to the lock-out.

    With a ``life_ms`` of 0 nothing is left: those who joined try by themselves. For
    ``spent_ms`` a refusal of the same code is not counted: WeChat may have used it up
    without our hearing of it.
    """

    mark: str
    record: bytes
    life_ms: int
    counts: bool
    spent_key: str = ""
    spent_ms: int = 0


class Buckets(NamedTuple):
    """The buckets of one caller: their rules, keys, and bursts and refills in turn."""

    rules: list[str]
    keys: list[str]
    amounts: list[float]

    def number_of(self, rule: str) -> int:
        """Return the number of a rule's bucket as the scripts count, 0 for none."""
        return self.rules.index(rule) + 1 if rule in self.rules else 0


class AdmissionStore:
    """The door of every request, shared by all processes."""

    def __init__(
        self,
        redis: SharedPipeline,
        keys: Keys,
        limits: LimitSettings,
        risk: RiskSettings,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._limits = limits
        self._risk = risk
        self._book = RefusalBook(keys, limits)
        self._figures = FigureArguments(keys, risk, on=limits.enabled and risk.enabled)

    def admit_request(
        self,
        limit_class: str,
        caller: Caller,
        *,
        session_id: str = "",
        epoch: int = 0,
        step: Step = NO_STEP,
    ) -> Admission:
        """Take one token from each bucket that applies and look at the session.

        ``epoch`` is the token's: below the user's, the session is revoked;
        ``doubtful`` is one that lives here, but Redis was away a moment ago;
        ``unsure`` one whose end this Redis may lack: SQL must judge it. ``step`` is
        what the request adds to the figures of behaviour. Raises `Limited` with the
        wait; nothing is taken then.
        """
        buckets, keys = self._buckets(limit_class, caller), self._keys
        own = buckets.number_of(f"{limit_class}.user")
        user = caller.user if session_id else ""
        refused, retry_ms, burst, remaining, reset_ms, state, action = self._redis.run(
            ADMIT_REQUEST,
            [
                keys.session(session_id),
                keys.standing(caller.user),
                *self._book.keys,
                *self._figures.keys(caller.user, caller.device),
                keys.standings,
                *buckets.keys,
            ],
            [
                *(user, epoch),
                *self._book.arguments(self._asked(caller, buckets, step.route)),
                *(own, self._risk.slow_share),
                *self._figures.arguments(caller.user, caller.device, step),
                caller.app,
                *buckets.amounts,
            ],
        )
        quota = _quota(burst, remaining, reset_ms)
        if refused:
            self._refuse(buckets.rules[refused - 1], retry_ms, quota)
        session = state.decode()
        if session == "live" and self._redis.in_doubt:
            session = "doubtful"
        return Admission(session, action.decode() or "allow", quota)

    def admit_login(
        self, caller: Caller, code_key: str, *, mark: str, flight_ms: int
    ) -> Flight:
        """Check lock-out and limits, and decide who exchanges the code.

        ``mark`` names this caller's flight. Raises `Limited`, reason
        ``rate_limited`` or ``locked_out``.
        """
        buckets, keys, limits = self._buckets("login", caller), self._keys, self._limits
        own = buckets.number_of("login.device")
        lock = keys.locked(caller.ip, caller.device)
        verdict, found, refused, retry_ms, *left = self._redis.run(
            ADMIT_LOGIN,
            [
                *(lock, code_key, keys.watched(caller.device)),
                *self._book.keys,
                *buckets.keys,
            ],
            [
                *(int(limits.enabled), mark, flight_ms, int(limits.dry_run)),
                *self._book.arguments(self._asked(caller, buckets)),
                *(own, self._risk.watched_share, *buckets.amounts),
            ],
        )
        quota = _quota(*left)
        if refused:
            rule = LOCK_OUT if refused < 0 else buckets.rules[refused - 1]
            self._refuse(rule, retry_ms, quota)
        return Flight(verdict.decode(), found, quota)

    def record_failure(
        self, caller: Caller, code_key: str, failure: FailedExchange
    ) -> None:
        """Leave the failure for those who joined, and count it if it counts."""
        rule, keys = self._limits.login_failures, self._keys
        counts = failure.counts and self._limits.enabled
        subject = caller.ip, caller.device
        locked = self._redis.run(
            RECORD_FAILURE,
            [
                *(code_key, keys.failures(*subject), keys.locked(*subject)),
                *(failure.spent_key, keys.failing),
            ],
            [
                *(failure.mark, failure.record, failure.life_ms),
                *(rule.count if counts else 0, rule.lock_s * 1000, failure.spent_ms),
                *("\n".join(subject), FAILING_MOST),
            ],
        )
        if locked:
            LOCK_OUTS.inc()

    def find_record(self, code_key: str) -> bytes | None:
        """Return what stands under the code: a flight mark, a record, or None."""
        found = self._redis.execute("GET", code_key)
        return None if found is None else bytes(found)

    def put_record(self, code_key: str, record: bytes, *, life_ms: int) -> None:
        """Leave the record of a login that Redis knows nothing of, for repeats."""
        self._redis.execute("SET", code_key, record, "PX", life_ms)

    def _refuse(self, rule: str, retry_ms: int, quota: Quota | None) -> None:
        """Raise `Limited`, or only count what would have been refused."""
        if self._limits.dry_run:
            RATE_LIMIT_WOULD_REFUSE.labels(rule).inc()
            return
        RATE_LIMITED.labels(rule).inc()
        if rule == LOCK_OUT:
            raise Limited(
                "too many failures", reason="locked_out", retry_after_ms=retry_ms
            )
        raise Limited(f"limit {rule}", retry_after_ms=retry_ms, quota=quota)

    def _asked(self, caller: Caller, buckets: Buckets, route: str = "") -> Asked:
        """Return what a refusal tells of this request."""
        names = caller.request_id, caller.user, caller.device, caller.app
        return Asked(*names, route, buckets.rules, self._limits.dry_run)

    def _buckets(self, limit_class: str, caller: Caller) -> Buckets:
        buckets = Buckets([], [], [])
        rules = self._limits.rules if self._limits.enabled else {}
        for dimension, subject in caller.subjects():
            rule = rules.get(f"{limit_class}.{dimension}")
            if rule is not None:
                buckets.rules.append(f"{limit_class}.{dimension}")
                buckets.keys.append(self._keys.bucket(buckets.rules[-1], subject))
                buckets.amounts.extend((rule.burst, rule.refill_per_s))
        return buckets


def _quota(burst: int, remaining: int, reset_ms: int) -> Quota | None:
    return None if burst < 0 else Quota(int(burst), remaining, -(-reset_ms // 1000))
