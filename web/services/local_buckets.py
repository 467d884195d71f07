"""Rate limits of one process, for the time Redis is away.

The same rules as `models/stores/admission.py`, counted here only: a client may get
as many shares as there are processes, which is far better than no limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from config.clock import monotonic
from config.metrics import RATE_LIMITED
from models.errors import Limited

if TYPE_CHECKING:
    from config.limit_settings import LimitSettings, Rule
    from models.stores.admission import Caller as LimitCaller

# The least recently used bucket is dropped; a dropped bucket counts as full. 20,000
# of them are about 4 MB.
MAX_BUCKETS: Final = 20_000
MS_PER_S: Final = 1000


class LocalBuckets:
    """Token buckets by rule and subject."""

    def __init__(self, limits: LimitSettings) -> None:
        self._rules = limits.rules if limits.enabled else {}
        self._mutex = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def admit(self, limit_class: str, caller: LimitCaller) -> None:
        """Take one token from each bucket that applies; raises `Limited`.

        When one bucket refuses, nothing is taken from the others.
        """
        named = [
            ((f"{limit_class}.{dimension}", subject), rule)
            for dimension, subject in caller.subjects()
            if (rule := self._rules.get(f"{limit_class}.{dimension}")) is not None
        ]
        now = monotonic()
        with self._mutex:
            levels = {key: self._level(key, rule, now) for key, rule in named}
            for key, rule in named:
                if levels[key] < 1:
                    RATE_LIMITED.labels(key[0]).inc()
                    wait_s = (1 - levels[key]) / rule.refill_per_s
                    raise Limited(f"limit {key[0]}", retry_after_ms=_ms(wait_s))
            for key, level in levels.items():
                self._buckets[key] = (level - 1, now)
                self._buckets.move_to_end(key)
            while len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)

    def _level(self, key: tuple[str, str], rule: Rule, now: float) -> float:
        level, at = self._buckets.get(key, (float(rule.burst), now))
        return min(float(rule.burst), level + (now - at) * rule.refill_per_s)


def _ms(seconds: float) -> int:
    return int(seconds * MS_PER_S) + 1
