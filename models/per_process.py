"""Once-only initialisation in each process: values opened at first use, after any fork.

Needs no store. What must be made once among all processes is a unique key in SQL
(a schedule slot, an idempotency key, an inbox mark): Redis can be wiped and would have
it made again.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value opened at first use, anew in every process that was forked off.

    Sockets must not be shared with a parent: answers would reach the wrong one.
    """

    def __init__(self, open_value: Callable[[], T]) -> None:
        self._open = open_value
        # By process: a parent's lock may have been held at the fork, and is for ever.
        self._locks: dict[int, threading.Lock] = {}
        self._held: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Return this process's value.

        Opened by one caller while the others wait; when that fails it raises, and the
        next caller tries anew.
        """
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        return self._fresh()

    def _fresh(self) -> T:
        pid = os.getpid()
        with self._locks.setdefault(pid, threading.Lock()):
            held = self._held
            if held is None or held[0] != pid:
                held = self._held = (pid, self._open())
            return held[1]
