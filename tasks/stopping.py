"""A process that must end soon: running work is stopped and goes back at once.

`workers/graceful_stop.py` decides when; `tasks/base.py` lets its bodies be stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """The process ends before the work has: nobody's fault, so no `Exception`."""


class Stopping:
    """Whether this process was told to end, and whether work may be broken off."""

    def __init__(self) -> None:
        self._asked = False
        self._breakable = False

    def ask(self) -> None:
        """Let running work end at its next checkpoint, and let none begin."""
        self._asked = True

    def break_off(self, *_: object) -> None:
        """End running work where it is: the signal handler of a process of one task."""
        self._asked = True
        if self._breakable:
            self._breakable = False
            raise Stopped

    def check(self) -> None:
        """Raise `Stopped` when this process was told to end."""
        if self._asked:
            raise Stopped

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Hold the part of a task that may be broken off anywhere."""
        self._breakable = True
        try:
            self.check()
            yield
        finally:
            self._breakable = False


stopping = Stopping()
