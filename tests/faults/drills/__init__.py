"""The drills, one promise or fault a file; `ALL` is the order of the full run."""

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

ALL = (
    worker_kills.DRILL,
    broker_cuts.DRILL,
    redis_wipes.DRILL,
    redis_freeze.DRILL,
    bad_network.DRILL,
    redis_restarts.DRILL,
    sql_kills.DRILL,
    messages.KILLS,
    idempotency.DRILL,
    beats.DRILL,
    poison.DRILL,
    long_tasks.DRILL,
    bulk_flood.DRILL,
    rolling.DRILL,
    slow_clients.DRILL,
    fuzz.DRILL,
    stepped_clocks.DRILL,
    full_disks.DRILL,
    messages.STEADY,
)
