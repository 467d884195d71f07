"""The bulkhead of one WeChat path: how many calls of it a process has in flight.

A path that stalls holds its own places and leaves connections to the others; the
transport's pool below is shared by all. `calls` goes through it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from config.clock import Deadline
from wechat.errors import PathFull


class Bulkhead:
    """So many ``places``, and as many callers who may wait ``wait_s`` for one.

    Whoever comes on top of those is refused at once: waiting costs a greenlet or a
    thread, and a path that stalls gives no place back soon.
    """

    def __init__(self, path: str, places: int, wait_s: float) -> None:
        self._path = path
        self._wait_s = wait_s
        self._places = threading.BoundedSemaphore(places)
        self._waiters = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self, deadline: Deadline) -> Iterator[None]:
        """Hold a place; raises PathFull when none comes free in time."""
        if not self._places.acquire(blocking=False):
            self._queue(deadline)
        try:
            yield
        finally:
            self._places.release()

    def _queue(self, deadline: Deadline) -> None:
        if not self._waiters.acquire(blocking=False):
            raise PathFull(self._path, self._wait_s)
        try:
            if not self._places.acquire(timeout=deadline.capped(self._wait_s)):
                raise PathFull(self._path, self._wait_s)
        finally:
            self._waiters.release()
