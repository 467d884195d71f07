"""Starts what has ended, as `make run` and every container platform do.

Most drills go without: a process that dies of a fault should be seen. Where a library
gives up by design (Celery, when Redis refuses writes), coming back is its part.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.faults.ground import Ground

EVERY_S = 1.0


class Keeper:
    """Looks after the processes of a ground while its block runs."""

    def __init__(self, ground: Ground) -> None:
        self.restarted: list[str] = []
        self._ground = ground
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _watch(self) -> None:
        while not self._stopping.wait(EVERY_S):
            for name, process in list(self._ground.stack.running.items()):
                if not process.alive:
                    self._ground.restart(name)
                    self.restarted.append(name)
