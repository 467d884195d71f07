"""``VAR_DIR/run/ready``: there while every process of the stack is healthy.

`config/dev/supervisor` tells of each start and end. An end takes the mark away at
once; it comes back when `config/dev/readiness` has found all of them healthy again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_S = 0.2
WORDS = "ready\n"

# Of the names it is given, those that are not healthy.
Question = Callable[[list[str]], list[str]]


class ReadyMark:
    """The file and who keeps it away; used by the supervisor's loop alone."""

    def __init__(self, path: Path, ask: Question) -> None:
        self._path = path
        self._ask = ask
        self._down: set[str] = set()
        self._asking = Asking(ask, [])
        self.stands = False

    @property
    def missing(self) -> list[str]:
        """Who is down or was not healthy at the last question."""
        return sorted({*self._down, *self._asking.missing})

    def started(self, name: str) -> None:
        """Ask for the health of a process that begins now."""
        self._down.discard(name)
        self._asking.over.set()
        # A new one, so that an answer about the process before is nobody's.
        self._asking = Asking(self._ask, [*self._asking.missing, name])
        self._asking.start()

    def ended(self, name: str) -> None:
        """Take the mark away until ``name`` has been started and is healthy."""
        self.take_away()
        self._down.add(name)

    def take_away(self) -> None:
        """Say that not everything is healthy."""
        self._path.unlink(missing_ok=True)
        self.stands = False

    def put_back(self) -> bool:
        """Leave the mark if all are healthy; return whether it was just left.

        While the disk is full it stays away; the next look tries again.
        """
        if self.stands or self.missing:
            return False
        # In one step: who finds the file finds the whole line in it.
        whole = self._path.with_suffix(".new")
        try:
            whole.write_text(WORDS)
            whole.replace(self._path)
        except OSError:
            return False
        self.stands = True
        return True


class Asking(threading.Thread):
    """Asks for health beside the loop, which must keep reading logs."""

    def __init__(self, ask: Question, names: Sequence[str]) -> None:
        super().__init__(name="asking", daemon=True)
        self._ask = ask
        self.missing = list(dict.fromkeys(names))
        self.over = threading.Event()

    def run(self) -> None:
        """Ask until all are healthy or nobody waits for the answer any more."""
        while self.missing and not self.over.wait(POLL_S):
            self.missing = self._ask(self.missing)
