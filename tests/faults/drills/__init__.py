"""The drills, one promise or fault a file; `ALL` is the order in which they start."""

from __future__ import annotations

from tests.faults.drills import (
    bad_network,
    beats,
    broker_cuts,
    bulk_flood,
    full_disks,
    fuzz,
    idempotency,
    long_tasks,
    messages,
    poison,
    redis_freeze,
    redis_restarts,
    redis_wipes,
    rolling,
    slow_clients,
    sql_kills,
    stepped_clocks,
    worker_kills,
)

# The longest first, so that no lane is left alone with one at the end.
ALL = (
    rolling.DRILL,
    worker_kills.DRILL,
    messages.KILLS,
    beats.DRILL,
    idempotency.DRILL,
    full_disks.DRILL,
    sql_kills.DRILL,
    bad_network.DRILL,
    stepped_clocks.DRILL,
    redis_restarts.DRILL,
    redis_wipes.DRILL,
    messages.STEADY,
    broker_cuts.DRILL,
    long_tasks.DRILL,
    bulk_flood.DRILL,
    poison.DRILL,
    fuzz.DRILL,
    slow_clients.DRILL,
    redis_freeze.DRILL,
)
