"""Kill workers at work: main and child in turn, and only while they hold a row.

A kill that hits nobody in flight proves nothing, so the victim is frozen first and
killed when the table shows rows it holds; otherwise it goes on and is tried again.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from config.clock import monotonic, now_ms, sleep
from tests.servers.house import House

if TYPE_CHECKING:
    from tests.faults.ground import Ground

AIM_S = 8.0
# A worker that was just started finishes nothing for some seconds.
START_S = 40.0
# A worker lives until it has done some work, or a slow one would never do any, and then
# for some seconds more.
WORKS, WORKS_S = 5, (0.2, 1.2)
# Longer than a counting task takes: what is still held then is held by the frozen.
SETTLE_S = 0.12
HELD = (
    "SELECT id, fence FROM outbox WHERE state = 'sent' AND holder_fence IS NOT NULL "
    "AND updated_at < :before"
)
FENCES = "SELECT id, fence FROM outbox"
DONE = "SELECT COUNT(*) FROM outbox WHERE kind = 'task' AND state = 'done'"


class Hit(NamedTuple):
    """One kill at ``at`` (epoch ms) and the rows its victim held, with their fences."""

    at: int
    victim: str
    rows: frozenset[tuple[str, int]]


def confirmed(ground: Ground, hits: list[Hit]) -> list[Hit]:
    """Return the hits with only those rows that had to be begun again.

    On a slow machine a row may look held by the victim and be a neighbour's, which
    finished it in peace.
    """
    fences = {row["id"]: int(row["fence"]) for row in ground.sql(FENCES)}
    return [
        hit._replace(rows=frozenset(row for row in hit.rows if fences[row[0]] > row[1]))
        for hit in hits
    ]


class Killer:
    """Kills processes of one worker and remembers what each kill hit."""

    def __init__(self, ground: Ground, name: str = "worker") -> None:
        self._ground = ground
        self._name = name
        self.hits: list[Hit] = []
        # Held by an earlier victim and not begun again yet.
        self._seen: set[tuple[str, int]] = set()
        self._done = 0

    def kill(self, victim: str) -> Hit:
        """Kill a ``child``, the ``main`` process alone, or the whole ``group``."""
        self._wait_work()
        until = monotonic() + AIM_S
        while True:
            frozen = self._aim(victim)
            rows = self._freeze(frozen)
            if rows or monotonic() > until:
                break
            self._send(frozen, signal.SIGCONT)
            sleep(self._ground.random.uniform(0.05, 0.25))
        main = self._ground.stack.running[self._name].pid
        self._send([main] if victim == "main" else frozen, signal.SIGKILL)
        hit = Hit(now_ms(), victim, frozenset(rows))
        # Children that outlive their main process end by themselves, work done.
        self._send(frozen, signal.SIGCONT)
        self._seen |= rows
        self.hits.append(hit)
        self._done = self._ground.number(DONE)
        if victim != "child":
            self._ground.restart(self._name, group=victim == "group")
        return hit

    def _wait_work(self) -> None:
        # A worker that starts must not be frozen meanwhile, or it never is up.
        until = monotonic() + START_S
        while self._ground.number(DONE) < self._done + WORKS and monotonic() < until:
            sleep(0.05)
        sleep(self._ground.random.uniform(*WORKS_S))

    def _aim(self, victim: str) -> list[int]:
        main = self._ground.stack.running[self._name].pid
        children = House.children(main)
        if victim == "child" and children:
            return [self._ground.random.choice(children)]
        return [main, *children]

    def _freeze(self, pids: list[int]) -> set[tuple[str, int]]:
        self._send(pids, signal.SIGSTOP)
        before = now_ms()
        sleep(SETTLE_S)
        return self._held(before)

    def _held(self, before: int) -> set[tuple[str, int]]:
        held = self._ground.sql(HELD, before=before)
        return {(row["id"], int(row["fence"])) for row in held} - self._seen

    @staticmethod
    def _send(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
