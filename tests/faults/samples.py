"""What each process holds: memory, descriptors, connections; and how it grows."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from config.clock import monotonic
from tests.bench.cpu import all_stats, tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.ground import Ground

PROC = Path("/proc")
PAGE_MB = 4096 / 1024**2


class Sample(NamedTuple):
    """The state of one process tree, or of a server's connections, at a moment."""

    at_s: float
    rss_mb: float
    descriptors: int


class Links(NamedTuple):
    """The connections both stores count at a moment."""

    at_s: float
    sql: int
    redis: int


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process, 0 when it has ended."""
    try:
        pages = (PROC / str(pid) / "statm").read_text().split()[1]
    except OSError:
        return 0.0
    return int(pages) * PAGE_MB


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open, 0 when it has ended."""
    try:
        return len(list((PROC / str(pid) / "fd").iterdir()))
    except OSError:
        return 0


def sample(ground: Ground) -> dict[str, Sample]:
    """Sample the tree of each process of the stack; the largest member counts."""
    stats, found = all_stats(), {}
    for name, process in ground.stack.running.items():
        pids = tree(process.pid, stats)
        found[name] = Sample(
            monotonic(),
            max(map(rss_mb, pids), default=0.0),
            sum(map(descriptors, pids)),
        )
    return found


def links(ground: Ground) -> Links:
    """Count the connections of both stores, our own two included."""
    sql = ground.number("SELECT COUNT(*) FROM information_schema.processlist")
    with ground.redis.client() as client:
        redis = int(client.info("clients")["connected_clients"])
    return Links(monotonic(), sql, redis)


def slope_a_minute(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares growth per minute of (seconds, value) points."""
    if len(points) < 2:
        return 0.0
    at, values = zip(*points, strict=True)
    return 60 * statistics.linear_regression(at, values).slope
