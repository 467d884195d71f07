"""A circuit breaker for one WeChat path in one process; `calls` asks it.

Closed: everything passes. Open: nothing does, until ``open_s`` have gone by. Then
half-open: a single call probes, and its outcome closes or opens the breaker again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntEnum

from config.clock import monotonic
from wechat.errors import BreakerOpen


class State(IntEnum):
    """The number is what the gauge of the breaker shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Counts failures in a row; a business errcode counts as a success.

    ``watch`` is told each change of state, for the metric.
    """

    def __init__(
        self,
        path: str,
        *,
        failures: int,
        open_s: float,
        watch: Callable[[str, State], None] = lambda _path, _state: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._path = path
        self._limit = failures
        self._open_s = open_s
        self._watch = watch
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failed = 0
        self._opened_at = 0.0

    @property
    def state(self) -> State:
        """The state as of the last call; an open one may be due for its probe."""
        return self._state

    def enter(self) -> None:
        """Let the call pass, or raise BreakerOpen with the wait until the probe."""
        if self._state is not State.CLOSED:
            with self._lock:
                self._probe()

    def succeeded(self) -> None:
        """Record an answer, whatever it said; closes a probing breaker."""
        if self._failed == 0 and self._state is State.CLOSED:
            return
        with self._lock:
            self._failed = 0
            self._become(State.CLOSED)

    def failed(self) -> None:
        """Record a missing or nonsensical answer; opens at the limit."""
        with self._lock:
            self._failed += 1
            if self._state is State.HALF_OPEN or self._failed >= self._limit:
                self._opened_at = self._clock()
                self._become(State.OPEN)

    def abandoned(self) -> None:
        """Record a call that never reached WeChat: a probe gives its place back."""
        with self._lock:
            if self._state is State.HALF_OPEN:
                self._opened_at = self._clock() - self._open_s
                self._become(State.OPEN)

    def _probe(self) -> None:
        if self._state is State.CLOSED:
            return
        wait_s = self._opened_at + self._open_s - self._clock()
        if wait_s > 0:
            raise BreakerOpen(self._path, max(1, round(wait_s * 1000)))
        # This caller is the probe; the others wait one more period, which also
        # frees the place of a probe that never came back.
        self._opened_at = self._clock()
        self._become(State.HALF_OPEN)

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._watch(self._path, state)
