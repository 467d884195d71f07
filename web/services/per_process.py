"""Values opened once in each process, after any fork."""

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
        self._lock = threading.Lock()
        self._held: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Return this process's value."""
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        return self._fresh()

    def _fresh(self) -> T:
        with self._lock:
            held = self._held
            if held is None or held[0] != os.getpid():
                held = self._held = (os.getpid(), self._open())
            return held[1]
