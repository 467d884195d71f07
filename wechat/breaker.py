"""A circuit breaker for one WeChat path; `calls` asks it, `breakers` holds them all.

Closed: everything passes. Open: nothing does, until ``open_s`` have gone by. Then
half-open: a single call probes, and its outcome closes or opens the breaker again.
Processes agree through a `Share`: what one finds shut is shut for all, and one of them
probes. Without it, or while it is away, each process decides by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

from config.clock import monotonic
from models.errors import RedisUnavailable
from wechat.errors import BreakerOpen


class State(IntEnum):
    """The number is what the gauge of the breaker shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


# Why it opened: failures in a row here, word of another process, a failed probe. None
# is for a probe that did not come to anything.
Cause = Literal["found", "heard", "probe"] | None
Watch = Callable[[str, State, Cause], None]


class Share(Protocol):
    """What the processes know of each other; every method may raise RedisUnavailable.

    `models/stores/shut_paths.py` is the real one.
    """

    def look(self) -> Mapping[str, float]:
        """Return the paths that are shut, each with the seconds until its probe."""

    def shut(self, path: str, seconds: float) -> None:
        """Shut ``path`` for all; its probe is due after ``seconds``."""

    def take_probe(self, path: str, hold_s: float) -> float | None:
        """Become the one who probes: 0, or the seconds to wait for the place.

        None when the path is not shut any more. The place is held for ``hold_s``.
        """

    def open(self, path: str) -> None:
        """Open ``path`` for all."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, for how long, and how long its probe may take."""

    failures: int
    open_s: float
    probe_s: float


class Breaker:
    """Counts failures in a row; a business errcode counts as a success.

    ``watch`` is told each change of state, and why it opened, for the metrics.
    """

    def __init__(
        self,
        path: str,
        policy: BreakerPolicy,
        *,
        share: Share,
        watch: Watch = lambda _path, _state, _cause: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._path = path
        self._policy = policy
        self._share = share
        self._watch = watch
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failed = 0
        self._due_at = 0.0
        # Since when the others know that the path is shut; None when they do not.
        self._shared_at: float | None = None

    @property
    def state(self) -> State:
        """The state as of the last call; an open one may be due for its probe."""
        return self._state

    def check(self) -> None:
        """Raise BreakerOpen while nobody may pass; decides nothing."""
        if self._state is not State.CLOSED:
            with self._lock:
                self._refuse_early()

    def enter(self) -> None:
        """Let the call pass, or raise BreakerOpen with the wait until the probe."""
        if self._state is not State.CLOSED and self._takes_probe():
            self._probe_for_all()

    def succeeded(self) -> None:
        """Record an answer, whatever it said; closes a probing breaker.

        Answers of calls from before the break do not: the probe decides.
        """
        if self._failed == 0 and self._state is State.CLOSED:
            return
        with self._lock:
            probed = self._state is State.HALF_OPEN
            if self._state is not State.OPEN:
                self._close()
        if probed:
            with suppress(RedisUnavailable):
                self._share.open(self._path)

    def failed(self) -> None:
        """Record a missing or nonsensical answer; opens at the limit."""
        with self._lock:
            self._failed += 1
            cause: Cause = None
            if self._state is State.HALF_OPEN:
                cause = "probe"
            elif self._state is State.CLOSED and self._failed >= self._policy.failures:
                cause = "found"
            if cause is None:
                return
            self._wait(self._policy.open_s, State.OPEN, cause)
        self._tell(self._policy.open_s)

    def abandoned(self) -> None:
        """Record a call that never reached WeChat: a probe gives its place back."""
        with self._lock:
            probed = self._state is State.HALF_OPEN
            if probed:
                self._wait(0, State.OPEN)
        if probed:
            self._tell(0)

    def hear(self, wait_s: float | None, asked_at: float) -> None:
        """Adopt what all know: the seconds until the probe, None when it is not shut.

        ``asked_at`` is when that was asked for: what we told later is not in it.
        """
        with self._lock:
            if wait_s is not None and self._state is State.CLOSED:
                self._wait(wait_s, State.OPEN, "heard")
                self._shared_at = asked_at
            elif self._is_outdated(asked_at):
                if wait_s is None:
                    self._close()
                else:
                    self._wait(wait_s, State.OPEN)

    def _is_outdated(self, asked_at: float) -> bool:
        told = self._shared_at
        return self._state is State.OPEN and told is not None and told < asked_at

    def _takes_probe(self) -> bool:
        with self._lock:
            if self._state is State.CLOSED:
                return False
            self._refuse_early()
            # This caller is the probe; the others wait until its place is free again,
            # also when it never comes back.
            self._wait(self._policy.probe_s, State.HALF_OPEN)
            return True

    def _probe_for_all(self) -> None:
        try:
            wait_s = self._share.take_probe(self._path, self._policy.probe_s)
        except RedisUnavailable:
            return
        with self._lock:
            if wait_s is None:
                self._close()
            elif wait_s > 0:
                self._wait(wait_s, State.OPEN)
                self._refuse_early()

    def _tell(self, wait_s: float) -> None:
        self._shared_at = None
        with suppress(RedisUnavailable):
            self._share.shut(self._path, wait_s)
            self._shared_at = self._clock()

    def _refuse_early(self) -> None:
        wait_s = self._due_at - self._clock()
        if self._state is not State.CLOSED and wait_s > 0:
            # A probe mostly ends long before its place does.
            told_s = min(wait_s, self._policy.open_s)
            raise BreakerOpen(self._path, max(1, round(told_s * 1000)))

    def _wait(self, seconds: float, state: State, cause: Cause = None) -> None:
        self._due_at = self._clock() + seconds
        self._become(state, cause)

    def _close(self) -> None:
        self._failed = 0
        self._shared_at = None
        self._become(State.CLOSED)

    def _become(self, state: State, cause: Cause = None) -> None:
        if state is not self._state:
            self._state = state
            self._watch(self._path, state, cause)
