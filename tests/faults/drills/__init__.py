"""The drills, one promise or fault a file; `ALL` is the order of the full run."""

from __future__ import annotations

from tests.faults.drills import (
    broker_cuts,
    bulk_flood,
    long_tasks,
    poison,
    redis_freeze,
    redis_restarts,
    redis_wipes,
    worker_kills,
)

ALL = (
    worker_kills.DRILL,
    broker_cuts.DRILL,
    redis_wipes.DRILL,
    redis_freeze.DRILL,
    redis_restarts.DRILL,
    poison.DRILL,
    long_tasks.DRILL,
    bulk_flood.DRILL,
)
