"""P4: freeze Redis under load; requests are still accepted, work resumes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, now_ms, sleep
from tests.faults.alarms import Alarm
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load, Tally
from tests.faults.loads.logins import Logins
from tests.faults.loads.patches import Patches
from tests.faults.task_names import COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

RESUME_S = 30
FIRST = "SELECT MIN(at) AS at FROM drill_effects WHERE at > :after"


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Freeze, write meanwhile, thaw, and time the first task."""
    patches, logins = Patches(ground), Logins(ground)
    worker = ground.stack.running["worker"].pid
    with Load(patches, rate=10) as patched, Load(logins, rate=5) as logged:
        sleep(2)
        start = monotonic()
        with Alarm(ground, "kuaida_redis_failures_total") as alarm:
            ground.redis.process.freeze()
            flood(ground, COUNT, counts["tasks"])
            sleep(counts["seconds"])
            ground.redis.process.thaw()
        thawed = now_ms()
        resumed_s = first_effect_s(ground, thawed)
        during = Tally([*patched.tally.seen, *logged.tally.seen]).since(start)
    ground.wait_finished(90)
    findings.judge(check(ground))
    alarm.tell(findings)
    same = ground.stack.running["worker"].pid == worker
    findings.expect(during.share >= 99, f"only {during.share:.1f} % were accepted")
    slow = during.p99_ms > counts["p99_ms"]
    findings.expect(not slow, f"p99 was {during.p99_ms:.0f} ms")
    late = during.slowest_s > counts["slowest_s"]
    findings.expect(not late, f"one took {during.slowest_s:.1f} s")
    findings.expect(
        resumed_s is not None and resumed_s <= RESUME_S, "work did not resume"
    )
    findings.figures.update(
        frozen_s=counts["seconds"],
        requests=len(during.seen),
        accepted_percent=round(during.share, 2),
        p50_ms=round(during.p50_ms),
        p99_ms=round(during.p99_ms),
        slowest_s=round(during.slowest_s, 2),
        refusals=during.refusals(),
        sigcont_to_first_task_s=resumed_s,
        worker_restarted=not same,
    )


def first_effect_s(ground: Ground, after: int, within_s: float = 60) -> float | None:
    """Return the seconds from ``after`` to the first effect since, None without one."""
    until = monotonic() + within_s
    while monotonic() < until:
        at = ground.sql(FIRST, after=after)[0]["at"]
        if at is not None:
            return round((int(at) - after) / 1000, 2)
        sleep(0.1)
    return None


DRILL = Drill(
    name="redis-freeze",
    promise="P4",
    does="SIGSTOP of Redis while people write and log in, then SIGCONT",
    rule=">= 99 % accepted, p99 <= 1.5 s, none over 3 s, 0 lost, work resumes within "
    "30 s without a restart",
    run=run,
    full={"seconds": 30, "tasks": 200, "p99_ms": 1500, "slowest_s": 3},
    # A short freeze on a shared machine is all start: the counts are what is judged.
    smoke={"seconds": 4, "tasks": 20, "p99_ms": 10_000, "slowest_s": 30},
    processes=("wechat", "web", "ops", "relay", "worker"),
    alone=True,
)
