"""P15: bulk work queued by the ten thousand delays no login and does not fill Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import sleep
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load, quantile
from tests.faults.loads.patches import Patches
from tests.faults.task_names import BULK, URGENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

START = (
    "SELECT (e.at - o.created_at) / 1000 AS s FROM drill_effects e "
    "JOIN outbox o ON o.id = e.outbox_id WHERE o.name = :name"
)
MAX_BYTES = 64 * 1024 * 1024


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Queue the bulk, then time urgent work that arrives each half second."""
    flood(ground, BULK, counts["bulk"])
    sleep(3)
    peak = 0
    patches = Patches(ground)
    with Load(patches, rate=5) as patched, ground.redis.client() as client:
        for _ in range(counts["urgent"]):
            flood(ground, URGENT, 1)
            peak = max(peak, int(client.info("memory")["used_memory"]))
            sleep(0.5)
        waiting = int(client.llen("kuaida:dev:bulk"))
        evicted = int(client.info("stats")["evicted_keys"])
    sleep(3)
    starts = [float(row["s"]) for row in ground.sql(START, name=URGENT)]
    p95 = quantile(starts, 95)
    left = ground.number(
        "SELECT COUNT(*) FROM outbox WHERE name = :name AND state <> 'done'", name=BULK
    )
    findings.expect(len(starts) == counts["urgent"], f"only {len(starts)} ran")
    findings.expect(p95 <= 2, f"p95 was {p95:.2f} s")
    findings.expect(left > 0, "the bulk was gone before the end")
    findings.expect(peak < MAX_BYTES, f"Redis used {peak} bytes")
    findings.expect(evicted == 0, f"{evicted} keys were evicted")
    findings.figures.update(
        bulk_rows=counts["bulk"],
        bulk_left=left,
        bulk_messages_in_redis=waiting,
        urgent_start_p50_s=round(quantile(starts, 50), 2),
        urgent_start_p95_s=round(p95, 2),
        patch_p99_ms=round(patched.tally.p99_ms),
        redis_peak_mb=round(peak / 1024**2, 1),
        evicted=evicted,
    )


DRILL = Drill(
    name="bulk-flood",
    promise="P15",
    does="bulk rows queued at once; login-type work and profile changes go on",
    rule="login-type work starts within 2 s (p95), Redis below maxmemory (64 MB), "
    "0 evictions",
    run=run,
    full={"bulk": 50_000, "urgent": 60},
    processes=("wechat", "web", "relay", "worker", "bulk"),
    redis={"maxmemory": "64mb"},
    alone=True,
)
