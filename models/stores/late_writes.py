"""Writes that Redis could not take, made as soon as it answers again.

For ends of sessions, which must hold within a second of its return. They go with the
process: whoever gives one has also had the outbox asked to see to it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from config.logging import get_logger
from models.errors import RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.stores.connection import SharedPipeline

KNOCK_EVERY_S = 0.1
# After that the outbox is the faster one.
PATIENCE_S = 120.0
# An outage in which more sessions end than this leaves the rest to the outbox.
AT_MOST = 1000

_log = get_logger(__name__)


class LateWrites:
    """The writes of this process that are late; one thread while there are any."""

    def __init__(self, redis: SharedPipeline) -> None:
        self._redis = redis
        self._mutex = threading.Lock()
        self._waiting: deque[Callable[[], object]] = deque(maxlen=AT_MOST)
        self._works = False

    def attempt(self, write: Callable[[], object]) -> None:
        """Make ``write`` now, or as soon as Redis is back; it may be made twice."""
        try:
            write()
        except RedisUnavailable:
            with self._mutex:
                self._waiting.append(write)
                begins, self._works = not self._works, True
            if begins:
                threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        ends_at = monotonic() + PATIENCE_S
        while not self._is_over(ends_at):
            sleep(KNOCK_EVERY_S)
            if self._redis.knock():
                self._write_all()

    def _is_over(self, ends_at: float) -> bool:
        with self._mutex:
            if monotonic() >= ends_at:
                self._waiting.clear()
            self._works = bool(self._waiting)
            return not self._works

    def _write_all(self) -> None:
        while self._waiting:
            try:
                self._waiting[0]()
            except RedisUnavailable:
                return
            except Exception as error:  # noqa: BLE001 (the others must not wait for ever)
                # The outbox sees to it, as for what goes with the process.
                _log.error("late write failed", cause=type(error).__name__)
            self._waiting.popleft()
