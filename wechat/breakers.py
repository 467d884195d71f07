"""The breakers of one process, and its look at what the other processes found.

Nobody pays a round trip per call: one caller in ``look_s`` asks for all paths at once,
the others go on with what is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from config.clock import monotonic
from models.errors import RedisUnavailable
from wechat.breaker import Breaker, Share


class Breakers:
    """One breaker a path, made at its first call or when others tell of it.

    While the share is away each breaker goes on by itself.
    """

    def __init__(
        self,
        new_breaker: Callable[[str], Breaker],
        share: Share,
        *,
        look_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._new_breaker = new_breaker
        self._share = share
        self._look_s = look_s
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self._looking = threading.Lock()
        self._next_look = clock()

    def of(self, path: str) -> Breaker:
        """Return the breaker of ``path``, not older than a look."""
        breaker = self._breaker(path)
        if self._clock() >= self._next_look and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return breaker

    def _look(self) -> None:
        asked_at = self._clock()
        self._next_look = asked_at + self._look_s
        try:
            shut = self._share.look()
        except RedisUnavailable:
            return
        for path in [*self._breakers, *shut]:
            self._breaker(path).hear(shut.get(path), asked_at)

    def _breaker(self, path: str) -> Breaker:
        breaker = self._breakers.get(path)
        if breaker is None:
            breaker = self._breakers.setdefault(path, self._new_breaker(path))
        return breaker
