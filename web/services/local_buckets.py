"""Rate limits and lock-outs of one process, for the time Redis is away.

The same rules as `models/stores/admission.py`, counted here only: a client may get
as many shares as there are processes, which is far better than no limit. Counts begin
full and forgetful when Redis goes, and are not carried back to it. Nor are refusals:
they stand in the log alone, under the id of their request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NoReturn

from config.clock import MS_PER_S, monotonic
from config.metrics.limits import LIMITED_LOCALLY, RATE_LIMIT_WOULD_REFUSE, RATE_LIMITED
from models.errors import Limited
from models.quota import Quota
from models.stores.keys import LOCK_OUT

if TYPE_CHECKING:
    from config.limit_settings import LimitSettings, Rule
    from models.stores.admission import Caller as LimitCaller

# The least recently used bucket is dropped; a dropped bucket counts as full. 20,000
# of them are about 4 MB.
MAX_BUCKETS: Final = 20_000
_ADMITTED: Final = LIMITED_LOCALLY.labels("admitted")
_REFUSED: Final = LIMITED_LOCALLY.labels("refused")

Subject = tuple[str, str]


class LocalBuckets:
    """Token buckets by rule and subject, and failures by address and device."""

    def __init__(self, limits: LimitSettings) -> None:
        self._rules = limits.rules if limits.enabled else {}
        self._failures = limits.login_failures
        self._dry_run = limits.dry_run
        self._mutex = threading.Lock()
        # Level and when it was so; of failures how many, and until when locked.
        self._buckets: OrderedDict[Subject, tuple[float, float]] = OrderedDict()
        self._locks: OrderedDict[Subject, float] = OrderedDict()

    def admit(self, limit_class: str, caller: LimitCaller) -> Quota | None:
        """Take one token from each bucket that applies; return the scarcest one's.

        Raises `Limited`; when one bucket refuses, nothing is taken from the others.
        """
        named = [
            ((f"{limit_class}.{dimension}", subject), rule)
            for dimension, subject in caller.subjects()
            if (rule := self._rules.get(f"{limit_class}.{dimension}")) is not None
        ]
        now = monotonic()
        with self._mutex:
            levels = {key: self._level(key, rule, now) for key, rule in named}
            empty = [(key, rule) for key, rule in named if levels[key] < 1]
            if not empty:
                self._keep({key: (level - 1, now) for key, level in levels.items()})
        if empty:
            (name, _), rule = empty[0]
            level = levels[empty[0][0]]
            quota = _quota(rule, level)
            self._refuse(name, (1 - level) / rule.refill_per_s, quota)
            return quota
        _ADMITTED.inc()
        left = [_quota(rule, levels[key] - 1) for key, rule in named]
        return min(left, key=lambda quota: quota.remaining / quota.limit, default=None)

    def admit_login(self, caller: LimitCaller) -> Quota | None:
        """Check the lock-out too; raises `Limited`."""
        wait_s = self._locks.get((caller.ip, caller.device), 0.0) - monotonic()
        if wait_s > 0:
            self._refuse(LOCK_OUT, wait_s, None)
        return self.admit("login", caller)

    def count_failure(self, caller: LimitCaller) -> None:
        """Count a refused login; enough of them lock this address and device."""
        if not self._rules:
            return
        rule, now = self._failures, monotonic()
        subject = (caller.ip, caller.device)
        key = (LOCK_OUT, "\n".join(subject))
        with self._mutex:
            count, at = self._buckets.get(key, (0.0, now))
            count = max(0.0, count - (now - at) * rule.count / rule.lock_s) + 1
            self._keep({key: (count, now)})
            if count > rule.count - 1:
                del self._buckets[key]
                self._locks[subject] = now + rule.lock_s
                if len(self._locks) > MAX_BUCKETS:
                    self._locks.popitem(last=False)

    def _refuse(self, rule: str, wait_s: float, quota: Quota | None) -> None:
        if self._dry_run:
            RATE_LIMIT_WOULD_REFUSE.labels(rule).inc()
            return
        RATE_LIMITED.labels(rule).inc()
        _REFUSED.inc()
        _raise(rule, int(wait_s * MS_PER_S) + 1, quota)

    def _keep(self, fresh: dict[Subject, tuple[float, float]]) -> None:
        for key, state in fresh.items():
            self._buckets[key] = state
            self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def _level(self, key: Subject, rule: Rule, now: float) -> float:
        level, at = self._buckets.get(key, (float(rule.burst), now))
        return min(float(rule.burst), level + (now - at) * rule.refill_per_s)


def _quota(rule: Rule, level: float) -> Quota:
    reset_s = -(-(rule.burst - level) // rule.refill_per_s)
    return Quota(rule.burst, max(0, int(level)), int(reset_s))


def _raise(rule: str, wait_ms: int, quota: Quota | None) -> NoReturn:
    reason = "locked_out" if rule == LOCK_OUT else None
    raise Limited(f"limit {rule}", reason=reason, retry_after_ms=wait_ms, quota=quota)
