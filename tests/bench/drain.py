"""How fast enrichment empties the journal: relay and worker alone, into a database.

The journal is filled by real logins while nobody reads it; then the consumers start.
Rates and CPU are taken from the middle of the work, so start-up does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from config.clock import monotonic, sleep
from tests.bench.rows import stack_cpu

if TYPE_CHECKING:
    from tests.servers.stack import Stack

POLL_S = 0.2
CONSUMERS = ("relay", "worker", "database", "redis")


@dataclass(frozen=True, slots=True)
class Sample:
    """The state at one moment: rows of login history and CPU seconds used so far."""

    at: float
    rows: int
    cpu: dict[str, float]


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain; ``micros`` are CPU per login in the order of `CONSUMERS`."""

    into: str
    logins: int
    rate: float
    micros: tuple[float, ...]


def watch(stack: Stack, goal: int, *, within_s: float = 180) -> list[Sample]:
    """Sample until ``goal`` rows are there or the time is up."""
    engine = sa.create_engine(stack.database_url)
    query = sa.text("SELECT COUNT(*) FROM login_events")
    samples: list[Sample] = []
    end = monotonic() + within_s
    while monotonic() < end:
        with engine.connect() as link:
            rows = int(link.execute(query).scalar_one())
        samples.append(Sample(monotonic(), rows, stack_cpu(stack)))
        if rows >= goal:
            break
        sleep(POLL_S)
    engine.dispose()
    return samples


def middle(samples: list[Sample], first_row: int) -> tuple[Sample, Sample]:
    """Return the samples at a tenth and at nine tenths of the work."""
    total = samples[-1].rows - first_row
    low, high = first_row + total * 0.1, first_row + total * 0.9
    inside = [sample for sample in samples if low <= sample.rows <= high]
    chosen = inside if len(inside) > 1 else samples
    return chosen[0], chosen[-1]


def drain(stack: Stack, *, into: str, already: int, logins: int) -> Drained:
    """Start relay and worker on a full journal and time them."""
    stack.start("relay", "worker")
    samples = watch(stack, already + logins)
    start, stop = middle(samples, already)
    rows = max(1, stop.rows - start.rows)
    micros = tuple(
        (stop.cpu.get(name, 0.0) - start.cpu.get(name, 0.0)) * 1e6 / rows
        for name in CONSUMERS
    )
    rate = rows / max(stop.at - start.at, 1e-9)
    return Drained(into, samples[-1].rows - already, rate, micros)
