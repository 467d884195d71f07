"""Drills side by side: each in a process of its own, a few of them at once.

A drill has its own servers, ports and folder, so neighbours only cost each other time.
`__main__` says which drills may have neighbours at all.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from config.clock import monotonic
from tests.faults.drill import Findings
from tests.faults.report import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from tests.faults.drill import Drill

# A child begins with what the parent has: the shared server's address among it.
FORK = multiprocessing.get_context("fork")
# What ending a drill's servers may take before its process is killed.
END_S = 60


class Lane:
    """One drill under way in a child process, which tells the parent what it found."""

    def __init__(self, drill: Drill, act: Callable[[Drill], Done]) -> None:
        self.drill = drill
        self._start = monotonic()
        self.ear, mouth = FORK.Pipe(duplex=False)
        self._child = FORK.Process(target=self._tell, args=(mouth, drill, act))
        self._child.start()
        # Only the child holds it now: when the child dies, the ear hears the end.
        mouth.close()

    @staticmethod
    def _tell(mouth: Connection, drill: Drill, act: Callable[[Drill], Done]) -> None:
        mouth.send(act(drill))
        mouth.close()

    def result(self) -> Done:
        """Return what the drill found; its death is a broken rule too."""
        try:
            done: Done = self.ear.recv()
        except EOFError:
            broken = Findings(broken=["its process ended before it was done"])
            done = Done(self.drill, broken, monotonic() - self._start)
        self.end()
        return done

    def end(self) -> None:
        """End the process; one that is not done yet ends its servers first."""
        self.ear.close()
        self._child.terminate()
        self._child.join(END_S)
        self._child.kill()


def run_lanes(
    drills: Iterable[Drill], act: Callable[[Drill], Done], *, lanes: int
) -> Generator[Done]:
    """Run drills in their order, ``lanes`` at once; yield each as it ends."""
    waiting, running = deque(drills), list[Lane]()
    try:
        while waiting or running:
            while waiting and len(running) < lanes:
                running.append(Lane(waiting.popleft(), act))
            told = wait([lane.ear for lane in running])
            for lane in [lane for lane in running if lane.ear in told]:
                running.remove(lane)
                yield lane.result()
    finally:
        for lane in running:
            lane.end()
