"""The rows of the table and how one is measured: load on one side, CPU on the other."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.clock import monotonic
from tests.bench.cpu import machine_seconds, pss_mb, read_stat, tree_seconds
from tests.bench.load import Answered, Load, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.servers.stack import Stack

YARDSTICK = "bare Flask hello, stock gunicorn gevent"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: ``server`` names the process tree that is judged."""

    name: str
    server: str
    load: Callable[[], Load]
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Run:
    """One repetition of a row."""

    answered: Answered
    cpu: dict[str, float]
    foreign_cores: float
    memory: list[float]

    def micros(self, name: str) -> float:
        """CPU microseconds a request spent in the process tree ``name``."""
        return self.cpu.get(name, 0.0) * 1e6 / max(1, self.answered.requests)


@dataclass(slots=True)
class Result:
    """All repetitions of a row."""

    row: Row
    runs: list[Run] = field(default_factory=list)

    def micros(self) -> list[float]:
        """CPU microseconds a request in the judged server, by repetition."""
        return [run.micros(self.row.server) for run in self.runs]

    def median(self, pick: Callable[[Run], float]) -> float:
        """Return the middle of the repetitions."""
        return statistics.median(pick(run) for run in self.runs)

    def disturbed(self) -> bool:
        """Whether a third of a core or more went to processes that are not ours."""
        return any(run.foreign_cores > 0.3 for run in self.runs)


def measure(stack: Stack, row: Row) -> Run:
    """Apply the row's load once and account for it."""
    row.before()
    load = row.load()
    before, machine, start = stack_cpu(stack), machine_seconds(), monotonic()
    own = own_seconds()
    answered = run(load)
    spent = monotonic() - start
    used = {name: after - before[name] for name, after in stack_cpu(stack).items()}
    ours = sum(used.values()) + own_seconds() - own
    foreign = max(0.0, machine_seconds() - machine - ours) / spent
    memory = pss_mb(stack.running[row.server].pid)
    return Run(answered, used, foreign, memory)


def own_seconds() -> float:
    """CPU of the bench itself and the wrk it has waited for."""
    stat = read_stat(os.getpid())
    return stat.seconds if stat else 0.0


def measure_all(
    stack: Stack, rows: Sequence[Row], *, repetitions: int, say: Callable[[str], None]
) -> list[Result]:
    """Run all rows in turn, back and forth, so that drift hits each one alike."""
    results = [Result(row) for row in rows]
    for number in range(repetitions):
        for result in results if number % 2 == 0 else reversed(results):
            done = measure(stack, result.row)
            result.runs.append(done)
            micros = done.micros(result.row.server)
            rate = done.answered.rate
            say(f"  {number + 1}. {result.row.name}: {rate:.0f}/s, {micros:.0f} us")
    return results


def stack_cpu(stack: Stack) -> dict[str, float]:
    """Return the CPU seconds used so far by each process tree, Redis included."""
    trees = {name: process.pid for name, process in stack.running.items()}
    trees["redis"] = stack.redis.process.pid
    return {name: tree_seconds(pid) for name, pid in trees.items()}
